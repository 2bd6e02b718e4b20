/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists of parsed unit properties, and what comes out when a job's list is laid over the one of the files.
 *
 * The promise: with neither privilege nor Override=, no value in the result is laxer than the file's, and none is
 * laxer than the default where the files are silent. Three rules keep that simple. A property's values are merged as
 * one: a size never lies beside a percentage in the result, so that it does not matter which of them PID 1 reads last.
 * A path is never compared with another path: limits of devices may be lowered for a path that the file names, further
 * paths, which might be the same device by another name, are refused. And PID 1 itself looks up such a path, so where
 * the file names none, an unprivileged job may not make it wait for somebody's network or FUSE mount. */

#include "queue/unit-property-internal.h"

#include "base/strv.h"

void unit_value_done(UnitValue *v) {
        switch (v->type) {
        case UNIT_VALUE_STRING:
                free(v->s);
                break;
        case UNIT_VALUE_BYTES:
                free(v->bytes.data);
                break;
        case UNIT_VALUE_STRV:
        case UNIT_VALUE_FILTER:
        case UNIT_VALUE_PAIRS:
        case UNIT_VALUE_PATH_LIMITS:
        case UNIT_VALUE_BINDS:
                strv_free(v->strv);
                break;
        default:
                break;
        }
        free(v->numbers);
        *v = (UnitValue) {};
}

void unit_property_list_done(UnitPropertyList *l) {
        for (size_t i = 0; i < l->n_values; i++)
                unit_value_done(l->values + i);
        free(l->values);
        *l = (UnitPropertyList) {};
}

const UnitValue *unit_property_list_find(const UnitPropertyList *l, const char *dbus_name) {
        for (size_t i = 0; i < l->n_values; i++)
                if (streq(l->values[i].name, dbus_name))
                        return l->values + i;
        return NULL;
}

UnitValue *unit_property_list_add(UnitPropertyList *l, const char *dbus_name, UnitValueType type) {
        UnitValue *values = reallocarray(l->values, l->n_values + 1, sizeof(UnitValue));

        if (!values)
                return NULL;
        l->values = values;
        values[l->n_values] = (UnitValue) { .name = dbus_name, .type = type };
        return values + l->n_values++;
}

void unit_property_list_remove(UnitPropertyList *l, const char *dbus_name) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_values; i++)
                if (streq(l->values[i].name, dbus_name))
                        unit_value_done(l->values + i);
                else
                        l->values[n++] = l->values[i];
        l->n_values = n;
}

static int copy_memory(const void *p, size_t n, void **ret) {
        *ret = malloc(n ?: 1);
        if (!*ret)
                return -ENOMEM;
        if (n > 0)
                memcpy(*ret, p, n);
        return 0;
}

int unit_property_list_copy(UnitPropertyList *l, const UnitValue *v) {
        UnitValue *c = unit_property_list_add(l, v->name, v->type);
        size_t n;

        if (!c)
                return -ENOMEM;
        c->allow_list = v->allow_list;
        switch (v->type) {
        case UNIT_VALUE_STRING:
                return (c->s = strdup(v->s)) ? 0 : -ENOMEM;
        case UNIT_VALUE_BYTES:
                c->bytes.size = v->bytes.size;
                return copy_memory(v->bytes.data, v->bytes.size, (void **) &c->bytes.data);
        case UNIT_VALUE_PATH_LIMITS:
        case UNIT_VALUE_BINDS:
        case UNIT_VALUE_STRV:
        case UNIT_VALUE_FILTER:
        case UNIT_VALUE_PAIRS:
                c->strv = strv_copy(v->strv);
                if (!c->strv)
                        return -ENOMEM;
                if (!v->numbers)
                        return 0;
                n = strv_length(v->strv) / (v->type == UNIT_VALUE_BINDS ? 2 : 1);
                return copy_memory(v->numbers, n * sizeof(uint64_t), (void **) &c->numbers);
        default:
                c->u64 = v->u64;
                return 0;
        }
}

static __int128 value_number(const UnitValue *v) {
        return v->type == UNIT_VALUE_I32 ? v->i32 : v->type == UNIT_VALUE_U32 ? (__int128) v->u32 : (__int128) v->u64;
}

static bool value_is_infinity(const UnitValue *v) {
        return v->type == UNIT_VALUE_U64 && v->u64 == UINT64_MAX;
}

static size_t word_index(const UnitProperty *p, const char *word) {
        const char *const *words = p->argument;
        size_t i = 0;

        while (words[i] && !streq(words[i], word))
                i++;
        return i;
}

