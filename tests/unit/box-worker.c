/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers of the daemon in the box: their processes and connections, as api/worker.c has them. What is told to them is decided by
 * daemon/workers.c itself; here it is held that nothing is given that is not stored, nothing twice, and to nobody but him whose it is. */

#include "box-events.h"

#include "api/worker.h"
#include "base/strv.h"
#include "queue/pool.h"

/* ---- what they are told ---- */

bool api_worker_has_room(const Api *a, const Attempt *at) {
        return box.peers[at->worker_id].connected && (box.kind || chance(70));
}

int api_worker_assign(Api *a, const Attempt *at, const char *order) {
        const AttemptRow *row = &box.attempts[at->job_id][at->number];
        const Row *job = box.rows + at->job_id;
        bool *given = &box.given[at->job_id][at->number];

        if (!row->there || row->result != JOB_RESULT_NONE || row->worker != at->worker_id || !sd_id128_equal(row->token, at->token) ||
            job->attempt != at->number || (job->state != JOB_RUNNING && job->state != JOB_STOPPING))
                naive_fail("%s is given to a worker, and that is not stored", at->unit);
        if (!box.peers[at->worker_id].alive)
                return 0;
        say("    %s is given to worker %u\n", at->unit, (unsigned) at->worker_id);
        *given = true; /* what he knows by its token he drops */
        box.naive.attempts[at->job_id][at->number].asked = true;
        return 1;
}

int api_worker_cancel(Api *a, const Attempt *at) {
        if (!box.given[at->job_id][at->number] || box.rows[at->job_id].state != JOB_STOPPING)
                naive_fail("%s is to be cancelled, and was not given to anybody, or that is not stored", at->unit);
        return 1;
}

int api_worker_signal(Api *a, const Attempt *at, int sig) {
        return 1;
}

void api_worker_kill(Api *a, const Worker *w) {
        say("    worker %u is killed\n", (unsigned) w->id);
        box.peers[w->id].alive = false;
}

void api_workers_drain(Api *a) {
}
int manager_order(Manager *m, Attempt *a, char **ret) {
        return 0;
}
void manager_remove_files(Manager *m, const Attempt *a) {
}
void manager_start_servers(Manager *m) {
}
void manager_want_server(Manager *m, const Queue *q, uint32_t owner) {
}

/* Asked when it is recorded that it is over: with this answer its slots are free. */
void manager_begin_left_overs(Manager *m) {
}
bool manager_is_left_over(Manager *m, Attempt *a) {
        NaiveAttempt *n = &box.naive.attempts[a->job_id][a->number];

        if (box.left[a->job_id][a->number])
                return COVER(left_in_runner), true;
        if (n->there)
                naive_gone(&box.naive, (unsigned) a->job_id, a->number);
        return false;
}
void manager_adopt_left_overs(Manager *m) {
}
void manager_end_left_overs(Manager *m) {
        m->left_over_look = USEC_INFINITY;
}

/* ---- they come and go ---- */

static void make_worker(Model *m, unsigned id, bool loaded) {
        const Peer *p = box.peers + id;
        char unit[POOL_UNIT_MAX];
        Worker *w = worker_new();

        w->id = id;
        w->token = (sd_id128_t) { .qwords = { id, 7 } };
        w->uid = p->owner;
        w->slots = p->slots;
        for (unsigned q = 0; q < NQ; q++)
                if (p->queues & 1U << q && strv_extend(&w->queues, queue_names[q]) < 0)
                        naive_fail("no memory");
        if (p->runner >= 0) {
                pool_unit_name(queue_names[p->runner], p->owner, unit);
                w->unit = strdup(unit);
        }
        w->draining = loaded && box.naive.workers[id].draining;
        if (model_worker_add(m, w, loaded) < 0)
                naive_fail("no memory");
        if (w->id != id)
                naive_fail("worker %u is called %u", id, (unsigned) w->id);
        if (!loaded)
                model_worker_connected(m, w, p->connected);
}

static void comes(void) {
        unsigned id = (unsigned) box.m.model->next_worker, q = any(NQ);
        bool runner = chance(40);

        if (id >= NW)
                return;
        box.peers[id] = (Peer) { .alive = true, .connected = true, .owner = 1000 + any(2), .slots = 1 + any(4), .runner = runner ? (int) q : -1,
                                 .queues = runner ? 1U << q : chance(60) ? (1U << NQ) - 1 : 1 + any((1U << NQ) - 1) };
        say("    worker %u of %u, %u slots for %x\n", id, box.peers[id].owner, box.peers[id].slots, box.peers[id].queues);
        naive_worker_comes(&box.naive, id, box.peers[id].owner, box.peers[id].slots, box.peers[id].queues, box.peers[id].runner);
        make_worker(box.m.model, id, false);
}

void box_load_workers(Model *m) {
        for (unsigned i = 1; i < NW; i++)
                if (box.naive.workers[i].there)
                        make_worker(m, i, true);
        m->next_worker = MAX(m->next_worker, MAX(box.next_worker, 1U));
        for (Attempt *a = m->attempts; a; a = a->hh.next) {
                NaiveAttempt *n = &box.naive.attempts[a->job_id][a->number];

                if (!executor_has_worker(a->executor))
                        continue;
                if (model_worker_adopt(m, box.attempts[a->job_id][a->number].worker, a) < 0)
                        naive_fail("the worker of %s is not stored", a->unit);
                n->asked = true; /* by now nobody knows that it was not */
                model_attempt_adopted(m, a, n->started, &box.now);
        }
        for (Worker *k = m->workers; k; k = k->hh.next)
                model_worker_connected(m, k, box.peers[k->id].connected);
}

