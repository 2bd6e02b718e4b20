/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon may say to jobmill-runner, and what that reports: all of the runner, but for processes and control groups, of which there are none
 * here. A line is something that happens:
 *
 *     o MESSAGE, r MESSAGE   the daemon says so on the connection of orders, or of reports
 *     O BYTES, R BYTES       the same without an end
 *     c                      both connections break
 *     xS                     the oldest process ends with that status, a byte; p: control groups are not empty, or are again; k: one ran out of memory
 *     h TEXT                 that is what jobmill-exec of the next one says that it cannot do
 *     t                      it is told to end
 *
 * What must hold: a token makes one process; and all that is said is JSON in UTF-8 with keys that the daemon takes. */

int runner_main(int argc, char **argv);
#define main runner_main
#include "../../src/runner/main.c"
#undef main

#include "fuzz.h"

#include "base/strv.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-journal.h>

#define LINES_MAX 64U
#define ROUNDS_MAX 30U
#define PIDS 400000 /* above all that there are */

static Runner runner;
static int peers[2]; /* orders, reports */
static pid_t first_pid, next_pid;
static int next_status;
static bool populated, oom;
static char *failure;
static char **tokens;
static char *heard[2];
static size_t n_heard[2];

/* ---- in place of what is outside ---- */

int cgroups_open(Cgroups *c) { return 0; }
int cgroup_make(const Cgroups *c, const char *name) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
int cgroup_write(const Cgroups *c, const char *name, const char *attribute, const char *value) { return 0; }
bool cgroup_is_populated(const Cgroups *c, const char *name) { return populated; }
void cgroup_kill(const Cgroups *c, const char *name, int sig) { check(sig >= 1 && sig <= 64); }
int cgroup_remove(const Cgroups *c, const char *name) { return populated ? -EBUSY : 0; }
void strays_kill(const Runner *r) {}
void cgroup_read_usage(const Cgroups *c, const char *name, CgroupUsage *ret) {
        *ret = (CgroupUsage) { .cpu_usec = 1, .memory_peak = UINT64_MAX, .oom_killed = oom };
}

/* What it tells its journal is not looked at. */
int __wrap_fprintf(FILE *f, const char *format, ...);
int __wrap_fprintf(FILE *f, const char *format, ...) {
        va_list ap;
        int n = 0;

        va_start(ap, format);
        if (strstr(format, "does not hold") || startswith(format, "not JSON"))
                n = vfprintf(f, format, ap);
        va_end(ap);
        return n;
}

long __wrap_syscall(long n, ...);
long __wrap_syscall(long n, ...) {
        check(n == SYS_clone3);
        return next_pid++;
}

pid_t __wrap_fork(void);
pid_t __wrap_fork(void) {
        abort();
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options) {
        if (next_status < 0 || first_pid == next_pid)
                return 0;
        *status = next_status;
        next_status = -1;
        return first_pid++;
}

int __wrap_sd_journal_stream_fd(const char *identifier, int priority, int prefix);
int __wrap_sd_journal_stream_fd(const char *identifier, int priority, int prefix) {
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

int __wrap_connect(int fd, const struct sockaddr *a, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t size) {
        unsigned i = runner.reports.fd == fd;
        int pair[2];

        check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) >= 0);
        check(dup3(pair[0], fd, O_CLOEXEC) >= 0);
        safe_close(pair[0]);
        safe_close(peers[i]);
        peers[i] = pair[1];
        n_heard[i] = 0;
        return 0;
}

/* What comes again soon comes at once. */
int __real_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec);
int __wrap_sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        return __real_sd_event_source_set_time_relative(s, usec <= USEC_PER_SEC ? 0 : usec);
}

/* ---- what is heard ---- */

static void hear_report(json_object *o) {
        static const char *const known[] = { "token", "id", "attempt", "exit_status", "exit_signal", "result", "error", "cpu_usec", "memory_peak", "tasks_peak",
                                             "io_read_bytes", "io_write_bytes", "protocol", "queues", "slots", "name", "idle" };
        const char *method = json_get_text(o, "method"), *error;
        json_object *p = json_get(o, "parameters");

        check(method && json_object_is_type(p, json_type_object));
        check(streq(method, "org.jobmill.Register") || streq(method, "org.jobmill.Complete") || streq(method, "org.jobmill.Drain"));
        json_object_object_foreach(p, key, value) {
                bool found = false;

                FOREACH_ELEMENT(k, known)
                        found = found || streq(*k, key);
                check(found && value);
        }
        error = json_get_text(p, "error");
        if (!error)
                return;
        check(strlen(error) <= 1024 && json_get_text(p, "result"));
}