/* v becomes the file's words and those of v that are new. */
static int tighten_add(const UnitValue *base, UnitValue *v) {
        _cleanup_strv_free_ char **words = strv_copy(base->strv);
        char **own = v->strv;
        int r;

        if (!words)
                return -ENOMEM;
        STRV_FOREACH(w, own) {
                r = strv_contains(words, *w) ? 0 : strv_extend(&words, *w);
                if (r < 0)
                        return r;
        }
        v->strv = TAKE_PTR(words);
        strv_free(own);
        return 0;
}

static int tighten_subset(const UnitValue *base, UnitValue *v) {
        bool any = false;
        size_t n = 0;

        switch (v->type) {
        case UNIT_VALUE_U64:
                v->u64 &= base->u64;
                return 0;
        case UNIT_VALUE_BYTES:
                v->bytes.size = MIN(v->bytes.size, base->bytes.size);
                for (size_t i = 0; i < v->bytes.size; i++)
                        any = (v->bytes.data[i] &= base->bytes.data[i]) || any;
                return any ? 0 : -EACCES;
        default:
                STRV_FOREACH(w, v->strv)
                        if (strv_contains(base->strv, *w))
                                v->strv[n++] = *w;
                        else
                                free(*w);
                v->strv[n] = NULL;
                return n > 0 ? 0 : -EACCES;
        }
}

static int tighten_path_limits(const UnitValue *base, UnitValue *v) {
        size_t n = strv_length(v->strv);
        uint64_t *numbers;
        int r;

        STRV_FOREACH(w, v->strv)
                if (!strv_contains(base->strv, *w))
                        return -EACCES;

        numbers = reallocarray(v->numbers, n + strv_length(base->strv), sizeof(uint64_t));
        if (!numbers)
                return -ENOMEM;
        v->numbers = numbers;
        for (size_t i = 0; base->strv[i]; i++) {
                size_t k = 0;

                while (k < n && !streq(v->strv[k], base->strv[i]))
                        k++;
                if (k < n) {
                        numbers[k] = MIN(numbers[k], base->numbers[i]);
                        continue;
                }
                r = strv_extend(&v->strv, base->strv[i]);
                if (r < 0)
                        return r;
                numbers[n++] = base->numbers[i];
        }
        return 0;
}

/* v is the job's and becomes the stricter of both, or -EACCES. */
static int tighten(const UnitProperty *p, const UnitValue *base, UnitValue *v) {
        switch (p->tighten) {
        case TIGHTEN_MIN:
                if (v->type == UNIT_VALUE_PATH_LIMITS)
                        return tighten_path_limits(base, v);
                if (value_number(base) < value_number(v))
                        v->u64 = base->u64;
                return 0;
        case TIGHTEN_MAX:
                if (value_number(base) > value_number(v))
                        v->u64 = base->u64;
                return 0;
        case TIGHTEN_ON:
                v->b = v->b || base->b;
                return 0;
        case TIGHTEN_ENUM:
                return word_index(p, base->s) > word_index(p, v->s) ? free_and_strdup(&v->s, base->s) : 0;
        case TIGHTEN_ADD:
                return tighten_add(base, v);
        case TIGHTEN_SUBSET:
                return tighten_subset(base, v);
        case TIGHTEN_FREE:
                return 0;
        case TIGHTEN_FILTER: /* a list added to a list: PID 1 takes a '~' list out of what the ones before allow */
                return v->allow_list ? -EACCES : 0;
        case TIGHTEN_NONE:
        default:
                return -EACCES;
        }
}

static bool value_is_of(const UnitValue *v, const UnitProperty *p) {
        return streq(v->name, p->dbus_name) || streq_ptr(v->name, p->aux_name);
}

static const UnitValue *first_of(const UnitPropertyList *l, const UnitProperty *p) {
        for (size_t i = 0; i < l->n_values; i++)
                if (value_is_of(l->values + i, p))
                        return l->values + i;
        return NULL;
}