/* Of processes that have ended; and of those that read again. */
void box_tell_workers(void) {
        for (unsigned i = 1; i < NW; i++)
                if (box.naive.workers[i].there && !box.naive.workers[i].gone && (box.kind || chance(50)))
                        model_worker_listens(box.m.model, model_worker(box.m.model, i));
        for (unsigned i = 1; i < NW; i++) {
                Worker *w = box.naive.workers[i].there && !box.naive.workers[i].gone && !box.peers[i].alive ? model_worker(box.m.model, i) : NULL;

                if (!w || box.m.storage_failed)
                        continue;
                say("    worker %u is gone\n", i);
                box.peers[i].connected = false;
                for (unsigned k = 0; k < NJ * NA && box.peers[i].runner >= 0; k++)
                        if (box.naive.attempts[k / NA][k % NA].live && box.naive.attempts[k / NA][k % NA].worker == i)
                                box.left[k / NA][k % NA] = !box.kind && chance(40);
                naive_worker_gone(&box.naive, i);
                model_worker_gone(box.m.model, w, &box.now);
        }
}

/* ---- what they do ---- */

static void completes(unsigned id, End end) {
        static const struct { JobResult result; int status; } ends[_END_MAX] = {
                [END_SUCCESS] = { JOB_SUCCESS, 0 }, [END_STATUS] = { JOB_EXIT_CODE, 3 }, [END_AGAIN] = { JOB_EXIT_CODE, 75 }, [END_NEVER] = { JOB_EXIT_CODE, 100 },
                [END_CORE] = { JOB_CORE_DUMP, -1 }, [END_OOM] = { JOB_OOM_KILL, -1 }, [END_EXEC] = { JOB_EXEC, -1 },
        };
        unsigned number = box.naive.jobs[id].attempt, worker = box.naive.attempts[id][number].worker;
        Worker *w = model_worker(box.m.model, worker), *other = model_worker(box.m.model, 1 + any(NW - 1));
        Outcome o = OUTCOME_INIT;

        o.result = ends[end].result;
        o.exit_status = ends[end].status;
        if (box.naive.jobs[id].spool)
                o.success = (int8_t) naive_says(id, number);
        say("    %u-%u is complete: %s\n", id, number, job_result_to_string(o.result));
        if (other && other != w && model_worker_complete(box.m.model, other, id, number, &o, &box.now) != -ENOENT)
                naive_fail("worker %u completes what is not its own", (unsigned) other->id);
        naive_completed(&box.naive, id, number, o.result, end);
        if (model_worker_complete(box.m.model, w, id, number, &o, &box.now) < 0 || model_worker_complete(box.m.model, w, id, number, &o, &box.now) != -ENOENT)
                naive_fail("%u-%u is not taken for complete, or is twice", id, number);
}

/* Given to somebody who is there. */
static bool is_at_work(unsigned id) {
        const NaiveAttempt *a = &box.naive.attempts[id][box.naive.jobs[id].attempt];

        return box.naive.jobs[id].there && is_live(box.naive.jobs + id) && a->live && a->worker > 0 && a->worker < NW && box.given[id][box.naive.jobs[id].attempt] &&
               box.peers[a->worker].alive && !box.m.storage_failed && !box.naive.workers[a->worker].gone;
}

static void returns(unsigned id) {
        unsigned number = box.naive.jobs[id].attempt, worker = box.naive.attempts[id][number].worker;

        if (!box.naive.workers[worker].draining || number > 3)
                return;
        say("    %u-%u is given back\n", id, number);
        naive_returned(&box.naive, id, number, true);
        if (model_worker_return(box.m.model, model_worker(box.m.model, worker), id, number, "by lot", &box.now) < 0)
                naive_fail("%u-%u is not taken back", id, number);
}

static void do_worker(unsigned kind, unsigned i) {
        Worker *w = model_worker(box.m.model, i);
        NaiveWorker *n = box.naive.workers + i;

        if (!w || !box.peers[i].alive || n->gone || box.m.storage_failed)
                return;
        say("    worker %u\n", i);
        if (kind == EVENT_killed)
                box.peers[i].alive = false;
        else if (kind == EVENT_drains) {
                n->draining = true;
                model_worker_drain(box.m.model, w);
        } else {
                box.peers[i].connected = n->connected = kind == EVENT_back;
                model_worker_connected(box.m.model, w, n->connected);
        }
}

void box_worker_event(unsigned kind) {
        static const End ends[] = { END_SUCCESS, END_SUCCESS, END_SUCCESS, END_STATUS, END_AGAIN, END_NEVER, END_CORE, END_OOM, END_EXEC };
        unsigned id = 1 + any(NJ - 1), i = 1 + any(NW - 1);

        if (kind == EVENT_comes && !box.m.storage_failed)
                comes();
        else if (kind == EVENT_completes || kind == EVENT_returns) {
                for (unsigned k = 0; k < NJ && !is_at_work(id); k++)
                        id = id % (NJ - 1) + 1;
                if (is_at_work(id) && kind == EVENT_completes)
                        completes(id, ends[any(ELEMENTSOF(ends))]);
                else if (is_at_work(id))
                        returns(id);
        } else if (kind == EVENT_left_goes)
                memset(box.left, 0, sizeof(box.left));
        else if (kind != EVENT_comes) {
                for (unsigned k = 0; k < NW && !box.naive.workers[i].there; k++)
                        i = i % (NW - 1) + 1;
                do_worker(kind, i);
        }
}

/* Everybody is there, and completes what he has. */
void box_workers_end(void) {
        memset(box.left, 0, sizeof(box.left));
        for (unsigned i = 1; i < NW; i++)
                if (!box.peers[i].connected)
                        do_worker(EVENT_back, i);
        for (unsigned id = 1; id < NJ; id++)
                if (is_at_work(id))
                        completes(id, END_SUCCESS);
}
