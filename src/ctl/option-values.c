/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is written behind an option, read into the variable that the option is for. They say nothing: the table (options.c) has in words what
 * is allowed. Numbers are the spec's; a test holds them together. */

#include "ctl/option-values.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/log-entry.h"
#include "queue/spec-credential.h"
#include "queue/spec-check.h"

int option_true(const char *value, void *target) {
        *(bool *) target = true;
        return 0;
}

int option_false(const char *value, void *target) {
        *(bool *) target = false;
        return 0;
}

int option_boolean(const char *value, void *target) {
        int r = parse_boolean(value);

        if (r >= 0)
                *(bool *) target = r;
        return r;
}

int option_string(const char *value, void *target) {
        return free_and_strdup(target, value);
}

int option_append(const char *value, void *target) {
        return strv_extend(target, value);
}

int option_tag(const char *value, void *target) {
        const char *e = strchr(value, '=');

        return e && e != value ? strv_extend(target, value) : -EINVAL;
}

/* As spec.c has it; a filter need not be as strict. */
int option_new_tag(const char *value, void *target) {
        size_t n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

        if (n == 0 || n > SPEC_TAG_KEY_MAX || value[n] != '=' || strlen(value + n + 1) > SPEC_TAG_VALUE_MAX ||
            !string_is_clean(value + n + 1))
                return -EINVAL;
        return strv_extend(target, value);
}

int option_credential(const char *value, void *target) {
        _cleanup_free_ char *name = strndup(value, strcspn(value, "="));

        if (!name)
                return -ENOMEM;
        if (!credential_name_is_valid(name) || strlen(value) < strlen(name) + 2)
                return -EINVAL;
        return strv_extend(target, value);
}

int option_queue(const char *value, void *target) {
        return queue_name_is_valid(value) ? free_and_strdup(target, value) : -EINVAL;
}

