/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units that are started in the world of test-policy-random.c because a job waits for the process that they hold: that of WorkerUnit=, and runners.
 * When each is asked for is foretold here, and compared with what the daemon does (daemon/pool.c, unit/server.c). */

#include "policy-events.h"
#include "policy-view.h"

#include "queue/pool.h"

#define SERVICE "w.service"

/* Of jobs of this user there; NULL: nothing is started for them. */
static Starter *starter_of(unsigned queue, uint32_t owner) {
        int of = w.setup[queue].pool ? (int) queue : -1;
        Starter *s = w.starters;

        if (!w.setup[queue].by_workers || (of < 0 && !w.setup[queue].unit))
                return NULL;
        while (s->used && (s->queue != of || (of >= 0 && s->owner != owner)))
                if (++s == w.starters + STARTERS_MAX)
                        fail("too many units are to be started");
        if (!s->used)
                *s = (Starter) { .used = true, .queue = of, .owner = owner };
        return s;
}

static void unit_name(const Starter *s, char ret[static POOL_UNIT_MAX]) {
        if (s->queue >= 0)
                pool_unit_name(queue_names[s->queue], s->owner, ret);
        else
                (void) snprintf(ret, POOL_UNIT_MAX, SERVICE);
}

static bool is_of(const Peer *p, const Starter *s) {
        return s->queue >= 0 ? p->runner == s->queue && p->owner == s->owner : p->in_unit;
}

/* What the daemon knows of it; what the manager does about it is another thing. */
static void forget(Starter *s) {
        s->known = s->wanted = s->asking = s->refused = false;
        s->asked = 0;
        s->again = 0;
}

static usec_t delay_of(const Starter *s) {
        return MIN(SEC << MIN(s->asked - 1, 6U), 60 * SEC);
}

/* For three seconds somebody is expected, unless the manager says otherwise. */
bool server_comes_soon(unsigned queue, uint32_t owner) {
        const Starter *s = starter_of(queue, owner);

        return s && s->known && !s->refused && delay_of(s) < 4 * SEC && (s->wanted || s->asking || s->again > w.m.now.steady);
}

/* ---- the daemon ---- */

/* A job's turn has come, and nobody has it. After a second, two, four … up to a minute it is asked for again; or when the clock was set. */
void manager_want_server(Manager *m, const Queue *q, uint32_t owner) {
        unsigned queue = queue_index(q->name);
        Starter *s = starter_of(queue, owner);
        bool there = false;

        for (const Peer *p = w.peers; s && p < w.peers + PEERS_MAX; p++)
                there = there || (peer_serves(p, queue, owner) && is_of(p, s));
        if (s && !there) {
                s->known = true;
                if (!s->wanted && !s->asking && (m->now.steady >= s->again || s->again > m->now.steady + 60 * SEC)) {
                        s->wanted = true;
                        s->asked++;
                        s->again = m->now.steady + delay_of(s);
                }
        }
        server_want(m->model, q, owner, "alice", &m->now);
}

void servers_act(Manager *m) {
        servers_forget(m->model, &m->now);
        for (Starter *s = w.starters; s < w.starters + STARTERS_MAX && s->used; s++) {
                char name[POOL_UNIT_MAX];
                Server *x;

                unit_name(s, name);
                x = server_find(m->model, name);
                if (!x && s->known && !s->wanted && !s->asking && m->now.steady > s->again + 60 * SEC) /* it need not at once */
                        forget(s);
                if (!x != !s->known || (x && (x->wanted != s->wanted || x->asking != s->asking)))
                        fail("%s is %s, it should be %s", name, !x ? "not wanted" : x->asking ? "asked for" : x->wanted ? "to be asked for" : "waited for",
                             !s->known ? "not wanted" : s->asking ? "asked for" : s->wanted ? "to be asked for" : "waited for");
                if (!s->wanted || w.sync || w.dying)
                        continue;
                COUNT(server_asked);
                if (s->asked > 1)
                        COUNT(server_asked_again);
                say("    %s is asked for\n", name);
                s->wanted = false;
                server_take(m->model, x);
                s->asking = x->asking = s->sent = true;
        }
}

