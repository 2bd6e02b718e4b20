/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What PID 1 says of a unit, as GetAll and PropertiesChanged have it: a line for each property, "NAME TYPE VALUE", words of a list between '|'. Whatever
 * names, types and values are, it is read or refused, nothing is lost where one is given twice, a signal says no more than what is in it, and the
 * preview of such properties is lines of NAME=VALUE. */

#include "fuzz.h"

#include "base/strv.h"
#include "unit/units.h"
#include "unit/unit-read.h"

static const char *const types[] = { "s", "o", "as", "ay", "aay", "(bas)", "a(ss)", "a(sb)", "a(st)", "a(ssbt)", "a(sasas)", "(uo)", "t", "x", "u", "i", "b" };

static int append_words(sd_bus_message *m, const char *value) {
        _cleanup_strv_free_ char **l = strv_split(value, "|");

        return sd_bus_message_append_strv(m, l);
}

static int append_number(sd_bus_message *m, const char *type, const char *value) {
        uint64_t u64 = 0;
        int64_t i64 = 0;

        (void) parse_u64(value, &u64);
        (void) parse_i64(value, &i64);
        switch (*type) {
        case '(':
                return sd_bus_message_append(m, type, (uint32_t) u64, "/");
        case 't':
                return sd_bus_message_append(m, type, u64);
        case 'x':
                return sd_bus_message_append(m, type, i64);
        case 'u':
                return sd_bus_message_append(m, type, (uint32_t) u64);
        case 'i':
                return sd_bus_message_append(m, type, (int32_t) i64);
        default:
                return sd_bus_message_append(m, type, u64 > 0);
        }
}

static int append_value(sd_bus_message *m, const char *type, const char *value) {
        int r;

        if (streq(type, "s") || streq(type, "o"))
                return sd_bus_message_append_basic(m, *type, value);
        if (streq(type, "as"))
                return append_words(m, value);
        if (streq(type, "ay"))
                return sd_bus_message_append_array(m, 'y', value, strlen(value));
        if (streq(type, "aay")) {
                r = sd_bus_message_open_container(m, 'a', "ay");
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', value, strlen(value));
                return r < 0 ? r : sd_bus_message_close_container(m);
        }
        if (streq(type, "(bas)"))
                return sd_bus_message_append(m, type, 1, 1, value);
        if (streq(type, "a(ss)"))
                return sd_bus_message_append(m, type, 1, value, "x");
        if (streq(type, "a(sb)"))
                return sd_bus_message_append(m, type, 1, value, 1);
        if (streq(type, "a(st)"))
                return sd_bus_message_append(m, type, 1, value, UINT64_MAX);
        if (streq(type, "a(ssbt)"))
                return sd_bus_message_append(m, type, 1, value, value, 1, UINT64_C(0));
        if (streq(type, "a(sasas)"))
                return sd_bus_message_append(m, type, 1, value, 2, value, "a b", 1, "no-env-expand");
        return append_number(m, type, value);
}

static void append_line(sd_bus_message *m, const char *line, bool dict) {
        const char *space = strchr(line, ' '), *type = NULL, *value;
        _cleanup_free_ char *name = space && utf8_is_valid(line, strlen(line)) ? strndup(line, (size_t) (space - line)) : NULL;

        if (!name)
                return;
        space++;
        FOREACH_ELEMENT(t, types)
                if (strcspn(space, " ") == strlen(*t) && startswith(space, *t))
                        type = *t;
        if (!type)
                return;
        value = space + strlen(type);
        value += *value == ' ';
        if (streq(type, "o") && !sd_bus_object_path_is_valid(value))
                return;
        check(sd_bus_message_open_container(m, dict ? 'e' : 'r', "sv") >= 0 && sd_bus_message_append(m, "s", name) >= 0);
        check(sd_bus_message_open_container(m, 'v', type) >= 0 && append_value(m, type, value) >= 0);
        check(sd_bus_message_close_container(m) >= 0 && sd_bus_message_close_container(m) >= 0);
}

static sd_bus_message *to_message(const char *text, bool dict) {
        _cleanup_strv_free_ char **l = strv_split(text, "\n");
        sd_bus_message *m = bus_message_new();

        check(sd_bus_message_open_container(m, 'a', dict ? "{sv}" : "(sv)") >= 0);
        STRV_FOREACH(i, l)
                append_line(m, *i, dict);
        check(sd_bus_message_close_container(m) >= 0);
        bus_message_turn(m);
        return m;
}

static void read_all(const char *text) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = to_message(text, true);
        UnitState s;

        unit_state_init(&s);
        if (unit_state_read(m, &s) >= 0)
                check(sd_bus_message_at_end(m, true) > 0);
        unit_state_done(&s);
}

static void read_signal(const char *text, bool active_only) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = to_message(text, true);
        UnitState s;

        unit_state_init(&s);
        if (unit_state_read_signal(m, active_only, &s) >= 0)
                check(s.active >= 0 && strstr(text, "ActiveState") && unit_active_state_to_string(s.active));
        unit_state_done(&s);
}

/* What stands in a preview has no control characters: it was refused before. */
static bool is_of_preview(const char *text) {
        for (; *text; text++)
                if ((uint8_t) *text < ' ' && *text != '\n')
                        return false;
        return true;
}

static void preview(const char *text) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = to_message(text, false);
        _cleanup_free_ char *file = NULL;
        _cleanup_strv_free_ char **l = NULL;

        if (!is_of_preview(text) || unit_text_format(m, "# made", &file) < 0)
                return;
        l = strv_split(file, "\n");
        STRV_FOREACH(i, l)
                check(**i == '#' || **i == '[' || strchr(*i, '='));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size);

        read_all(text);
        read_signal(text, false);
        read_signal(text, true);
        preview(text);
        return 0;
}