static void hear(unsigned i) {
        char buf[65536], *end;
        ssize_t n;

        while (peers[i] >= 0 && (n = recv(peers[i], buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
                heard[i] = realloc(heard[i], n_heard[i] + (size_t) n);
                check(heard[i]);
                memcpy(heard[i] + n_heard[i], buf, (size_t) n);
                n_heard[i] += (size_t) n;
                while ((end = memchr(heard[i], 0, n_heard[i]))) {
                        size_t size = (size_t) (end - heard[i]) + 1;
                        json_object *o;

                        check_json(heard[i]);
                        check(utf8_is_valid(heard[i], size - 1));
                        o = json_tokener_parse(heard[i]);
                        hear_report(o);
                        json_object_put(o);
                        memmove(heard[i], heard[i] + size, n_heard[i] - size);
                        n_heard[i] -= size;
                }
        }
}

/* ---- what happens ---- */

static void run(void) {
        for (unsigned i = 0; i < ROUNDS_MAX && sd_event_get_state(runner.event) != SD_EVENT_FINISHED; i++) {
                check(sd_event_run(runner.event, 0) >= 0);
                hear(0);
                hear(1);
        }
}

static void note_token(const char *text, size_t size) {
        _cleanup_free_ char *copy = strndup(text, size);
        json_object *o = json_tokener_parse(copy);
        const char *token = json_get_text(json_get(json_get(o, "parameters"), "assign"), "attempt_token");

        if (token && !strv_contains(tokens, token))
                check(strv_extend(&tokens, token) >= 0);
        json_object_put(o);
}

static void say(unsigned i, const char *text, size_t size, bool whole) {
        _cleanup_free_ char *copy = copy_text((const uint8_t *) text, size);

        if (!utf8_is_valid(text, size)) /* which the daemon never says */
                return;
        if (i == 0)
                note_token(text, size);
        if (peers[i] >= 0)
                (void) send(peers[i], copy, size + whole, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void end_process(uint8_t status) {
        Task *t;

        next_status = status < 128 ? status << 8 : status & 64 ? (status & 31) | 128 : status & 31;
        if (!WIFEXITED(next_status) && !WIFSIGNALED(next_status))
                next_status = SIGKILL;
        HASH_FIND(hh_pid, runner.processes, &first_pid, sizeof(first_pid), t);
        if (t && t->helper >= 0 && failure) {
                int pair[2];

                check(pipe2(pair, O_CLOEXEC) >= 0 && write(pair[1], failure, strlen(failure)) >= 0 && dup3(pair[0], t->helper, O_CLOEXEC) >= 0);
                safe_close(pair[0]);
                safe_close(pair[1]);
                failure = mfree(failure);
        }
        (void) raise(SIGCHLD);
}

static void happens(const char *text, size_t size) {
        char what = *text++;

        size--;
        switch (what) {
        case 'o':
        case 'r':
        case 'O':
        case 'R':
                say(what == 'r' || what == 'R', text, size, what == 'o' || what == 'r');
                break;
        case 'c':
                peers[0] = safe_close(peers[0]);
                peers[1] = safe_close(peers[1]);
                break;
        case 'x':
                end_process(size > 0 ? (uint8_t) *text : 0);
                break;
        case 'p':
                populated = !populated;
                break;
        case 'k':
                oom = !oom;
                break;
        case 'h':
                free(failure);
                failure = copy_text((const uint8_t *) text, MIN(size, (size_t) 4096));
                break;
        case 't':
                (void) raise(SIGTERM);
                break;
        }
        run();
}

static void begin(void) {
        runner = (Runner) { .socket = "/", .queue = "pool", .helper = "/usr/libexec/jobmill-exec", .slots = 4, .idle = 60 * USEC_PER_SEC, .max = INT64_MAX };
        TAILQ_INIT(&runner.leaving);
        peers[0] = peers[1] = -EBADF;
        first_pid = next_pid = PIDS;
        next_status = -1;
        populated = oom = false;
        check(set_up(&runner) >= 0);
        run();
}

static void end(void) {
        Task *t, *next;
        sigset_t none;

        HASH_ITER(hh, runner.tasks, t, next) {
                HASH_DEL(runner.tasks, t);
                HASH_DELETE(hh_name, runner.names, t);
                if (t->pid > 0)
                        HASH_DELETE(hh_pid, runner.processes, t);
                safe_close(t->helper);
                free(t->error);
                free(t);
        }
        check(munmap(runner.failures, TASKS_MAX * sizeof(SpawnFailure)) >= 0);
        safe_close(runner.null);
        runner_done(&runner);
        for (unsigned i = 0; i < 2; i++) {
                peers[i] = safe_close(peers[i]);
                heard[i] = mfree(heard[i]);
                n_heard[i] = 0;
        }
        tokens = strv_free(tokens);
        failure = mfree(failure);
        sigemptyset(&none);
        check(sigprocmask(SIG_SETMASK, &none, NULL) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *stop = text + size;

        begin();
        for (unsigned i = 0; i < LINES_MAX && text < stop && sd_event_get_state(runner.event) != SD_EVENT_FINISHED; i++) {
                const char *line_end = memchr(text, '\n', (size_t) (stop - text)) ?: stop;

                if (line_end > text)
                        happens(text, (size_t) (line_end - text));
                text = MIN(line_end + 1, stop);
        }
        run();
        check((size_t) (next_pid - PIDS) <= strv_length(tokens)); /* none was started twice */
        end();
        return 0;
}
