/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See run.h. A link is there from the submission, or from the load of the store, until the job is done: it holds the process, which is the
 * lease. It has a connection while somebody there is to be told of his turn. */

#include "api/run.h"

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/socket.h"
#include "base/crash-point.h"
#include "base/log.h"

#include <sys/epoll.h>

#define REASON_AGAIN (250 * USEC_PER_MSEC) /* after something has changed */
#define REASON_IDLE (2 * USEC_PER_SEC)

struct RunLink {
        Api *api;
        uint64_t job;
        Connection *connection; /* NULL: not connected, or told all that there is to tell before its command has ended */
        int pidfd;
        sd_event_source *process;
        JobRow row;             /* as it was last recorded */
        bool look;              /* that has changed */
        char *reason;           /* that was told; NULL: none */
        UT_hash_handle hh;      /* api->run_links, by job */
};

struct RunLinks {
        RunLink *links;         /* uthash by job */
        bool noted;             /* something has changed since they were told */
        sd_event_source *timer; /* those that wait are told why, if that has changed */
        void (*outcome)(void *userdata, const Attempt *a, bool stopped, Outcome *o);
};

int api_runs_new(Api *a, void (*outcome)(void *userdata, const Attempt *a, bool stopped, Outcome *o)) {
        a->runs = new0(struct RunLinks, 1);
        if (!a->runs)
                return -ENOMEM;
        a->runs->outcome = outcome;
        return 0;
}

void run_outcome(const Api *a, const Attempt *at, bool stopped, Outcome *o) {
        a->runs->outcome(a->userdata, at, stopped, o);
}

static RunLink *link_find(const Api *a, uint64_t job) {
        RunLink *l;

        HASH_FIND(hh, a->runs->links, &job, sizeof(job), l);
        return l;
}

RunLink *run_link_free(RunLink *l) {
        Run *r;

        if (!l)
                return NULL;
        if (l->job > 0) {
                HASH_DEL(l->api->runs->links, l);
                if (l->connection)
                        connection_run(l->connection, 0);
                r = l->api->model ? model_run(l->api->model, l->job) : NULL;
                if (r)
                        r->pidfd = -EBADF;
        }
        sd_event_source_disable_unref(l->process);
        safe_close(l->pidfd);
        job_row_done(&l->row);
        free(l->reason);
        return mfree(l);
}