void servers_loaded(void) {
        for (Starter *s = w.starters; s < w.starters + STARTERS_MAX; s++)
                forget(s);
}

void server_registered(const Peer *p) {
        for (Starter *s = w.starters; s < w.starters + STARTERS_MAX && s->used; s++)
                if (is_of(p, s))
                        forget(s);
}

/* Nobody is there to take it. */
void server_check(const View *v, const char *reason) {
        const Starter *s = starter_of(v->queue, v->owner);
        const char *who = s && s->queue >= 0 ? "its runner" : SERVICE;
        char name[POOL_UNIT_MAX];

        if (!s || !s->known) {
                COUNT(reason_no_worker);
                reason_is(v, reason, "no worker serves queue %s", queue_names[v->queue]);
                if (s && w.skipped[v->queue][v->owner - 1000])
                        fail("job %" PRIu64 " waits for %s, which is not started", v->id, who);
                return;
        }
        unit_name(s, name);
        if (s->refused)
                COUNT(reason_not_started), reason_is(v, reason, "%s cannot be started, trying again: no such unit", who);
        else if (delay_of(s) >= 4 * SEC)
                COUNT(reason_not_heard), reason_is(v, reason, "%s was started and is not heard of, trying again: journalctl -u %s", who, name);
        else
                COUNT(reason_is_started), reason_is(v, reason, "%s is being started", who);
        if (w.skipped[v->queue][v->owner - 1000] && !s->asking && (!w.due.on || w.due.at > s->again))
                fail("job %" PRIu64 " waits for %s, and nothing wakes it", v->id, name);
}

/* ---- the manager ---- */

static void answer(Starter *s, bool good, bool is_there) {
        char name[POOL_UNIT_MAX];
        Server *x;

        unit_name(s, name);
        x = server_find(w.m.model, name);
        s->sent = false;
        s->runs = s->runs || good;
        if (!x || !x->asking)
                return;
        s->asking = false;
        s->refused = !good && !is_there;
        if (is_there) {
                s->again = w.m.now.steady + delay_of(s) / 4;
                server_is_in_the_way(w.m.model, x, &w.m.now);
        } else
                server_asked(w.m.model, x, good ? NULL : "no such unit");
}

static bool comes(Starter *s, uint32_t slots) {
        char name[POOL_UNIT_MAX];

        for (const Peer *p = w.peers; p < w.peers + PEERS_MAX; p++)
                if (p->there && is_of(p, s) && !p->gone)
                        return false;
        unit_name(s, name);
        s->runs = false;
        return peer_comes(s->queue >= 0 ? s->owner : 1000 + any(N_OWNERS), slots, s->queue >= 0 ? 1U << s->queue : (1U << N_QUEUES) - 1, name, s->queue);
}

bool server_event(unsigned kind) {
        Starter *s = w.starters + any(STARTERS_MAX);

        for (unsigned i = 0; i < STARTERS_MAX && !(kind == EVENT_answers ? s->sent : s->runs); i++)
                if (++s == w.starters + STARTERS_MAX)
                        s = w.starters;
        if (w.m.storage_failed || !(kind == EVENT_answers ? s->sent : s->runs))
                return false;
        if (kind == EVENT_unit_comes)
                return comes(s, 1 + any(5));
        answer(s, chance(55), chance(30));
        return true;
}

void servers_all(void) {
        for (Starter *s = w.starters; s < w.starters + STARTERS_MAX && s->used && !w.m.storage_failed; s++) {
                if (s->sent)
                        answer(s, true, false);
                if (s->runs)
                        (void) comes(s, 5);
        }
}

bool servers_come(void) {
        for (const Starter *s = w.starters; s < w.starters + STARTERS_MAX; s++)
                if (s->sent || s->runs)
                        return true;
        return false;
}
