/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What workers ask: to be given jobs, and to be believed what became of them. Who they are the kernel tells; what they say of attempts
 * that are not theirs changes nothing. */

#include "api/worker.h"

#include "api/long-calls.h"
#include "api/methods.h"
#include "api/read-json.h"
#include "api/socket.h"
#include "base/strv.h"
#include "base/crash-point.h"
#include "base/parse.h"
#include "queue/pool.h"
#include "queue/verdict.h"

#include <json-c/json.h>

#define PROTOCOL 1U
#define STATUS_MAX 1024U
#define RESULT_UNSTARTED "unstarted"

static int parse_token(const char *text, sd_id128_t *ret) {
        return strlen(text) == 32 ? sd_id128_from_string(text, ret) : -EINVAL;
}

/* Only its own user knows of it at all. */
static int find_worker(const Call *c, Worker **ret, sd_bus_error *error) {
        const char *text;
        sd_id128_t token;
        Worker *w;
        int r;

        r = read_json_string(c->parameters, "token", NULL, &text, error);
        if (r < 0)
                return r;
        w = parse_token(text, &token) < 0 ? NULL : model_worker_by_token(c->api->model, token);
        if (w && w->uid == c->client->uid) {
                *ret = w;
                return 0;
        }
        return api_error(error, JOBMILL_ERROR_NO_SUCH_WORKER, "There is no worker with this token");
}

/* ---- Register ---- */

static int answer_registered(Call *c, const Worker *w, bool resumed) {
        ReplyTo to = call_reply_to(c);
        char token[SD_ID128_STRING_MAX];
        Reply reply;
        int r;

        to.continues = true;
        r = reply_begin(&to, &reply);
        if (r >= 0)
                r = reply_append(&reply, "token", "s", sd_id128_to_string(w->token, token));
        if (r >= 0)
                r = reply_append(&reply, "worker", "t", w->id);
        if (r < 0 || resumed)
                return reply_send(&to, &reply, r);
        return held_add(c->api, &to, &reply, /* final = */ false);
}

static int resume(Call *c, Process *p, sd_bus_error *error) {
        Worker *w;
        int r;

        r = find_worker(c, &w, error);
        if (r < 0)
                return r;
        if (w->pid != p->pid || w->started != p->started || !sd_id128_equal(w->boot_id, p->boot_id))
                return api_error(error, JOBMILL_ERROR_NO_SUCH_WORKER, "This token is another process's");
        r = worker_link_add(c->api, w, p); /* if it could not be held before */
        if (r >= 0)
                r = answer_registered(c, w, true);
        if (r >= 0)
                worker_link_connect(c->api, w, c->client->connection);
        return r;
}

/* Those of pools are for the runners that we started ourselves. */
static bool is_for(const Queue *q, const Worker *w) {
        char unit[POOL_UNIT_MAX];

        pool_unit_name(q->name, w->uid, unit);
        return q->policy.executor == EXECUTOR_POOL ? streq_ptr(w->unit, unit) : q->policy.executor == EXECUTOR_WORKER;
}

