/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The spec of a job: the field table, and everything that can be said about a spec without knowing its queue
 * and its submitter.
 *
 * A spec is built field by field (from the bus, from JSON), by setters that hold types and ranges, and is
 * then looked at as a whole by spec_validate(). What passes can be carried on every road that a job takes:
 * D-Bus and JSON, which know only valid UTF-8; execve(), which bounds one word and all words; the properties
 * of a unit, in which a line feed could begin another line of the unit's file. Of these systemd is the
 * strictest reader: for it the noncharacters of Unicode (U+FFFE, U+FDD0, …) are no valid UTF-8, so they are
 * refused here and not first when the job starts. */

#include "queue/spec.h"

#include "base/parse.h"
#include "base/string-table.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/outcome.h"

#include <ctype.h>
#include <stdarg.h>

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
        free(s->request_id);
        return mfree(s);
}

/* ---- messages ---- */

int spec_error(char **ret_error, int error, const char *format, ...) {
        char *text;
        va_list ap;

        if (!ret_error)
                return -abs(error);
        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        if (!text)
                return -ENOMEM;
        free(*ret_error);
        *ret_error = text;
        return -abs(error);
}

/* ---- text ---- */

/* Can this travel everywhere? See the head of this file. Most text is ASCII, so that is looked at in whole
 * words. */
static bool text_is_valid(const char *s, size_t n) {
        const char *e = s + n;
        uint64_t w;

        for (; e - s >= (ptrdiff_t) sizeof(w); s += sizeof(w)) {
                memcpy(&w, s, sizeof(w));
                if (w & UINT64_C(0x8080808080808080))
                        break;
        }
        if (!utf8_is_valid(s, e - s))
                return false;
        for (; s < e; s++) {
                const uint8_t *u = (const uint8_t *) s;

                if (u[0] == 0xef) {
                        if ((u[1] == 0xbf && u[2] >= 0xbe) || (u[1] == 0xb7 && u[2] >= 0x90 && u[2] <= 0xaf))
                                return false;
                } else if (u[0] >= 0xf0 && (u[1] & 0x0f) == 0x0f && u[2] == 0xbf && u[3] >= 0xbe)
                        return false;
        }
        return true;
}

static bool text_is_clean(const char *s) {
        return text_is_valid(s, strlen(s)) && string_is_clean(s);
}

const char *spec_quote(char buf[static SPEC_QUOTE_MAX], const char *s, size_t n) {
        size_t l = MIN(n, (size_t) SPEC_QUOTE_MAX - sizeof("…"));

        if (l < n) /* not in the middle of a character */
                while (l > 0 && ((uint8_t) s[l] & 0xc0) == 0x80)
                        l--;
        memcpy(buf, s, l);
        buf[l] = 0;
        if (!text_is_clean(buf))
                for (char *p = buf; p < buf + l; p++)
                        if ((uint8_t) *p < 0x20 || (uint8_t) *p >= 0x7f)
                                *p = '?';
        if (l < n)
                memcpy(buf + l, "…", sizeof("…"));
        return buf;
}

int spec_error_unknown_key(char **ret_error, const char *key) {
        char q[SPEC_QUOTE_MAX];

        return spec_error(ret_error, EINVAL, "unknown key '%s'", spec_quote(q, key, strlen(key)));
}

