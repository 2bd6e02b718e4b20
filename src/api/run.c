/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Run: somebody waits for his turn to start a command himself; and Exited: how that ended. The process that is put into the scope is the one
 * that connected, as the kernel tells of it, and never a number in a message. It must have been there when it connected, and run as its user
 * alone: not as one whom a set-user-id program has made more of. */

#include "api/run.h"

#include "api/long-calls.h"
#include "api/methods.h"
#include "api/read-json.h"
#include "api/socket.h"
#include "api/submit.h"
#include "base/crash-point.h"
#include "base/parse.h"
#include "base/strv.h"

#include <json-c/json.h>
#include <signal.h>

#define PROTOCOL 1U
#define ERROR_MAX 1024U

static int read_token(const Call *c, sd_id128_t *ret, sd_bus_error *error) {
        const char *text;
        int r;

        r = read_json_string(c->parameters, "token", NULL, &text, error);
        if (r < 0)
                return r;
        if (strlen(text) != 32 || sd_id128_from_string(text, ret) < 0 || sd_id128_is_null(*ret))
                return invalid_parameter(error, "token");
        return 0;
}

static int foreign(sd_bus_error *error, const char *why) {
        return api_error(error, JOBMILL_ERROR_FOREIGN_PROCESS, "%s", why);
}

/* Who connected, held. */
static int read_peer(const Call *c, Process *ret, sd_bus_error *error) {
        const Connection *connection = c->client->connection;
        Process p = { .fd = -EBADF };
        int r;

        r = process_of_peer(connection_fd(connection), c->api->user, &p);
        if (r >= 0 && !process_is_older(&p, connection_accepted(connection)))
                r = -ESRCH;
        if (r >= 0)
                r = process_check_user(p.pid, p.fd, c->client->uid);
        if (r >= 0) {
                *ret = p;
                return 0;
        }
        process_done(&p);
        return r == -ESRCH ? foreign(error, "The process that connected is gone") :
               r == -EPERM ? foreign(error, "The process that connected does not run as its user alone") :
                             api_error(error, JOBMILL_ERROR_FOREIGN_PROCESS, "The process that connected cannot be told: %s", strerror(-r));
}

static bool is_same_process(const Run *r, const Process *p) {
        return r->pid == p->pid && r->started == p->started && sd_id128_equal(r->boot_id, p->boot_id);
}

/* ---- Run ---- */

int run_append_done(Reply *reply, const JobRow *row) {
        const Outcome *o = row->attempt ? &row->attempt->outcome : NULL;
        int r;

        r = reply_open_dict(reply, "done");
        if (r >= 0)
                r = dict_append(reply, "result", "s", job_result_to_string(row->job->result));
        if (r >= 0 && row->job->reason)
                r = dict_append(reply, "reason", "s", row->job->reason);
        if (r >= 0 && o && o->exit_status >= 0)
                r = dict_append(reply, "exit_status", "i", o->exit_status);
        if (r >= 0 && o && o->exit_signal > 0)
                r = dict_append(reply, "exit_signal", "i", o->exit_signal);
        return reply_close_dict(reply, r);
}

static int answer_id(Call *c, const Run *run, bool recorded) {
        ReplyTo to = call_reply_to(c);
        Reply reply;
        int r;

        to.continues = true;
        r = reply_begin(&to, &reply);
        if (r >= 0)
                r = reply_append(&reply, "id", "t", run->job);
        return r < 0 || recorded ? reply_send(&to, &reply, r) : held_add(c->api, &to, &reply, /* final = */ false);
}

static int resume(Call *c, Run *run, Process *p, sd_bus_error *error) {
        Model *m = c->api->model;
        const Job *j;
        RunLink *l;
        int r;

        if (!is_same_process(run, p))
                return foreign(error, "This token is another process's");
        if (run->pidfd < 0) { /* it could not be held before */
                r = run_link_new(c->api, p, &l);
                if (r < 0)
                        return r;
                run_link_add(l, run, c->client->uid);
        }
        r = answer_id(c, run, !run->is_new);
        if (r < 0)
                return r;
        run_link_connect(c->api, run, c->client->connection);
        j = model_job(m, run->job);
        if (j && j->live)
                model_run_act(m, run);
        return r;
}

/* Its job ended while it was away. */
static int answer_ended(Call *c, uint64_t id, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        Reply reply;
        int r;

        r = history_get(c->api->store, id, false, &row);
        if (r < 0 && r != -ENOENT)
                return api_error_store(c->api, error, r);
        if (r == -ENOENT || row.job->owner != c->client->uid || !row.job->foreground || row.job->state != JOB_DONE)
                return api_error_no_such_job(error, id);
        r = call_reply(c, &reply);
        if (r >= 0)
                r = run_append_done(&reply, &row);
        return call_send(c, &reply, r);
}

