/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What can be said about the values of a spec without knowing its queue and its submitter, and how it is said.
 *
 * What passes can be carried on every road that a job takes: D-Bus and JSON, which know only valid UTF-8; execve(), which bounds one
 * word and all words; the properties of a unit, in which a line feed could begin another line of the unit's file. Of these systemd is
 * the strictest reader: for it the noncharacters of Unicode (U+FFFE, U+FDD0, …) are no valid UTF-8, so they are refused here and not
 * first when the job starts. */

#include "queue/spec-check.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/outcome.h"

#include <ctype.h>
#include <stdarg.h>

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

static int check_text(const SpecField *f, const char *value, unsigned max, char **ret_error) {
        if (!value)
                return 0;
        if (!*value)
                return spec_error(ret_error, EINVAL, "'%s' is empty", f->name);
        if (strlen(value) > max)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, max);
        return check_clean(f, value, ret_error);
}

int spec_check_name(const SpecField *f, const JobSpec *s, char **ret_error) {
        return check_text(f, s->name, SPEC_NAME_MAX, ret_error);
}

int spec_check_cwd(const SpecField *f, const JobSpec *s, char **ret_error) {
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

int spec_check_argv(const SpecField *f, const JobSpec *s, char **ret_error) {
        int r;

        if (s->type) /* the type has the command, which was checked when its file was read; these are its words */
                return check_words(f, s->argv, SPEC_ARGV_MAX, ret_error);
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

int spec_check_environment(const SpecField *f, const JobSpec *s, char **ret_error) {
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

int spec_check_tags(const SpecField *f, const JobSpec *s, char **ret_error) {
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

int spec_check_uid(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->uid == UINT16_MAX) /* (uid_t) -1 of old systems: systemd takes it for no user, too */
                return spec_error(ret_error, EINVAL, "'%s': %" PRIu32 " is not a user", f->name, s->uid);
        return 0;
}

/* The shape only: which properties there are, and their values, is unit-property.h's. */
int spec_check_properties(const SpecField *f, const JobSpec *s, char **ret_error) {
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
int spec_check_file(const SpecField *f, const JobSpec *s, char **ret_error) {
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

int spec_check_delay(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->delay_usec == USEC_INFINITY || s->not_before_usec == USEC_INFINITY)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' and 'not_before_usec' exclude each other", f->name);
}

/* Which results may lead to another attempt: the failures. */
int spec_check_retry_on(const SpecField *f, const JobSpec *s, char **ret_error) {
        char q[SPEC_QUOTE_MAX];

        STRV_FOREACH(i, s->retry_on) {
                JobResult r = job_result_from_string(*i);

                if (r <= JOB_SUCCESS || r == JOB_CANCELLED || r == JOB_DEPENDENCY || r == JOB_EXPIRED)
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is no result that can be tried again", f->name,
                                          spec_quote(q, *i, strlen(*i)));
        }
        return 0;
}

int spec_check_backoff(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->backoff_base_usec == USEC_INFINITY || s->backoff_max_usec == USEC_INFINITY ||
            s->backoff_base_usec <= s->backoff_max_usec)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' is less than 'backoff_base_usec'", f->name);
}

/* Each job once, and no condition that contradicts another one. */
int spec_check_after(const SpecField *f, const JobSpec *s, char **ret_error) {
        for (size_t i = 0; i < s->n_after; i++) {
                if (s->after[i].id == 0 || s->after[i].id > INT64_MAX)
                        return spec_error(ret_error, EINVAL, "'%s': %" PRIu64 " is no id of a job", f->name, s->after[i].id);
                if (i > 0 && s->after[i - 1].id == s->after[i].id)
                        return spec_error(ret_error, EINVAL, "'%s': job %" PRIu64 " stands there twice", f->name, s->after[i].id);
        }
        return 0;
}

int spec_check_unique_key(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (!s->unique_key)
                return s->unique_policy == UNIQUE_UNSET && !s->unique_scope ? 0 :
                       spec_error(ret_error, EINVAL, "'%s' is missing, which '%s' is about", f->name,
                                  s->unique_scope ? "unique_scope" : "unique_policy");
        return check_text(f, s->unique_key, SPEC_UNIQUE_KEY_MAX, ret_error);
}

int spec_check_unique_scope(const SpecField *f, const JobSpec *s, char **ret_error) {
        usec_t span;

        if (!s->unique_scope || streq(s->unique_scope, "queued") || streq(s->unique_scope, "live"))
                return 0;
        if (parse_span(s->unique_scope, &span) >= 0 && span > 0 && span != USEC_INFINITY)
                return 0;
        return spec_error(ret_error, EINVAL, "'%s' is neither 'queued' nor 'live' nor a span of time", f->name);
}

int spec_check_array(const SpecField *f, const JobSpec *s, char **ret_error) {
        if (s->array == 0 && s->array_max_running > 0)
                return spec_error(ret_error, EINVAL, "'%s' is missing, which 'array_max_running' is about", f->name);
        return 0;
}

bool type_name_is_valid(const char *s) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");

        return n > 0 && n <= SPEC_TYPE_MAX && !s[n];
}

int spec_check_type(const SpecField *f, const JobSpec *s, char **ret_error) {
        char q[SPEC_QUOTE_MAX];

        if (!s->type || type_name_is_valid(s->type))
                return 0;
        return spec_error(ret_error, EINVAL, "'%s': '%s' is not the name of a job type ([a-z0-9_-], at most %u)", f->name,
                          spec_quote(q, s->type, strlen(s->type)), SPEC_TYPE_MAX);
}

int spec_check_request_id(const SpecField *f, const JobSpec *s, char **ret_error) {
        return check_text(f, s->request_id, SPEC_REQUEST_ID_MAX, ret_error);
}
