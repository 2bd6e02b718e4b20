/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See server.h. */

#include "queue/model.h"
#include "queue/reason.h"

static Server *server_find(const Model *m, const char *unit) {
        Server *s = NULL;

        HASH_FIND_STR(m->servers, unit, s);
        return s;
}

static Server *server_free(Server *s) {
        free(s->unit);
        free(s->error);
        return mfree(s);
}

static Server *server_get(Model *m, const char *unit) {
        Server *s = server_find(m, unit);

        if (s)
                return s;
        s = new0(Server, 1);
        if (!s || !(s->unit = strdup(unit))) {
                free(s);
                return NULL;
        }
        HASH_ADD_KEYPTR(hh, m->servers, s->unit, strlen(s->unit), s);
        return s;
}

/* The unit whose process serves it; NULL: nothing is started for it. */
static const char *unit_of(const Queue *q) {
        return q->policy.executor == EXECUTOR_WORKER ? q->policy.worker_unit : NULL;
}

/* One that is busy, or away for a moment, is there. One that takes no more is about to go; but while it is there, so is its unit. */
static bool is_there(const Model *m, const Queue *q, uint32_t owner, const char *unit) {
        for (const Worker *w = m->workers; w; w = w->hh.next)
                if (streq_ptr(w->unit, unit) && worker_serves(w, q, owner))
                        return true;
        return false;
}

void server_want(Model *m, const Queue *q, uint32_t owner, const Now *now) {
        const char *unit = unit_of(q);
        Server *s;

        if (!unit || is_there(m, q, owner, unit))
                return;
        s = server_get(m, unit);
        if (!s || s->wanted || s->asking) /* without memory it is tried in the next turn */
                return;
        if (s->again > now->steady && s->again <= usec_add(now->steady, SERVER_AGAIN_MAX)) { /* else the clock was set */
                m->next_admission = MIN(m->next_admission, s->again);
                return;
        }
        s->wanted = true;
        s->delay = s->delay == 0 ? SERVER_AGAIN_MIN : MIN(2 * s->delay, SERVER_AGAIN_MAX);
        s->again = usec_add(now->steady, s->delay);
}

void server_asked(Model *m, Server *s, const char *error) {
        Queue *q, *t;

        s->asking = false;
        if (streq_ptr(s->error, error) || free_and_strdup(&s->error, error) < 0)
                return;
        HASH_ITER(hh, m->queues, q, t)
                if (streq_ptr(unit_of(q), s->unit))
                        queue_touch(q);
}

void server_came(Model *m, const char *unit) {
        Server *s = unit ? server_find(m, unit) : NULL;

        if (!s || s->asking) /* its answer finds it */
                return;
        HASH_DEL(m->servers, s);
        server_free(s);
}

void servers_forget_asked(Model *m) {
        for (Server *s = m->servers; s; s = s->hh.next)
                if (s->asking) {
                        s->asking = false;
                        s->again = 0;
                }
}

int server_reason(const Model *m, const Queue *q, char **ret) {
        const char *unit = unit_of(q);
        const Server *s = unit ? server_find(m, unit) : NULL;

        if (!s)
                return 0;
        return s->error ? reason_say(ret, "%s cannot be started: %s", unit, s->error) : reason_say(ret, "starting %s", unit);
}

void servers_done(Model *m) {
        Server *s, *t;

        HASH_ITER(hh, m->servers, s, t) {
                HASH_DEL(m->servers, s);
                server_free(s);
        }
}
