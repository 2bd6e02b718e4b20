/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* OpenLog: each stream is a child of ours that reads the journal (log-child.c) into a pipe, whose other end the caller has. A
 * reader that is slow or stands still holds up nothing here; so many children there may be. They end when all is said, when the
 * pipe is closed, and with the daemon. */

#include "api/dict.h"
#include "api/log-child.h"
#include "api/long-calls.h"
#include "api/methods.h"

#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define LOG_TEXTS_MAX (4U * 1024U * 1024U) /* of what is recorded of a job's spools */

typedef struct LogStream {
        Api *api;
        uint64_t id;
        uint32_t uid;            /* of the caller */
        int control_fd;          /* -EBADF: it does not follow */
        sd_event_source *child;
        TAILQ_ENTRY(LogStream) entry;
} LogStream;

static void log_stream_free(LogStream *s) {
        TAILQ_REMOVE(&s->api->log_streams, s, entry);
        sd_event_source_disable_unref(s->child); /* which it owns: killed, waited for */
        safe_close(s->control_fd);
        free(s);
}

void log_streams_drop(Api *a) {
        LogStream *s;

        while ((s = TAILQ_FIRST(&a->log_streams)))
                log_stream_free(s);
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        LogStream *s = userdata;

        if (si->si_code != CLD_EXITED || si->si_status != EXIT_SUCCESS)
                log_warning("The child that reads the log of job %" PRIu64 " %s %i.", s->id,
                            si->si_code == CLD_EXITED ? "failed with error" : "was killed by signal", si->si_status);
        log_stream_free(s);
        return 0;
}

