/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers in the world of test-policy-random.c: their processes, as api/worker.c and daemon/workers.c see them. */

#include "policy-events.h"
#include "policy-view.h"

#include "base/strv.h"

static Peer *peer_of(uint64_t id) {
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++)
                if (p->there && p->id == id)
                        return p;
        fail("nothing is known of worker %" PRIu64, id);
}

/* ---- who has room ---- */

uint32_t peer_room(const Peer *p) {
        uint32_t used = 0;

        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                used += l->there && l->worker == p->id && !l->given_back ? l->slots : 0;
        if (used > p->slots)
                fail("worker %" PRIu64 " has %" PRIu32 " slots, and %" PRIu32 " are in use", p->id, p->slots, used);
        return p->slots - used;
}

bool peer_serves(const Peer *p, unsigned queue, uint32_t owner) {
        const Setup *s = w.setup + queue;

        if (!p->there || p->gone_told || !(p->queues & 1U << queue))
                return false;
        if (s->pool)
                return p->runner == (int) queue && p->owner == owner;
        return p->runner < 0 && (p->owner == owner || (s->trusts && p->owner == 1000) || (s->unit && p->in_unit));
}

/* The one with the most room, then the oldest. */
Peer *peer_choose(unsigned queue, uint32_t owner, uint32_t slots) {
        Peer *best = NULL;

        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                uint32_t room;

                if (!peer_serves(p, queue, owner) || !p->known || !p->connected || p->draining || (room = peer_room(p)) < slots)
                        continue;
                if (!best || room > peer_room(best) || (room == peer_room(best) && p->id < best->id))
                        best = p;
        }
        return best;
}

bool peer_could(unsigned queue, uint32_t owner, uint32_t slots) {
        for (const Peer *p = w.peers; p < w.peers + PEERS_MAX; p++)
                if (peer_serves(p, queue, owner) && p->known && p->connected && !p->draining && p->slots >= slots)
                        return true;
        return false;
}

/* ---- they come and go ---- */

static void connect_to(Peer *p, bool connected) {
        Worker *k = model_worker(w.m.model, p->id);

        p->connected = connected;
        p->connection += connected;
        if (k)
                model_worker_connected(w.m.model, k, connected);
}

bool peer_comes(uint32_t owner, uint32_t slots, unsigned queues, const char *unit, int runner) {
        Peer *p = w.peers;
        Worker *k;

        while (p->there)
                if (++p == w.peers + PEERS_MAX)
                        return false;
        k = worker_new();
        (void) sd_id128_randomize(&k->token);
        k->uid = owner;
        k->slots = slots;
        for (unsigned i = 0; i < N_QUEUES; i++)
                if (queues & 1U << i && strv_extend(&k->queues, queue_names[i]) < 0)
                        fail("no memory");
        if (free_and_strdup(&k->unit, unit) < 0)
                fail("no memory");
        if (model_worker_add(w.m.model, k, false) < 0)
                fail("no memory");
        *p = (Peer) { .there = true, .id = k->id, .owner = owner, .slots = slots, .queues = queues, .runner = runner, .in_unit = unit && runner < 0,
                      .is_main = runner >= 0 || chance(40) };
        if (p->is_main)
                k->cgroup = strdup("/a.service");
        connect_to(p, true);
        say("    worker %" PRIu64 " of %" PRIu32 " with %" PRIu32 " slots for %x, %s\n", p->id, owner, slots, queues, strempty(unit));
        return true;
}

void peers_all(void) {
        for (uint32_t owner = 1000; owner < 1000 + N_OWNERS; owner++) {
                bool any = false;

                for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                        if (!p->there || p->gone || p->owner != owner)
                                continue;
                        if (!p->connected && !w.m.storage_failed)
                                connect_to(p, true);
                        if (p->draining || p->slots < 5)
                                p->gone = true;
                        else
                                any = any || (p->queues == (1U << N_QUEUES) - 1 && p->runner < 0);
                }
                if (!any && !w.m.storage_failed)
                        (void) peer_comes(owner, 5, (1U << N_QUEUES) - 1, NULL, -1);
        }
}

static void lose(Lease *l) {
        Attempt *a = world_attempt(l);

        if (l->is == OVER || !a || !a->job)
                return;
        l->outcome.result = JOB_LOST;
        l->expected = world_expected(a, &l->outcome);
        l->is = OVER;
}

