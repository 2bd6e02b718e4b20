/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Values that stand in queue files and in job files alike. */

#include "daemon/file-value.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/spec-change.h"
#include "queue/spec-words.h"

int file_value_words(const char *value, void *data) {
        char ***l = data;
        char **words;
        int r = 0;

        if (isempty(value)) {
                *l = strv_free(*l);
                return 0;
        }
        words = strv_split(value, " \t");
        if (!words)
                return -ENOMEM;
        STRV_FOREACH(w, words) {
                if (!string_is_clean(*w))
                        r = -EINVAL;
                if (r >= 0)
                        r = strv_extend(l, *w);
        }
        strv_free(words);
        return r;
}

/* ---- a field of a spec ---- */

static int parse_octal(const char *value, uint64_t *ret) {
        uint32_t mode;
        int r = parse_mode(value, &mode);

        if (r >= 0)
                *ret = mode;
        return r;
}

/* Quoted, as a shell has them; lines add up. */
static int add_environment(const JobSpec *s, const char *value, char ***ret) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = spec_split_words(value, strlen(value), 0, &words);
        STRV_FOREACH(w, s->environment)
                if (r >= 0)
                        r = strv_extend(ret, *w);
        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = strv_extend(ret, *w);
        return r;
}

static int set_default(JobSpec *s, const SpecField *f, const char *value) {
        char **words = NULL;
        uint64_t n;
        int32_t i;
        double d;
        int r;

        switch (f->type) {
        case SPEC_ENUM:
        case SPEC_STRING:
                return spec_set_string(s, f, value, NULL);
        case SPEC_I32:
                r = parse_i32(value, &i);
                return r < 0 ? r : spec_set_integer(s, f, i, NULL);
        case SPEC_BOOL:
                r = parse_boolean(value);
                return r < 0 ? r : spec_set_integer(s, f, r, NULL);
        case SPEC_U32:
                r = streq(f->name, "umask") ? parse_octal(value, &n) : parse_u64(value, &n);
                return r < 0 ? r : spec_set_integer(s, f, (int64_t) MIN(n, (uint64_t) INT64_MAX), NULL);
        case SPEC_USEC:
                r = parse_span(value, &n);
                return r < 0 ? r : n >= INT64_MAX ? -ERANGE : spec_set_integer(s, f, (int64_t) n, NULL);
        case SPEC_DOUBLE:
                r = parse_double(value, &d);
                return r < 0 ? r : spec_set_double(s, f, d, NULL);
        case SPEC_STRV:
                r = streq(f->name, "environment") ? add_environment(s, value, &words) : file_value_words(value, &words);
                if (r >= 0)
                        return spec_set_strv(s, f, words, NULL);
                strv_free(words);
                return r;
        default:
                return -EINVAL;
        }
}

/* Empty: not given. */
int file_value_field(JobSpec **defaults, const SpecField *f, const char *value) {
        _cleanup_(spec_freep) JobSpec *alone = NULL;
        JobSpec *s = *defaults;
        int r;

        if (!s) {
                s = *defaults = spec_new();
                if (!s)
                        return -ENOMEM;
        }
        if (isempty(value)) {
                _cleanup_(spec_freep) JobSpec *none = spec_new();
                return none ? spec_change(s, none, spec_field_bit(f), NULL) : -ENOMEM;
        }
        r = set_default(s, f, value);
        if (r >= 0 && f->check)
                r = spec_copy(s, spec_field_bit(f), &alone);
        /* What two keys say together is for the end: their order says nothing. */
        return r < 0 || !f->check ? r : f->check(f, alone, NULL);
}

/* ---- a unit property ---- */

int file_value_property(UnitPropertyList *l, UnitPropertyFlags kind, const char *file, unsigned line, const char *section,
                           const char *key, const char *value, ConfError *error) {
        _cleanup_free_ char *assignment = NULL, *text = NULL;
        int r;

        if (asprintf(&assignment, "%s=%s", key, value) < 0)
                return -ENOMEM;
        r = unit_property_parse_assignment(assignment, true, kind, l, &text);
        if (r == -ENOMEM)
                return r;
        return r < 0 ? conf_error_set(error, file, line, "[%s] %s", section, text) : 0;
}
