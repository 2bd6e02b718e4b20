/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changing specs: copies and changes of single fields. What a set of changes means does not depend on the job that it is
 * applied to, so one set can be applied to thousands. */

#include "queue/spec-change.h"

#include "base/strv.h"

uint64_t spec_field_bit(const SpecField *f) {
        size_t n;

        return UINT64_C(1) << (f - spec_field_table(&n));
}

uint64_t spec_fields_with(unsigned flags) {
        uint64_t set = 0;
        size_t n;
        const SpecField *f = spec_field_table(&n);

        for (size_t i = 0; i < n; i++)
                if (f[i].flags & flags)
                        set |= UINT64_C(1) << i;
        return set;
}

uint64_t spec_fields_of_job(void) {
        uint64_t set = 0;
        size_t n;
        const SpecField *f = spec_field_table(&n);

        for (size_t i = 0; i < n; i++)
                if ((f[i].flags & (SPEC_NOT_STORED | SPEC_EDIT_QUEUED | SPEC_OF_OWNER)) == (SPEC_NOT_STORED | SPEC_EDIT_QUEUED))
                        set |= UINT64_C(1) << i;
        return set;
}

char *spec_fields_to_string(uint64_t fields) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n;
        const SpecField *f = spec_field_table(&n);

        for (size_t i = 0; i < n; i++)
                if ((fields & UINT64_C(1) << i) && strv_extend(&l, f[i].name) < 0)
                        return NULL;
        return strv_join(l, ", ");
}

/* ---- one field ---- */

static int copy_strv(JobSpec *to, const JobSpec *from, const SpecField *f) {
        char **old = spec_field_ptr(char **, from, f), **l = NULL;

        if (old) {
                l = strv_copy(old);
                if (!l)
                        return -ENOMEM;
        }
        strv_free(spec_field_ptr(char **, to, f));
        spec_field_ptr(char **, to, f) = l;
        return 0;
}

static int copy_payload(JobSpec *to, const JobSpec *from) {
        uint8_t *p = NULL;

        if (from->has_payload) {
                p = malloc(from->payload_size ?: 1);
                if (!p)
                        return -ENOMEM;
                if (from->payload_size > 0)
                        memcpy(p, from->payload, from->payload_size);
        }
        free(to->payload);
        to->payload = p;
        to->payload_size = from->payload_size;
        to->has_payload = from->has_payload;
        return 0;
}

static int copy_edges(JobSpec *to, const JobSpec *from) {
        After *l = NULL;

        if (from->n_after > 0) {
                l = new0(After, from->n_after);
                if (!l)
                        return -ENOMEM;
                memcpy(l, from->after, from->n_after * sizeof(After));
        }
        free(to->after);
        to->after = l;
        to->n_after = from->n_after;
        return 0;
}

static int copy_field(JobSpec *to, const JobSpec *from, const SpecField *f) {
        switch (f->type) {
        case SPEC_STRING:
                return free_and_strdup(&spec_field_ptr(char *, to, f), spec_field_ptr(char *, from, f));
        case SPEC_STRV:
        case SPEC_TAGS:
        case SPEC_CREDENTIALS: /* the names */
                return copy_strv(to, from, f);
        case SPEC_BYTES:
                return copy_payload(to, from);
        case SPEC_BOOL:
                spec_field_ptr(bool, to, f) = spec_field_ptr(bool, from, f);
                return 0;
        case SPEC_I32:
        case SPEC_U32:
        case SPEC_ENUM:
                spec_field_ptr(uint32_t, to, f) = spec_field_ptr(uint32_t, from, f);
                return 0;
        case SPEC_USEC:
                spec_field_ptr(usec_t, to, f) = spec_field_ptr(usec_t, from, f);
                return 0;
        case SPEC_DOUBLE:
                spec_field_ptr(double, to, f) = spec_field_ptr(double, from, f);
                return 0;
        case SPEC_EDGES:
                return copy_edges(to, from);
        }
        return 0;
}