static int read_queues(const Call *c, Worker *w, sd_bus_error *error) {
        json_object *l, *name;
        size_t n;
        int r;

        r = read_json_length(c->parameters, "queues", &n, error);
        if (r < 0)
                return r;
        if (n < 1 || n > WORKER_QUEUES_MAX)
                return invalid_parameter(error, "queues");
        (void) json_object_object_get_ex(c->parameters, "queues", &l);
        for (size_t i = 0; i < n; i++) {
                const Queue *q;
                const char *text;

                name = json_object_array_get_idx(l, i);
                if (!json_object_is_type(name, json_type_string))
                        return invalid_parameter(error, "queues");
                text = json_object_get_string(name);
                q = model_queue(c->api->model, text);
                if (!q || !q->configured)
                        return api_error_no_such_queue(error, text);
                if (!is_for(q, w))
                        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue %s is not for workers (Executor=)", text);
                if (!worker_may_serve(w, q))
                        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue %s is jobmill's own: it is served by root, and by whom its file names (WorkerUnit=, WorkerUsers=)",
                                         text);
                if (!strv_contains(w->queues, text) && strv_extend(&w->queues, text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Which these are the files of queues say, now and later. */
static int read_adapter(const Call *c, Worker *w, sd_bus_error *error) {
        const char *text;
        json_object *l;
        int r;

        r = read_json_string(c->parameters, "adapter", NULL, &text, error);
        if (r < 0)
                return r;
        if (!*text || strlen(text) > WORKER_NAME_MAX || !string_is_clean(text) || (json_object_object_get_ex(c->parameters, "queues", &l) && l))
                return invalid_parameter(error, "adapter");
        return (w->adapter = strdup(text)) ? 0 : -ENOMEM;
}

static int read_registration(const Call *c, Worker *w, sd_bus_error *error) {
        const char *name, *metadata = NULL;
        json_object *m = NULL;
        uint64_t slots;
        int r;

        r = json_object_object_get_ex(c->parameters, "adapter", &m) && m ? read_adapter(c, w, error) : read_queues(c, w, error);
        m = NULL;
        if (r >= 0)
                r = read_json_u64(c->parameters, "slots", &(uint64_t) { 1 }, &slots, error);
        if (r < 0)
                return r;
        if (slots < 1 || slots > SPEC_SLOTS_MAX)
                return invalid_parameter(error, "slots");
        w->slots = slots;
        r = read_json_string(c->parameters, "name", "", &name, error);
        if (r >= 0)
                r = read_json_flag(c->parameters, "durable", &w->durable, error);
        if (r < 0)
                return r;
        if (strlen(name) > WORKER_NAME_MAX || !string_is_clean(name) || (w->durable && !*name)) /* by which it is known when it is back */
                return invalid_parameter(error, "name");
        if (json_object_object_get_ex(c->parameters, "metadata", &m) && m) {
                r = read_json_object_text(c->parameters, "metadata", &metadata, error);
                if (r < 0)
                        return r;
                if (strlen(metadata) > WORKER_METADATA_MAX)
                        return invalid_parameter(error, "metadata");
        }
        if ((*name && !(w->name = strdup(name))) || (metadata && !(w->metadata = strdup(metadata))))
                return -ENOMEM;
        return 0;
}

static int check_limits(const Call *c, sd_bus_error *error) {
        const Api *a = c->api;

        if (HASH_COUNT(a->model->workers) >= a->limits.workers_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "Too many workers (WorkersMax=)");
        if (c->client->uid != 0 && c->client->account->n_workers >= a->limits.workers_per_user_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "Too many workers of this user (WorkersPerUserMax=)");
        return 0;
}

/* One whose process is another now. */
static int take_over(Call *c, Process *p, Worker *w, Worker *by, sd_bus_error *error) {
        int r;

        if (!worker_link_let_go(c->api, w->id, p))
                return api_error(error, JOBMILL_ERROR_NOT_UNIQUE, "Process %" PRIu32 " is the durable worker %s of this user", w->pid, w->name);
        CRASH_POINT("worker-take-over");
        r = model_worker_take_over(c->api->model, w, by);
        if (r >= 0)
                r = worker_link_add(c->api, w, p);
        if (r >= 0)
                r = answer_registered(c, w, true); /* where this is not recorded its token is none, and it comes once more */
        if (r >= 0)
                worker_link_connect(c->api, w, c->client->connection);
        return r;
}

static int register_new(Call *c, Process *p, const User *u, sd_bus_error *error) {
        _cleanup_(worker_freep) Worker *w = worker_new();
        Worker *added, *before;
        int r;

        if (!w)
                return -ENOMEM;
        w->uid = c->client->uid;
        w->unit = TAKE_PTR(p->unit);
        if (u->name && !(w->user = strdup(u->name)))
                return -ENOMEM;
        r = read_registration(c, w, error);
        if (r >= 0)
                r = sd_id128_randomize(&w->token);
        if (r < 0)
                return r;
        w->pid = p->pid;
        w->started = p->started;
        w->boot_id = p->boot_id;
        w->registered_usec = c->api->now.realtime;
        before = w->durable ? model_worker_durable(c->api->model, w->uid, w->name) : NULL;
        if (before)
                return take_over(c, p, before, w, error);
        r = check_limits(c, error);
        if (r < 0)
                return r;
        w->id = c->api->model->next_worker;
        r = worker_link_add(c->api, w, p);
        if (r < 0)
                return r;
        r = model_worker_add(c->api->model, w, /* loaded = */ false);
        if (r < 0) {
                worker_link_remove(c->api, w->id);
                return r;
        }
        added = TAKE_PTR(w);
        worker_link_connect(c->api, added, c->client->connection);
        return answer_registered(c, added, false);
}

int handle_register(Call *c, sd_bus_error *error) {
        Process p = { .fd = -EBADF };
        json_object *token;
        uint64_t protocol;
        const User *u;
        int r;

        r = read_json_u64(c->parameters, "protocol", NULL, &protocol, error);
        if (r < 0)
                return r;
        if (protocol != PROTOCOL)
                return invalid_parameter(error, "protocol");
        if (!c->more || c->oneway)
                return api_error(error, VARLINK_ERROR_EXPECTED_MORE, "Register goes on: \"more\" is needed");
        r = call_user(c, c->client->uid, &u);
        if (r <= 0)
                return r;
        r = process_of_peer(connection_fd(c->client->connection), c->api->user, &p);
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "The process that connected cannot be told: %s", strerror(-r));
        CRASH_POINT("worker-register");
        if (json_object_object_get_ex(c->parameters, "token", &token) && token)
                r = resume(c, &p, error);
        else
                r = register_new(c, &p, u, error);
        process_done(&p);
        return r;
}

/* ---- Complete, Progress ---- */

/* The store knows those that are over. */
static int refuse_attempt(const Call *c, const Worker *w, uint64_t id, uint64_t number, sd_bus_error *error) {
        _cleanup_(attempt_freep) Attempt *a = NULL;
        bool was_its = model_worker_had(c->api->model, w, id, MIN(number, (uint64_t) UINT32_MAX));
        int r;

        if (!was_its) {
                r = number > UINT32_MAX ? -ENOENT : store_load_attempt(c->api->store, id, number, &a);
                if (r < 0 && r != -ENOENT)
                        return api_error_store(c->api, error, r);
                was_its = a && a->worker_id == w->id;
        }
        if (was_its)
                return api_error(error, JOBMILL_ERROR_ATTEMPT_FINISHED, "Attempt %" PRIu64 " of job %" PRIu64 " has ended already", number, id);
        return api_error(error, JOBMILL_ERROR_NO_SUCH_ATTEMPT, "Worker %" PRIu64 " has no attempt %" PRIu64 " of job %" PRIu64, w->id, number, id);
}

/* What a process's status says that is no number; and what only who made the process can know. */
static int read_result(const Call *c, const Worker *w, Outcome *o, sd_bus_error *error) {
        static const JobResult known[] = { JOB_SIGNAL, JOB_CORE_DUMP, JOB_OOM_KILL, JOB_EXEC, JOB_LOST, JOB_TIMEOUT, JOB_CANCELLED };
        const size_t n = w->durable ? ELEMENTSOF(known) : ELEMENTSOF(known) - 2; /* an engine has a limit, and an operator, of its own */
        const char *text;
        uint64_t sig;
        JobResult result;
        int r;

        r = read_json_u64(c->parameters, "exit_signal", &(uint64_t) { 0 }, &sig, error);
        if (r < 0)
                return r;
        if (sig > 64)
                return invalid_parameter(error, "exit_signal");
        if (sig > 0) {
                o->exit_signal = (int32_t) sig;
                o->exit_status = -1;
                o->result = JOB_SIGNAL;
        }
        r = read_json_string(c->parameters, "result", "", &text, error);
        if (r < 0 || !*text)
                return r;
        result = job_result_from_string(text);
        for (size_t i = 0; i < n; i++)
                if (known[i] == result) {
                        o->result = result;
                        return 0;
                }
        return invalid_parameter(error, "result");
}

static int read_usage(const Call *c, Outcome *o, sd_bus_error *error) {
        static const struct {
                const char *key;
                size_t offset;
        } keys[] = {
                { "cpu_usec", offsetof(Outcome, cpu_usec) },           { "memory_peak", offsetof(Outcome, memory_peak) },
                { "tasks_peak", offsetof(Outcome, tasks_peak) },       { "io_read_bytes", offsetof(Outcome, io_read_bytes) },
                { "io_write_bytes", offsetof(Outcome, io_write_bytes) },
        };
        int r = 0;

        FOREACH_ELEMENT(k, keys)
                if (r >= 0)
                        r = read_json_u64(c->parameters, k->key, &(uint64_t) { UINT64_MAX }, (uint64_t *) ((uint8_t *) o + k->offset), error);
        return r;
}

/* The end of what it wrote. */
static int read_tail(const Call *c, const char *key, char **ret, sd_bus_error *error) {
        const char *text;
        int r;

        r = read_json_string(c->parameters, key, "", &text, error);
        if (r < 0 || !*text)
                return r;
        *ret = verdict_tail(text, strlen(text), c->api->limits.io_tail_max);
        return *ret ? 0 : -ENOMEM;
}

/* What an engine knows of it that nobody here has seen. */
static int read_engine_outcome(const Call *c, Attempt *at, Outcome *o, sd_bus_error *error) {
        usec_t started;
        int r;

        r = read_json_u64(c->parameters, "started_usec", &(uint64_t) { UINT64_MAX }, &started, error);
        if (r >= 0)
                r = read_json_u64(c->parameters, "finished_usec", &(uint64_t) { UINT64_MAX }, &o->finished_usec, error);
        if (r >= 0)
                r = read_tail(c, "stdout", &o->io_stdout, error);
        if (r >= 0)
                r = read_tail(c, "stderr", &o->io_stderr, error);
        return r < 0 || !at ? r : model_attempt_keep(c->api->model, at, NULL, started, &c->api->now);
}

static int read_outcome(const Call *c, const Worker *w, Outcome *o, sd_bus_error *error) {
        json_object *verdict = NULL;
        uint64_t status;
        const char *text;
        Verdict v;
        int r;

        r = read_json_string(c->parameters, "error", "", &text, error);
        if (r < 0)
                return r;
        if (*text && !(o->reason = strdup(text)))
                return -ENOMEM;
        for (char *p = o->reason; p && *p; p++) /* it is told in a line */
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = ' ';
        r = read_json_u64(c->parameters, "exit_status", &(uint64_t) { *text ? 1 : 0 }, &status, error);
        if (r < 0)
                return r;
        if (status > 255 || strlen(text) > STATUS_MAX)
                return invalid_parameter(error, strlen(text) > STATUS_MAX ? "error" : "exit_status");
        o->exit_status = status;
        o->result = status == 0 ? JOB_SUCCESS : JOB_EXIT_CODE;
        r = read_result(c, w, o, error);
        if (r >= 0 && *text && o->result == JOB_SUCCESS)
                return invalid_parameter(error, "exit_status");
        if (r >= 0)
                r = read_usage(c, o, error);
        if (r < 0 || !json_object_object_get_ex(c->parameters, "verdict", &verdict) || !verdict)
                return r;
        r = read_json_object_text(c->parameters, "verdict", &text, error);
        if (r < 0)
                return r;
        if (strlen(text) > VERDICT_MAX || !verdict_find(text, strlen(text), true, &v))
                return invalid_parameter(error, "verdict");
        o->success = v.success;
        return (o->verdict = strdup(text)) ? 0 : -ENOMEM;
}

/* What it wrote to its spool its runner cannot judge, nor need it. */
static int complete(const Call *c, Worker *w, uint64_t id, uint64_t number, Outcome *o) {
        const Attempt *at = model_worker_attempt(c->api->model, w, id, number);

        if (at && at->executor == EXECUTOR_POOL && at->job->output == OUTPUT_SPOOL && o->result != JOB_EXEC)
                c->api->capture_spool(c->api->userdata, at, o);
        if (at)
                o->memory_max = at->outcome.memory_max;
        return model_worker_complete(c->api->model, w, id, number, o, &c->api->now);
}

/* Only of one that is given nothing more: else it would be given it again at once. */
static bool is_unstarted(const Call *c, const Worker *w) {
        const char *text;

        return w->draining && read_json_string(c->parameters, "result", "", &text, NULL) >= 0 && streq(text, RESULT_UNSTARTED);
}

int handle_complete(Call *c, sd_bus_error *error) {
        Outcome o = OUTCOME_INIT;
        uint64_t id, number;
        Worker *w;
        int r;

        r = find_worker(c, &w, error);
        if (r >= 0)
                r = read_json_attempt(c->parameters, &id, &number, error);
        if (r < 0)
                return r;
        if (is_unstarted(c, w))
                r = number > UINT32_MAX ? -ENOENT : model_worker_return(c->api->model, w, id, number, "its worker was ending", &c->api->now);
        else {
                r = read_outcome(c, w, &o, error);
                if (r >= 0 && w->durable)
                        r = read_engine_outcome(c, number > UINT32_MAX ? NULL : model_worker_attempt(c->api->model, w, id, number), &o, error);
                if (r >= 0)
                        r = number > UINT32_MAX ? -ENOENT : complete(c, w, id, number, &o);
                outcome_done(&o);
        }
        if (r == -ENOENT)
                r = refuse_attempt(c, w, id, number, error);
        return r < 0 ? r : call_hold_empty(c);
}

int handle_progress(Call *c, sd_bus_error *error) {
        uint64_t id, number;
        const char *status;
        Attempt *a;
        Reply reply;
        Worker *w;
        int r;

        r = find_worker(c, &w, error);
        if (r >= 0)
                r = read_json_attempt(c->parameters, &id, &number, error);
        if (r >= 0)
                r = read_json_string(c->parameters, "status", NULL, &status, error);
        if (r < 0)
                return r;
        if (strlen(status) > STATUS_MAX || !string_is_clean(status))
                return invalid_parameter(error, "status");
        a = number > UINT32_MAX ? NULL : model_worker_attempt(c->api->model, w, id, number);
        if (!a)
                return refuse_attempt(c, w, id, number, error);
        r = free_and_strdup(&a->status, status);
        if (r >= 0)
                r = call_reply(c, &reply);
        return r < 0 ? r : call_send(c, &reply, r);
}

/* What a durable worker has to know of an attempt when it is another process; it is answered when that is recorded. */
int handle_keep(Call *c, sd_bus_error *error) {
        const char *engine = NULL;
        uint64_t id, number;
        json_object *o;
        usec_t started;
        Attempt *a;
        Worker *w;
        int r;

        r = find_worker(c, &w, error);
        if (r >= 0)
                r = read_json_attempt(c->parameters, &id, &number, error);
        if (r >= 0)
                r = read_json_u64(c->parameters, "started_usec", &(uint64_t) { UINT64_MAX }, &started, error);
        if (r >= 0 && json_object_object_get_ex(c->parameters, "engine", &o) && o)
                r = read_json_object_text(c->parameters, "engine", &engine, error);
        if (r < 0)
                return r;
        if (engine && strlen(engine) > ENGINE_MAX)
                return invalid_parameter(error, "engine");
        if (!w->durable)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Worker %" PRIu64 " is not a durable one", w->id);
        a = number > UINT32_MAX ? NULL : model_worker_attempt(c->api->model, w, id, number);
        if (!a)
                return refuse_attempt(c, w, id, number, error);
        r = model_attempt_keep(c->api->model, a, engine, started, &c->api->now);
        CRASH_POINT("worker-keep");
        return r < 0 ? r : call_hold_empty(c);
}

/* It is about to end: what it has it still completes, also what is on its way to it. One that only ends if nothing is (idle) goes on else, and while
 * something waits for room: as it is the only one of its user's, that user would have to wait until the next one comes, or lose the room to others. */
int handle_drain(Call *c, sd_bus_error *error) {
        Reply reply;
        uint32_t n;
        bool idle;
        Worker *w;
        int r;

        r = find_worker(c, &w, error);
        if (r >= 0)
                r = read_json_flag(c->parameters, "idle", &idle, error);
        if (r < 0)
                return r;
        n = w->n_attempts > 0 ? w->n_attempts : idle && worker_is_waited_for(w);
        if (!idle || n == 0)
                model_worker_drain(c->api->model, w);
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "attempts", "u", n);
        return call_hold(c, &reply, r);
}
