/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why a job waits. It follows from the model alone, by the same questions in the same order as what starts next (schedule.c): so a
 * reason is true as long as the two agree, and the tests hold that they do. */

#include "queue/model.h"
#include "queue/retry.h"

#include "queue/reason.h"

void reason_span(char buf[SPAN_TEXT_MAX], usec_t t) {
        static const struct { const char *name; uint64_t seconds; } units[] = {
                { "d", 24 * 3600 }, { "h", 3600 }, { "min", 60 }, { "s", 1 },
        };
        uint64_t left = MAX(t / USEC_PER_SEC + (t % USEC_PER_SEC > 0), UINT64_C(1));
        size_t i = 0;
        int k;

        while (left < units[i].seconds)
                i++;
        k = snprintf(buf, SPAN_TEXT_MAX, "%" PRIu64 " %s", left / units[i].seconds, units[i].name);
        left %= units[i].seconds;
        if (i + 1 < ELEMENTSOF(units) && left / units[i + 1].seconds > 0)
                (void) snprintf(buf + k, SPAN_TEXT_MAX - k, " %" PRIu64 " %s", left / units[i + 1].seconds, units[i + 1].name);
}

int reason_say(char **ret, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        *ret = vformat(format, ap);
        va_end(ap);
        return *ret ? 1 : -ENOMEM;
}

/* What holds for all jobs of a queue. 1 and *ret, 0: nothing, -ENOMEM. */
static int shut_reason(const Model *m, const Queue *q, const Now *now, char **ret) {
        const Queue *at;

        if (m->dispatch_blocked)
                return reason_say(ret, "%s", m->dispatch_blocked);
        if (!queue_has_file(q))
                return reason_say(ret, "its queue has no file");
        at = queue_broken_at(q);
        if (at)
                return reason_say(ret, "the file of queue %s is bad", at->name);
        at = queue_paused_at(q);
        if (at)
                return reason_say(ret, "queue %s is paused", at->name);
        at = queue_shut_at(q);
        if (!at)
                return 0;
        return queue_shut_reason(m, at, q, now, ret);
}

/* … for one of so many slots. */
static int room_reason(const Model *m, const Queue *q, uint32_t slots, char **ret) {
        const Queue *at;

        at = queue_too_small(q, slots);
        if (at)
                return at == q ? reason_say(ret, "needs %" PRIu32 ", cap is %" PRIu32, slots, at->policy.slots) :
                                 reason_say(ret, "needs %" PRIu32 ", cap of %s is %" PRIu32, slots, at->name, at->policy.slots);
        at = queue_lacking_at(q, slots);
        if (at)
                return slots == 1 ? reason_say(ret, "cap of %s: %" PRIu32 " of %" PRIu32, at->name, at->slots_used, at->policy.slots) :
                                    reason_say(ret, "needs %" PRIu32 ", cap of %s: %" PRIu32 " of %" PRIu32, slots, at->name,
                                        at->slots_used, at->policy.slots);
        if (schedule_is_full(m))
                return reason_say(ret, "%u others are being started", m->n_starting);
        return 0;
}

/* A worker would have room for it, but has none for one before it. */
static int skipped_reason(const Model *m, const Job *j, const Queue *q, char **ret) {
        _cleanup_free_ char *why = NULL;
        uint32_t slots;
        uint64_t first = schedule_skipped_for(q, j->owner, &slots);
        int r;

        if (first == 0 || first == j->id)
                return 0;
        r = worker_reason(m, q, j->owner, slots, &why);
        return r <= 0 ? r : reason_say(ret, "job %" PRIu64 " is before it: %s", first, why);
}

static char *time_reason(const Job *j, const Now *now) {
        usec_t left = usec_sub(j->not_before_usec, j->delayed ? now->steady : now->realtime);
        char span[SPAN_TEXT_MAX], *s = NULL;

        if (j->not_before_usec == USEC_INFINITY || left == 0)
                return strdup("waits for its time");
        reason_span(span, left);
        return reason_say(&s, "waits for its time, in %s", span) < 0 ? NULL : s;
}

char *schedule_reason(const Model *m, const Job *j, const Queue *q, const Now *now) {
        char *s = NULL;
        int r;

        if (j->state == JOB_HELD)
                return strdup("held");
        if (j->state == JOB_WAITING && j->array_waits && j->blockers == 1 && j->in_array)
                return reason_say(&s, "array %" PRIu64 ": %" PRIu32 " of %" PRIu32, j->array, j->in_array->used, j->in_array->max_running) < 0 ? NULL : s;
        if (j->state == JOB_WAITING && j->attempt > 0)
                return retry_reason(m, j, now);
        if (j->state == JOB_WAITING)
                return time_reason(j, now);
        if (j->state != JOB_READY)
                return strdup("");

        r = shut_reason(m, q, now, &s);
        if (r == 0)
                r = room_reason(m, q, j->slots, &s);
        if (r == 0 && job_has_worker(m, q, j->id))
                r = worker_reason(m, q, j->owner, j->slots, &s);
        if (r == 0)
                r = skipped_reason(m, j, q, &s);
        if (r == 0 && run_is_away(m, j->id))
                return strdup("its process is not connected");
        if (r == 0) {
                const Queue *at = queue_blocked_at(q);

                /* It would fit in, but one before it must not starve. */
                r = at ? reason_say(&s, "an earlier job needs the room in %s: %" PRIu32 " of %" PRIu32, at->name, at->slots_used,
                             at->policy.slots) : reason_say(&s, "its turn is next");
        }
        return r < 0 ? NULL : s;
}

char *queue_reason(const Model *m, const Queue *q, const Now *now) {
        bool has_file = queue_has_file(q);
        char *s = NULL;
        int r = 0;

        /* Of a queue in which nobody waits only what somebody did to it. */
        if (has_file && (q->backlog.n > 0 || queue_broken_at(q) || queue_paused_at(q)))
                r = shut_reason(m, q, now, &s);
        if (r == 0 && q->backlog.n > 0)
                r = room_reason(m, q, 1, &s);
        return r < 0 ? NULL : r > 0 ? s : strdup("");
}