static int on_process(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        RunLink *l = userdata;
        Run *r = l->api->model ? model_run(l->api->model, l->job) : NULL;

        CRASH_POINT("run-gone");
        if (r)
                model_run_gone(l->api->model, r);
        return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

int run_link_new(Api *a, Process *p, RunLink **ret) {
        RunLink *l = new0(RunLink, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->api = a;
        l->pidfd = p->fd;
        p->fd = -EBADF;
        r = sd_event_add_io(a->event, &l->process, l->pidfd, EPOLLIN, on_process, l);
        if (r < 0) {
                run_link_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

void run_link_add(RunLink *l, Run *r) {
        l->job = r->job;
        l->look = true;
        r->pidfd = l->pidfd;
        HASH_ADD(hh, l->api->runs->links, job, sizeof(l->job), l);
}

/* Of two connections the newer one. */
void run_link_connect(Api *a, const Run *r, Connection *c) {
        RunLink *l = link_find(a, r->job);

        if (!l)
                return;
        if (l->connection && l->connection != c)
                connection_run(l->connection, 0);
        l->connection = c;
        l->reason = mfree(l->reason);
        l->look = true;
        connection_run(c, r->job);
}

void run_connection_gone(Api *a, uint64_t job) {
        RunLink *l = link_find(a, job);

        if (l)
                l->connection = NULL;
}

int api_run_check(const Run *r, uint32_t owner) {
        if (r->gone)
                return -ESRCH;
        return process_check_user(r->pid, r->pidfd, owner);
}

/* ---- another model ---- */

static int hold_again(Api *a, Run *run) {
        Process p = { .fd = -EBADF };
        RunLink *l;
        int r;

        r = process_again(run->pid, run->started, run->boot_id, &p.fd);
        if (r >= 0)
                r = run_link_new(a, &p, &l);
        process_done(&p);
        if (r >= 0)
                run_link_add(l, run);
        return r;
}

void api_runs_resume(Api *a) {
        RunLink *l, *tl;
        Run *run, *tr;
        int r;

        if (!a->model)
                return;
        HASH_ITER(hh, a->runs->links, l, tl)
                if (!model_run(a->model, l->job))
                        run_link_free(l);
        HASH_ITER(hh, a->model->runs.by_job, run, tr) {
                l = link_find(a, run->job);
                if (l) {
                        run->pidfd = l->pidfd;
                        l->look = true;
                        r = process_is_gone(l->pidfd) ? -ESRCH : 0;
                } else
                        r = hold_again(a, run);
                if (r == -ESRCH)
                        model_run_gone(a->model, run);
                else if (r < 0)
                        log_warning_errno(r, "Cannot look after the process of job %" PRIu64 ": %m", run->job);
        }
}

void api_runs_free(Api *a) {
        RunLink *l, *t;

        if (!a->runs)
                return;
        HASH_ITER(hh, a->runs->links, l, t) {
                l->connection = NULL; /* goes by itself */
                run_link_free(l);
        }
        sd_event_source_disable_unref(a->runs->timer);
        a->runs = mfree(a->runs);
}

/* ---- what they are told ---- */

static bool can_tell(const RunLink *l) {
        return l && l->connection && connection_has_room(l->connection);
}

/* The last word to this connection; it may go on with other calls. */
static int end_call(RunLink *l, Reply *reply, int r) {
        ReplyTo to = { .connection = l->connection };

        CRASH_POINT("run-answer-before");
        r = reply_send(&to, reply, r);
        CRASH_POINT("run-answer-after");
        connection_run(l->connection, 0);
        return r;
}

static int tell_done(RunLink *l) {
        ReplyTo to = { .connection = l->connection };
        Reply reply;
        int r;

        r = reply_begin(&to, &reply);
        if (r < 0)
                return r;
        r = run_append_done(&reply, &l->row);
        return end_call(l, &reply, r);
}

static int tell_waiting(RunLink *l) {
        ReplyTo to = { .connection = l->connection, .continues = true };
        _cleanup_free_ char *reason = l->row.job->reason ? strdup(l->row.job->reason) : NULL;
        Reply reply;
        int r;

        r = reason ? 0 : dict_reason(l->api, l->row.job, &reason);
        if (r < 0 || streq_ptr(l->reason, reason))
                return r;
        r = reply_begin(&to, &reply);
        if (r < 0)
                return r;
        r = reply_append(&reply, "waiting", "s", reason);
        r = reply_send(&to, &reply, r);
        free(l->reason);
        l->reason = TAKE_PTR(reason);
        return r;
}

/* true: it waits. */
static bool tell(RunLink *l) {
        const Run *run = model_run(l->api->model, l->job);
        int r = 0;

        if (run && run->is_new) /* not recorded yet */
                return false;
        if (l->look) {
                job_row_done(&l->row);
                r = history_get(l->api->store, l->job, false, &l->row);
                l->look = r < 0;
        }
        if (r < 0 && r != -ENOENT)
                return true;
        if (r == -ENOENT || l->row.job->state == JOB_DONE) {
                if (l->connection && r >= 0)
                        r = tell_done(l);
                run_link_free(l);
                return false;
        }
        if (job_state_is_live(l->row.job->state))
                return false;
        if (can_tell(l) && tell_waiting(l) < 0)
                log_debug("Cannot tell why job %" PRIu64 " waits, ignoring.", l->job);
        return true;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Api *a = userdata;
        RunLink *l, *t;

        if (!a->store || api_read_clocks(a, &a->now) < 0)
                return 0;
        HASH_ITER(hh, a->runs->links, l, t)
                (void) tell(l);
        return 0;
}

static void arm(Api *a, usec_t after) {
        if (!a->runs->timer) {
                if (sd_event_add_time_relative(a->event, &a->runs->timer, CLOCK_MONOTONIC, after, 0, on_timer, a) < 0)
                        return;
        } else if (sd_event_source_get_enabled(a->runs->timer, NULL) > 0 && after == REASON_IDLE)
                return;
        (void) sd_event_source_set_time_relative(a->runs->timer, after);
        (void) sd_event_source_set_enabled(a->runs->timer, SD_EVENT_ONESHOT);
}

void api_note_runs(Api *a, const Change *changes, size_t n) {
        a->runs->noted = a->runs->noted || n > 0;
        for (size_t i = 0; i < n && a->runs->links; i++) {
                RunLink *l = link_find(a, changes[i].id);

                if (l)
                        l->look = true;
        }
}

/* Whose own row was changed hears at once; why the others wait now is told a little later, as many starts and ends come together. */
void api_tell_runs(Api *a) {
        bool waits = false;
        RunLink *l, *t;

        if (!a->runs->links || !a->store)
                return;
        HASH_ITER(hh, a->runs->links, l, t)
                waits = l->look ? tell(l) || waits : waits || (l->connection && !job_state_is_live(l->row.job->state));
        if (waits)
                arm(a, a->runs->noted ? REASON_AGAIN : REASON_IDLE);
        a->runs->noted = false;
}

int api_run_go(Api *a, const Attempt *at, char *const *environment) {
        RunLink *l = link_find(a, at->job_id);
        ReplyTo to;
        Reply reply;
        int r;

        if (!can_tell(l))
                return 0;
        to = (ReplyTo) { .connection = l->connection };
        r = reply_begin(&to, &reply);
        if (r < 0)
                return r;
        r = reply_open_dict(&reply, "go");
        if (r >= 0)
                r = dict_append(&reply, "attempt", "u", at->number);
        if (r >= 0)
                r = dict_append_strv(&reply, "environment", environment);
        r = reply_close_dict(&reply, r);
        r = end_call(l, &reply, r);
        return r < 0 ? r : 1;
}

void api_run_stop(Api *a, const Attempt *at) {
        RunLink *l = link_find(a, at->job_id);
        ReplyTo to;
        Reply reply;
        int r;

        if (!can_tell(l))
                return;
        to = (ReplyTo) { .connection = l->connection };
        r = reply_begin(&to, &reply);
        if (r < 0)
                return;
        r = reply_open_dict(&reply, "done");
        if (r >= 0)
                r = dict_append(&reply, "result", "s", job_result_to_string(at->job->intent));
        if (r >= 0 && at->job->reason)
                r = dict_append(&reply, "reason", "s", at->job->reason);
        (void) end_call(l, &reply, reply_close_dict(&reply, r));
}
