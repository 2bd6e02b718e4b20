/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill-runner: started by jobmilld in a unit of its own, as the user whose jobs it runs (docs/pool.md).
 *
 *     jobmill-runner --socket=PATH --queue=NAME --helper=JOBMILL-EXEC [--slots=N] [--idle=USEC] [--max=USEC]
 *
 * It ends by itself when it had nothing to do for so long, or is so old and has nothing to do, as the groups of its user may be others by then: it says
 * that it wants nothing more, and goes if nothing is on its way. Told to end (SIGTERM, as when its unit is stopped) it says so first, then ends its
 * jobs, and gives back what was on its way. When it dies the manager kills what is in its unit. */

#include "runner/runner.h"

#include "base/parse.h"
#include "base/strv.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define DRAIN_AGAIN (50 * USEC_PER_MSEC)

extern char **environ;

void runner_exit(Runner *r, int status) {
        (void) sd_event_exit(r->event, status);
}

/* ---- ending ---- */

static void look_again(Runner *r, usec_t after) {
        (void) sd_event_source_set_time_relative(r->idle_timer, after);
        (void) sd_event_source_set_enabled(r->idle_timer, SD_EVENT_ONESHOT);
}

/* While the daemon is away nobody can tell whether something is on its way; but who is told to end does. */
static void go_on_ending(Runner *r) {
        if (!r->tasks && (r->drained || (r->stopping && !r->registered))) {
                runner_exit(r, EXIT_SUCCESS);
                return;
        }
        if (r->tasks && (r->accepted || !r->told))
                return; /* the end of the last one leads here again */
        link_drain(r);
        look_again(r, DRAIN_AGAIN);
}

void runner_look_idle(Runner *r) {
        (void) sd_event_now(r->event, CLOCK_MONOTONIC, &r->idle_since);
        r->ending = r->ending || (r->aged && !r->tasks);
        if (r->ending)
                go_on_ending(r);
        else if (sd_event_source_get_enabled(r->idle_timer, NULL) == 0)
                look_again(r, r->idle);
}

void runner_stay(Runner *r) {
        (void) sd_event_now(r->event, CLOCK_MONOTONIC, &r->idle_since);
        look_again(r, r->idle);
}

void runner_drain(Runner *r) {
        r->ending = r->told = true;
        go_on_ending(r);
}

static int on_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        Runner *r = userdata;
        usec_t now;

        (void) sd_event_now(r->event, CLOCK_MONOTONIC, &now);
        if (!r->tasks)
                strays_kill(r);
        if (!r->tasks && (r->aged || now - r->idle_since >= r->idle))
                r->ending = true;
        if (r->ending)
                go_on_ending(r);
        else
                look_again(r, r->tasks ? r->idle : r->idle - (now - r->idle_since));
        link_flush(r);
        return 0;
}

static int on_age(sd_event_source *s, uint64_t usec, void *userdata) {
        Runner *r = userdata;

        r->aged = true;
        if (!r->tasks)
                runner_look_idle(r);
        link_flush(r);
        return 0;
}

static int on_leave(sd_event_source *s, uint64_t usec, void *userdata) {
        tasks_leave(userdata);
        return 0;
}

static int on_again(sd_event_source *s, uint64_t usec, void *userdata) {
        tasks_again(userdata);
        return 0;
}

static int on_child(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Runner *r = userdata;

        tasks_reap(r);
        return 0;
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Runner *r = userdata;

        r->stopping = true;
        runner_drain(r); /* first: each end would make room for another */
        tasks_stop(r);
        link_flush(r);
        return 0;
}

/* ---- beginning ---- */

static int add_sources(Runner *r) {
        sigset_t mask;
        int k;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        k = sd_event_add_signal(r->event, NULL, SIGCHLD, on_child, r);
        if (k >= 0)
                k = sd_event_add_signal(r->event, NULL, SIGTERM, on_stop, r);
        if (k >= 0)
                k = sd_event_add_signal(r->event, NULL, SIGINT, on_stop, r);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->idle_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_idle, r);
        if (k >= 0)
                k = sd_event_source_set_enabled(r->idle_timer, SD_EVENT_OFF);
        if (k >= 0)
                k = sd_event_add_time_relative(r->event, &r->age_timer, CLOCK_MONOTONIC, r->max, 0, on_age, r);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->leave_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_leave, r);
        if (k >= 0)
                k = sd_event_source_set_enabled(r->leave_timer, SD_EVENT_OFF);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->again_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_again, r);
        return k < 0 ? k : sd_event_source_set_enabled(r->again_timer, SD_EVENT_OFF);
}

