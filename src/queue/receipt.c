/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receipts in memory: only those of the commit that is being prepared. And the digest of a request, over the fields of its
 * specs as the table names them: what is not given and what is given as the default is the same. */

#include "base/strv.h"
#include "queue/model.h"

Receipt *receipt_new(uint32_t caller, const char *request_id) {
        Receipt *r = new0(Receipt, 1);

        if (!r)
                return NULL;
        r->caller = caller;
        r->request_id = strdup(request_id);
        return r->request_id ? r : receipt_free(r);
}

Receipt *receipt_free(Receipt *r) {
        if (!r)
                return NULL;
        free(r->request_id);
        free(r->ids);
        return mfree(r);
}

void receipts_free(struct ReceiptList *l) {
        for (Receipt *r; (r = TAILQ_FIRST(l));) {
                TAILQ_REMOVE(l, r, entry);
                receipt_free(r);
        }
}

void model_receipt_add(Model *m, Receipt *r) {
        TAILQ_INSERT_TAIL(&m->receipts, r, entry);
}

const Receipt *model_receipt(const Model *m, uint32_t caller, const char *request_id) {
        const Receipt *r;

        TAILQ_FOREACH(r, &m->receipts, entry)
                if (r->caller == caller && streq(r->request_id, request_id))
                        return r;
        return NULL;
}

/* ---- digest ---- */

static uint64_t mix(uint64_t h, uint64_t word) {
        h = ((h ^ word) + UINT64_C(0xd1b54a32d192ed03)) * UINT64_C(0x9e3779b97f4a7c15);
        return h ^ h >> 29;
}

/* With the length, so that no two lists of texts look the same. In words: payloads are large. */
static uint64_t mix_bytes(uint64_t h, const void *data, size_t size) {
        const uint8_t *p = data;
        uint64_t word;

        h = mix(h, size);
        for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                h = mix(h, word);
        }
        word = 0;
        if (size > 0)
                memcpy(&word, p, size);
        return mix(h, word);
}

static uint64_t mix_text(uint64_t h, const char *s) {
        return mix_bytes(h, s, strlen(s));
}

static uint64_t mix_field(uint64_t h, const JobSpec *s, const SpecField *f) {
        uint64_t sum = 0;

        switch (f->type) {
        case SPEC_STRING:
                return mix_text(h, spec_field_ptr(const char *, s, f));
        case SPEC_CREDENTIALS: /* their names: nothing that is kept may help to guess the bytes */
        case SPEC_STRV:
                STRV_FOREACH(i, spec_field_ptr(char **, s, f))
                        h = mix_text(h, *i);
                return mix(h, strv_length(spec_field_ptr(char **, s, f)));
        case SPEC_TAGS: /* a sum: in any order */
                STRV_FOREACH_PAIR(k, v, spec_field_ptr(char **, s, f))
                        sum += mix_text(mix_text(1, *k), *v);
                return mix(h, sum);
        case SPEC_BYTES:
                return mix_bytes(h, s->payload, s->payload_size);
        case SPEC_BOOL:
                return mix(h, spec_field_ptr(bool, s, f));
        case SPEC_I32:
        case SPEC_U32:
        case SPEC_ENUM:
                return mix(h, spec_field_ptr(uint32_t, s, f));
        case SPEC_USEC:
                return mix(h, spec_field_ptr(usec_t, s, f));
        case SPEC_DOUBLE:
                return mix_bytes(h, &spec_field_ptr(double, s, f), sizeof(double));
        case SPEC_EDGES:
                for (size_t i = 0; i < s->n_after; i++)
                        h = mix(mix(h, s->after[i].id), s->after[i].condition | s->after[i].otherwise << 8);
                return mix(h, s->n_after);
        }
        return h;
}

uint64_t receipt_digest(uint64_t digest, const char *queue, const JobSpec *s) {
        const SpecField *fields;
        size_t n;

        digest = mix_text(digest, queue);
        fields = spec_field_table(&n);
        for (const SpecField *f = fields; f < fields + n; f++)
                if (!spec_field_is_default(s, f) && !streq(f->name, "request_id"))
                        digest = mix_field(mix_text(digest, f->name), s, f);
        return digest;
}
