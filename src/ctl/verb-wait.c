/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* wait, and submit --wait. One WaitJob call for each job, answered when the job is done; as many in flight
 * as the bus allows one client comfortably. When the daemon or the bus goes away the connection is dropped,
 * made again, and every job that has no answer is asked for again: a job that ended meanwhile answers at
 * once. Only the first contact starts the daemon, so that somebody who stops it finds it stopped. */

#include "api/protocol.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "ctl/wait-progress.h"

/* dbus-daemon lets a client wait for 128 replies. */
#define IN_FLIGHT_MAX 64U
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (2 * USEC_PER_SEC)
#define PROGRESS_USEC (300 * USEC_PER_MSEC) /* until a line that could not be drawn is tried again */
#define TELL_USEC (5 * USEC_PER_SEC) /* a restart is shorter and no news */

typedef struct WaitContext WaitContext;

typedef struct Waiter {
        WaitContext *context;
        uint64_t id;
        sd_bus_slot *slot; /* a call in flight */
        bool finished;
        int status;
} Waiter;

struct WaitContext {
        sd_bus *bus;
        Waiter *waiters;
        size_t n, n_finished, n_asked, next; /* next: the first one that may have to be asked for */
        usec_t deadline;                     /* monotonic */
        usec_t retry;                        /* how long to pause before the next try */
        usec_t connected, away_since;        /* monotonic; USEC_INFINITY: not connected; said so */
        bool lost;                           /* the connection is to be made anew */
        bool print;
        WaitProgress *progress;
};

static void waiter_finish(Waiter *w, int status) {
        w->finished = true;
        w->status = status;
        w->context->n_finished++;
        wait_progress_done(w->context->progress, w->id, status != 0);
}

static void report(const Waiter *w, const JobInfo *j) {
        char outcome[64];

        job_info_outcome(j, outcome, sizeof(outcome));
        if (w->context->print && arg_json == JSON_OFF && !arg_quiet) {
                printf("%" PRIu64 " %s\n", w->id, outcome);
                (void) output_flush();
        } else if (!w->context->print && w->status != 0 && !arg_quiet)
                (void) ctl_error(0, "job %" PRIu64 ": %s%s%s%s", w->id, outcome, j->reason ? " (" : "",
                                 strempty(j->reason), j->reason ? ")" : "");
}

/* 0: done, or its time is over; 1: ask again; or a negative errno. */
static int read_answer(Waiter *w, sd_bus_message *m) {
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        const char *state, *result;
        int r;

        r = sd_bus_message_read(m, "ss", &state, &result);
        if (r < 0)
                return r;
        if (!streq(state, "done")) {
                if (now_usec(CLOCK_MONOTONIC) < w->context->deadline)
                        return 1;
                if (!arg_quiet)
                        (void) ctl_error(0, "job %" PRIu64 " is still %s", w->id, state);
                waiter_finish(w, EXIT_TIMED_OUT);
                return 0;
        }
        r = job_info_read(m, &j);
        if (r < 0)
                return r;
        if (free_and_strdup(&j.result, result) < 0)
                return -ENOMEM;
        waiter_finish(w, job_exit_status(result, j.exit_status, j.exit_signal));
        report(w, &j);
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Waiter *w = userdata;
        WaitContext *c = w->context;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r;

        wait_progress_clear(c->progress);
        w->slot = sd_bus_slot_unref(w->slot);
        c->n_asked--;
        c->next = MIN(c->next, (size_t) (w - c->waiters));
        if (e && bus_error_is_transient(e, -sd_bus_error_get_errno(e))) {
                c->lost = true;
                return 0;
        }
        if (e)
                (void) ctl_error(0, "job %" PRIu64 ": %s", w->id, bus_error_text(e, 0));
        r = e ? -EIO : read_answer(w, m);
        if (r < 0) {
                if (!e)
                        (void) ctl_error(r, "job %" PRIu64 ": cannot read the daemon's answer: %m", w->id);
                waiter_finish(w, EXIT_OTHER_FAILURE);
        }
        return 0;
}

static int ask(WaitContext *c, Waiter *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        usec_t left = usec_sub(c->deadline, now_usec(CLOCK_MONOTONIC));
        int r;

        r = sd_bus_message_new_method_call(c->bus, &call, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                           JOBMILL_INTERFACE_MANAGER, "WaitJob");
        if (r >= 0)
                r = sd_bus_message_append(call, "tt", w->id, (uint64_t) left);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_call_async(c->bus, &w->slot, call, on_answer, w, UINT64_MAX);
        if (r >= 0)
                c->n_asked++;
        return r;
}

