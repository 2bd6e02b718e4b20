/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The spec of a job: the field table, and the setters of its fields, which hold types and ranges. It is built field by field (from the bus,
 * from JSON), and then looked at as a whole by spec_validate() (spec-check.c). */

#include "queue/spec-check.h"

#include "base/strv.h"
#include "queue/callback.h"
#include "queue/spec-credential.h"
#include "queue/outcome.h"

static const JobSpec spec_default = {
        .umask = UINT32_MAX,
        .slots = 1,
        .uid = UINT32_MAX,
        .not_before_usec = USEC_INFINITY,
        .delay_usec = USEC_INFINITY,
        .timeout_usec = USEC_INFINITY,
        .stop_timeout_usec = USEC_INFINITY,
        .backoff_base_usec = USEC_INFINITY,
        .backoff_max_usec = USEC_INFINITY,
        .backoff_jitter = -1,
        .deadline_usec = USEC_INFINITY,
        .keep_usec = USEC_INFINITY,
};

static const char *const output_words[] = { "", "journal", "spool", NULL };
static const char *const verify_words[] = { "", "exit", "verdict", NULL };
static const char *const backoff_words[] = { "", "fixed", "exponential", NULL };
static const char *const unique_policy_words[] = { "", "reject", "return", "replace", NULL };

JobSpec *spec_new(void) {
        JobSpec *s = malloc(sizeof(JobSpec));

        if (s)
                *s = spec_default;
        return s;
}

JobSpec *spec_ref(JobSpec *s) {
        s->n_refs++;
        return s;
}

JobSpec *spec_free(JobSpec *s) {
        if (!s)
                return NULL;
        if (s->n_refs > 0) {
                s->n_refs--;
                return NULL;
        }
        free(s->name);
        free(s->type);
        free(s->type_version);
        strv_free(s->type_rules);
        strv_free(s->argv);
        free(s->cwd);
        strv_free(s->environment);
        free(s->payload);
        strv_free(s->tags);
        strv_free(s->properties);
        free(s->output_file);
        free(s->error_file);
        strv_free(s->retry_on);
        free(s->after);
        free(s->unique_key);
        free(s->unique_scope);
        free(s->callback_url);
        strv_free(s->callback_events);
        strv_free(s->on_success);
        strv_free(s->on_failure);
        spec_forget_secrets(s);
        strv_free(s->credentials);
        free(s->request_id);
        return mfree(s);
}

/* ---- the table ---- */

/* clang-format off */
#define FIELD(f, t, ...) { .name = #f, .type = t, .offset = offsetof(JobSpec, f), __VA_ARGS__ }
#define OF_OWNER (SPEC_EDIT_QUEUED | SPEC_OF_OWNER)
#define OF_RETRY (SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_INHERIT)
#define SPEC_BACKOFF_MAX (INT64_C(366) * 24 * 60 * 60 * USEC_PER_SEC)