/* A child that does not take what it is told in all this time is not missed. */
static void stream_tell(LogStream *s, const LogMessage *m) {
        if (send(s->control_fd, m, sizeof(*m), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                log_stream_free(s);
}

/* As src/runner names its streams. */
static void name_in_pool(LogAttempt *a, uint64_t job) {
        snprintf(a->unit, sizeof(a->unit), "jobmill-job-%" PRIu64 "-%" PRIu32, job, a->number);
}

void log_streams_tell(Api *a, const Change *c) {
        LogStream *s, *t;

        TAILQ_FOREACH_SAFE(s, &a->log_streams, entry, t) {
                LogMessage m = { .done = c->state == JOB_DONE };

                if (s->id != c->id || s->control_fd < 0)
                        continue;
                if (!sd_id128_is_null(c->invocation_id) || c->in_pool) {
                        LogMessage attempt = { .attempt = { .invocation_id = c->invocation_id, .number = c->attempt, .in_pool = c->in_pool } };

                        if (c->in_pool)
                                name_in_pool(&attempt.attempt, c->id);
                        else
                                (void) stpcpy(attempt.attempt.unit, c->unit);
                        if (send(s->control_fd, &attempt, sizeof(attempt), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                                log_stream_free(s);
                                continue;
                        }
                }
                if (m.done)
                        stream_tell(s, &m);
        }
}

/* ---- the child ---- */

/* Nothing of the daemon's but the two descriptors: neither its signals, nor its lock, nor its life. */
int child_detach(const char *name, int *fd, int *control_fd, pid_t parent) {
        int fds[2] = { STDERR_FILENO + 1, STDERR_FILENO + 2 }, high[2];
        sigset_t none;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                return -ESRCH;
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_IGN); /* told by write() */
        (void) prctl(PR_SET_NAME, name);

        /* Out of the way first. */
        high[0] = fcntl(*fd, F_DUPFD, STDERR_FILENO + 3);
        high[1] = *control_fd < 0 ? -1 : fcntl(*control_fd, F_DUPFD, STDERR_FILENO + 3);
        if (high[0] < 0 || dup2(high[0], fds[0]) < 0 || (*control_fd >= 0 && (high[1] < 0 || dup2(high[1], fds[1]) < 0)))
                return -errno;
        if (close_range(*control_fd < 0 ? fds[1] : fds[1] + 1, ~0U, 0) < 0)
                return -errno;
        *fd = fds[0];
        if (*control_fd >= 0)
                *control_fd = fds[1];
        return 0;
}

static void __attribute__((noreturn)) child_run(LogTask *t, int fd, pid_t parent) {
        int r;

        r = child_detach("jobmilld-log", &fd, &t->control_fd, parent);
        if (r >= 0)
                r = log_child_run(t, fd);
        /* That nobody reads any more is no failure. */
        child_exit(r >= 0 || r == -EPIPE || r == -ECONNRESET || r == -ESRCH ? EXIT_SUCCESS : -r);
}

static int stream_fork(LogStream *s, LogTask *t, int *ret) {
        int fds[2], control[2] = { -EBADF, -EBADF }, r = 0;
        pid_t parent = getpid(), pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        if (t->follow && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
                r = -errno;
        t->control_fd = control[1];
        pid = r < 0 ? -1 : fork();
        if (pid == 0)
                child_run(t, fds[1], parent);
        if (pid < 0 && r == 0)
                r = -errno;
        close(fds[1]);
        safe_close(control[1]);
        s->control_fd = control[0];
        if (r >= 0) {
                r = sd_event_add_child(s->api->event, &s->child, pid, WEXITED, on_child, s);
                if (r < 0) {
                        (void) kill(pid, SIGKILL);
                        (void) waitpid(pid, NULL, 0);
                } else
                        (void) sd_event_source_set_child_process_own(s->child, true);
        }
        if (r < 0) {
                close(fds[0]);
                return r;
        }
        *ret = fds[0];
        return 0;
}

static int log_stream_open(Call *c, LogTask *t, uint64_t id, int *ret) {
        LogStream *s = new0(LogStream, 1);
        int r;

        if (!s)
                return -ENOMEM;
        s->api = c->api;
        s->id = id;
        s->uid = c->client->uid;
        s->control_fd = -EBADF;
        TAILQ_INSERT_TAIL(&c->api->log_streams, s, entry);
        r = stream_fork(s, t, ret);
        if (r < 0)
                log_stream_free(s);
        return r;
}

/* ---- the method ---- */

static int too_many(const Call *c, sd_bus_error *error) {
        const ApiLimits *l = &c->api->limits;
        uint64_t all = 0, own = 0;
        const LogStream *s;

        TAILQ_FOREACH(s, &c->api->log_streams, entry) {
                all++;
                own += s->uid == c->client->uid;
        }
        if (own >= l->logs_per_user_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY,
                                 "At most %" PRIu64 " logs can be open for one user at a time (OpenLogsPerUserMax=)",
                                 l->logs_per_user_max);
        if (all >= l->logs_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "At most %" PRIu64 " logs can be open at a time (OpenLogsMax=)",
                                 l->logs_max);
        return 0;
}

static int collect_text(LogTask *t, const Attempt *a, const char *text, const char *more, bool of_stderr) {
        LogText *l = realloc(t->texts, (t->n_texts + 1) * sizeof(LogText));

        if (!l)
                return -ENOMEM;
        t->texts = l;
        l += t->n_texts;
        *l = (LogText) { .number = a->number, .of_stderr = of_stderr };
        if (asprintf(&l->text, "%s%s", strempty(text), strempty(more)) < 0)
                return -ENOMEM;
        t->n_texts++;
        return 0;
}

static void task_done(LogTask *t) {
        for (size_t i = 0; i < t->n_texts; i++)
                free(t->texts[i].text);
        free(t->texts);
        free(t->attempts);
}

/* The newest comes first. Of thousands of attempts the older ones are not even read. */
static int collect_texts(void *userdata, const Attempt *a) {
        LogTask *t = userdata;
        int r;

        if (a->outcome.result == JOB_RESULT_NONE) {
                t->live = MAX(t->live, a->number);
                return 0;
        }
        t->texts_size += dict_verdict_size(a);
        if (t->n_texts > 0 && t->texts_size > LOG_TEXTS_MAX)
                return 1;
        r = collect_text(t, a, a->outcome.io_stderr, NULL, true);
        return r < 0 ? r : collect_text(t, a, a->outcome.io_stdout, a->outcome.verdict, false);
}

/* Oldest first, and of each what it wrote to standard output. */
static void reverse_texts(LogTask *t) {
        for (size_t i = 0; i < t->n_texts / 2; i++) {
                LogText l = t->texts[i];

                t->texts[i] = t->texts[t->n_texts - 1 - i];
                t->texts[t->n_texts - 1 - i] = l;
        }
}

static int collect_attempt(void *userdata, const Attempt *a) {
        LogTask *t = userdata;
        LogAttempt *l;

        t->begun = MIN(t->begun, a->created_usec);
        t->ended = a->outcome.finished_usec; /* of the newest, which comes last */
        if ((sd_id128_is_null(a->invocation_id) && a->executor != EXECUTOR_POOL) || strlen(a->unit) >= sizeof(l->unit))
                return 0;
        l = realloc(t->attempts, (t->n + 1) * sizeof(LogAttempt));
        if (!l)
                return -ENOMEM;
        t->attempts = l;
        l += t->n++;
        *l = (LogAttempt) { .invocation_id = a->invocation_id, .number = a->number, .in_pool = a->executor == EXECUTOR_POOL };
        if (l->in_pool)
                name_in_pool(l, a->job_id);
        else
                (void) stpcpy(l->unit, a->unit);
        return 0;
}

static int authorize(Call *c, const Job *j, sd_bus_error *error) {
        char number[24];

        if (j->owner == c->client->uid)
                return 1;
        snprintf(number, sizeof(number), "%" PRIu64, j->id);
        return call_authorize(c, JOBMILL_ACTION_READ_ALL, (const char *const[]) { "job", number, "queue", j->queue_name, NULL },
                              error);
}

static int handle_open_log(Call *c, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        _cleanup_close_ int fd = -EBADF;
        _cleanup_(task_done) LogTask t = { .user = c->api->user, .uid = getuid(), .begun = c->api->now.realtime,
                                           .ended = USEC_INFINITY };
        const char *stream;
        uint64_t id;
        int r;

        r = sd_bus_message_read(c->message, "ts", &id, &stream);
        if (r < 0)
                return r;
        if (!streq(stream, "journal") && !streq(stream, "journal-follow"))
                return api_error(error, SD_BUS_ERROR_INVALID_ARGS, "stream: it is 'journal' or 'journal-follow'");
        r = history_get(c->api->store, id, false, &row);
        if (r == -ENOENT)
                return api_error_no_such_job(error, id);
        if (r < 0)
                return api_error_store(c->api, error, r);
        r = authorize(c, row.job, error);
        if (r <= 0)
                return r;
        r = too_many(c, error);
        if (r < 0)
                return r;
        t.follow = streq(stream, "journal-follow") && row.job->state != JOB_DONE;
        t.spool = row.job->output == OUTPUT_SPOOL;
        t.job = id;
        t.owner = row.job->owner;
        t.open_spool = c->api->open_spool;
        t.open_userdata = c->api->userdata;
        if (t.spool)
                r = history_attempts_newest(c->api->store, id, collect_texts, &t);
        else
                r = history_attempts(c->api->store, id, collect_attempt, &t);
        reverse_texts(&t);
        if (r < 0)
                r = api_error_store(c->api, error, r);
        else
                r = log_stream_open(c, &t, id, &fd);
        return r < 0 ? r : sd_bus_reply_method_return(c->message, "h", fd);
}
DEFINE_METHOD(open_log);