static int ask_all(WaitContext *c) {
        int r;

        for (; c->next < c->n && c->n_asked < IN_FLIGHT_MAX; c->next++) {
                Waiter *w = c->waiters + c->next;

                if (w->finished || w->slot)
                        continue;
                r = ask(c, w);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void disconnect(WaitContext *c) {
        for (size_t i = 0; i < c->n; i++)
                c->waiters[i].slot = sd_bus_slot_unref(c->waiters[i].slot);
        wait_progress_disconnect(c->progress);
        c->n_asked = 0;
        c->next = 0;
        c->bus = sd_bus_close_unref(c->bus);
        c->lost = false;
}

/* -EAGAIN: try again later. */
static int wait_turn(WaitContext *c) {
        int r;

        if (!c->bus) {
                r = bus_open_quietly(&c->bus);
                if (r < 0)
                        return -EAGAIN;
                c->connected = now_usec(CLOCK_MONOTONIC);
                wait_progress_connect(c->progress, c->bus);
        }
        r = ask_all(c);
        if (r < 0)
                return r == -ENOMEM ? r : -EAGAIN;
        r = sd_bus_process(c->bus, NULL);
        if (r < 0 || c->lost)
                return -EAGAIN;
        if (r > 0 || c->n_finished == c->n)
                return 0;
        r = sd_bus_wait(c->bus, wait_progress_draw(c->progress) ? UINT64_MAX : PROGRESS_USEC);
        return r < 0 && r != -EINTR ? -EAGAIN : 0;
}

static int wait_all(WaitContext *c) {
        usec_t now;
        int r;

        while (c->n_finished < c->n) {
                r = wait_turn(c);
                if (r == 0)
                        continue;
                if (r != -EAGAIN)
                        return ctl_error(r, "Cannot wait: %m");
                disconnect(c);
                now = now_usec(CLOCK_MONOTONIC);
                if (now >= c->deadline)
                        return ctl_error(-ETIMEDOUT, "jobmilld is away, and the time is over");
                if (usec_sub(now, c->connected) >= USEC_PER_SEC) { /* it was there; this is a new absence */
                        c->away_since = now;
                        c->retry = RETRY_MIN_USEC;
                }
                c->connected = USEC_INFINITY;
                if (usec_sub(now, c->away_since) >= TELL_USEC) {
                        wait_progress_clear(c->progress);
                        ctl_warning("jobmilld is away; waiting for it to come back");
                        c->away_since = USEC_INFINITY; /* said */
                }
                (void) usleep(MIN(c->retry, c->deadline - now));
                c->retry = MIN(c->retry * 2, RETRY_MAX_USEC);
        }
        return 0;
}

int wait_for_jobs(const uint64_t *ids, size_t n, usec_t timeout, bool print) {
        WaitContext c = {
                .n = n,
                .print = print,
                .retry = RETRY_MIN_USEC,
                .connected = USEC_INFINITY,
                .away_since = now_usec(CLOCK_MONOTONIC),
                .deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout),
        };
        int r;

        c.waiters = new0(Waiter, n);
        if (!c.waiters)
                return ctl_oom();
        for (size_t i = 0; i < n; i++)
                c.waiters[i] = (Waiter){ .context = &c, .id = ids[i] };
        c.progress = wait_progress_new(ids, n);
        r = wait_all(&c);
        disconnect(&c);
        wait_progress_free(c.progress);
        for (size_t i = 0; i < n && r == 0; i++)
                r = c.waiters[i].status;
        free(c.waiters);
        return r == -ETIMEDOUT ? EXIT_TIMED_OUT : r;
}

/* The unfinished jobs that match, unless the filter names states itself. */
static int find_jobs(sd_bus *bus, uint64_t **ret, size_t *ret_n) {
        static const char *const unfinished[] = { "held",    "waiting",  "ready", "starting",
                                                  "running", "stopping", NULL };
        static const char *const fields[] = { "id", NULL };
        _cleanup_free_ uint64_t *ids = NULL;
        _cleanup_free_ char *cursor = NULL;
        Filter filter = arg_filter;
        size_t total = 0;
        int r;

        if (!filter.states)
                filter.states = (char **) unfinished;
        filter.order = (char *) "oldest"; /* about as they will end */
        do {
                uint64_t *more;
                JobInfo *jobs;
                size_t n;

                r = job_list_page(bus, &filter, (char *const *) fields, strempty(cursor), JOBMILL_LIST_MAX,
                                  &jobs, &n, &cursor);
                if (r < 0)
                        return r;
                more = reallocarray(ids, total + n + 1, sizeof(uint64_t));
                if (more)
                        ids = more;
                for (size_t i = 0; i < n && more; i++)
                        ids[total++] = jobs[i].id;
                job_info_array_free(jobs, n);
                if (!more)
                        return ctl_oom();
        } while (cursor);
        *ret = TAKE_PTR(ids);
        *ret_n = total;
        return 0;
}

/* After the wait: the jobs as JSON, as list prints them. */
static int print_json(const uint64_t *ids, size_t n) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        JsonArray array = {};
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;

                r = job_info_get(bus, ids[i], &j);
                if (r >= 0)
                        r = json_array_add(&array, job_info_to_json(&j));
                if (r < 0)
                        worst = r;
        }
        if (worst >= 0 || array.n > 0)
                json_array_end(&array);
        return worst;
}

int verb_wait(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = argc;
        int r, status;

        if ((argc == 0) == filter_is_empty(&arg_filter))
                return ctl_error(-EINVAL, argc == 0 ? "wait: for which jobs? Give ids or a filter"
                                                    : "wait: ids and a filter cannot be combined");
        r = bus_open(&bus);
        if (r < 0)
                return r;
        r = argc > 0 ? job_ids_resolve(bus, argc, argv, &ids) : find_jobs(bus, &ids, &n);
        if (r >= 0) /* starts the daemon, and says so where that fails: from here on its absence is only
                       waited for */
                r = bus_call_simple(bus, NULL, "ListQueues", NULL, "");
        if (r < 0)
                return r;
        status = wait_for_jobs(ids, n, arg_timeout, true);
        if (status >= 0 && arg_json != JSON_OFF) {
                r = print_json(ids, n);
                if (r < 0)
                        return r;
        }
        return status;
}
