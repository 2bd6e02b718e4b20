/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* run: wait for a turn, then run the command here. It is told over the daemon's socket (jobmill-protocol(7), Run), by whose connection the
 * daemon knows which process to put into the scope: this one. When the daemon goes away meanwhile nothing is lost: who waits asks again by
 * his token, and the command runs on.
 *
 *   waiting    ^C takes the job out of the queue; ^Z gives up the connection, so that nobody counts on us, until we are woken
 *   running    foreground.c; the connection is kept, so that there is one to tell the end over
 *   ended      told until it is recorded; ^C gives that up */

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/foreground.h"
#include "ctl/inherit.h"
#include "ctl/interrupt.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include "ctl/submit.h"
#include "ctl/text.h"
#include "ctl/varlink-client.h"
#include "queue/spec-json.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>

#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (2 * USEC_PER_SEC)
#define TELL_USEC (5 * USEC_PER_SEC)
#define REPORT_USEC (30 * USEC_PER_SEC)
#define CANCEL_USEC (5 * USEC_PER_SEC)
#define STOP_USEC (3 * USEC_PER_SEC) /* between the manager's SIGTERM and the daemon's word why: the job is cancelled, or it may have gone */

typedef struct Turn {
        VarlinkClient client;
        char token[SD_ID128_STRING_MAX];
        json_object *job;
        uint64_t id;       /* 0: not known yet */
        bool reached;      /* somebody has been there */
        bool shown;        /* a line on the terminal */
        usec_t away;       /* since when; 0: it is there */
        bool said;         /* that it is away */
        usec_t retry;
        usec_t end;        /* until when it waits though the manager ends us; 0: it does not */
        uint64_t attempt;
        char **environment;
} Turn;

static void turn_done(Turn *t) {
        varlink_client_done(&t->client);
        json_object_put(t->job);
        strv_free(t->environment);
}

/* ---- the line that says why ---- */

static void hide(Turn *t) {
        if (t->shown)
                fputs("\r\033[K", stderr);
        t->shown = false;
}

static void show(Turn *t, const char *reason) {
        _cleanup_free_ char *line = NULL, *safe = NULL, *cut = NULL;
        struct winsize size = {};

        if (arg_quiet || !isatty(STDERR_FILENO))
                return;
        if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
                size.ws_col = 80;
        if (asprintf(&line, "job %" PRIu64 " waits: %s", t->id, reason) < 0) {
                line = NULL;
                return;
        }
        safe = text_safe(line);
        cut = safe ? text_cut(safe, size.ws_col - 1) : NULL;
        if (!cut)
                return;
        fprintf(stderr, "\r%s\033[K", cut);
        fflush(stderr);
        t->shown = true;
}

/* ---- signals, while it waits ---- */