void peers_tell(void) {
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                Worker *k = p->there && p->gone && !p->gone_told ? model_worker(w.m.model, p->id) : NULL;

                if (!k || w.m.storage_failed)
                        continue;
                say("    worker %" PRIu64 " is gone\n", p->id);
                p->gone_told = true;
                p->connected = false;
                if (p->is_main)
                        (void) free_and_strdup(&k->cgroup, "/a.service");
                for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                        if (l->there && l->worker == p->id) {
                                COUNT(worker_lost);
                                lose(l);
                                l->in_service = p->is_main;
                                l->left = p->is_main && chance(50);
                        }
                model_worker_gone(w.m.model, k, &w.m.now);
        }
}

/* ---- the store ---- */

void peers_recorded(void) {
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                l->stored = l->there && l->is == OVER;
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                if (p->there && !p->known)
                        server_registered(p);
                if (p->gone_told)
                        *p = (Peer) {};
                p->known = p->there;
                p->drain_stored = p->draining;
        }
}

void peers_loaded(Model *m) {
        servers_loaded();
        memset(w.skipped, 0, sizeof(w.skipped));
        memset(w.passed, 0, sizeof(w.passed));
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++) {
                if (!l->there || l->worker == 0)
                        continue;
                if (l->stored) /* of what is left then nobody knows */
                        *l = (Lease) {};
                else if (l->is == OVER)
                        l->is = COMMITTED;
                l->given_back = l->told = false;
        }
        for (Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                Worker *k;

                if (!p->known) {
                        *p = (Peer) {};
                        continue;
                }
                k = model_worker(m, p->id);
                if (!k || k->uid != p->owner || k->slots != p->slots || k->draining != p->drain_stored)
                        fail("worker %" PRIu64 " is not as it was", p->id);
                p->draining = p->drain_stored;
                p->gone_told = false;
                p->connection += p->connected;
                if (p->connected)
                        model_worker_connected(m, k, true);
        }
}

/* Of what is left then nobody knows: there are no control groups here. */
void manager_adopt_left_overs(Manager *m) {
}

/* ---- what it is told ---- */

/* As daemon/workers.c. */
static void assign(Attempt *a, Lease *l, Peer *p) {
        if (a->asked)
                return;
        if (l->is == DECIDED || l->is == OVER || l->given == p->connection || !sd_id128_equal(a->token, l->token))
                fail("%s is given before it is stored, after its end, or twice", a->unit);
        if (l->given > 0)
                COUNT(given_again);
        COUNT(given);
        if ((a->executor == EXECUTOR_POOL) != (p->runner >= 0))
                fail("%s is in a pool, and its worker is no runner, or the other way round", a->unit);
        if (p->runner >= 0)
                COUNT(given_to_runner);
        l->given = p->connection;
        l->is = RUNNING;
        a->asked = true;
        a->fresh = false;
}

static void tell(Attempt *a, Lease *l) {
        Peer *p;

        if (!a->worker)
                return;
        p = peer_of(a->worker->id);
        if (a->job->state == JOB_STOPPING && a->fresh) {
                if (l->given > 0)
                        fail("%s was given to worker %" PRIu64 ", and is taken back", a->unit, p->id);
                l->is = OVER;
                l->expected = a->job->intent;
                model_attempt_withdraw(w.m.model, a, NULL, &w.m.now);
        } else if (a->job->state == JOB_STOPPING && a->kill_due && a->executor == EXECUTOR_POOL && !a->killing) {
                /* which does not end yet, as far as anybody knows */
                model_attempt_kill_process(w.m.model, a, &w.m.now);
        } else if (a->job->state == JOB_STOPPING && a->kill_due) {
                COUNT(worker_killed);
                p->gone = true;
        } else if (p->connected && !p->gone) {
                assign(a, l, p);
                l->told = a->job->state == JOB_STOPPING;
        }
}

