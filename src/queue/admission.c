/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See admission.h. Only queues with such a policy are judged, and those that the manager refused a unit of: the list
 * model->regulated. Those that are shut for a time are in a heap: a turn in which nothing else has changed judges whom it is over for. */

#include "queue/model.h"
#include "queue/reason.h"

#include <stdarg.h>

#define PRESSURE_LOW(limit) ((limit) / 5 * 4 + (limit) % 5 * 4 / 5) /* four fifths: below that it opens again */
#define REFUSED_FOR USEC_PER_SEC
#define RAMP_MAX (UINT32_C(1) << 20)

static const char *const pressure_names[_PRESSURE_MAX] = {
        [PRESSURE_CPU] = "cpu",
        [PRESSURE_MEMORY] = "memory",
        [PRESSURE_IO] = "io",
};

const char *pressure_to_string(Pressure p) {
        return pressure_names[p];
}

/* ---- what policies ask for ---- */

static bool has_pressure_limit(const QueuePolicy *p) {
        for (Pressure i = 0; i < _PRESSURE_MAX; i++)
                if (p->pressure_max[i] != PRESSURE_NO_LIMIT)
                        return true;
        return false;
}

static bool is_pressure_limited(const Queue *q) {
        for (; q; q = q->parent)
                if (has_pressure_limit(&q->policy))
                        return true;
        return false;
}

static void set_shut(Queue *q, Shut shut) {
        if (q->shut == shut)
                return;
        q->shut = shut;
        queue_touch(q);
}

static void regulate(Model *m, Queue *q, bool yes) {
        if (q->regulated == yes)
                return;
        if (yes)
                TAILQ_INSERT_TAIL(&m->regulated, q, regulated_entry);
        else {
                TAILQ_REMOVE(&m->regulated, q, regulated_entry);
                heap_set_time(&m->judged, &q->judged, USEC_INFINITY);
        }
        q->regulated = yes;
        set_shut(q, SHUT_NOT);
}

/* The window is kept as long as the policy is not known to have none. */
static int configure_rate(Model *m, Queue *q) {
        if (q->policy.rate.n > 0 && !q->starts) {
                q->starts = new0(RateWindow, 1);
                return q->starts ? 0 : -ENOMEM;
        }
        if (q->policy.rate.n == 0 && q->starts && !q->broken) {
                q->starts = mfree(q->starts);
                q->starts_changed = true;
                model_queue_changed(m, q);
        }
        return 0;
}

/* true: it has just eased. */
static bool judge_pressure(Queue *q, const PressureSample samples[_PRESSURE_MAX]) {
        bool was_shut = q->pressure_shut;

        for (Pressure i = 0; i < _PRESSURE_MAX; i++) {
                uint32_t limit = q->policy.pressure_max[i];
                bool shut = q->pressure_shut & 1U << i;

                shut = limit != PRESSURE_NO_LIMIT &&
                       (samples[i].error < 0 || samples[i].permyriad > (shut ? PRESSURE_LOW(limit) : limit));
                q->pressure_shut = (q->pressure_shut & ~(1U << i)) | (uint8_t) shut << i;
        }
        if (q->pressure_shut || !has_pressure_limit(&q->policy))
                q->ramp_step = 0;
        else if (was_shut)
                q->ramp_step = q->ramp_left = 1;
        return was_shut && !q->pressure_shut;
}

/* What starts shows in an average over ten seconds only later. So after pressure one starts, and twice as many each time that it is read and is
 * low, until not all start that may. */
static void ramp_up(Queue *q) {
        q->ramp_step = q->ramp_left > 0 ? 0 : MIN(q->ramp_step * 2, RAMP_MAX);
        q->ramp_left = q->ramp_step;
}

int admission_configure(Model *m) {
        Queue *q, *tq;
        int r;

        m->judge_all = m->pressure_look = true;
        m->n_pressure_limited = 0;
        gates_begin(m);
        HASH_ITER(hh, m->queues, q, tq) {
                const QueuePolicy *p = &q->policy;

                r = gate_want(m, q);
                if (r >= 0)
                        r = configure_rate(m, q);
                if (r < 0)
                        return r;
                (void) judge_pressure(q, m->pressure);
                m->n_pressure_limited += has_pressure_limit(p);
                q->pressure_limited = is_pressure_limited(q);
                regulate(m, q, p->rate.n > 0 || q->gate || has_pressure_limit(p) || q->refusal);
        }
        gates_end(m);
        return workers_configure(m);
}

/* ---- decide ---- */

static bool ramp_is_used_up(const Queue *q) {
        return q->ramp_step > 0 && q->ramp_left == 0;
}

static Shut judge(Queue *q, const Now *now) {
        if (q->refused_until == USEC_INFINITY)
                q->refused_until = usec_add(now->steady, REFUSED_FOR);
        if (q->refusal && q->refused_until <= now->steady)
                q->refusal = mfree(q->refusal);
        q->rate_next = q->starts && q->policy.rate.n > 0 ? rate_next(q->starts, &q->policy.rate, now->steady) : 0;
        return q->gate && !q->gate->open      ? SHUT_GATE
               : q->pressure_shut             ? SHUT_PRESSURE
               : ramp_is_used_up(q)           ? SHUT_RAMP
               : q->rate_next > now->steady   ? SHUT_RATE
               : q->refusal                   ? SHUT_BACKSTOP
                                              : SHUT_NOT;
}

static void judge_one(Model *m, Queue *q, const Now *now) {
        set_shut(q, judge(q, now));
        heap_set_time(&m->judged, &q->judged,
                      q->shut == SHUT_RATE       ? q->rate_next
                      : q->shut == SHUT_BACKSTOP ? q->refused_until
                                                 : USEC_INFINITY);
}

