/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See worker.h. A link is there from the registration, or from the load of the store, until the process is gone: that is the lease. It has a
 * connection while somebody is there to be told. */

#include "api/long-calls.h"
#include "api/socket.h"
#include "api/worker.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "base/strv.h"
#include "queue/spec-json.h"

#include <signal.h>
#include <sys/epoll.h>

typedef struct WorkerLink {
        Api *api;
        uint64_t id;
        Connection *connection; /* NULL: not connected */
        Account *account;       /* of its user, where it is counted */
        int pidfd;
        uint32_t pid;
        bool drain_due, drain_sent; /* on api->drains; over this connection */
        sd_event_source *process;
        TAILQ_ENTRY(WorkerLink) drain_entry;
        UT_hash_handle hh;      /* api->worker_links, by id */
} WorkerLink;

static WorkerLink *link_find(const Api *a, uint64_t id) {
        WorkerLink *l;

        HASH_FIND(hh, a->worker_links, &id, sizeof(id), l);
        return l;
}

static void set_drain(WorkerLink *l, bool due) {
        if (l->drain_due == due)
                return;
        l->drain_due = due;
        if (due)
                TAILQ_INSERT_TAIL(&l->api->drains, l, drain_entry);
        else
                TAILQ_REMOVE(&l->api->drains, l, drain_entry);
}

static void link_free(WorkerLink *l) {
        set_drain(l, false);
        if (l->connection)
                connection_serve(l->connection, 0);
        sd_event_source_disable_unref(l->process);
        safe_close(l->pidfd);
        l->account->n_workers--;
        account_put(&l->api->accounts, l->account);
        HASH_DEL(l->api->worker_links, l);
        free(l);
}

void worker_link_remove(Api *a, uint64_t id) {
        WorkerLink *l = link_find(a, id);

        if (l)
                link_free(l);
}

/* What jobs of a runner wrote outlives it. */
static void capture_spools(const Api *a, Worker *w) {
        Attempt *at;

        TAILQ_FOREACH(at, &w->attempts, worker_entry)
                if (at->executor == EXECUTOR_POOL && at->job && at->job->output == OUTPUT_SPOOL)
                        a->capture_spool(a->userdata, at, &at->outcome);
}

static void gone(Api *a, Worker *w) {
        if (api_read_clocks(a, &a->now) < 0)
                return;
        if (model_worker_away(a->model, w, &a->now)) {
                log_info("Adapter %s (worker %" PRIu64 ") is away; its %" PRIu32 " jobs stay where they are.", w->name, w->id, w->n_attempts);
                return;
        }
        log_info("Worker %" PRIu64 " (process %" PRIu32 ", user %" PRIu32 ") is gone%s.", w->id, w->pid, w->uid,
                 w->n_attempts > 0 ? ", its jobs are lost" : "");
        capture_spools(a, w);
        model_worker_gone(a->model, w, &a->now);
}

static int on_process(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        WorkerLink *l = userdata;
        Api *a = l->api;
        Worker *w = a->model ? model_worker(a->model, l->id) : NULL;

        CRASH_POINT("worker-gone");
        if (w)
                gone(a, w);
        if (l->connection) /* somebody else has it, too */
                connection_close(l->connection);
        link_free(l);
        return 0;
}

static void find_cgroup(const WorkerLink *l, Worker *w) {
        free(w->cgroup);
        w->cgroup = process_own_cgroup(w->pid, l->pidfd, l->api->user);
}

int worker_link_add(Api *a, Worker *w, Process *p) {
        WorkerLink *l;
        int r;

        if (link_find(a, w->id))
                return 0;
        l = new0(WorkerLink, 1);
        if (!l)
                return -ENOMEM;
        l->account = account_get(&a->accounts, w->uid);
        if (!l->account) {
                free(l);
                return -ENOMEM;
        }
        l->account->n_workers++;
        l->api = a;
        l->id = w->id;
        l->pidfd = p->fd;
        l->pid = p->pid;
        p->fd = -EBADF;
        HASH_ADD(hh, a->worker_links, id, sizeof(l->id), l);
        find_cgroup(l, w);
        r = sd_event_add_io(a->event, &l->process, l->pidfd, EPOLLIN, on_process, l);
        if (r < 0)
                link_free(l);
        return r;
}

bool worker_link_let_go(Api *a, uint64_t id, const Process *p) {
        WorkerLink *l = link_find(a, id);

        if (!l)
                return true;
        if (l->pid != p->pid && !process_is_gone(l->pidfd))
                return false;
        link_free(l);
        return true;
}

void worker_link_connect(Api *a, Worker *w, Connection *c) {
        WorkerLink *l = link_find(a, w->id);

        if (l->connection && l->connection != c) { /* the older one has nothing to say any more */
                connection_close(l->connection);
                connection_serve(l->connection, 0);
        }
        l->connection = c;
        l->drain_sent = false;
        set_drain(l, w->draining);
        connection_serve(c, w->id);
        model_worker_connected(a->model, w, true);
}