static bool act(Attempt *a) {
        Lease *l = world_lease(a->job_id, a->number);

        if (a->changed)
                return false;
        if (!l || l->worker != a->worker_id)
                fail("nothing is known of %s", a->unit);
        if (a->phase == ATTEMPT_ENDED) {
                if ((a->left_in || a->executor == EXECUTOR_POOL) && l->left) {
                        COUNT(left_over);
                        return false;
                }
                if (world_has_result(a))
                        check_ended(a, l);
                world_release(a, l);
                return true;
        }
        TAILQ_REMOVE(&w.m.model->act_workers, a, act_entry);
        a->acting = false;
        tell(a, l);
        return true;
}

bool manager_act_workers(Manager *m) {
        const Attempt *last = TAILQ_LAST(&m->model->act_workers, AttemptList);
        bool any = false, end = w.dying;
        Attempt *a, *t;

        m->left_over_look = USEC_INFINITY;
        servers_act(m);
        for (a = TAILQ_FIRST(&m->model->act_workers); a && !end; a = t) {
                t = TAILQ_NEXT(a, act_entry);
                end = a == last;
                any = act(a) || any;
        }
        return any;
}

/* ---- what it does ---- */

static bool may_report(const Lease *l, Worker **ret) {
        *ret = l->there && l->worker > 0 && l->is == RUNNING && !w.m.storage_failed ? model_worker(w.m.model, l->worker) : NULL;
        return *ret && !peer_of(l->worker)->gone;
}

void peer_ends(Lease *l, JobResult result, int status) {
        Outcome o = OUTCOME_INIT;
        Attempt *a = world_attempt(l);
        Worker *k;

        if (!may_report(l, &k))
                return;
        if (!a || !a->job)
                fail("%" PRIu64 "-%" PRIu32 " ends, and is not known any more", l->id, l->number);
        COUNT(completed);
        o.result = l->outcome.result = result;
        o.exit_status = status;
        o.success = (int8_t) l->said;
        l->expected = world_expected(a, &o);
        l->is = OVER;
        l->given_back = true;
        if (model_worker_complete(w.m.model, k, l->id, l->number, &o, &w.m.now) < 0)
                fail("%s ends, and that is not taken", a->unit);
        if (model_worker_complete(w.m.model, k, l->id, l->number, &o, &w.m.now) != -ENOENT)
                fail("%s ends twice", a->unit);
}

/* What it did not begin, when it is about to end. */
static bool returns(const Peer *p) {
        for (Lease *l = w.leases; l < w.leases + LEASES_MAX; l++) {
                Worker *k;
                Attempt *a;

                if (l->worker != p->id || l->number >= 10 || !may_report(l, &k))
                        continue;
                COUNT(returned);
                a = world_attempt(l);
                l->expected = a->job->intent != JOB_RESULT_NONE ? a->job->intent : JOB_EXEC;
                l->is = OVER;
                l->given_back = true;
                if (model_worker_return(w.m.model, k, l->id, l->number, "its worker was ending", &w.m.now) < 0)
                        fail("%s is not taken back", a->unit);
                return true;
        }
        return false;
}

static bool fits(const Peer *p, unsigned kind) {
        if (!p->there || p->gone)
                return false;
        return kind == EVENT_away ? p->connected : kind == EVENT_back ? !p->connected : kind == EVENT_returns ? p->draining : true;
}

bool peer_event(unsigned kind) {
        Peer *p = w.peers + any(PEERS_MAX);
        bool some = false;

        for (unsigned i = 0; i < N_QUEUES; i++)
                some = some || w.setup[i].by_workers;
        if (w.m.storage_failed || !some)
                return false;
        if (kind == EVENT_comes)
                return peer_comes(1000 + any(N_OWNERS), 1 + any(4), chance(50) ? (1U << N_QUEUES) - 1 : 1 + any((1U << N_QUEUES) - 1), NULL, -1);
        for (unsigned i = 0; i < PEERS_MAX && !fits(p, kind); i++)
                if (++p == w.peers + PEERS_MAX)
                        p = w.peers;
        if (!fits(p, kind))
                return false;
        say("    worker %" PRIu64 "\n", p->id);
        if (kind == EVENT_returns)
                return returns(p);
        if (kind == EVENT_drains) {
                p->draining = true;
                model_worker_drain(w.m.model, model_worker(w.m.model, p->id));
        } else if (kind == EVENT_killed)
                p->gone = true;
        else
                connect_to(p, kind == EVENT_back);
        return true;
}