/* [A-Za-z_][A-Za-z0-9_]*: what systemd and every shell take. */
static bool variable_name_is_valid(const char *s, size_t n) {
        if (n == 0 || isdigit((unsigned char) s[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isascii((unsigned char) s[i]) || !(isalnum((unsigned char) s[i]) || s[i] == '_'))
                        return false;
        return true;
}

/* ---- checks ---- */

/* For all that becomes a property of the unit. */
static int check_clean(const SpecField *f, const char *value, char **ret_error) {
        char q[SPEC_QUOTE_MAX];

        if (text_is_clean(value))
                return 0;
        return spec_error(ret_error, EINVAL, "'%s': '%s' has control characters or is not valid UTF-8",
                          f->name, spec_quote(q, value, strlen(value)));
}

static int check_name(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (!s->name)
                return 0;
        if (!*s->name)
                return spec_error(ret_error, EINVAL, "'%s' is empty", f->name);
        if (strlen(s->name) > SPEC_NAME_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, SPEC_NAME_MAX);
        return check_clean(f, s->name, ret_error);
}

static int check_cwd(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (!s->cwd)
                return 0;
        if (*s->cwd != '/')
                return spec_error(ret_error, EINVAL, "'%s' is not an absolute path", f->name);
        if (strlen(s->cwd) > SPEC_CWD_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, SPEC_CWD_MAX);
        /* At the end of a line of the unit's file, which WorkingDirectory= stands in unquoted, it would swallow the next one. */
        if (endswith(s->cwd, "\\"))
                return spec_error(ret_error, EINVAL, "'%s' ends with a backslash, which no unit can have", f->name);
        return check_clean(f, s->cwd, ret_error);
}

/* argv and environment: what execve() bounds. */
static int check_words(const SpecField *f, char *const *l, size_t max_size, char **ret_error) {
        size_t n = 0, sum = 0;

        STRV_FOREACH(i, l) {
                size_t size = strlen(*i) + 1;

                if (++n > SPEC_ARGS_MAX)
                        return spec_error(ret_error, E2BIG, "'%s' has more than %u entries", f->name,
                                          SPEC_ARGS_MAX);
                if (size > SPEC_ARG_MAX)
                        return spec_error(ret_error, E2BIG, "'%s': entry %zu is longer than %u bytes",
                                          f->name, n, SPEC_ARG_MAX - 1);
                if ((sum += size) > max_size)
                        return spec_error(ret_error, E2BIG, "'%s' is larger than %zu bytes", f->name,
                                          max_size);
                if (!text_is_valid(*i, size - 1))
                        return spec_error(ret_error, EINVAL, "'%s': entry %zu is not valid UTF-8", f->name,
                                          n);
        }
        return 0;
}

static int check_argv(const SpecField *f, const JobSpec *s, char **ret_error) {
        int r;

        if (!s->argv || !s->argv[0])
                return spec_error(ret_error, EINVAL, "'%s' is empty: nothing to run", f->name);
        if (!*s->argv[0])
                return spec_error(ret_error, EINVAL, "'%s': the command is empty", f->name);
        /* Words may hold anything, but the first is the path of the program, and that is a property of the
         * unit. */
        r = check_clean(f, s->argv[0], ret_error);
        if (r < 0)
                return r;
        return check_words(f, s->argv, SPEC_ARGV_MAX, ret_error);
}

static int check_environment(const SpecField *f, const JobSpec *s, char **ret_error) {
        STRV_FOREACH(i, s->environment) {
                size_t n = strcspn(*i, "=");
                char q[SPEC_QUOTE_MAX];

                if (!variable_name_is_valid(*i, n))
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is not the name of a variable",
                                          f->name, spec_quote(q, *i, n));
                if ((*i)[n] != '=')
                        return spec_error(ret_error, EINVAL, "'%s': '%s' has no value", f->name,
                                          spec_quote(q, *i, n));
                if (!text_is_valid(*i + n, strlen(*i + n)))
                        return spec_error(ret_error, EINVAL, "'%s': the value of '%s' is not valid UTF-8",
                                          f->name, spec_quote(q, *i, n));
        }
        return check_words(f, s->environment, SPEC_ENVIRONMENT_MAX, ret_error);
}

static bool tag_key_is_valid(const char *s) {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

        return n > 0 && n <= SPEC_TAG_KEY_MAX && !s[n];
}

static int check_tags(const SpecField *f, const JobSpec *s, char **ret_error) {
        size_t n = 0;
        int r;

        STRV_FOREACH_PAIR(k, v, s->tags) {
                char q[SPEC_QUOTE_MAX];

                if (++n > SPEC_TAGS_MAX)
                        return spec_error(ret_error, E2BIG, "'%s' has more than %u entries", f->name,
                                          SPEC_TAGS_MAX);
                if (!tag_key_is_valid(*k))
                        return spec_error(ret_error, EINVAL,
                                          "'%s': the key '%s' is not 1 to %u of A-Z a-z 0-9 '_' '.' '-'",
                                          f->name, spec_quote(q, *k, strlen(*k)), SPEC_TAG_KEY_MAX);
                if (strlen(*v) > SPEC_TAG_VALUE_MAX)
                        return spec_error(ret_error, E2BIG,
                                          "'%s': the value of '%s' is longer than %u bytes", f->name, *k,
                                          SPEC_TAG_VALUE_MAX);
                r = check_clean(f, *v, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_uid(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->uid == UINT16_MAX) /* (uid_t) -1 of old systems: systemd takes it for no user, too */
                return spec_error(ret_error, EINVAL, "'%s': %" PRIu32 " is not a user", f->name, s->uid);
        return 0;
}

/* The shape only: which properties there are, and their values, is unit-property.h's. */
static int check_properties(const SpecField *f, const JobSpec *s, char **ret_error) {
        size_t count = 0;
        int r;

        STRV_FOREACH(i, s->properties) {
                size_t n = strcspn(*i, "=");
                char q[SPEC_QUOTE_MAX];
                bool named = n > 0;

                if (++count > SPEC_PROPERTIES_MAX)
                        return spec_error(ret_error, E2BIG, "'%s' has more than %u entries", f->name,
                                          SPEC_PROPERTIES_MAX);
                for (size_t k = 0; k < n; k++)
                        named = named && isascii((unsigned char) (*i)[k]) &&
                                isalnum((unsigned char) (*i)[k]);
                if (!named || (*i)[n] != '=')
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is not NAME=VALUE", f->name,
                                          spec_quote(q, *i, strlen(*i)));
                if (strlen(*i) > SPEC_PROPERTY_MAX)
                        return spec_error(ret_error, E2BIG, "'%s': '%s' is longer than %u bytes", f->name,
                                          spec_quote(q, *i, n), SPEC_PROPERTY_MAX);
                r = check_clean(f, *i, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Where a stream goes. Of the % only what is documented is taken, so that more can get a meaning later. */
static int check_file(const SpecField *f, const JobSpec *s, char **ret_error) {
        const char *path = spec_field_ptr(const char *, s, f);

        if (!path)
                return 0;
        if (!*path)
                return spec_error(ret_error, EINVAL, "'%s' is empty", f->name);
        if (strlen(path) > SPEC_FILE_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, SPEC_FILE_MAX);
        for (const char *p = strchr(path, '%'); p; p = strchr(p + 2, '%'))
                if (p[1] != 'j' && p[1] != '%')
                        return spec_error(ret_error, EINVAL,
                                          "'%s': after a '%%' only 'j' (the job's id) and '%%' may stand", f->name);
        return check_clean(f, path, ret_error);
}

static int check_delay(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->delay_usec == USEC_INFINITY || s->not_before_usec == USEC_INFINITY)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' and 'not_before_usec' exclude each other", f->name);
}

/* Which results may lead to another attempt: the failures. */
static int check_retry_on(const SpecField *f, const JobSpec *s, char **ret_error) {
        char q[SPEC_QUOTE_MAX];

        STRV_FOREACH(i, s->retry_on) {
                JobResult r = job_result_from_string(*i);

                if (r <= JOB_SUCCESS || r == JOB_CANCELLED || r == JOB_DEPENDENCY || r == JOB_EXPIRED)
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is no result that can be tried again", f->name,
                                          spec_quote(q, *i, strlen(*i)));
        }
        return 0;
}

static int check_backoff(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->backoff_base_usec == USEC_INFINITY || s->backoff_max_usec == USEC_INFINITY ||
            s->backoff_base_usec <= s->backoff_max_usec)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' is less than 'backoff_base_usec'", f->name);
}

/* Each job once, and no condition that contradicts another one. */
static int check_after(const SpecField *f, const JobSpec *s, char **ret_error) {
        for (size_t i = 0; i < s->n_after; i++) {
                if (s->after[i].id == 0 || s->after[i].id > INT64_MAX)
                        return spec_error(ret_error, EINVAL, "'%s': %" PRIu64 " is no id of a job", f->name, s->after[i].id);
                if (i > 0 && s->after[i - 1].id == s->after[i].id)
                        return spec_error(ret_error, EINVAL, "'%s': job %" PRIu64 " stands there twice", f->name, s->after[i].id);
        }
        return 0;
}

static int check_unique_key(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (!s->unique_key)
                return s->unique_policy == UNIQUE_UNSET && !s->unique_scope ? 0 :
                       spec_error(ret_error, EINVAL, "'%s' is missing, which '%s' is about", f->name,
                                  s->unique_scope ? "unique_scope" : "unique_policy");
        if (!*s->unique_key)
                return spec_error(ret_error, EINVAL, "'%s' is empty", f->name);
        if (strlen(s->unique_key) > SPEC_UNIQUE_KEY_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, SPEC_UNIQUE_KEY_MAX);
        return check_clean(f, s->unique_key, ret_error);
}

static int check_unique_scope(const SpecField *f, const JobSpec *s, char **ret_error) {
        usec_t span;

        if (!s->unique_scope || streq(s->unique_scope, "queued") || streq(s->unique_scope, "live"))
                return 0;
        if (parse_span(s->unique_scope, &span) >= 0 && span > 0 && span != USEC_INFINITY)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' is neither 'queued' nor 'live' nor a span of time", f->name);
}

static int check_array(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->array == 0 && s->array_max_running > 0)
                return spec_error(ret_error, EINVAL, "'%s' is missing, which 'array_max_running' is about", f->name);
        if (s->array > 0 && s->unique_key)
                return spec_error(ret_error, EINVAL, "'%s' and 'unique_key' exclude each other", f->name);
        return 0;
}

static int check_request_id(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (!s->request_id)
                return 0;
        if (!*s->request_id)
                return spec_error(ret_error, EINVAL, "'%s' is empty", f->name);
        if (strlen(s->request_id) > SPEC_REQUEST_ID_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, SPEC_REQUEST_ID_MAX);
        return check_clean(f, s->request_id, ret_error);
}

/* ---- the table ---- */

/* clang-format off */
#define FIELD(f, t, ...) { .name = #f, .type = t, .offset = offsetof(JobSpec, f), __VA_ARGS__ }
#define OF_OWNER (SPEC_EDIT_QUEUED | SPEC_OF_OWNER)
#define OF_RETRY (SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_INHERIT)
#define SPEC_BACKOFF_MAX (INT64_C(366) * 24 * 60 * 60 * USEC_PER_SEC)

static const SpecField fields[] = {
        FIELD(name, SPEC_STRING, .check = check_name, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(argv, SPEC_STRV, .max = SPEC_ARGS_MAX, .check = check_argv, .flags = OF_OWNER),
        FIELD(cwd, SPEC_STRING, .check = check_cwd, .flags = OF_OWNER),
        FIELD(umask, SPEC_U32, .max = 0777, .flags = OF_OWNER),
        FIELD(environment, SPEC_STRV, .max = SPEC_ARGS_MAX, .check = check_environment,
              .flags = SPEC_NOT_STORED | OF_OWNER),
        FIELD(payload, SPEC_BYTES, .max = SPEC_PAYLOAD_MAX, .flags = SPEC_NOT_STORED | OF_OWNER),
        FIELD(tags, SPEC_TAGS, .max = SPEC_TAGS_MAX, .check = check_tags,
              .flags = SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_EDIT_ALWAYS),
        FIELD(priority, SPEC_I32, .min = SPEC_PRIORITY_MIN, .max = SPEC_PRIORITY_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(slots, SPEC_U32, .min = 1, .max = SPEC_SLOTS_MAX, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(hold, SPEC_BOOL, .max = 1, .flags = SPEC_NOT_STORED),
        FIELD(not_before_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(delay_usec, SPEC_USEC, .check = check_delay, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(timeout_usec, SPEC_USEC, .min = USEC_PER_MSEC,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(stop_timeout_usec, SPEC_USEC, .min = USEC_PER_MSEC, .max = 24 * 60 * 60 * USEC_PER_SEC,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(uid, SPEC_U32, .max = UINT32_MAX - 1, .check = check_uid, .flags = SPEC_NOT_STORED),
        FIELD(properties, SPEC_STRV, .max = SPEC_PROPERTIES_MAX, .check = check_properties, .flags = OF_OWNER),
        FIELD(output_file, SPEC_STRING, .check = check_file, .flags = OF_OWNER),
        FIELD(error_file, SPEC_STRING, .check = check_file, .flags = OF_OWNER),
        { .name = "stdout", .type = SPEC_ENUM, .offset = offsetof(JobSpec, output), .words = output_words,
          .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_INHERIT },
        FIELD(verify, SPEC_ENUM, .words = verify_words, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_INHERIT),
        FIELD(max_attempts, SPEC_U32, .min = 1, .max = SPEC_ATTEMPTS_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_INHERIT),
        FIELD(backoff, SPEC_ENUM, .words = backoff_words, .flags = OF_RETRY),
        FIELD(backoff_base_usec, SPEC_USEC, .max = SPEC_BACKOFF_MAX, .flags = OF_RETRY),
        FIELD(backoff_max_usec, SPEC_USEC, .max = SPEC_BACKOFF_MAX, .check = check_backoff, .flags = OF_RETRY),
        FIELD(backoff_jitter, SPEC_DOUBLE, .max = 1, .flags = OF_RETRY),
        FIELD(retry_on, SPEC_STRV, .max = _JOB_RESULT_MAX, .check = check_retry_on, .flags = OF_RETRY),
        FIELD(requeue_lost, SPEC_BOOL, .max = 1, .flags = OF_RETRY),
        FIELD(memory_growth, SPEC_DOUBLE, .min = 1, .max = 100, .flags = OF_RETRY),
        FIELD(deadline_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(keep_usec, SPEC_USEC, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE),
        FIELD(after, SPEC_EDGES, .max = SPEC_AFTER_MAX, .check = check_after, .flags = SPEC_NOT_STORED),
        FIELD(unique_key, SPEC_STRING, .check = check_unique_key, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(unique_policy, SPEC_ENUM, .words = unique_policy_words, .flags = SPEC_NOT_STORED),
        FIELD(unique_scope, SPEC_STRING, .check = check_unique_scope, .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(array, SPEC_U32, .min = 1, .max = SPEC_ARRAY_MAX, .check = check_array, .flags = SPEC_NOT_STORED),
        FIELD(array_max_running, SPEC_U32, .min = 1, .max = SPEC_ARRAY_MAX,
              .flags = SPEC_NOT_STORED | SPEC_EDIT_QUEUED),
        FIELD(freezable, SPEC_BOOL, .max = 1, .flags = OF_OWNER),
        FIELD(request_id, SPEC_STRING, .check = check_request_id, .flags = SPEC_NOT_STORED),
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

const char *spec_type_signature(SpecType t) {
        static const char *const table[] = {
                [SPEC_STRING] = "s", [SPEC_STRV] = "as", [SPEC_BYTES] = "ay", [SPEC_BOOL] = "b",
                [SPEC_I32] = "i",    [SPEC_U32] = "u",   [SPEC_USEC] = "t",   [SPEC_TAGS] = "a{ss}",
                [SPEC_ENUM] = "s",   [SPEC_DOUBLE] = "d", [SPEC_EDGES] = "a(ts)",
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

        assert(f->type == SPEC_STRV || f->type == SPEC_TAGS);
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
