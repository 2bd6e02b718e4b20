/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of NAME=VALUE as unit properties. A bad one leaves no trace; who may less gets no more; and what PID 1 would be asked for, written
 * as a unit file, asks for the same once more. */

#include "fuzz.h"

#include "queue/unit-property.h"
#include "unit/property.h"
#include "unit/units.h"

static void write_value(FILE *f, const UnitValue *v) {
        const uint64_t *number = v->numbers;

        fprintf(f, "%s %d %d:", v->name, v->type, v->allow_list);
        switch (v->type) {
        case UNIT_VALUE_BOOL:
                fprintf(f, " %d", v->b);
                break;
        case UNIT_VALUE_U32:
        case UNIT_VALUE_I32:
                fprintf(f, " %" PRIu32, v->u32);
                break;
        case UNIT_VALUE_U64:
                fprintf(f, " %" PRIu64, v->u64);
                break;
        case UNIT_VALUE_STRING:
                fprintf(f, " '%s'", v->s);
                break;
        case UNIT_VALUE_BYTES:
                for (size_t i = 0; i < v->bytes.size; i++)
                        fprintf(f, " %02x", v->bytes.data[i]);
                break;
        default:
                for (char **w = v->strv; w && *w; w++)
                        fprintf(f, " '%s'", *w);
                for (char **w = v->strv; number && w && *w; w += v->type == UNIT_VALUE_PATH_LIMITS ? 1 : 2)
                        fprintf(f, " %" PRIu64, *number++);
        }
        fputc('\n', f);
}

static const char *next_name(const UnitPropertyList *l, const char *last) {
        const char *next = NULL;

        for (size_t i = 0; i < l->n_values; i++)
                if (strcmp(l->values[i].name, last) > 0 && (!next || strcmp(l->values[i].name, next) < 0))
                        next = l->values[i].name;
        return next;
}

static char *to_text(const UnitPropertyList *l) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        check(f);
        /* By name: what stands between others of one name in the order of lines is no difference. */
        for (const char *last = "", *next; (next = next_name(l, last)); last = next)
                for (size_t i = 0; i < l->n_values; i++)
                        if (streq(l->values[i].name, next))
                                write_value(f, l->values + i);
        check(fclose(f) == 0);
        return text;
}

static void check_same(const UnitPropertyList *l, const char *text) {
        _cleanup_free_ char *now = to_text(l);

        if (streq(now, text))
                return;
        fprintf(stderr, "was:\n%sis:\n%s", text, now);
        abort();
}

static bool add(const char *line, bool privileged, UnitPropertyFlags kind, UnitPropertyList *l) {
        _cleanup_free_ char *before = to_text(l), *error = NULL;
        int r;

        r = unit_property_parse_assignment(line, privileged, kind, l, &error);
        if (r >= 0) {
                check(!error);
                return true;
        }
        check(r == -EINVAL || r == -ERANGE || r == -EPERM || r == -EACCES);
        check_message(error);
        check(strstr(error, "NAME=VALUE") || strncmp(error, line, strcspn(line, "=")) == 0);
        check_same(l, before);
        return false;
}

/* The [Service] lines of the text, read as ours. Those whose numbers have words are told apart by the reader. */
static void through_text(const UnitPropertyList *l) {
        static const char *const as_numbers[] = { "CPUSchedulingPolicy=", "IOSchedulingClass=" };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_message_new();
        _cleanup_(unit_property_list_done) UnitPropertyList again = {};
        _cleanup_free_ char *text = NULL, *wanted = to_text(l), *error = NULL;
        char *p;

        check(sd_bus_message_open_container(m, 'a', "(sv)") >= 0 && property_append_list(m, l) >= 0 &&
              sd_bus_message_close_container(m) >= 0);
        bus_message_turn(m);
        check(unit_text_format(m, "#", &text) >= 0 && utf8_is_valid(text, strlen(text)));
        p = strstr(text, "[Service]\n");
        check(p);
        p = strchr(p, '\n') + 1;
        for (char *line; (line = strsep(&p, "\n")) && *line;) {
                FOREACH_ELEMENT(n, as_numbers)
                        if (startswith(line, *n))
                                return;
                if (unit_property_parse_assignment(line, true, UNIT_PROPERTY_SERVICE, &again, &error) < 0) {
                        fprintf(stderr, "%s\n%s\n", line, error);
                        abort();
                }
        }
        check_same(&again, wanted);
}

/* On top of nothing, whoever asks: what he asked for. On top of itself: the same, but for lists, which add up. */
static void merge(const UnitPropertyList *l, bool privileged) {
        _cleanup_(unit_property_list_done) UnitPropertyList none = {}, sum = {}, twice = {};
        _cleanup_free_ char *wanted = to_text(l), *error = NULL;
        int r;

        r = unit_property_merge(&none, l, privileged, NULL, &sum, &error);
        if (r < 0) {
                check(!privileged && r == -EACCES && sum.n_values == 0);
                check_message(error);
                return;
        }
        check_same(&sum, wanted);
        r = unit_property_merge(l, l, privileged, NULL, &twice, &error);
        check(r >= 0 || (r == -EACCES && !privileged && !isempty(error)));
}

static void masks(const UnitPropertyList *l) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);
                _cleanup_(unit_property_list_done) UnitPropertyList again = {};
                _cleanup_free_ char *words = NULL;

                check(p);
                if (l->values[i].type != UNIT_VALUE_U64)
                        continue;
                check(unit_property_mask_to_string(l->values[i].name, l->values[i].u64, &words) >= 0);
                if (!words)
                        continue;
                check(unit_property_parse(p, words, &again, NULL) >= 0);
                check(again.n_values == 1 && again.values->u64 == l->values[i].u64);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(unit_property_list_done) UnitPropertyList root = {}, user = {}, slice = {};
        _cleanup_free_ char *copy = copy_text(data, size);
        char *p = copy;

        for (char *line; (line = strsep(&p, "\n"));) {
                bool may = add(line, true, UNIT_PROPERTY_SERVICE, &root);

                check(!add(line, false, UNIT_PROPERTY_SERVICE, &user) || may);
                (void) add(line, true, UNIT_PROPERTY_SLICE, &slice);
        }
        through_text(&root);
        masks(&root);
        merge(&root, true);
        merge(&user, false);
        return 0;
}