static int check_property(const char *name, const char *where, sd_bus_error *error) {
        const UnitProperty *p = unit_property_find(name);

        return !p || (p->flags & UNIT_PROPERTY_SLICE) ? 0 : api_error(error, JOBMILL_ERROR_PROPERTY_NOT_ALLOWED,
                        "%s%s: not in the foreground, where there is no unit to be started", where, name);
}

/* Its queue must not want more than a scope can be. */
static int check_queue(const Call *c, const Request *q, sd_bus_error *error) {
        const Queue *queue = model_queue(c->api->model, request_queue_name(q));
        int r = 0;

        if (queue && queue->policy.executor != EXECUTOR_SERVICE)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue %s is not for jobs in the foreground (Executor=%s)", queue->name,
                                 executor_to_string(queue->policy.executor));
        STRV_FOREACH(p, q->spec->properties) {
                _cleanup_free_ char *name = strndup(*p, strcspn(*p, "="));

                r = name ? check_property(name, "properties: ", error) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; queue && i < queue->policy.service.n_values && r >= 0; i++) {
                const UnitProperty *p = unit_property_of_value(queue->policy.service.values + i);

                r = p ? check_property(p->name, "its queue sets ", error) : 0;
        }
        return r;
}

static int read_request(const Call *c, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        q->spec = spec_new();
        if (!q->spec)
                return -ENOMEM;
        r = read_json_request(c->parameters, "job", q, error);
        if (r < 0)
                return r;
        r = run_check_spec(q->spec, &text);
        if (r < 0)
                return text ? api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text) : r;
        return check_queue(c, q, error);
}

/* One process is in one scope; and what waits here has a descriptor of ours, connected or not. */
static int check_limits(const Call *c, const Process *p, sd_bus_error *error) {
        const Run *other = model_run_of_process(c->api->model, p->boot_id, p->started, p->pid);
        const char *limit = run_link_too_many(c->api, c->client->account);

        if (other)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "This process has a job in the foreground already: %" PRIu64, other->job);
        return limit ? api_error(error, JOBMILL_ERROR_TOO_MANY, "Too many jobs in the foreground (%s)", limit) : 0;
}

/* 1: it is there; 0: not yet, as every handler. */
static int run_new(Call *c, const sd_id128_t *token, Process *p, sd_bus_error *error) {
        _cleanup_(answer_done) Answer a = {};
        _cleanup_(run_freep) Run *run = new0(Run, 1);
        RunLink *l = NULL;
        Request q = {};
        Job *j;
        int r;

        if (!run)
                return -ENOMEM;
        *run = (Run) { .token = *token, .boot_id = p->boot_id, .pid = p->pid, .started = p->started, .pidfd = -EBADF };
        r = check_limits(c, p, error);
        if (r >= 0)
                r = read_request(c, &q, error);
        if (r >= 0)
                r = run_link_new(c->api, p, &l);
        if (r >= 0)
                r = submit_all(c, &q, 1, ONE_JOB, &a, error);
        request_done(&q);
        if (r <= 0) {
                run_link_free(l);
                return r;
        }
        j = model_job(c->api->model, a.ids[0]);
        j->foreground = true;
        run->job = j->id;
        run_link_add(l, run, c->client->uid);
        model_run_add(c->api->model, run, /* loaded = */ false);
        run_link_connect(c->api, run, c->client->connection);
        return answer_id(c, TAKE_PTR(run), false);
}

int handle_run(Call *c, sd_bus_error *error) {
        const uint64_t none = 0;
        uint64_t protocol, id;
        Process p = { .fd = -EBADF };
        sd_id128_t token;
        const User *u;
        Run *run;
        int r;

        r = read_json_u64(c->parameters, "protocol", NULL, &protocol, error);
        if (r >= 0 && protocol != PROTOCOL)
                r = invalid_parameter(error, "protocol");
        if (r >= 0)
                r = read_token(c, &token, error);
        if (r >= 0)
                r = read_json_u64(c->parameters, "id", &none, &id, error);
        if (r < 0)
                return r;
        if (!c->more || c->oneway)
                return api_error(error, VARLINK_ERROR_EXPECTED_MORE, "Run goes on: \"more\" is needed");
        r = call_user(c, c->client->uid, &u);
        if (r <= 0)
                return r;
        r = read_peer(c, &p, error);
        if (r < 0)
                return r;
        CRASH_POINT("run-submit");
        run = model_run_of_token(c->api->model, &token);
        if (run)
                r = resume(c, run, &p, error);
        else
                r = id > 0 ? answer_ended(c, id, error) : run_new(c, &token, &p, error);
        process_done(&p);
        return r;
}

/* ---- Exited ---- */