int option_name(const char *value, void *target) {
        if (!*value || strlen(value) > SPEC_NAME_MAX || !string_is_clean(value))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_file(const char *value, void *target) {
        return *value ? free_and_strdup(target, value) : -EINVAL;
}

/* A file that the job opens: "%j" is its id. */
int option_job_file(const char *value, void *target) {
        if (!*value || strlen(value) > SPEC_CWD_MAX || !string_is_clean(value))
                return -EINVAL;
        for (const char *p = strchr(value, '%'); p; p = strchr(p + 2, '%'))
                if (p[1] != 'j' && p[1] != '%')
                        return -EINVAL;
        return free_and_strdup(target, value);
}

static bool variable_name_is_valid(const char *s, size_t n) {
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

        return n > 0 && (*s < '0' || *s > '9') && strspn(s, letters) >= n;
}

int option_environment(const char *value, void *target) {
        _cleanup_strv_free_ char **names = strv_split(value, ",");

        if (!names)
                return -ENOMEM;
        if (!names[0])
                return -EINVAL;
        STRV_FOREACH(n, names)
                if (!variable_name_is_valid(*n, strlen(*n)) || (names[1] && (streq(*n, "all") || streq(*n, "none"))))
                        return -EINVAL;
        return free_and_strdup(target, value);
}

int option_variable(const char *value, void *target) {
        size_t n = strcspn(value, "=");

        return variable_name_is_valid(value, n) && utf8_is_valid(value, strlen(value)) ? strv_extend(target, value)
                                                                                       : -EINVAL;
}

/* Who calls says what is wrong with it. */
int option_property(const char *value, void *target) {
        return strv_extend(target, value);
}

int option_priority(const char *value, void *target) {
        int32_t i;
        int r = parse_i32(value, &i);

        if (r < 0 || i < SPEC_PRIORITY_MIN || i > SPEC_PRIORITY_MAX)
                return -EINVAL;
        *(int32_t *) target = i;
        return 0;
}

int option_slots(const char *value, void *target) {
        uint32_t u;
        int r = parse_u32(value, &u);

        if (r < 0 || u < 1 || u > SPEC_SLOTS_MAX)
                return -EINVAL;
        *(uint32_t *) target = u;
        return 0;
}

int option_timeout(const char *value, void *target) {
        usec_t t;
        int r = parse_span(value, &t);

        if (r < 0 || t < USEC_PER_MSEC)
                return -EINVAL;
        *(usec_t *) target = t;
        return 0;
}

int option_stop_timeout(const char *value, void *target) {
        usec_t t;
        int r = parse_span(value, &t);

        if (r < 0 || t < USEC_PER_MSEC || t > 24 * 60 * 60 * USEC_PER_SEC)
                return -EINVAL;
        *(usec_t *) target = t;
        return 0;
}

int option_keep(const char *value, void *target) {
        usec_t t;
        int r = parse_span(value, &t);

        if (r < 0 || t > INT64_MAX)
                return -EINVAL;
        *(usec_t *) target = t;
        return 0;
}

int option_request_id(const char *value, void *target) {
        if (!*value || strlen(value) > SPEC_REQUEST_ID_MAX || !string_is_clean(value))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_unique(const char *value, void *target) {
        if (!*value || strlen(value) > SPEC_UNIQUE_KEY_MAX || !string_is_clean(value))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_unique_policy(const char *value, void *target) {
        if (!streq(value, "reject") && !streq(value, "return") && !streq(value, "replace"))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_unique_scope(const char *value, void *target) {
        usec_t span;

        if (!streq(value, "queued") && !streq(value, "live") && (parse_span(value, &span) < 0 || span == 0 || span == USEC_INFINITY))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_array(const char *value, void *target) {
        _cleanup_free_ char *n = strndup(value, strcspn(value, "%"));
        const char *limit = strchr(value, '%');
        struct ArrayArg a = {};

        if (!n)
                return -ENOMEM;
        if (parse_u32(n, &a.n) < 0 || a.n < 1 || a.n > SPEC_ARRAY_MAX)
                return -EINVAL;
        if (limit && (parse_u32(limit + 1, &a.max_running) < 0 || a.max_running < 1 || a.max_running > SPEC_ARRAY_MAX))
                return -EINVAL;
        *(struct ArrayArg *) target = a;
        return 0;
}

/* "ID[:on]" */
int option_after(const char *value, void *target) {
        const char *on = strchr(value, ':');
        _cleanup_free_ char *id = strndup(value, strcspn(value, ":"));
        uint64_t n;
        After a;
        int r;

        if (!id)
                return -ENOMEM;
        r = on ? after_parse(on + 1, &a) : 0;
        if (r < 0)
                return r;
        if (!streq(id, "@last") && (parse_u64(id, &n) < 0 || n == 0 || n > INT64_MAX))
                return -EINVAL;
        return strv_extend(target, value);
}

int option_id(const char *value, void *target) {
        uint64_t n;

        if (parse_u64(value, &n) < 0 || n == 0 || n > INT64_MAX)
                return -EINVAL;
        *(uint64_t *) target = n;
        return 0;
}

int option_words(const char *value, void *target) {
        char **words = strv_split(value, ",");
        int r = words ? 0 : -ENOMEM;

        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = strv_extend(target, *w);
        if (words && !words[0])
                r = -EINVAL;
        strv_free(words);
        return r;
}

int option_queues(const char *value, void *target) {
        _cleanup_strv_free_ char **words = strv_split(value, ",");

        STRV_FOREACH(w, words)
                if (!queue_name_is_valid(*w))
                        return -EINVAL;
        return option_words(value, target);
}

int option_type(const char *value, void *target) {
        return type_name_is_valid(value) ? free_and_strdup(target, value) : -EINVAL;
}

int option_types(const char *value, void *target) {
        _cleanup_strv_free_ char **words = strv_split(value, ",");

        STRV_FOREACH(w, words)
                if (!type_name_is_valid(*w))
                        return -EINVAL;
        return option_words(value, target);
}

static int words_of(const char *value, const char *const *allowed, void *target) {
        _cleanup_strv_free_ char **words = strv_split(value, ",");

        STRV_FOREACH(w, words)
                if (!strv_contains((char *const *) allowed, *w))
                        return -EINVAL;
        return option_words(value, target);
}

int option_states(const char *value, void *target) {
        return words_of(value, job_states, target);
}

int option_results(const char *value, void *target) {
        return words_of(value, job_results, target);
}

int option_callback(const char *value, void *target) {
        JobSpec s = { .callback_url = (char *) value };

        return spec_check_callback_url(spec_field_find("callback_url"), &s, NULL) < 0 ? -EINVAL : free_and_strdup(target, value);
}

const char *const callback_event_words[] = { "started", "success", "failure", "dead", NULL };

int option_callback_events(const char *value, void *target) {
        return words_of(value, callback_event_words, target);
}

int option_units(const char *value, void *target) {
        _cleanup_strv_free_ char **words = strv_split(value, ",");

        if (!words)
                return -ENOMEM;
        STRV_FOREACH(w, words)
                if (!spec_unit_name_is_valid(*w, strstr(*w, "@.") != NULL))
                        return -EINVAL;
        return option_words(value, target);
}

const char *const report_groups[] = { "queue", "type", "owner", "day", "hour", "minute", "total", NULL };

int option_groups(const char *value, void *target) {
        return words_of(value, report_groups, target);
}

int option_u32(const char *value, void *target) {
        uint32_t u;
        int r = parse_u32(value, &u);

        if (r >= 0 && u == UINT32_MAX)
                r = -ERANGE;
        if (r >= 0)
                *(uint32_t *) target = u;
        return r;
}

int option_from_one(const char *value, void *target) {
        int r = option_u32(value, target);

        return r >= 0 && *(uint32_t *) target == 0 ? -ERANGE : r;
}

/* The word as the spec's table has it. */
static int option_word(const char *key, const char *value, void *target) {
        const char *const *words = spec_field_find(key)->words;

        for (size_t i = 1; words[i]; i++)
                if (streq(words[i], value)) {
                        *(const char **) target = words[i];
                        return 0;
                }
        return -EINVAL;
}

int option_verify(const char *value, void *target) {
        return option_word("verify", value, target);
}

int option_stdout(const char *value, void *target) {
        return option_word("stdout", value, target);
}

int option_attempts(const char *value, void *target) {
        uint32_t u;

        if (parse_u32(value, &u) < 0 || u < 1 || u > SPEC_ATTEMPTS_MAX)
                return -EINVAL;
        *(uint32_t *) target = u;
        return 0;
}

int option_backoff(const char *value, void *target) {
        return backoff_parse(value, target);
}

int option_memory_growth(const char *value, void *target) {
        double d;

        if (parse_double(value, &d) < 0 || !(d >= 1 && d <= 100))
                return -EINVAL;
        *(double *) target = d;
        return 0;
}

int option_log_format(const char *value, void *target) {
        return log_format_from_string(value) < 0 ? -EINVAL : free_and_strdup(target, value);
}

int option_span(const char *value, void *target) {
        return parse_span(value, target);
}

int option_time(const char *value, void *target) {
        return parse_timestamp(value, now_usec(CLOCK_REALTIME), target);
}

int option_signal(const char *value, void *target) {
        int s = signal_from_string(value);

        if (s > 0)
                *(int *) target = s;
        return s > 0 ? 0 : -EINVAL;
}

int option_order(const char *value, void *target) {
        if (!streq(value, "newest") && !streq(value, "oldest") && !streq(value, "rank") &&
            !streq(value, "finished"))
                return -EINVAL;
        return free_and_strdup(target, value);
}

int option_oldest(const char *value, void *target) {
        return free_and_strdup(target, "oldest");
}

int option_user(const char *value, void *target) {
        return uid_from_user(value, target);
}

int option_users(const char *value, void *target) {
        UidList *l = target;
        char **words = strv_split(value, ",");
        int r = words && words[0] ? 0 : -EINVAL;

        STRV_FOREACH(w, words) {
                uint32_t *more = reallocarray(l->uids, l->n + 1, sizeof(uint32_t));

                if (!more) {
                        r = -ENOMEM;
                        break;
                }
                l->uids = more;
                r = uid_from_user(*w, l->uids + l->n);
                if (r < 0)
                        break;
                l->n++;
        }
        strv_free(words);
        return r;
}

int option_json(const char *value, void *target) {
        JsonMode *mode = target;

        if (!value)
                *mode = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
        else if (streq(value, "short"))
                *mode = JSON_SHORT;
        else if (streq(value, "pretty"))
                *mode = JSON_PRETTY;
        else if (streq(value, "off"))
                *mode = JSON_OFF;
        else
                return -EINVAL;
        return 0;
}
