/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job file, and behind a NUL a payload for it. An error names a line that is there; of a file that is taken a job can be made, or it is said
 * why not; and whether the payload is as the file wants it says json-c, too. */

#include "fuzz.h"

#include "base/strv.h"
#include "daemon/type-file.h"
#include "queue/spec-change.h"
#include "queue/type-rules.h"

#include <json-c/json.h>

static bool read_file(char *text, size_t size, JobType *t) {
        _cleanup_(conf_error_done) ConfError error = {};
        _cleanup_fclose_ FILE *f = size > 0 ? fmemopen(text, size, "r") : fopen("/dev/null", "re");
        int r;

        check(f);
        r = conf_parse_stream(f, "file", type_file_assign, t, &error);
        check(r == 0 || r == -EBADMSG);
        check((r == 0) == !error.message);
        check(r == 0 || (streq(error.file, "file") && error.line >= 1 && utf8_is_valid(error.message, strlen(error.message))));
        return r == 0;
}

static bool value_is(json_object *v, const char *type) {
        static const struct {
                const char *name;
                json_type type, or_type;
        } types[] = { { "string", json_type_string, json_type_string },    { "number", json_type_int, json_type_double },
                      { "integer", json_type_int, json_type_double },      { "boolean", json_type_boolean, json_type_boolean },
                      { "object", json_type_object, json_type_object },    { "array", json_type_array, json_type_array } };

        FOREACH_ELEMENT(i, types)
                if (streq(i->name, type))
                        return json_object_is_type(v, i->type) || json_object_is_type(v, i->or_type);
        return true;
}

static bool has_members(json_object *o, char *const *words, bool required) {
        STRV_FOREACH(w, words) {
                _cleanup_free_ char *key = strndup(*w, strcspn(*w, ":"));
                const char *type = strchr(*w, ':');
                json_object *v = NULL;

                if (!json_object_object_get_ex(o, key, &v) ? required : type && !value_is(v, type + 1))
                        return false;
        }
        return true;
}

/* Slow, and obviously right; what nests deeper than it may is for neither. */
static bool keeps_contract(const JobType *t, const char *payload, size_t size) {
        struct json_tokener *k = json_tokener_new_ex(64);
        json_object *o;
        bool good;

        json_tokener_set_flags(k, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        o = json_tokener_parse_ex(k, payload, (int) size);
        good = json_object_is_type(o, json_type_object) && has_members(o, t->payload_required, true) && has_members(o, t->payload_optional, false);
        json_object_put(o);
        json_tokener_free(k);
        return good;
}

static void make_job(const JobType *t, const char *payload, size_t size) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        uint64_t given = spec_field_bit(spec_field_find("payload"));
        _cleanup_free_ char *text = NULL;
        int r;

        check(spec_set_bytes(s, spec_field_find("payload"), memcpy(malloc(size + 1), payload, size), size, NULL) >= 0);
        r = job_type_apply(t, s, given, false, &text);
        check(r == 0 || (r == -EINVAL && text));
        if (r < 0) {
                check_message(text);
                check(startswith(text, "payload: not a JSON object") || !keeps_contract(t, payload, size));
                return;
        }
        check((strv_length(t->payload_required) + strv_length(t->payload_optional) == 0) || keeps_contract(t, payload, size));
        check(streq(s->argv[0], t->command[0]) && strv_length(s->argv) == strv_length(t->command));
        check(strv_length(s->environment) <= strv_length(t->defaults->environment));
        STRV_FOREACH(i, t->accept)
                check(type_rules_accept(s->type_rules, *i));
        if (job_type_is_privileged(t)) {
                check(type_rules_accept(s->type_rules, "argv") == strv_contains(t->accept, "argv"));
                r = job_type_apply(t, s, given | spec_field_bit(spec_field_find("argv")), false, NULL);
                check(r == (strv_contains(t->accept, "argv") ? 0 : -EPERM));
        }
}

/* What is taken of [Schedule] can become unit properties, and goes through the store as it is. */
static void check_schedule(const TimerPolicy *p) {
        _cleanup_free_ char *error = NULL, *lines = strv_join(p->calendar, "\n");
        _cleanup_strv_free_ char **again = strv_split(lines, "\n");
        TimerPolicy copy;
        int r;

        r = timer_policy_check(p, &error);
        check((r < 0) == !isempty(error));
        check(strv_equal(again, p->calendar) && strv_length(p->calendar) <= TIMER_CALENDARS_MAX);
        STRV_FOREACH(c, p->calendar)
                check(**c && strlen(*c) <= TIMER_CALENDAR_MAX && string_is_clean(*c));
        check(p->every >= TIMER_EVERY_MIN && p->accuracy > 0 && p->accuracy != USEC_INFINITY && p->random_delay != USEC_INFINITY);
        check(overlap_to_string(p->overlap));
        check(timer_policy_copy(p, &copy) == 0 && timer_policy_equal(&copy, p));
        timer_policy_done(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size), *error = NULL;
        _cleanup_(job_type_freep) JobType *t = job_type_new("fuzzed");
        size_t n = strlen(text);
        int r;

        check(t);
        if (!read_file(text, n, t))
                return 0;
        check_schedule(&t->schedule);
        r = job_type_check(t, &error);
        check((r < 0) == !isempty(error));
        if (r >= 0)
                make_job(t, n < size ? text + n + 1 : "", n < size ? size - n - 1 : 0);
        return 0;
}
