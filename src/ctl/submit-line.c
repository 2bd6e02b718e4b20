/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lines of a file of jobs. A line is handed out where it lies in the buffer; the spec that is sent for it
 * consists of pieces of its own and of the options' spec, and owns none of them. */

#include "ctl/submit-line.h"
#include "base/strv.h"

#define LINE_SIZE_MAX (32U * 1024U * 1024U) /* a payload of 16 MiB as base64 fits */
#define READ_SIZE (256U * 1024U)

/* ---- reading ---- */

void reader_done(Reader *r) {
        r->fd = safe_close(r->fd);
        r->buf = mfree(r->buf);
}

static int reader_fill(Reader *r) {
        ssize_t n;

        if (r->begin > 0) {
                memmove(r->buf, r->buf + r->begin, r->end - r->begin);
                r->end -= r->begin;
                r->begin = 0;
        }
        if (r->end > LINE_SIZE_MAX)
                return -E2BIG;
        if (r->size - r->end < READ_SIZE) {
                char *more = realloc(r->buf, r->size = MAX(2 * r->size, (size_t) 2 * READ_SIZE));

                if (!more)
                        return -ENOMEM;
                r->buf = more;
        }
        do
                n = read(r->fd, r->buf + r->end, r->size - r->end);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        r->eof = n == 0;
        r->end += n;
        return 0;
}

int reader_next(Reader *r, const char **ret, size_t *ret_n) {
        size_t searched = 0;
        char *e;
        int k;

        for (;;) {
                e = r->end > r->begin + searched ? memchr(r->buf + r->begin + searched, '\n',
                                                          r->end - r->begin - searched)
                                                 : NULL;
                if (e || (r->eof && r->end > r->begin))
                        break;
                if (r->eof)
                        return 0;
                searched = r->end - r->begin;
                k = reader_fill(r);
                if (k < 0) {
                        r->number++;
                        return k;
                }
        }
        r->number++;
        if ((size_t) ((e ?: r->buf + r->end) - (r->buf + r->begin)) > LINE_SIZE_MAX)
                return -E2BIG;
        *ret = r->buf + r->begin;
        *ret_n = (e ?: r->buf + r->end) - *ret;
        r->begin += *ret_n + (e ? 1 : 0);
        r->bytes += *ret_n + 1;
        return 1;
}

/* ---- on top of the options ---- */

void line_done(Line *l) {
        spec_free(l->own);
        free(l->queue);
        free(l->tags);
        free(l->environment);
        free(l->properties);
}

static size_t name_length(const char *word, bool assignment) {
        return assignment ? strcspn(word, "=") : strlen(word);
}

/* Those of a whose name b does not have, then b. step 2: pairs; replace false: all of a. */
static int merge_lists(char *const *a, char *const *b, size_t step, bool replace, char ***ret) {
        char **l = new0(char *, strv_length(a) + strv_length(b) + 1);
        size_t n = 0;

        if (!l)
                return -ENOMEM;
        for (; a && *a; a += step) {
                size_t k = name_length(*a, step == 1);
                bool keep = true;

                for (char *const *i = b; replace && i && *i && keep; i += step)
                        keep = name_length(*i, step == 1) != k || memcmp(*i, *a, k) != 0;
                if (keep) {
                        memcpy(l + n, a, step * sizeof(char *));
                        n += step;
                }
        }
        STRV_FOREACH (i, b)
                l[n++] = *i;
        *ret = l;
        return 0;
}

bool line_has_key(uint64_t keys, const char *key) {
        const SpecField *f = spec_field_find(key);
        size_t n;

        return f && (keys & UINT64_C(1) << (f - spec_field_table(&n)));
}

static size_t field_size(const SpecField *f) {
        switch (f->type) {
        case SPEC_BOOL:
                return sizeof(bool);
        case SPEC_I32:
        case SPEC_U32:
        case SPEC_ENUM:
                return sizeof(uint32_t);
        case SPEC_USEC:
                return sizeof(usec_t);
        case SPEC_DOUBLE:
                return sizeof(double);
        case SPEC_EDGES:
                return sizeof(After *) + sizeof(size_t);
        default:
                return sizeof(char *);
        }
}

int line_merge(Line *l, const JobSpec *defaults, uint64_t keys) {
        const SpecField *fields;
        JobSpec *m = &l->merged;
        size_t n;

        *m = *defaults;
        fields = spec_field_table(&n);
        for (const SpecField *f = fields; f < fields + n; f++)
                if (keys & UINT64_C(1) << (f - fields))
                        memcpy((uint8_t *) m + f->offset, (uint8_t *) l->own + f->offset, field_size(f));
        /* A time takes the place of a span, and a span that of a time. */
        if (line_has_key(keys, "not_before_usec") && !line_has_key(keys, "delay_usec"))
                m->delay_usec = USEC_INFINITY;
        if (line_has_key(keys, "delay_usec") && !line_has_key(keys, "not_before_usec"))
                m->not_before_usec = USEC_INFINITY;
        m->payload_size = l->own->payload_size;
        m->has_payload = l->own->has_payload;
        if (line_has_key(keys, "credentials"))
                m->secrets = l->own->secrets;
        if (line_has_key(keys, "tags") && defaults->tags) {
                if (merge_lists(defaults->tags, l->own->tags, 2, true, &l->tags) < 0)
                        return -ENOMEM;
                m->tags = l->tags;
        }
        if (line_has_key(keys, "environment") && defaults->environment) {
                if (merge_lists(defaults->environment, l->own->environment, 1, true, &l->environment) < 0)
                        return -ENOMEM;
                m->environment = l->environment;
        }
        if (line_has_key(keys, "properties") && defaults->properties) {
                if (merge_lists(defaults->properties, l->own->properties, 1, false, &l->properties) < 0)
                        return -ENOMEM;
                m->properties = l->properties;
        }
        return 0;
}
