/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See run.h. A link is there from the submission, or from the load of the store, until the job is done: it holds the process, which is the
 * lease. It has a connection while somebody there is to be told of his turn; without one it is not chosen, and after a minute given up. */

#include "api/run.h"

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/socket.h"
#include "base/crash-point.h"
#include "base/log.h"

#include <sys/epoll.h>

#define REASON_AGAIN (250 * USEC_PER_MSEC) /* after something has changed */
#define REASON_IDLE (2 * USEC_PER_SEC)
#define REASONS_AT_ONCE 64U /* then others have a turn */
#define AWAY_MAX (60 * USEC_PER_SEC)

struct RunLink {
        Api *api;
        uint64_t job;
        Connection *connection; /* NULL: not connected, or told all that there is to tell before its command has ended */
        int pidfd;
        sd_event_source *process;
        JobRow row;             /* as it was last recorded */
        bool look;              /* that has changed, or it is new: on looks */
        bool waits;             /* on waiting */
        bool told;              /* to go, or that it need not: it will not be away */
        usec_t away_since;      /* monotonic; 0: it is not: else on away */
        Account *account;       /* of its owner, where it is counted; NULL: not yet */
        char *reason;           /* that was told; NULL: none */
        TAILQ_ENTRY(RunLink) look_entry, waiting_entry, away_entry;
        UT_hash_handle hh;      /* by job */
};
TAILQ_HEAD(RunLinkList, RunLink);

struct RunLinks {
        RunLink *links;         /* uthash by job */
        struct RunLinkList looks, waiting, away; /* whose row has changed; that are to be told why they wait, who was told longest ago first; by time */
        bool noted;             /* something has changed since they were told */
        sd_event_source *timer; /* those that wait are told why, if that has changed */
        sd_event_source *away_timer;
        void (*outcome)(void *userdata, const Attempt *a, bool stopped, Outcome *o);
};

