/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See durable.h. */

#include "queue/durable.h"

#include "base/strv.h"
#include "queue/crew.h"
#include "queue/model-internal.h"

Worker *model_worker_durable(const Model *m, uint32_t uid, const char *name) {
        for (Worker *w = m->workers; w; w = w->hh.next)
                if (w->durable && !w->gone && w->uid == uid && streq_ptr(w->name, name))
                        return w;
        return NULL;
}

static void set_away(Model *m, Worker *w, usec_t since) {
        heap_set_time(&m->workers_away, &w->away, since);
        worker_look_at_room(w);
        worker_changed(m, w);
}

bool model_worker_away(Model *m, Worker *w, const Now *now) {
        if (!w->durable || w->gone || w->n_attempts == 0)
                return false;
        if (w->away.when != USEC_INFINITY)
                return true;
        model_worker_connected(m, w, false);
        set_away(m, w, now->even);
        return true;
}

int model_worker_take_over(Model *m, Worker *w, Worker *by) {
        int r;

        worker_stand_up(w);
        HASH_DELETE(by_token, m->worker_tokens, w);
        w->token = by->token;
        HASH_ADD(by_token, m->worker_tokens, token, sizeof(w->token), w);
        w->boot_id = by->boot_id;
        w->pid = by->pid;
        w->started = by->started;
        free(w->unit);
        w->unit = TAKE_PTR(by->unit);
        free(w->metadata);
        w->metadata = TAKE_PTR(by->metadata);
        strv_free(w->queues);
        w->queues = TAKE_PTR(by->queues);
        free(w->adapter);
        w->adapter = TAKE_PTR(by->adapter);
        w->slots = by->slots;
        w->registered_usec = by->registered_usec;
        w->draining = false;
        worker_changed(m, w);
        r = worker_sit_down(w);
        if (r >= 0)
                set_away(m, w, USEC_INFINITY);
        return r;
}

usec_t workers_next_given_up(const Model *m, const Now *now) {
        usec_t until = usec_add(heap_first_time(m->workers_away), m->adapter_timeout);

        return until == USEC_INFINITY ? until : usec_add(now->steady, usec_sub(until, now->even));
}

void workers_give_up(Model *m, const Now *now) {
        while (workers_next_given_up(m, now) <= now->steady)
                model_worker_gone(m, CONTAINER_OF((TimedNode *) m->workers_away, Worker, away), now);
}

int model_attempt_keep(Model *m, Attempt *a, const char *engine, usec_t started_usec, const Now *now) {
        if (engine && !streq_ptr(a->engine, engine)) {
                int r = free_and_strdup(&a->engine, engine);

                if (r < 0)
                        return r;
                a->outcome_changed = true; /* it is asked for by this name, as soon as this is answered */
                model_attempt_changed(m, a);
        }
        if (started_usec != USEC_INFINITY && a->phase == ATTEMPT_STARTING) {
                /* The clock of another host may say anything. */
                usec_t at = MIN(MAX(started_usec, a->created_usec), now->realtime);

                model_attempt_started(m, a, SD_ID128_NULL, at, usec_sub(now->monotonic, usec_sub(now->realtime, at)));
        }
        return 0;
}