static int copy_all_of(UnitPropertyList *to, const UnitPropertyList *l, const UnitProperty *p) {
        int r;

        for (size_t i = 0; i < l->n_values; i++)
                if (value_is_of(l->values + i, p)) {
                        r = unit_property_list_copy(to, l->values + i);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* Both lists hold p. */
static int merge_property(const UnitProperty *p,
                          const UnitPropertyList *base,
                          const UnitPropertyList *job,
                          UnitPropertyList *to) {
        int r;

        if (p->tighten == TIGHTEN_FILTER) {
                r = copy_all_of(to, base, p);
                if (r < 0)
                        return r;
        }
        for (const UnitValue *v = job->values; v < job->values + job->n_values; v++) {
                const UnitValue *b = unit_property_list_find(base, v->name);

                if (!value_is_of(v, p))
                        continue;
                if (!b) { /* one of them is a size, the other a percentage */
                        b = first_of(base, p);
                        if (!value_is_infinity(v) && !value_is_infinity(b))
                                return -EACCES;
                        r = unit_property_list_copy(to, value_is_infinity(v) ? b : v);
                } else {
                        r = unit_property_list_copy(to, v);
                        if (r >= 0)
                                r = tighten(p, b, to->values + to->n_values - 1);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "/", or a device in a directory that only root writes to. */
static bool path_is_local(const char *path) {
        const char *e = startswith(path, "/dev/");

        if (!e)
                return streq(path, "/");
        return !strchr(e, '/') || startswith(e, "disk/") || startswith(e, "mapper/");
}

/* The files do not set p: the job's own value, where that is not laxer than the default. */
static int merge_with_implied(const UnitProperty *p, const UnitPropertyList *job, UnitPropertyList *to) {
        _cleanup_(unit_property_list_done) UnitPropertyList implied = {}, merged = {};
        size_t n = 0;
        int r;

        if (p->class != PROPERTY_OPEN)
                return -EACCES;
        if (p->implied) {
                r = p->parse(p, p->implied, &implied);
                if (r >= 0)
                        r = merge_property(p, &implied, job, &merged);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < job->n_values; i++)
                        if (value_is_of(job->values + i, p) &&
                            value_number(job->values + i) != value_number(merged.values + n++))
                                return -EACCES;
        }
        if (p->type == UNIT_VALUE_PATH_LIMITS)
                STRV_FOREACH(w, first_of(job, p)->strv)
                        if (!path_is_local(*w))
                                return -EACCES;
        return copy_all_of(to, job, p);
}

static bool has_namespace_property(const UnitPropertyList *l) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);

                if (p && p->flags & UNIT_PROPERTY_NAMESPACE)
                        return true;
        }
        return false;
}

static int explain(const UnitProperty *p, bool in_base, char **ret_error) {
        int r;

        if (!ret_error)
                return 0;
        if (in_base)
                r = asprintf(ret_error, "%s= of the job may only be stricter than what its queue or its type sets", p->name);
        else if (p->implied)
                r = asprintf(ret_error, "%s= of the job may not be laxer than %s", p->name, p->implied);
        else if (p->type == UNIT_VALUE_PATH_LIMITS)
                r = asprintf(ret_error, "%s= of the job may only name / or a device in /dev", p->name);
        else if (p->class == PROPERTY_OPEN)
                r = asprintf(ret_error, "%s= of the job could undo what its queue or its type restricts", p->name);
        else
                r = asprintf(ret_error, "%s= of the job needs the right to set privileged properties", p->name);
        if (r >= 0)
                return 0;
        *ret_error = NULL;
        return -ENOMEM;
}

int unit_property_merge(const UnitPropertyList *base,
                        const UnitPropertyList *job,
                        bool privileged,
                        char *const *overridable,
                        UnitPropertyList *ret,
                        char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList merged = {};
        const UnitProperty *table;
        size_t n;
        int r = 0;

        if (ret_error)
                *ret_error = NULL;
        table = unit_property_table(&n);
        for (const UnitProperty *p = table; p < table + n; p++) {
                bool in_base, in_job;

                if (p->class == PROPERTY_OURS)
                        continue;
                in_base = first_of(base, p);
                in_job = first_of(job, p);
                if (!in_job)
                        r = in_base ? copy_all_of(&merged, base, p) : 0;
                else if (privileged || strv_contains(overridable, p->name))
                        r = copy_all_of(&merged, job, p);
                else if (streq(p->name, "ReadWritePaths") && has_namespace_property(base))
                        r = -EACCES;
                else if (in_base)
                        r = merge_property(p, base, job, &merged);
                else
                        r = merge_with_implied(p, job, &merged);
                if (r == -EACCES)
                        r = explain(p, in_base, ret_error) ?: -EACCES;
                if (r < 0)
                        return r;
        }
        *ret = merged;
        merged = (UnitPropertyList) {};
        return 0;
}
