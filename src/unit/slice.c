/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The slices of queues: their [Slice] properties, told to the manager for the rest of the boot. It keeps what it was told, so what
 * a queue no longer sets is taken back by name; only for that is it remembered here what was told. */

#include "unit/units.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "base/strv.h"
#include "unit/property.h"

typedef struct ToldSlice {
        char *slice;
        char **names;      /* of properties */
        UT_hash_handle hh; /* units->slices_told */
} ToldSlice;

static int on_slice_set(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = userdata;

        CRASH_POINT("slice-answered");
        u->slices_in_flight--;
        if (!e)
                return 0;
        log_error("The manager refused the [Slice] properties of a queue: %s", strempty(e->message));
        if (units_error_is_silence(e) || units_error_may_pass(e)) {
                u->slices_failed = true;
                units_arm_tick(u, UNITS_TICK);
        }
        return 0;
}

static bool is_set(const UnitPropertyList *l, const UnitProperty *p) {
        for (size_t i = 0; i < l->n_values; i++)
                if (unit_property_of_value(l->values + i) == p)
                        return true;
        return false;
}

/* What was told and is not set any more; and lists, to which the manager would add. */
static int find_stale(const Units *u, const Queue *q, UnitPropertyList *ret) {
        const ToldSlice *t;

        HASH_FIND_STR(u->slices_told, q->slice, t);
        STRV_FOREACH(name, t ? t->names : NULL) {
                const UnitProperty *p = unit_property_find(*name);
                int r;

                if (!p || (is_set(&q->policy.slice, p) && !unit_property_is_list(p)))
                        continue;
                r = unit_property_add_default(p, ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void told_free(Units *u, ToldSlice *t) {
        HASH_DEL(u->slices_told, t);
        strv_free(t->names);
        free(t->slice);
        free(t);
}

void units_forget_slices(Units *u) {
        ToldSlice *t, *next;

        HASH_ITER(hh, u->slices_told, t, next)
                told_free(u, t);
}

static int told_get(Units *u, const char *slice, ToldSlice **ret) {
        ToldSlice *t;

        HASH_FIND_STR(u->slices_told, slice, t);
        if (!t) {
                t = new0(ToldSlice, 1);
                if (!t || !(t->slice = strdup(slice))) {
                        free(t);
                        return -ENOMEM;
                }
                HASH_ADD_KEYPTR(hh, u->slices_told, t->slice, strlen(t->slice), t);
        }
        *ret = t;
        return 0;
}

static int remember(Units *u, const Queue *q) {
        _cleanup_strv_free_ char **l = NULL;
        ToldSlice *t;
        int r;

        r = told_get(u, q->slice, &t);
        for (size_t i = 0; r >= 0 && i < q->policy.slice.n_values; i++) {
                const UnitProperty *p = unit_property_of_value(q->policy.slice.values + i);

                r = p ? strv_extend(&l, p->name) : 0;
        }
        if (r < 0)
                return r;
        strv_free(t->names);
        t->names = TAKE_PTR(l);
        if (!t->names)
                told_free(u, t);
        return 0;
}

static int tell_slice(Units *u, const Queue *q, const UnitPropertyList *stale) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "SetUnitProperties");
        if (r >= 0)
                r = sd_bus_message_append(m, "sb", q->slice, 1);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = property_append_list(m, stale);
        if (r >= 0)
                r = property_append_list(m, &q->policy.slice);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        CRASH_POINT("slice-before");
        r = sd_bus_call_async(u->bus, NULL, m, on_slice_set, u, 0);
        CRASH_POINT("slice-after");
        return r;
}

bool units_set_slice(Units *u, const Queue *q) {
        _cleanup_(unit_property_list_done) UnitPropertyList stale = {};
        int r;

        if (!u->bus || u->slices_in_flight >= UNITS_SLICES_IN_FLIGHT)
                return false;
        r = find_stale(u, q, &stale);
        if (r >= 0 && stale.n_values + q->policy.slice.n_values == 0)
                return true;
        if (r >= 0)
                r = tell_slice(u, q, &stale);
        u->slices_in_flight += r >= 0;
        if (r >= 0)
                r = remember(u, q);
        if (r < 0)
                log_error_errno(r, "Failed to set the properties of %s, ignoring: %m", q->slice);
        return true;
}