static int read_exit(const Call *c, Outcome *o, bool *ret_stopped, sd_bus_error *error) {
        const uint64_t none = UINT64_MAX;
        uint64_t status, sig;
        bool core;
        const char *text;
        int r;

        r = read_json_string(c->parameters, "error", "", &text, error);
        if (r >= 0)
                r = read_json_u64(c->parameters, "exit_status", &none, &status, error);
        if (r >= 0)
                r = read_json_u64(c->parameters, "exit_signal", &none, &sig, error);
        if (r < 0)
                return r;
        if (strlen(text) > ERROR_MAX || !string_is_clean(text))
                return invalid_parameter(error, "error");
        if ((*text != 0) + (status != none) + (sig != none) != 1 || (status != none && status > 255))
                return invalid_parameter(error, "exit_status");
        if (sig != none && (sig < 1 || sig > (uint64_t) SIGRTMAX))
                return invalid_parameter(error, "exit_signal");
        r = read_json_flag(c->parameters, "core_dump", &core, error);
        if (r >= 0)
                r = read_json_flag(c->parameters, "stopped", ret_stopped, error);
        if (r < 0)
                return r;
        if (*text) {
                o->result = JOB_EXEC;
                return (o->reason = strdup(text)) ? 0 : -ENOMEM;
        }
        if (sig != none) {
                o->exit_signal = sig;
                o->result = core ? JOB_CORE_DUMP : JOB_SIGNAL;
                return 0;
        }
        o->exit_status = status;
        o->result = status == 0 ? JOB_SUCCESS : JOB_EXIT_CODE;
        return 0;
}

static int answer_exited(Call *c, JobResult result, const char *reason, bool recorded) {
        Reply reply;
        int r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "result", "s", job_result_to_string(result));
        if (r >= 0 && reason)
                r = reply_append(&reply, "reason", "s", reason);
        return r >= 0 && recorded ? call_send(c, &reply, r) : call_hold(c, &reply, r);
}

static bool is_own(const Call *c, uint64_t id) {
        _cleanup_(job_row_done) JobRow row = {};

        return history_get(c->api->store, id, false, &row) >= 0 && row.job->owner == c->client->uid;
}

/* It was told before: the same again, also where something else became of it, as of a process that was thought to be gone. */
static int answer_again(Call *c, uint64_t id, uint64_t number, const sd_id128_t *token, sd_bus_error *error) {
        _cleanup_(attempt_freep) Attempt *stored = NULL;
        const Attempt *a = NULL;
        int r;

        if (!is_own(c, id))
                return api_error(error, JOBMILL_ERROR_NO_SUCH_ATTEMPT, "You have no job %" PRIu64, id);
        if (number <= UINT32_MAX)
                a = attempt_find(c->api->model, id, number);
        if (a && a->job)
                a = NULL;
        if (!a && number <= UINT32_MAX) {
                r = store_load_attempt(c->api->store, id, number, &stored);
                if (r < 0 && r != -ENOENT)
                        return api_error_store(c->api, error, r);
                a = stored;
        }
        if (!a || a->executor != EXECUTOR_SCOPE || !sd_id128_equal(a->token, *token))
                return api_error(error, JOBMILL_ERROR_NO_SUCH_ATTEMPT, "There is no attempt %" PRIu64 " of job %" PRIu64 " with this token", number, id);
        return answer_exited(c, a->outcome.result, a->outcome.reason, !connection_holds(c->client->connection) && !a->changed);
}

static int exited(Call *c, const Run *run, Attempt *a, sd_bus_error *error) {
        _cleanup_(outcome_done) Outcome o = OUTCOME_INIT;
        Process p = { .fd = -EBADF };
        bool same, stopped;
        int r;

        r = read_exit(c, &o, &stopped, error);
        if (r < 0)
                return r;
        r = process_of_peer(connection_fd(c->client->connection), c->api->user, &p);
        same = r >= 0 && is_same_process(run, &p);
        process_done(&p);
        if (!same)
                return foreign(error, "This token is another process's");
        CRASH_POINT("run-exited");
        run_outcome(c->api, a, stopped, &o); /* the process is in it still */
        model_run_exited(c->api->model, a, &o, &c->api->now);
        return answer_exited(c, a->outcome.result, a->outcome.reason, false);
}

int handle_exited(Call *c, sd_bus_error *error) {
        uint64_t id, number;
        sd_id128_t token;
        Attempt *a;
        Run *run;
        Job *j;
        int r;

        r = read_token(c, &token, error);
        if (r >= 0)
                r = read_json_attempt(c->parameters, &id, &number, error);
        if (r < 0)
                return r;
        run = model_run(c->api->model, id);
        j = run && sd_id128_equal(run->token, token) ? model_job(c->api->model, id) : NULL;
        a = j ? j->live : NULL;
        if (a && a->number == number && a->phase == ATTEMPT_RUNNING)
                return exited(c, run, a, error);
        return answer_again(c, id, number, &token, error);
}