static bool is_of_service(const char *assignment) {
        static const char *const prefixes[] = {
                "JOBMILL_", "NOTIFY_SOCKET=", "INVOCATION_ID=", "JOURNAL_STREAM=", "LISTEN_", "WATCHDOG_", "MAINPID=", "MANAGERPID=",
                "SYSTEMD_", "CREDENTIALS_DIRECTORY=", "MEMORY_PRESSURE_",
        };

        FOREACH_ELEMENT(p, prefixes)
                if (startswith(assignment, *p))
                        return true;
        return false;
}

/* What the manager gave us as it would have given it to a unit of the job's. */
static int take_environment(Runner *r) {
        int k = 0;

        r->environment = new0(char *, 1);
        if (!r->environment)
                return -ENOMEM;
        STRV_FOREACH(i, environ)
                if (k >= 0 && !is_of_service(*i))
                        k = strv_extend(&r->environment, *i);
        return k;
}

static int make_failures(Runner *r) {
        void *p = mmap(NULL, TASKS_MAX * sizeof(SpawnFailure), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -errno;
        r->failures = p;
        r->free_failures = new0(unsigned, TASKS_MAX);
        if (!r->free_failures)
                return -ENOMEM;
        for (unsigned i = 0; i < TASKS_MAX; i++)
                r->free_failures[r->n_free_failures++] = TASKS_MAX - 1 - i;
        return 0;
}

/* We need a descriptor or two of each job; jobs get what we got. */
static int raise_files(Runner *r) {
        struct rlimit rl;

        if (getrlimit(RLIMIT_NOFILE, &r->files) < 0)
                return -errno;
        rl = r->files;
        rl.rlim_cur = rl.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &rl) < 0 ? -errno : 0;
}

static int set_up(Runner *r) {
        int k;

        k = sd_event_default(&r->event);
        if (k >= 0)
                k = add_sources(r);
        if (k >= 0)
                k = take_environment(r);
        if (k >= 0)
                k = make_failures(r);
        if (k >= 0)
                k = raise_files(r);
        r->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (k >= 0 && r->null < 0)
                k = -errno;
        if (k >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                k = -errno;
        return k < 0 ? k : link_new(r);
}

static int parse_arguments(Runner *r, int argc, char **argv) {
        const char *v;

        for (int i = 1; i < argc; i++)
                if ((v = startswith(argv[i], "--socket=")))
                        r->socket = v;
                else if ((v = startswith(argv[i], "--queue=")))
                        r->queue = v;
                else if ((v = startswith(argv[i], "--helper=")))
                        r->helper = v;
                else if (!((v = startswith(argv[i], "--slots=")) && parse_u32(v, &r->slots) >= 0) &&
                         !((v = startswith(argv[i], "--idle=")) && parse_u64(v, &r->idle) >= 0) &&
                         !((v = startswith(argv[i], "--max=")) && parse_u64(v, &r->max) >= 0))
                        return -EINVAL;
        return r->socket && r->queue && r->helper && r->slots >= 1 && r->slots <= TASKS_MAX ? 0 : -EINVAL;
}

static void runner_done(Runner *r) {
        link_done(r);
        tasks_done(r);
        sd_event_source_disable_unref(r->age_timer);
        sd_event_source_disable_unref(r->again_timer);
        sd_event_source_disable_unref(r->idle_timer);
        sd_event_source_disable_unref(r->leave_timer);
        sd_event_unref(r->event);
        strv_free(r->environment);
        free(r->free_failures);
}

int main(int argc, char **argv) {
        Runner r = { .slots = TASKS_MAX, .idle = 60 * USEC_PER_SEC, .max = INT64_MAX };
        int k;

        TAILQ_INIT(&r.lacking);
        TAILQ_INIT(&r.leaving);
        if (parse_arguments(&r, argc, argv) < 0) {
                fprintf(stderr, "Bad arguments; this program is started by jobmilld.\n");
                return EXIT_FAILURE;
        }
        k = cgroups_open(&r.cgroups);
        if (k < 0) {
                fprintf(stderr, "There are no control groups (v2) for jobs here: %s\n", strerror(-k));
                return EXIT_FAILURE;
        }
        k = set_up(&r);
        if (k >= 0)
                k = sd_event_loop(r.event);
        if (k < 0)
                fprintf(stderr, "Failed: %s\n", strerror(-k));
        runner_done(&r);
        return k < 0 ? EXIT_FAILURE : k;
}
