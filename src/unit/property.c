/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One parsed unit property as the (sv) that StartTransientUnit and SetUnitProperties take. The D-Bus types are those of
 * systemd's own tools for the same assignment; systemd refuses a property of another type. */

#include "unit/property.h"

#include "base/bus-util.h"
#include "base/strv.h"

static const char *const signature_table[_UNIT_VALUE_TYPE_MAX] = {
        [UNIT_VALUE_BOOL] = "b",
        [UNIT_VALUE_U32] = "u",
        [UNIT_VALUE_I32] = "i",
        [UNIT_VALUE_U64] = "t",
        [UNIT_VALUE_STRING] = "s",
        [UNIT_VALUE_STRV] = "as",
        [UNIT_VALUE_BYTES] = "ay",
        [UNIT_VALUE_FILTER] = "(bas)",
        [UNIT_VALUE_PAIRS] = "a(ss)",
        [UNIT_VALUE_PATH_LIMITS] = "a(st)",
        [UNIT_VALUE_BINDS] = "a(ssbt)",
};

static int append_filter(sd_bus_message *m, const UnitValue *v) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "bas");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "b", (int) v->allow_list);
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(m, v->strv);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int append_array(sd_bus_message *m, const UnitValue *v) {
        const uint64_t *number = v->numbers;
        int r;

        r = sd_bus_message_open_container(m, 'a', signature_table[v->type] + 1);
        if (r < 0)
                return r;
        for (char **w = v->strv; w && *w; w += v->type == UNIT_VALUE_PATH_LIMITS ? 1 : 2) {
                switch (v->type) {
                case UNIT_VALUE_PAIRS:
                        r = sd_bus_message_append(m, "(ss)", w[0], w[1]);
                        break;
                case UNIT_VALUE_PATH_LIMITS:
                        r = sd_bus_message_append(m, "(st)", w[0], *number++);
                        break;
                default: /* BINDS: the '-' of a source becomes the boolean */
                        r = sd_bus_message_append(m, "(ssbt)", w[0] + (w[0][0] == '-'), w[1], w[0][0] == '-',
                                                  *number++);
                }
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, const UnitValue *v) {
        switch (v->type) {
        case UNIT_VALUE_BOOL:
                return sd_bus_message_append(m, "b", (int) v->b);
        case UNIT_VALUE_U32:
                return sd_bus_message_append(m, "u", v->u32);
        case UNIT_VALUE_I32:
                return sd_bus_message_append(m, "i", v->i32);
        case UNIT_VALUE_U64:
                return sd_bus_message_append(m, "t", v->u64);
        case UNIT_VALUE_STRING:
                return sd_bus_message_append(m, "s", v->s);
        case UNIT_VALUE_STRV:
                return sd_bus_message_append_strv(m, v->strv);
        case UNIT_VALUE_BYTES:
                return sd_bus_message_append_array(m, 'y', v->bytes.data, v->bytes.size);
        case UNIT_VALUE_FILTER:
                return append_filter(m, v);
        case UNIT_VALUE_PAIRS:
        case UNIT_VALUE_PATH_LIMITS:
        case UNIT_VALUE_BINDS:
                return append_array(m, v);
        default:
                return -EINVAL;
        }
}

int property_append(sd_bus_message *m, const UnitValue *v) {
        int r;

        r = bus_open_value(m, 'r', v->name, signature_table[v->type]);
        if (r >= 0)
                r = append_value(m, v);
        return bus_close_value(m, r);
}

int property_append_list(sd_bus_message *m, const UnitPropertyList *l) {
        int r;

        for (size_t i = 0; i < l->n_values; i++) {
                r = property_append(m, l->values + i);
                if (r < 0)
                        return r;
        }
        return 0;
}