void admission_decide(Model *m, const Now *now) {
        Queue *q;

        if (m->judge_all)
                TAILQ_FOREACH(q, &m->regulated, regulated_entry)
                        judge_one(m, q, now);
        m->judge_all = false;
        while (heap_first_time(m->judged) <= now->steady)
                judge_one(m, CONTAINER_OF(m->judged, Queue, judged), now);
        m->next_admission = heap_first_time(m->judged);
}

void admission_started(Model *m, Queue *q, const Now *now) {
        for (; q; q = q->parent) {
                bool rated = q->starts && q->policy.rate.n > 0;

                if (q->ramp_left > 0)
                        q->ramp_left--;
                else if (!rated)
                        continue;
                if (rated) {
                        rate_started(q->starts, &q->policy.rate, now->steady);
                        q->starts_changed = true;
                        model_queue_changed(m, q);
                }
                judge_one(m, q, now);
        }
        m->next_admission = MIN(m->next_admission, heap_first_time(m->judged)); /* others have theirs, too (server.c) */
}

const Queue *queue_shut_at(const Queue *q) {
        for (; q; q = q->parent)
                if (q->shut != SHUT_NOT)
                        return q;
        return NULL;
}

void admission_clock_set(Model *m, int64_t step) {
        Queue *q;

        m->judge_all = true;
        TAILQ_FOREACH(q, &m->regulated, regulated_entry) {
                if (q->starts)
                        rate_moved(q->starts, step);
                if (q->refused_until != USEC_INFINITY)
                        q->refused_until = step < 0 ? usec_sub(q->refused_until, -(uint64_t) step) : usec_add(q->refused_until, step);
        }
}

void admission_refused(Model *m, Queue *q, const char *error) {
        /* Without memory for the reason it is asked again at once. */
        if (free_and_strdup(&q->refusal, error) < 0)
                return;
        q->refused_until = USEC_INFINITY; /* it counts from the next decision: the clock may just have been set */
        regulate(m, q, true);
        if (q->shut == SHUT_NOT)
                set_shut(q, SHUT_BACKSTOP);
        heap_set_time(&m->judged, &q->judged, 0);
}

/* ---- pressure ---- */

bool admission_limits_pressure(const Model *m, Pressure p) {
        const Queue *q;

        TAILQ_FOREACH(q, &m->regulated, regulated_entry)
                if (q->policy.pressure_max[p] != PRESSURE_NO_LIMIT)
                        return true;
        return false;
}

/* Held jobs, and those whose time has not come, are queued too; and those of a paused queue wait for something else. */
static bool waits_for_pressure(const Queue *q) {
        return q->pressure_limited && q->count[JOB_READY] > 0 && q->configured && !queue_broken_at(q) && !queue_paused_at(q);
}

bool admission_wants_pressure(const Model *m) {
        Queue *q, *t;

        if (m->n_pressure_limited > 0)
                HASH_ITER(hh, m->queues, q, t)
                        if (waits_for_pressure(q))
                                return true;
        return false;
}

void admission_ready(Model *m, const Queue *q) {
        m->pressure_look = m->pressure_look || waits_for_pressure(q);
}

void admission_pressure(Model *m, const PressureSample samples[_PRESSURE_MAX], const Now *now) {
        bool stale = usec_add(m->pressure_at, PRESSURE_FRESH) < now->monotonic;
        Queue *q;

        m->judge_all = true;
        memcpy(m->pressure, samples, sizeof(m->pressure));
        m->pressure_at = now->monotonic;
        TAILQ_FOREACH(q, &m->regulated, regulated_entry) {
                if (stale)
                        q->pressure_shut = q->ramp_step = 0;
                if (!judge_pressure(q, samples))
                        ramp_up(q);
        }
}

/* ---- reasons ---- */

static int pressure_reason(const Model *m, const Queue *q, char **ret) {
        Pressure i = 0;

        while (!(q->pressure_shut & 1U << i))
                i++;
        if (m->pressure[i].error < 0)
                return reason_say(ret, "%s pressure, which %s limits, cannot be read: %s", pressure_names[i], q->name,
                             strerror(-m->pressure[i].error));
        return reason_say(ret, "%s pressure of %.2f%%: %s starts at %.2f%%", pressure_names[i], m->pressure[i].permyriad / 100.0,
                     q->name, PRESSURE_LOW(q->policy.pressure_max[i]) / 100.0);
}

int queue_shut_reason(const Model *m, const Queue *shut, const Queue *of, const Now *now, char **ret) {
        char span[SPAN_TEXT_MAX];

        switch (shut->shut) {
        case SHUT_GATE:
                return reason_say(ret, "gate %s %s", shut->gate->unit, shut->gate->state ?: "is not known yet");
        case SHUT_PRESSURE:
                return pressure_reason(m, shut, ret);
        case SHUT_RAMP:
                reason_span(span, usec_sub(usec_add(m->pressure_at, PRESSURE_INTERVAL), now->monotonic));
                return reason_say(ret, "pressure of %s has eased: %" PRIu32 " started, it is read again in %s", shut->name, shut->ramp_step, span);
        case SHUT_RATE:
                if (shut->rate_next <= now->steady)
                        break;
                reason_span(span, usec_sub(shut->rate_next, now->steady));
                return shut == of ? reason_say(ret, "rate: next in %s", span) : reason_say(ret, "rate of %s: next in %s", shut->name, span);
        case SHUT_BACKSTOP:
                return reason_say(ret, "systemd takes no more units of %s: %s", shut->name, shut->refusal);
        default:
                break;
        }
        return reason_say(ret, "its turn is next");
}