static const SpecField fields[] = {
        FIELD(name, SPEC_STRING, .check = spec_check_name, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(argv, SPEC_STRV, .max = SPEC_ARGS_MAX, .check = spec_check_argv, .flags = OF_OWNER),
        FIELD(cwd, SPEC_STRING, .check = spec_check_cwd, .flags = OF_OWNER),
        FIELD(umask, SPEC_U32, .max = 0777, .flags = OF_OWNER),
        FIELD(environment, SPEC_STRV, .max = SPEC_ARGS_MAX, .check = spec_check_environment,
              .flags = SPEC_NOT_STORED | OF_OWNER),
        FIELD(payload, SPEC_BYTES, .max = SPEC_PAYLOAD_MAX, .flags = SPEC_NOT_STORED | OF_OWNER),
        FIELD(tags, SPEC_TAGS, .max = SPEC_TAGS_MAX, .check = spec_check_tags,
              .flags = SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_EDIT_ALWAYS),
        FIELD(priority, SPEC_I32, .min = SPEC_PRIORITY_MIN, .max = SPEC_PRIORITY_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(slots, SPEC_U32, .min = 1, .max = SPEC_SLOTS_MAX, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(hold, SPEC_BOOL, .max = 1, .flags = SPEC_NOT_STORED),
        FIELD(not_before_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(delay_usec, SPEC_USEC, .check = spec_check_delay, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(timeout_usec, SPEC_USEC, .min = USEC_PER_MSEC,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(stop_timeout_usec, SPEC_USEC, .min = USEC_PER_MSEC, .max = 24 * 60 * 60 * USEC_PER_SEC,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(uid, SPEC_U32, .max = UINT32_MAX - 1, .check = spec_check_uid, .flags = SPEC_NOT_STORED),
        FIELD(properties, SPEC_STRV, .max = SPEC_PROPERTIES_MAX, .check = spec_check_properties, .flags = OF_OWNER),
        FIELD(output_file, SPEC_STRING, .check = spec_check_file, .flags = OF_OWNER),
        FIELD(error_file, SPEC_STRING, .check = spec_check_file, .flags = OF_OWNER),
        { .name = "stdout", .type = SPEC_ENUM, .offset = offsetof(JobSpec, output), .words = output_words,
          .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_INHERIT },
        FIELD(verify, SPEC_ENUM, .words = verify_words, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_INHERIT),
        FIELD(max_attempts, SPEC_U32, .min = 1, .max = SPEC_ATTEMPTS_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_INHERIT),
        FIELD(backoff, SPEC_ENUM, .words = backoff_words, .flags = OF_RETRY),
        FIELD(backoff_base_usec, SPEC_USEC, .max = SPEC_BACKOFF_MAX, .flags = OF_RETRY),
        FIELD(backoff_max_usec, SPEC_USEC, .max = SPEC_BACKOFF_MAX, .check = spec_check_backoff, .flags = OF_RETRY),
        FIELD(backoff_jitter, SPEC_DOUBLE, .max = 1, .flags = OF_RETRY),
        FIELD(retry_on, SPEC_STRV, .max = _JOB_RESULT_MAX, .check = spec_check_retry_on, .flags = OF_RETRY),
        FIELD(requeue_lost, SPEC_BOOL, .max = 1, .flags = OF_RETRY),
        FIELD(memory_growth, SPEC_DOUBLE, .min = 1, .max = 100, .flags = OF_RETRY),
        FIELD(deadline_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(keep_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(after, SPEC_EDGES, .max = SPEC_AFTER_MAX, .check = spec_check_after, .flags = SPEC_NOT_STORED),
        FIELD(unique_key, SPEC_STRING, .check = spec_check_unique_key, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(unique_policy, SPEC_ENUM, .words = unique_policy_words, .flags = SPEC_NOT_STORED),
        FIELD(unique_scope, SPEC_STRING, .check = spec_check_unique_scope, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(array, SPEC_U32, .min = 1, .max = SPEC_ARRAY_MAX, .check = spec_check_array, .flags = SPEC_NOT_STORED),
        FIELD(array_max_running, SPEC_U32, .min = 1, .max = SPEC_ARRAY_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(freezable, SPEC_BOOL, .max = 1, .flags = OF_OWNER),
        FIELD(callback_url, SPEC_STRING, .check = spec_check_callback_url, .flags = SPEC_INHERIT),
        FIELD(callback_events, SPEC_STRV, .max = _CALLBACK_EVENT_MAX, .check = spec_check_callback_events, .flags = SPEC_INHERIT),
        FIELD(on_success, SPEC_STRV, .max = SPEC_UNITS_MAX, .check = spec_check_units, .flags = SPEC_INHERIT),
        FIELD(on_failure, SPEC_STRV, .max = SPEC_UNITS_MAX, .check = spec_check_units, .flags = SPEC_INHERIT),
        FIELD(credentials, SPEC_CREDENTIALS, .max = CREDENTIALS_MAX, .check = spec_check_credentials),
        FIELD(request_id, SPEC_STRING, .check = spec_check_request_id, .flags = SPEC_NOT_STORED),
        FIELD(type, SPEC_STRING, .check = spec_check_type, .flags = SPEC_NOT_STORED),
        FIELD(type_version, SPEC_STRING, .flags = SPEC_NOT_STORED | SPEC_OURS),
        FIELD(type_rules, SPEC_STRV, .max = SPEC_TYPE_RULES_MAX, .flags = SPEC_OURS),
};
/* clang-format on */

/* SPEC_BYTES is a pointer with its size behind it. */
_Static_assert(offsetof(JobSpec, n_after) == offsetof(JobSpec, after) + sizeof(After *), "after");
_Static_assert(offsetof(JobSpec, payload_size) == offsetof(JobSpec, payload) + sizeof(uint8_t *), "payload");

const SpecField *spec_field_table(size_t *ret_n) {
        *ret_n = ELEMENTSOF(fields);
        return fields;
}

const SpecField *spec_field_find(const char *name) {
        FOREACH_ELEMENT(f, fields)
                if (streq(f->name, name))
                        return f;
        return NULL;
}

const SpecField *spec_field_of_caller(const char *name) {
        const SpecField *f = spec_field_find(name);

        return f && !(f->flags & SPEC_OURS) ? f : NULL;
}

const char *spec_type_signature(SpecType t) {
        static const char *const table[] = {
                [SPEC_STRING] = "s", [SPEC_STRV] = "as", [SPEC_BYTES] = "ay", [SPEC_BOOL] = "b",
                [SPEC_I32] = "i",    [SPEC_U32] = "u",   [SPEC_USEC] = "t",   [SPEC_TAGS] = "a{ss}",
                [SPEC_ENUM] = "s",   [SPEC_DOUBLE] = "d", [SPEC_EDGES] = "a(ts)",
                [SPEC_CREDENTIALS] = "a{say}",
        };

        return table[t];
}

int spec_field_word(const SpecField *f, const char *word) {
        for (int i = 0; f->words[i]; i++)
                if (streq(f->words[i], word))
                        return i;
        return -EINVAL;
}

bool spec_field_is_default(const JobSpec *s, const SpecField *f) {
        switch (f->type) {
        case SPEC_STRING:
                return !spec_field_ptr(const char *, s, f);
        case SPEC_STRV:
        case SPEC_TAGS:
        case SPEC_CREDENTIALS:
                return !spec_field_ptr(char **, s, f) || !*spec_field_ptr(char **, s, f);
        case SPEC_BYTES:
                return !s->has_payload;
        case SPEC_BOOL:
                return spec_field_ptr(bool, s, f) == spec_field_ptr(bool, &spec_default, f);
        case SPEC_I32:
        case SPEC_U32:
        case SPEC_ENUM:
                return spec_field_ptr(uint32_t, s, f) == spec_field_ptr(uint32_t, &spec_default, f);
        case SPEC_USEC:
                return spec_field_ptr(usec_t, s, f) == spec_field_ptr(usec_t, &spec_default, f);
        case SPEC_DOUBLE:
                return spec_field_ptr(double, s, f) < f->min;
        case SPEC_EDGES:
                return s->n_after == 0;
        }
        return true;
}

/* ---- setters ---- */

static int set_word(JobSpec *s, const SpecField *f, const char *value, char **ret_error) {
        _cleanup_free_ char *all = NULL;
        char q[SPEC_QUOTE_MAX];
        int i = spec_field_word(f, value);

        if (i >= 0) {
                spec_field_ptr(uint32_t, s, f) = i;
                return 0;
        }
        all = strv_join((char *const *) f->words + 1, ", ");
        return spec_error(ret_error, EINVAL, "'%s': '%s' is none of %s", f->name, spec_quote(q, value, strlen(value)),
                          strempty(all));
}

int spec_set_string(JobSpec *s, const SpecField *f, const char *value, char **ret_error) {
        assert(f->type == SPEC_STRING || f->type == SPEC_ENUM);
        return f->type == SPEC_ENUM ? set_word(s, f, value, ret_error)
                                    : free_and_strdup(&spec_field_ptr(char *, s, f), value);
}

/* Of pairs with the same key the later stays. At most SPEC_TAGS_MAX pairs. */
static void tags_drop_duplicates(char **l) {
        size_t n = 0;

        STRV_FOREACH_PAIR(k, v, l) {
                size_t i = 0;

                while (i < n && !streq(l[i], *k))
                        i += 2;
                if (i < n) {
                        free(l[i]);
                        free(l[i + 1]);
                } else
                        n += 2;
                l[i] = *k;
                l[i + 1] = *v;
        }
        l[n] = NULL;
}

int spec_set_strv(JobSpec *s, const SpecField *f, char **consumed, char **ret_error) {
        _cleanup_strv_free_ char **l = consumed;
        size_t n = strv_length(l), unit = f->type == SPEC_TAGS ? 2 : 1;

        assert(f->type == SPEC_STRV || f->type == SPEC_TAGS || (f->type == SPEC_CREDENTIALS && !s->secrets));
        assert(n % unit == 0);
        if (n / unit > (size_t) f->max)
                return spec_error(ret_error, E2BIG, "'%s' has more than %" PRIi64 " entries", f->name,
                                  f->max);
        if (l && f->type == SPEC_TAGS)
                tags_drop_duplicates(l);
        strv_free(spec_field_ptr(char **, s, f));
        spec_field_ptr(char **, s, f) = TAKE_PTR(l);
        return 0;
}

int spec_set_bytes(JobSpec *s, const SpecField *f, uint8_t *consumed, size_t size, char **ret_error) {
        _cleanup_free_ uint8_t *p = consumed;

        assert(f->type == SPEC_BYTES);
        if (size > (size_t) f->max)
                return spec_error(ret_error, E2BIG, "'%s' is larger than %" PRIi64 " bytes", f->name,
                                  f->max);
        free(s->payload);
        s->payload = TAKE_PTR(p);
        s->payload_size = size;
        s->has_payload = true;
        return 0;
}

int spec_set_integer(JobSpec *s, const SpecField *f, int64_t value, char **ret_error) {
        if (f->max == 0 && value < f->min)
                return spec_error(ret_error, ERANGE, "'%s' must be at least %" PRIi64 ", not %" PRIi64,
                                  f->name, f->min, value);
        if (f->max != 0 && (value < f->min || value > f->max))
                return spec_error(ret_error, ERANGE, "'%s' must be %" PRIi64 " to %" PRIi64 ", not %" PRIi64,
                                  f->name, f->min, f->max, value);
        switch (f->type) {
        case SPEC_BOOL:
                spec_field_ptr(bool, s, f) = value;
                return 0;
        case SPEC_I32:
                spec_field_ptr(int32_t, s, f) = value;
                return 0;
        case SPEC_U32:
                spec_field_ptr(uint32_t, s, f) = value;
                return 0;
        case SPEC_USEC:
                spec_field_ptr(usec_t, s, f) = value;
                return 0;
        default:
                assert(false);
                return -EINVAL;
        }
}

int spec_set_double(JobSpec *s, const SpecField *f, double value, char **ret_error) {
        if (!(value >= f->min && value <= f->max)) /* nor a NaN */
                return spec_error(ret_error, ERANGE, "'%s' must be %" PRIi64 " to %" PRIi64 ", not %g", f->name, f->min, f->max,
                                  value);
        spec_field_ptr(double, s, f) = value + 0.0; /* there is no minus zero */
        return 0;
}

static int compare_after(const void *a, const void *b) {
        uint64_t x = ((const After *) a)->id, y = ((const After *) b)->id;

        return x < y ? -1 : x > y;
}

int spec_set_edges(JobSpec *s, const SpecField *f, After *consumed, size_t n, char **ret_error) {
        _cleanup_free_ After *l = consumed;

        assert(f->type == SPEC_EDGES);
        if (n > (size_t) f->max)
                return spec_error(ret_error, E2BIG, "'%s' has more than %" PRIi64 " entries", f->name, f->max);
        if (n > 0)
                qsort(l, n, sizeof(After), compare_after);
        free(s->after);
        s->after = TAKE_PTR(l);
        s->n_after = n;
        return 0;
}

int spec_validate(const JobSpec *s, char **ret_error) {
        int r;

        FOREACH_ELEMENT(f, fields)
                if (f->check && (r = f->check(f, s, ret_error)) < 0)
                        return r;
        return 0;
}