int spec_copy(const JobSpec *s, uint64_t fields, JobSpec **ret) {
        _cleanup_(spec_freep) JobSpec *copy = spec_new();
        size_t n;
        const SpecField *f = spec_field_table(&n);
        int r;

        if (!copy)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (fields & UINT64_C(1) << i) {
                        r = copy_field(copy, s, f + i);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(copy);
        return 0;
}

int spec_inherit(JobSpec *s, const JobSpec *defaults) {
        uint64_t fields = 0;
        size_t n;
        const SpecField *f = spec_field_table(&n);

        for (size_t i = 0; i < n; i++)
                if ((f[i].flags & SPEC_INHERIT) && spec_field_is_default(s, f + i))
                        fields |= UINT64_C(1) << i;
        return spec_fill(s, defaults, fields);
}

int spec_fill(JobSpec *s, const JobSpec *defaults, uint64_t fields) {
        bool own_max = s->backoff_max_usec != USEC_INFINITY;
        const char *own_url = s->callback_url;
        size_t n;
        const SpecField *f = spec_field_table(&n);
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                if ((fields & UINT64_C(1) << i) && !(own_url && streq(f[i].name, "callback_events")))
                        r = copy_field(s, defaults, f + i);
        if (s->backoff_base_usec == USEC_INFINITY || s->backoff_base_usec <= s->backoff_max_usec)
                return r;
        /* What is the job's own stands. */
        if (own_max)
                s->backoff_base_usec = s->backoff_max_usec;
        else
                s->backoff_max_usec = s->backoff_base_usec;
        return r;
}

/* ---- changes ---- */

static int change_string(JobSpec *s, const JobSpec *changes, const SpecField *f) {
        const char *value = spec_field_ptr(char *, changes, f);

        return free_and_strdup(&spec_field_ptr(char *, s, f), isempty(value) ? NULL : value);
}

static bool tags_have(char *const *tags, const char *key) {
        STRV_FOREACH_PAIR(k, v, tags)
                if (streq(*k, key))
                        return true;
        return false;
}

static int change_tags(JobSpec *s, const JobSpec *changes, const SpecField *f, char **ret_error) {
        _cleanup_strv_free_ char **l = NULL;
        int r = 0;

        STRV_FOREACH_PAIR(k, v, s->tags)
                if (!tags_have(changes->tags, *k)) {
                        r = strv_extend(&l, *k);
                        if (r >= 0)
                                r = strv_extend(&l, *v);
                        if (r < 0)
                                return r;
                }
        STRV_FOREACH_PAIR(k, v, changes->tags)
                if (!isempty(*v)) {
                        r = strv_extend(&l, *k);
                        if (r >= 0)
                                r = strv_extend(&l, *v);
                        if (r < 0)
                                return r;
                }
        return spec_set_strv(s, f, TAKE_PTR(l), ret_error);
}

/* Is this NAME=VALUE one of a name that stands in the list? */
static bool assignments_have(char *const *l, const char *assignment) {
        size_t n = strcspn(assignment, "=");

        STRV_FOREACH(i, l)
                if (strcspn(*i, "=") == n && strncmp(*i, assignment, n) == 0)
                        return true;
        return false;
}

static int change_properties(JobSpec *s, const JobSpec *changes, const SpecField *f, char **ret_error) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        STRV_FOREACH(i, s->properties)
                if (!assignments_have(changes->properties, *i)) {
                        r = strv_extend(&l, *i);
                        if (r < 0)
                                return r;
                }
        STRV_FOREACH(i, changes->properties)
                if (!streq(*i + strcspn(*i, "="), "=")) {
                        r = strv_extend(&l, *i);
                        if (r < 0)
                                return r;
                }
        return spec_set_strv(s, f, TAKE_PTR(l), ret_error);
}

static int change_field(JobSpec *s, const JobSpec *changes, const SpecField *f, char **ret_error) {
        if (f->type == SPEC_TAGS)
                return change_tags(s, changes, f, ret_error);
        if (f->type == SPEC_STRING)
                return change_string(s, changes, f);
        if (f->offset == offsetof(JobSpec, properties))
                return change_properties(s, changes, f, ret_error);
        return copy_field(s, changes, f);
}

int spec_change(JobSpec *s, const JobSpec *changes, uint64_t fields, char **ret_error) {
        size_t n;
        const SpecField *f = spec_field_table(&n);
        int r;

        for (size_t i = 0; i < n; i++)
                if (fields & UINT64_C(1) << i) {
                        r = change_field(s, changes, f + i, ret_error);
                        if (r < 0)
                                return r;
                }
        if (!(fields & spec_field_bit(spec_field_find("delay_usec"))))
                return 0;
        if (fields & spec_field_bit(spec_field_find("not_before_usec")))
                return spec_error(ret_error, EINVAL, "'delay_usec' and 'not_before_usec' exclude each other");
        s->not_before_usec = USEC_INFINITY; /* a span takes the place of a time */
        return 0;
}