static const int heeded[] = { SIGTSTP, SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static volatile sig_atomic_t came; /* one that ends it before SIGTSTP */
static volatile sig_atomic_t by_manager;
static sigset_t held, unblocked;

static void on_signal(int sig, siginfo_t *info, void *context) {
        if (came == 0 || sig != SIGTSTP) {
                came = sig;
                by_manager = sig == SIGTERM && foreground_is_manager(info->si_pid);
        }
}

/* Only where they are waited for, so that none is missed. Those that are ignored, as under nohup, stay so: blocked, they would be pending. */
static void hold_signals(void) {
        (void) sigemptyset(&held);
        (void) sigprocmask(SIG_SETMASK, NULL, &unblocked);
        FOREACH_ELEMENT (s, heeded) {
                struct sigaction old, new = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

                if (sigaction(*s, NULL, &old) < 0 || old.sa_handler == SIG_IGN || sigismember(&unblocked, *s) > 0)
                        continue;
                (void) sigaddset(&held, *s);
                (void) sigaction(*s, &new, NULL);
        }
        (void) sigprocmask(SIG_BLOCK, &held, NULL);
}

static bool signal_came(void) {
        const struct timespec now = {};
        siginfo_t info;
        int sig;

        while ((sig = sigtimedwait(&held, &info, &now)) > 0)
                on_signal(sig, &info, NULL);
        return came != 0;
}

static void let_signals_go(void) {
        FOREACH_ELEMENT (s, heeded)
                if (sigismember(&held, *s) > 0)
                        (void) signal(*s, SIG_DFL);
        (void) sigprocmask(SIG_SETMASK, &unblocked, NULL);
}

static void stop_here(void) {
        (void) raise(SIGTSTP); /* blocked: once, also where it is pending */
        let_signals_go();
        hold_signals();
        came = 0;
}

/* Its turn does not come to who cannot take it: it asks again once it is woken. */
static void stop(Turn *t) {
        hide(t);
        varlink_client_done(&t->client);
        stop_here();
}

static int sleep_for(usec_t t) {
        struct timespec ts = { .tv_sec = t / USEC_PER_SEC, .tv_nsec = t % USEC_PER_SEC * NSEC_PER_USEC };

        return ppoll(NULL, 0, &ts, &unblocked) < 0 ? -errno : 0;
}

/* ---- asking ---- */

static json_object *new_parameters(const Turn *t) {
        json_object *p = json_object_new_object();

        json_object_object_add(p, "token", json_object_new_string(t->token));
        if (t->id > 0)
                json_object_object_add(p, "id", json_object_new_int64(t->id));
        return p;
}

static int ask(Turn *t) {
        json_object *p;
        int r;

        r = varlink_client_connect(&t->client, USEC_INFINITY, &unblocked);
        if (r < 0)
                return r;
        t->reached = true;
        p = new_parameters(t);
        json_object_object_add(p, "protocol", json_object_new_int(1));
        json_object_object_add(p, "job", json_object_get(t->job));
        r = varlink_client_send(&t->client, "Run", true, p, USEC_INFINITY, &unblocked);
        if (r < 0)
                varlink_client_done(&t->client);
        return r;
}

/* Whatever it has come to; the end of this process says the same. */
static void cancel(Turn *t) {
        _cleanup_(varlink_client_done) VarlinkClient c = VARLINK_CLIENT_NONE;
        json_object *p, *answer = NULL;
        sigset_t all;

        (void) sigfillset(&all);
        if (t->id == 0 || varlink_client_connect(&c, CANCEL_USEC, &all) < 0)
                return;
        p = json_object_new_object();
        json_object_object_add(p, "id", json_object_new_int64(t->id));
        if (varlink_client_send(&c, "Cancel", false, p, CANCEL_USEC, &all) >= 0)
                (void) varlink_client_read(&c, CANCEL_USEC, &all, &answer);
        json_object_put(answer);
}

static const char *get_text(json_object *o, const char *key) {
        json_object *v;

        return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static int get_int(json_object *o, const char *key, int otherwise) {
        json_object *v;

        return json_object_object_get_ex(o, key, &v) ? json_object_get_int(v) : otherwise;
}

/* It ended without having been started: its exit status. */
static int heed_done(Turn *t, json_object *done) {
        const char *result = strempty(get_text(done, "result")), *reason = get_text(done, "reason");

        hide(t);
        if (!arg_quiet)
                (void) ctl_error(0, "job %" PRIu64 ": %s%s%s%s", t->id, result, reason ? " (" : "", strempty(reason), reason ? ")" : "");
        return job_exit_status(result, get_int(done, "exit_status", -1), get_int(done, "exit_signal", -1)) ?: EXIT_OTHER_FAILURE;
}

static int heed_go(Turn *t, json_object *go) {
        json_object *l = NULL;

        hide(t);
        t->attempt = get_int(go, "attempt", 0);
        (void) json_object_object_get_ex(go, "environment", &l);
        for (size_t i = 0; json_object_is_type(l, json_type_array) && i < json_object_array_length(l); i++)
                if (strv_extend(&t->environment, strempty(json_object_get_string(json_object_array_get_idx(l, i)))) < 0)
                        return ctl_oom();
        return 1;
}

/* Not for a reason that may pass, as a lack of room, or the daemon that just begins. */
static bool is_refused_for_good(const char *name) {
        static const char *const all[] = { "NoSuchJob", "NoSuchAttempt", "AttemptFinished", "ForeignProcess", "InvalidParameter", "MethodNotFound" };

        FOREACH_ELEMENT (i, all)
                if (streq(name, *i))
                        return true;
        return false;
}

/* -ECONNRESET: as if it were away. */
static int heed_error(Turn *t, const char *name, const char *message) {
        if (t->id > 0 && !is_refused_for_good(name))
                return -ECONNRESET;
        hide(t);
        return ctl_error(-EIO, "run: %s", message);
}

/* 1: it may go; 0: it waits; > 1: an exit status + 1. -ECONNRESET: to be asked again; else negative: said. */
static int heed(Turn *t, json_object *answer) {
        json_object *p = NULL, *v;
        const char *name, *message;

        name = varlink_error(answer, &message);
        if (name)
                return heed_error(t, name, message);
        (void) json_object_object_get_ex(answer, "parameters", &p);
        if (json_object_object_get_ex(p, "id", &v))
                t->id = json_object_get_int64(v);
        if (json_object_object_get_ex(p, "go", &v))
                return heed_go(t, v);
        if (json_object_object_get_ex(p, "done", &v))
                return heed_done(t, v) + 1;
        message = get_text(p, "waiting");
        if (!message)
                return 0;
        if (arg_run.no_wait) {
                cancel(t);
                return ctl_error(-EAGAIN, "run: it cannot start at once: %s", message);
        }
        show(t, message);
        return 0;
}

/* The daemon is away: 0, to be asked again; or a negative errno. */
static int stay(Turn *t, int error) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        varlink_client_done(&t->client);
        if (t->away == 0) {
                t->away = now;
                t->retry = RETRY_MIN_USEC;
                t->said = false;
        }
        if (!t->reached || (t->id == 0 && now >= t->away + REQUEST_RETRY_USEC))
                return ctl_error(error, "run: jobmilld cannot be reached: %m");
        if (t->id > 0 && !t->said && now >= t->away + TELL_USEC) {
                hide(t);
                ctl_warning("jobmilld is away; waiting for it to come back");
                t->said = true;
        }
        (void) sleep_for(t->retry);
        t->retry = MIN(t->retry * 2, RETRY_MAX_USEC);
        return 0;
}

static int wait_turn(Turn *t) {
        json_object *answer;
        int r = 0;

        for (;;) {
                if (signal_came() && came == SIGTSTP) {
                        stop(t);
                        continue;
                }
                if (came != 0 && (!by_manager || t->client.fd < 0))
                        return -EINTR;
                if (by_manager && t->end == 0)
                        t->end = usec_add(now_usec(CLOCK_MONOTONIC), STOP_USEC);
                r = t->client.fd < 0 ? ask(t) : 0;
                if (r >= 0)
                        r = varlink_client_read(&t->client, t->end > 0 ? usec_sub(t->end, now_usec(CLOCK_MONOTONIC)) : USEC_INFINITY, &unblocked, &answer);
                if (r == -EINTR)
                        continue;
                if (r < 0 && by_manager)
                        return -EINTR;
                if (r >= 0) {
                        r = heed(t, answer);
                        json_object_put(answer);
                        if (r != -ECONNRESET)
                                t->away = 0;
                        if (r > 0 || (r < 0 && r != -ECONNRESET))
                                return r;
                }
                if (r < 0) {
                        r = stay(t, r);
                        if (r < 0)
                                return r;
                }
        }
}

/* ---- its end ---- */

static json_object *exit_parameters(const Turn *t, const Ended *e) {
        json_object *p = new_parameters(t);

        json_object_object_add(p, "attempt", json_object_new_int64(t->attempt));
        if (e->stopped)
                json_object_object_add(p, "stopped", json_object_new_boolean(true));
        if (e->error > 0)
                json_object_object_add(p, "error", json_object_new_string(strerror(e->error)));
        else if (WIFEXITED(e->status))
                json_object_object_add(p, "exit_status", json_object_new_int(WEXITSTATUS(e->status)));
        else {
                json_object_object_add(p, "exit_signal", json_object_new_int(WTERMSIG(e->status)));
                json_object_object_add(p, "core_dump", json_object_new_boolean(WCOREDUMP(e->status)));
        }
        return p;
}

/* Its exit status, or a negative errno: not recorded, -EAGAIN: perhaps later. */
static int heed_report(const Ended *e, json_object *answer) {
        json_object *p = NULL;
        const char *name, *message, *result;

        name = varlink_error(answer, &message);
        if (name)
                return is_refused_for_good(name) ? ctl_error(-EIO, "run: how it ended is not recorded: %s", message) : -EAGAIN;
        (void) json_object_object_get_ex(answer, "parameters", &p);
        result = strempty(get_text(p, "result"));
        return job_exit_status(result, e->error == 0 && WIFEXITED(e->status) ? WEXITSTATUS(e->status) : -1,
                               e->error == 0 && WIFSIGNALED(e->status) ? WTERMSIG(e->status) : -1);
}

static int report_once(Turn *t, const Ended *e, usec_t timeout) {
        json_object *answer;
        sigset_t none;
        int r;

        (void) sigemptyset(&none);
        r = t->client.fd < 0 ? varlink_client_connect(&t->client, timeout, &none) : 0;
        if (r >= 0)
                r = varlink_client_send(&t->client, "Exited", false, exit_parameters(t, e), timeout, &none);
        if (r >= 0)
                r = varlink_client_read(&t->client, timeout, &none, &answer);
        if (r >= 0) {
                r = heed_report(e, answer);
                json_object_put(answer);
                if (r != -EAGAIN)
                        return r;
        }
        varlink_client_done(&t->client);
        return -EAGAIN;
}

static int report(Turn *t, const Ended *e) {
        usec_t begin = now_usec(CLOCK_MONOTONIC), retry = RETRY_MIN_USEC, now = begin;
        int r;

        (void) sigemptyset(&unblocked);
        do {
                r = report_once(t, e, begin + REPORT_USEC - now);
                if (r != -EAGAIN)
                        return r >= 0 ? r : foreground_exit_status(e);
                if (!foreground_interrupted())
                        (void) sleep_for(retry);
                retry = MIN(retry * 2, RETRY_MAX_USEC);
                now = now_usec(CLOCK_MONOTONIC);
        } while (!foreground_interrupted() && now < begin + REPORT_USEC);
        ctl_warning("jobmilld is away: how job %" PRIu64 " ended is not recorded", t->id);
        return foreground_exit_status(e);
}

/* After the daemon was away others may come and take all the places that there are: ours is taken at once. */
static void keep_connected(void *userdata, const sigset_t *mask) {
        struct pollfd p = { .events = POLLIN };
        Turn *t = userdata;

        if (t->client.fd < 0) {
                struct timespec ts = { .tv_sec = t->retry / USEC_PER_SEC, .tv_nsec = t->retry % USEC_PER_SEC * NSEC_PER_USEC };

                t->retry = MIN(t->retry * 2, RETRY_MAX_USEC);
                if (ppoll(NULL, 0, &ts, mask) < 0 || varlink_client_connect(&t->client, RETRY_MAX_USEC, mask) < 0)
                        return;
        }
        p.fd = t->client.fd;
        if (ppoll(&p, 1, NULL, mask) > 0)
                varlink_client_done(&t->client); /* it says nothing before it is asked */
}

/* The LeakSanitizer stops us by a signal, and would wait for ever when the SIGCONT that the manager sends behind its SIGTERM takes that back. */
int __lsan_is_turned_off(void);
static bool is_signalled;
int __lsan_is_turned_off(void) {
        return is_signalled;
}

static int go(Turn *t, char **argv) {
        Ended e;
        int r;

        t->retry = RETRY_MIN_USEC;
        if (by_manager) { /* told to end before it began */
                e = (Ended) { .status = SIGTERM, .stopped = true };
                r = 0;
        } else
                r = foreground_run(argv, t->environment, &unblocked, keep_connected, t, &e);
        foreground_ended();
        (void) sigprocmask(SIG_SETMASK, &unblocked, NULL);
        if (r < 0)
                e.error = -r;
        if (e.error > 0)
                (void) ctl_error(-e.error, "run: %s: %m", argv[0]);
        is_signalled = e.stopped || !WIFEXITED(e.status);
        look_for_leaks(); /* once it is told our scope is stopped, and the second process that looks with it */
        r = report(t, &e);
        if (r == foreground_exit_status(&e)) /* and it was not ended by us */
                foreground_die_as(&e);
        return r;
}

/* ---- the job ---- */

static int check_command(const char *command) {
        _cleanup_free_ char *cwd = get_current_dir_name();
        int r;

        r = cwd ? command_find(command, cwd, getenv("PATH") ?: "/bin:/usr/bin") : 0;
        if (r >= 0)
                return 0;
        (void) ctl_error(r, "run: %s: %s", command, r == -ENOENT && !strchr(command, '/') ? "command not found" : strerror(-r));
        return EXIT_NOT_STARTED;
}

static int make_job(Turn *t, char **argv) {
        _cleanup_(request_done) Request q = {};
        _cleanup_(spec_freep) JobSpec *s = NULL;
        _cleanup_free_ char *json = NULL;
        sd_id128_t token;
        int r;

        r = submit_find_after(&q);
        if (r >= 0)
                r = submit_new_run_spec(&s);
        if (r < 0)
                return r;
        if (!(s->argv = strv_copy(argv)))
                return ctl_oom();
        if (arg_run.max_wait != USEC_INFINITY)
                s->deadline_usec = usec_add(now_usec(CLOCK_REALTIME), arg_run.max_wait);
        r = submit_validate("run", s);
        if (r < 0)
                return r;
        r = sd_id128_randomize(&token);
        if (r < 0)
                return ctl_error(r, "run: %m");
        sd_id128_to_string(token, t->token);
        if (spec_to_json(s, 0, &json) < 0 || !(t->job = json_tokener_parse(json)))
                return ctl_oom();
        if (arg_submit.queue)
                json_object_object_add(t->job, "queue", json_object_new_string(arg_submit.queue));
        return 0;
}

int verb_run(int argc, char **argv) {
        _cleanup_(turn_done) Turn t = { .client = VARLINK_CLIENT_NONE };
        int r;

        if (bus_is_elsewhere())
                return ctl_error(-EOPNOTSUPP, "run: the command runs here, so not on another machine; use submit");
        if (arg_run.no_wait && arg_run.max_wait != USEC_INFINITY)
                return ctl_error(-EINVAL, "run: --no-wait and --max-wait cannot be combined");
        for (int i = 0; i < argc; i++)
                if (!utf8_is_valid(argv[i], strlen(argv[i])))
                        return ctl_error(-EINVAL, "run: word %i of the command is not UTF-8", i + 1);
        r = check_command(argv[0]);
        if (r == 0)
                r = make_job(&t, argv);
        if (r != 0)
                return r;
        hold_signals();
        r = wait_turn(&t);
        hide(&t);
        while (r == 1 && signal_came() && came == SIGTSTP)
                stop_here();
        if (r == -EINTR || (r == 1 && came != 0 && !by_manager)) {
                cancel(&t);
                let_signals_go();
                (void) raise(came);
                return r;
        }
        return r > 1 ? r - 1 : r < 0 ? r : go(&t, argv); /* what comes in between is seen there */
}