int api_runs_new(Api *a, void (*outcome)(void *userdata, const Attempt *a, bool stopped, Outcome *o)) {
        a->runs = new0(struct RunLinks, 1);
        if (!a->runs)
                return -ENOMEM;
        a->runs->outcome = outcome;
        TAILQ_INIT(&a->runs->looks);
        TAILQ_INIT(&a->runs->waiting);
        TAILQ_INIT(&a->runs->away);
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

const char *run_link_too_many(const Api *a, const Account *account) {
        unsigned n = HASH_COUNT(a->runs->links);

        if (n >= a->limits.connections_max || n + socket_count(a->socket) > socket_connections_max(a))
                return "SocketConnectionsMax=";
        return account->uid != 0 && account->n_runs >= a->limits.connections_per_user_max ? "SocketConnectionsPerUserMax=" : NULL;
}

static void count(RunLink *l, uint32_t uid) {
        if (l->account)
                return;
        l->account = account_get(&l->api->accounts, uid);
        if (l->account)
                l->account->n_runs++;
}

static void set_look(RunLink *l, bool look) {
        struct RunLinks *runs = l->api->runs;

        if (l->look == look)
                return;
        l->look = look;
        if (look)
                TAILQ_INSERT_TAIL(&runs->looks, l, look_entry);
        else
                TAILQ_REMOVE(&runs->looks, l, look_entry);
}

static void set_waits(RunLink *l, bool waits) {
        struct RunLinks *runs = l->api->runs;

        if (l->waits == waits)
                return;
        l->waits = waits;
        if (waits)
                TAILQ_INSERT_TAIL(&runs->waiting, l, waiting_entry);
        else
                TAILQ_REMOVE(&runs->waiting, l, waiting_entry);
}

static int on_away(sd_event_source *s, uint64_t usec, void *userdata) {
        Api *a = userdata;
        usec_t now = now_usec(CLOCK_MONOTONIC);
        RunLink *l;

        while ((l = TAILQ_FIRST(&a->runs->away)) && usec_add(l->away_since, AWAY_MAX) <= now) {
                Run *r = a->model ? model_run(a->model, l->job) : NULL;

                TAILQ_REMOVE(&a->runs->away, l, away_entry);
                l->away_since = 0;
                if (r)
                        model_run_away(a->model, r);
        }
        if (!l)
                return 0;
        (void) sd_event_source_set_time(s, usec_add(l->away_since, AWAY_MAX));
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* Nobody there is to be told of its turn. */
static void set_away(RunLink *l, bool away) {
        struct RunLinks *runs = l->api->runs;
        Run *r = l->api->model ? model_run(l->api->model, l->job) : NULL;

        if (r)
                model_run_connected(l->api->model, r, !away);
        away = away && !l->told;
        if ((l->away_since > 0) == away)
                return;
        if (!away) {
                TAILQ_REMOVE(&runs->away, l, away_entry);
                l->away_since = 0;
                return;
        }
        l->away_since = now_usec(CLOCK_MONOTONIC);
        TAILQ_INSERT_TAIL(&runs->away, l, away_entry);
        if (TAILQ_FIRST(&runs->away) != l)
                return;
        if (!runs->away_timer)
                (void) sd_event_add_time(l->api->event, &runs->away_timer, CLOCK_MONOTONIC, usec_add(l->away_since, AWAY_MAX), 0, on_away, l->api);
        else if (sd_event_source_set_time(runs->away_timer, usec_add(l->away_since, AWAY_MAX)) >= 0)
                (void) sd_event_source_set_enabled(runs->away_timer, SD_EVENT_ONESHOT);
}

RunLink *run_link_free(RunLink *l) {
        Run *r;

        if (!l)
                return NULL;
        if (l->job > 0) {
                HASH_DEL(l->api->runs->links, l);
                l->told = true;
                if (l->connection)
                        connection_run(l->connection, 0);
                set_look(l, false);
                set_waits(l, false);
                set_away(l, false);
                if (l->account) {
                        l->account->n_runs--;
                        account_put(&l->api->accounts, l->account);
                }
                r = l->api->model ? model_run(l->api->model, l->job) : NULL;
                if (r) {
                        r->pidfd = -EBADF;
                        model_run_connected(l->api->model, r, false);
                }
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

static void add(RunLink *l, Run *r) {
        l->job = r->job;
        set_look(l, true);
        r->pidfd = l->pidfd;
        HASH_ADD(hh, l->api->runs->links, job, sizeof(l->job), l);
}

void run_link_add(RunLink *l, Run *r, uint32_t uid) {
        add(l, r);
        count(l, uid);
}

/* Of two connections the newer one. */
void run_link_connect(Api *a, const Run *r, Connection *c) {
        RunLink *l = link_find(a, r->job);

        if (!l)
                return;
        if (l->connection && l->connection != c) {
                connection_close(l->connection);
                connection_run(l->connection, 0);
        }
        l->connection = c;
        l->reason = mfree(l->reason);
        set_look(l, true);
        set_away(l, false);
        connection_run(c, r->job);
}

void run_connection_gone(Api *a, uint64_t job) {
        RunLink *l = link_find(a, job);

        if (!l)
                return;
        l->connection = NULL;
        set_waits(l, false);
        set_away(l, true);
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
                add(l, run);
        return r;
}

/* Of another model nobody knows whether one that is running was told. */
static void resume_link(Api *a, RunLink *l) {
        const Job *j = model_job(a->model, l->job);

        l->told = l->told || (j && j->live && j->live->phase != ATTEMPT_STARTING);
        set_look(l, true);
        set_away(l, !l->connection);
}

void api_runs_resume(Api *a) {
        RunLink *l, *tl;
        Run *run, *tr;
        int r;

        if (!a->model)
                return;
        HASH_ITER(hh, a->runs->links, l, tl)
                if (!model_run(a->model, l->job)) { /* it was not told that the job is over: it is asked again */
                        if (l->connection)
                                connection_close(l->connection);
                        run_link_free(l);
                }
        HASH_ITER(hh, a->model->runs.by_job, run, tr) {
                l = link_find(a, run->job);
                if (l) {
                        run->pidfd = l->pidfd;
                        r = process_is_gone(l->pidfd) ? -ESRCH : 0;
                } else
                        r = hold_again(a, run);
                if (r >= 0)
                        resume_link(a, link_find(a, run->job));
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
        sd_event_source_disable_unref(a->runs->away_timer);
        a->runs = mfree(a->runs);
}

/* ---- what they are told ---- */

/* The last word to this connection, said whether the others are read or not; it may go on with other calls. */
static int end_call(RunLink *l, Reply *reply, int r) {
        ReplyTo to = { .connection = l->connection };

        CRASH_POINT("run-answer-before");
        r = reply_send(&to, reply, r);
        CRASH_POINT("run-answer-after");
        l->told = true;
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

static void tell(RunLink *l) {
        const Run *run = model_run(l->api->model, l->job);
        int r = 0;

        if (run && run->is_new) /* not recorded yet */
                return;
        if (l->look) {
                job_row_done(&l->row);
                r = history_get(l->api->store, l->job, false, &l->row);
                set_look(l, r < 0);
        }
        if (r < 0 && r != -ENOENT)
                return;
        if (r == -ENOENT || l->row.job->state == JOB_DONE) {
                if (l->connection && r >= 0)
                        r = tell_done(l);
                if (l->connection && r < 0)
                        connection_close(l->connection);
                run_link_free(l);
                return;
        }
        count(l, l->row.job->owner);
        set_waits(l, l->connection && !job_state_is_live(l->row.job->state));
        if (l->waits && connection_is_read(l->connection) && tell_waiting(l) < 0)
                log_debug("Cannot tell why job %" PRIu64 " waits, ignoring.", l->job);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Api *a = userdata;
        RunLink *l, *last = TAILQ_LAST(&a->runs->waiting, RunLinkList);

        if (!a->store || api_read_clocks(a, &a->now) < 0)
                return 0;
        for (unsigned n = 0; n < REASONS_AT_ONCE && (l = TAILQ_FIRST(&a->runs->waiting)); n++) {
                bool all = l == last;

                TAILQ_REMOVE(&a->runs->waiting, l, waiting_entry);
                TAILQ_INSERT_TAIL(&a->runs->waiting, l, waiting_entry);
                tell(l);
                if (all)
                        break;
        }
        return 0;
}

/* Never later than it was: where something changes all the time they would never be told. */
static void arm(Api *a, usec_t after) {
        uint64_t now, due;

        if (!a->runs->timer) {
                (void) sd_event_add_time_relative(a->event, &a->runs->timer, CLOCK_MONOTONIC, after, 0, on_timer, a);
                return;
        }
        if (sd_event_source_get_enabled(a->runs->timer, NULL) > 0 && sd_event_now(a->event, CLOCK_MONOTONIC, &now) >= 0 &&
            sd_event_source_get_time(a->runs->timer, &due) >= 0 && due <= usec_add(now, after))
                return;
        (void) sd_event_source_set_time_relative(a->runs->timer, after);
        (void) sd_event_source_set_enabled(a->runs->timer, SD_EVENT_ONESHOT);
}

void api_note_runs(Api *a, const Change *changes, size_t n) {
        a->runs->noted = a->runs->noted || n > 0;
        for (size_t i = 0; i < n && a->runs->links; i++) {
                RunLink *l = link_find(a, changes[i].id);

                if (l)
                        set_look(l, true);
        }
}

/* Whose own row was changed hears at once; why the others wait now is told a little later, as many starts and ends come together. */
void api_tell_runs(Api *a) {
        RunLink *l, *t;

        if (!a->runs->links || !a->store)
                return;
        TAILQ_FOREACH_SAFE(l, &a->runs->looks, look_entry, t)
                tell(l);
        if (!TAILQ_EMPTY(&a->runs->waiting))
                arm(a, a->runs->noted ? REASON_AGAIN : REASON_IDLE);
        a->runs->noted = false;
}

bool api_run_waits(const Api *a, const Attempt *at) {
        const RunLink *l = link_find(a, at->job_id);

        return l && l->connection;
}

int api_run_go(Api *a, const Attempt *at, char *const *environment) {
        RunLink *l = link_find(a, at->job_id);
        ReplyTo to;
        Reply reply;
        int r;

        if (!l || !l->connection)
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

        if (!l || !l->connection)
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