void worker_connection_gone(Api *a, uint64_t id) {
        WorkerLink *l = link_find(a, id);
        Worker *w = a->model ? model_worker(a->model, id) : NULL;

        if (!l)
                return;
        l->connection = NULL;
        if (w)
                model_worker_connected(a->model, w, false);
}

void worker_connection_has_room(const Api *a, uint64_t id) {
        Worker *w = a->model ? model_worker(a->model, id) : NULL;

        if (w)
                model_worker_listens(a->model, w);
}

/* ---- another model ---- */

static void resume(Api *a, Worker *w) {
        WorkerLink *l = link_find(a, w->id);
        Process p = { .fd = -EBADF, .pid = w->pid };
        int r = 0;

        if (l)
                find_cgroup(l, w);
        else {
                r = process_again(w->pid, w->started, w->boot_id, &p.fd);
                if (r >= 0)
                        r = worker_link_add(a, w, &p);
                process_done(&p);
        }
        if (r == -ESRCH)
                gone(a, w);
        else if (r < 0)
                log_warning_errno(r, "Cannot look after worker %" PRIu64 ": %m", w->id);
        else if (l && l->connection)
                model_worker_connected(a->model, w, true);
}

/* Nothing is left of its worker, not even a row. */
static void end_orphans(Api *a) {
        Attempt *at, *t;

        HASH_ITER(hh, a->model->attempts, at, t) {
                Outcome o = OUTCOME_INIT;

                if (!executor_has_worker(at->executor) || at->worker || !at->job)
                        continue;
                o.result = JOB_LOST;
                (void) free_and_strdup(&o.reason, "its worker is not in the store");
                model_attempt_ended(a->model, at, &o, &a->now);
        }
}

static usec_t monotonic_of(const Now *now, usec_t realtime) {
        return usec_sub(now->monotonic, usec_sub(now->realtime, realtime));
}

void api_workers_resume(Api *a) {
        WorkerLink *l, *tl;
        Worker *w, *tw;

        if (!a->model || api_read_clocks(a, &a->now) < 0)
                return;
        HASH_ITER(hh, a->worker_links, l, tl)
                if (!model_worker(a->model, l->id))
                        link_free(l);
        HASH_ITER(hh, a->model->workers, w, tw)
                resume(a, w);
        end_orphans(a);
        for (Attempt *at = a->model->attempts; at; at = at->hh.next)
                if (at->worker && at->job && at->outcome.started_usec != USEC_INFINITY)
                        model_attempt_adopted(a->model, at, monotonic_of(&a->now, at->outcome.started_usec), &a->now);
                else if (at->worker && at->job)
                        model_attempt_adopted(a->model, at, USEC_INFINITY, &a->now);
}

void api_workers_free(Api *a) {
        WorkerLink *l, *t;

        HASH_ITER(hh, a->worker_links, l, t) {
                l->connection = NULL; /* goes by itself */
                link_free(l);
        }
}

/* ---- what they are told ---- */

bool api_worker_has_room(const Api *a, const Attempt *at) {
        const WorkerLink *l = link_find(a, at->worker_id);

        return l && l->connection && connection_has_room(l->connection);
}

static bool begin(const Api *a, const Attempt *at, const char *what, ReplyTo *to, Reply *reply) {
        WorkerLink *l = link_find(a, at->worker_id);

        if (!api_worker_has_room(a, at))
                return false;
        *to = (ReplyTo) { .connection = l->connection, .continues = true };
        if (reply_begin(to, reply) >= 0 && reply_open_dict(reply, what) >= 0)
                return true;
        reply_done(reply);
        return false;
}

static int append_which(Reply *reply, const Attempt *at) {
        char token[SD_ID128_STRING_MAX];
        int r;

        r = dict_append(reply, "id", "t", at->job_id);
        if (r >= 0)
                r = dict_append(reply, "attempt", "u", at->number);
        return r < 0 ? r : dict_append(reply, "attempt_token", "s", sd_id128_to_string(at->token, token));
}

static int append_slots(Reply *reply, const Attempt *at) {
        JsonWriter *w = &reply->json;

        json_write_key(w, "slot_numbers");
        json_open(w, '[');
        for (uint32_t i = 0; at->slot_numbers && i < at->slots; i++)
                json_write_integer(w, at->slot_numbers[i]);
        json_close(w, ']');
        return w->failed ? -ENOMEM : 0;
}

static int append_job(Reply *reply, const Attempt *at) {
        _cleanup_free_ char *spec = NULL;
        const Job *j = at->job;
        int r;

        r = dict_append(reply, "queue", "s", j->queue->name);
        if (r >= 0)
                r = dict_append(reply, "owner", "u", j->owner);
        if (r >= 0 && j->name)
                r = dict_append(reply, "name", "s", j->name);
        if (r >= 0 && j->array > 0)
                r = dict_append(reply, "array", "t", j->array);
        if (r >= 0 && j->array > 0)
                r = dict_append(reply, "array_index", "u", j->array_index);
        if (r >= 0)
                r = append_slots(reply, at);
        if (r >= 0 && j->timeout_usec != USEC_INFINITY)
                r = dict_append(reply, "timeout_usec", "t", j->timeout_usec);
        if (r >= 0 && at->inputs && at->executor != EXECUTOR_POOL) /* whose jobs have them in a file */
                r = dict_append_json(reply, "inputs", at->inputs);
        if (r >= 0)
                r = spec_to_json(j->spec, 0, &spec);
        return r < 0 ? r : dict_append_json(reply, "job", spec);
}

