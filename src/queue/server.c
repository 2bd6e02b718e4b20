/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See server.h. */

#include "queue/model.h"
#include "queue/pool.h"
#include "queue/reason.h"

Server *server_find(const Model *m, const char *unit) {
        Server *s = NULL;

        HASH_FIND_STR(m->servers, unit, s);
        return s;
}

static Server *server_free(Server *s) {
        free(s->unit);
        free(s->queue);
        free(s->owner_name);
        free(s->error);
        return mfree(s);
}

static void set_again(Model *m, Server *s, usec_t again) {
        s->again = again;
        heap_set_time(&m->servers_forget, &s->forget, usec_add(again, SERVER_AGAIN_MAX));
        if (s->kept.when != USEC_INFINITY)
                heap_set_time(&m->servers_kept, &s->kept, again);
}

/* Whoever lacks slots, and waits for it, may have to wait no longer, or in vain. */
static void touch_queues(Model *m, Server *s) {
        Queue *q, *t;

        heap_set_time(&m->servers_kept, &s->kept, USEC_INFINITY);
        if (s->queue) {
                q = model_queue(m, s->queue);
                if (q)
                        queue_touch_up(q);
                return;
        }
        HASH_ITER(hh, m->queues, q, t)
                if (q->policy.executor == EXECUTOR_WORKER && streq_ptr(q->policy.worker_unit, s->unit))
                        queue_touch_up(q);
}

void server_take(Model *m, Server *s) {
        if (s->wanted)
                TAILQ_REMOVE(&m->servers_wanted, s, wanted_entry);
        s->wanted = false;
}

static void server_drop(Model *m, Server *s) {
        server_take(m, s);
        heap_set_time(&m->servers_forget, &s->forget, USEC_INFINITY);
        heap_set_time(&m->servers_kept, &s->kept, USEC_INFINITY);
        HASH_DEL(m->servers, s);
        server_free(s);
}

static Server *server_new(Model *m, const char *unit, const Queue *q, uint32_t owner, const char *owner_name) {
        bool runner = q->policy.executor == EXECUTOR_POOL;
        Server *s = new0(Server, 1);

        if (!s)
                return NULL;
        s->unit = strdup(unit);
        s->queue = runner ? strdup(q->name) : NULL;
        s->owner = owner;
        s->forget.when = s->kept.when = USEC_INFINITY;
        if (!s->unit || (runner && (!s->queue || free_and_strdup(&s->owner_name, owner_name) < 0)))
                return server_free(s);
        HASH_ADD_KEYPTR(hh, m->servers, s->unit, strlen(s->unit), s);
        return s;
}

/* Whose process serves it; NULL: nothing is started for it. */
static const char *unit_of(const Queue *q, uint32_t owner, char runner[static POOL_UNIT_MAX]) {
        if (q->policy.executor != EXECUTOR_POOL)
                return q->policy.executor == EXECUTOR_WORKER ? q->policy.worker_unit : NULL;
        pool_unit_name(q->name, owner, runner);
        return runner;
}

/* One that is busy, or away for a moment, is there. One that takes no more is about to go; but while it is there, so is its unit. */
void server_want(Model *m, const Queue *q, uint32_t owner, const char *owner_name, const Now *now) {
        char runner[POOL_UNIT_MAX];
        const char *unit = unit_of(q, owner, runner);
        Server *s;

        if (!unit || worker_unit_is_there(m, q, owner))
                return;
        s = server_find(m, unit) ?: server_new(m, unit, q, owner, owner_name);
        if (!s || s->wanted || s->asking) /* without memory it is tried in the next turn */
                return;
        if (s->again <= now->steady || s->again > usec_add(now->steady, SERVER_AGAIN_MAX)) { /* the clock was set */
                s->wanted = true;
                TAILQ_INSERT_TAIL(&m->servers_wanted, s, wanted_entry);
                s->delay = s->delay == 0 ? SERVER_AGAIN_MIN : MIN(2 * s->delay, SERVER_AGAIN_MAX);
                set_again(m, s, usec_add(now->steady, s->delay));
        }
        m->next_admission = MIN(m->next_admission, s->again);
}

bool server_is_coming(Model *m, const Queue *q, uint32_t owner, const Now *now) {
        char runner[POOL_UNIT_MAX];
        const char *unit = unit_of(q, owner, runner);
        Server *s = unit ? server_find(m, unit) : NULL;

        if (!s || s->error || s->delay >= SERVER_QUIET)
                return false;
        if (s->again <= now->steady) /* the answer is late; with it those are asked of again that wait */
                return s->wanted || s->asking;
        heap_set_time(&m->servers_kept, &s->kept, s->again);
        m->next_admission = MIN(m->next_admission, s->again);
        return true;
}

void servers_decide(Model *m, const Now *now) {
        while (m->servers_kept && (heap_first_time(m->servers_kept) <= now->steady ||
                                   heap_first_time(m->servers_kept) > usec_add(now->steady, SERVER_AGAIN_MAX))) /* the clock was set */
                touch_queues(m, CONTAINER_OF(m->servers_kept, Server, kept));
        m->next_admission = MIN(m->next_admission, heap_first_time(m->servers_kept));
}

void server_asked(Model *m, Server *s, const char *error) {
        s->asking = false;
        (void) free_and_strdup(&s->error, error);
        touch_queues(m, s);
}

void server_is_in_the_way(Model *m, Server *s, const Now *now) {
        server_asked(m, s, NULL);
        set_again(m, s, usec_add(now->steady, s->delay / 4));
        m->next_admission = MIN(m->next_admission, s->again);
}

void server_came(Model *m, const char *unit) {
        Server *s = unit ? server_find(m, unit) : NULL;

        if (!s)
                return;
        touch_queues(m, s);
        server_drop(m, s);
}

void servers_forget_asked(Model *m) {
        for (Server *s = m->servers; s; s = s->hh.next)
                if (s->asking) {
                        s->asking = false;
                        set_again(m, s, 0);
                }
}

void servers_forget(Model *m, const Now *now) {
        while (heap_first_time(m->servers_forget) < now->steady) {
                Server *s = CONTAINER_OF(m->servers_forget, Server, forget);

                if (s->wanted || s->asking)
                        heap_set_time(&m->servers_forget, &s->forget, usec_add(now->steady, SERVER_AGAIN_MAX));
                else
                        server_drop(m, s);
        }
}

int server_reason(const Model *m, const Queue *q, uint32_t owner, char **ret) {
        char runner[POOL_UNIT_MAX];
        const char *unit = unit_of(q, owner, runner), *who = unit == runner ? "its runner" : unit;
        const Server *s = unit ? server_find(m, unit) : NULL;

        if (!s) /* it is not its turn, or there was no memory */
                return 0;
        if (s->error)
                return reason_say(ret, "%s cannot be started, trying again: %s", who, s->error);
        if (s->delay >= SERVER_QUIET)
                return reason_say(ret, "%s was started and is not heard of, trying again: journalctl -u %s", who, unit);
        return reason_say(ret, "%s is being started", who);
}

void servers_done(Model *m) {
        Server *s, *t;

        HASH_ITER(hh, m->servers, s, t)
                server_drop(m, s);
}
