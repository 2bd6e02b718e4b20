/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who holds which unique key (unique.h).
 *
 *   scope queued   from the submit to the first start: what waits is waiting once
 *   scope live     from the submit to the end
 *   scope span     from the submit to the end, and until the span has passed since the submit, unless it never started
 *
 * What gave its key up does not take it again by itself: an attempt that is repeated runs without it. Only a retry by hand takes it, and
 * is refused where somebody else has it by then. A start that the manager refused was none, though: the job waits as before, and takes its
 * key again, unless somebody else has it by then. Then both of them stay; there is no way to say no to either any more. */

#include "queue/unique.h"

#include "base/string-table.h"
#include "base/time-util.h"
#include "queue/model.h"
#include "queue/spec-change.h"

static const char *const unique_scope_table[_UNIQUE_SCOPE_MAX] = {
        [UNIQUE_NONE] = "",
        [UNIQUE_QUEUED] = "queued",
        [UNIQUE_LIVE] = "live",
        [UNIQUE_SPAN] = "span",
};
DEFINE_STRING_TABLE_LOOKUP(unique_scope, UniqueScope);

int unique_scope_parse(const char *text, UniqueScope *ret, usec_t *ret_span) {
        *ret_span = USEC_INFINITY;
        *ret = !text || streq(text, "live") ? UNIQUE_LIVE : streq(text, "queued") ? UNIQUE_QUEUED : UNIQUE_SPAN;
        if (*ret != UNIQUE_SPAN)
                return 0;
        return parse_span(text, ret_span) < 0 || *ret_span == 0 || *ret_span == USEC_INFINITY ? -EINVAL : 0;
}

void unique_init(UniqueKeys *u) {
        FOREACH_ELEMENT(b, u->buckets)
                TAILQ_INIT(b);
}

static struct HolderList *bucket(const Model *m, uint32_t owner, const char *key) {
        uint64_t h = owner;

        for (const char *p = key; *p; p++)
                h = (h ^ (uint8_t) *p) * UINT64_C(0x100000001b3);
        return (struct HolderList *) m->unique.buckets + (h ^ h >> 32) % ELEMENTSOF(m->unique.buckets);
}

Job *unique_holder(const Model *m, const Queue *q, uint32_t owner, const char *key) {
        Job *j;

        TAILQ_FOREACH(j, bucket(m, owner, key), unique_entry)
                if (j->owner == owner && j->queue == q && streq(j->unique_key, key))
                        return j;
        return NULL;
}

bool unique_is_same(const Job *a, const Job *b) {
        return a == b || (a->array > 0 && a->array == b->array);
}

bool unique_shares(const Job *j, const Job *other) {
        return j->unique_held && j->queue == other->queue && j->owner == other->owner && streq_ptr(j->unique_key, other->unique_key);
}

bool unique_is_over(const Job *j, const Now *now) {
        return j->state == JOB_DONE && (j->unique_until_usec == USEC_INFINITY || j->unique_until_usec <= now->steady);
}

/* ---- holding ---- */

void unique_submitted(Job *j, const JobSpec *spec, const Now *now) {
        usec_t span;

        if (!j->unique_key)
                return;
        (void) unique_scope_parse(spec->unique_scope, &j->unique_scope, &span);
        if (span != USEC_INFINITY)
                j->unique_until_usec = MIN(usec_add(now->steady, span), (usec_t) INT64_MAX);
}

void unique_job_added(Model *m, Job *j) {
        if (j->unique_held)
                TAILQ_INSERT_TAIL(bucket(m, j->owner, j->unique_key), j, unique_entry);
}

void unique_job_dropped(Model *m, Job *j) {
        if (j->unique_held)
                TAILQ_REMOVE(bucket(m, j->owner, j->unique_key), j, unique_entry);
}

void unique_take(Model *m, Job *j) {
        const Job *holder;

        if (!j->unique_key || j->unique_held)
                return;
        holder = unique_holder(m, j->queue, j->owner, j->unique_key);
        if (holder && !unique_is_same(holder, j))
                return;
        j->unique_held = true;
        unique_job_added(m, j);
        model_job_changed(m, j);
}

void unique_give_up(Model *m, Job *j) {
        if (!j->unique_held)
                return;
        unique_job_dropped(m, j);
        j->unique_held = false;
        model_job_changed(m, j);
}

void unique_state_changes(Model *m, Job *j, JobState state) {
        bool starts = j->unique_held && state == JOB_STARTING && j->unique_scope == UNIQUE_QUEUED;

        if (starts || (j->unique_held && state == JOB_DONE && (j->unique_scope != UNIQUE_SPAN || j->attempt == 0)))
                unique_give_up(m, j);
        j->unique_lent = starts || (j->unique_lent && state == JOB_READY);
}

void unique_start_undone(Model *m, Job *j) {
        if (!j->unique_lent)
                return;
        j->unique_lent = false;
        j->unique_wanted = m->unique.wanted = true;
}

void unique_change(Model *m, Job *j, char **key, const JobSpec *spec, uint64_t fields) {
        usec_t span;

        if (fields & spec_field_bit(spec_field_find("unique_key"))) {
                unique_give_up(m, j);
                free(j->unique_key);
                j->unique_key = TAKE_PTR(*key);
                if (j->unique_key && j->unique_scope == UNIQUE_NONE)
                        j->unique_scope = UNIQUE_LIVE;
                unique_take(m, j);
        }
        if (!(fields & spec_field_bit(spec_field_find("unique_scope"))))
                return;
        (void) unique_scope_parse(spec->unique_scope, &j->unique_scope, &span);
        j->unique_until_usec = span == USEC_INFINITY ? span : MIN(usec_add(j->submitted_usec, span), (usec_t) INT64_MAX);
}