/* What its queue's file says for the engine, and what was kept of it: with that it was asked for already, perhaps. */
static int append_engine(Reply *reply, const Attempt *at) {
        int r;

        r = reply->json.failed ? -ENOMEM : 0;
        json_write_key(&reply->json, "options");
        json_open(&reply->json, '{');
        STRV_FOREACH(i, at->job->queue->policy.engine) {
                const char *key = strchr(*i, '.') + 1, *value = strchr(key, '=') + 1;
                _cleanup_free_ char *name = strndup(key, value - key - 1);

                if (!name)
                        r = -ENOMEM;
                json_write_key(&reply->json, strempty(name));
                json_write_string(&reply->json, value);
        }
        json_close(&reply->json, '}');
        return r < 0 || !at->engine ? r : dict_append_json(reply, "engine", at->engine);
}

int api_worker_assign(Api *a, const Attempt *at, const char *run) {
        ReplyTo to;
        Reply reply;
        int r;

        if (!begin(a, at, "assign", &to, &reply))
                return 0;
        r = append_which(&reply, at);
        if (r >= 0)
                r = append_job(&reply, at);
        if (r >= 0 && run)
                r = dict_append_json(&reply, "run", run);
        if (r >= 0 && at->worker->durable)
                r = append_engine(&reply, at);
        r = reply_close_dict(&reply, r);
        CRASH_POINT("worker-assign-before");
        r = reply_send(&to, &reply, r);
        CRASH_POINT("worker-assign-after");
        return r;
}

int api_worker_cancel(Api *a, const Attempt *at) {
        ReplyTo to;
        Reply reply;
        int r;

        if (!begin(a, at, "cancel", &to, &reply))
                return 0;
        r = append_which(&reply, at);
        if (r >= 0)
                r = dict_append(&reply, "reason", "s", job_result_to_string(at->job->intent));
        if (r >= 0 && at->executor == EXECUTOR_POOL)
                r = dict_append(&reply, "signal", "i", at->kill_signal ?: SIGTERM);
        r = reply_close_dict(&reply, r);
        CRASH_POINT("worker-cancel-before");
        r = reply_send(&to, &reply, r);
        CRASH_POINT("worker-cancel-after");
        return r;
}

/* 0: it does not read. */
static int send_drain(WorkerLink *l) {
        ReplyTo to = { .connection = l->connection, .continues = true };
        Reply reply;
        int r;

        if (!connection_has_room(l->connection))
                return 0;
        r = reply_begin(&to, &reply);
        if (r >= 0)
                r = reply_open_dict(&reply, "drain");
        r = reply_close_dict(&reply, r);
        CRASH_POINT("worker-drain-before");
        r = reply_send(&to, &reply, r);
        CRASH_POINT("worker-drain-after");
        return r < 0 ? r : 1;
}

void worker_link_drain(Api *a, uint64_t id) {
        WorkerLink *l = link_find(a, id);

        if (l && l->connection && !l->drain_sent)
                set_drain(l, true);
}

void api_workers_drain(Api *a) {
        WorkerLink *l, *t;

        TAILQ_FOREACH_SAFE(l, &a->drains, drain_entry, t) {
                const Worker *w = model_worker(a->model, l->id);

                l->drain_sent = w && l->connection && !w->changed && send_drain(l) > 0;
                if (!w || !w->draining || !l->connection || l->drain_sent)
                        set_drain(l, false);
        }
}

int api_worker_signal(Api *a, const Attempt *at, int sig) {
        ReplyTo to;
        Reply reply;
        int r;

        if (!begin(a, at, "kill", &to, &reply))
                return 0;
        r = append_which(&reply, at);
        if (r >= 0)
                r = dict_append(&reply, "signal", "i", sig);
        r = reply_close_dict(&reply, r);
        CRASH_POINT("worker-signal-before");
        r = reply_send(&to, &reply, r);
        CRASH_POINT("worker-signal-after");
        return r;
}

void api_worker_kill(Api *a, const Worker *w) {
        WorkerLink *l = link_find(a, w->id);
        int r;

        if (!l)
                return;
        log_warning("Worker %" PRIu64 " (process %" PRIu32 ") does not end a job that was to end, killing it.", w->id, w->pid);
        CRASH_POINT("worker-kill-before");
        r = process_kill(l->pidfd);
        CRASH_POINT("worker-kill-after");
        if (r < 0 && r != -ESRCH)
                log_error_errno(r, "Failed to kill worker %" PRIu64 ": %m", w->id);
}
