/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a job becomes a process: all that may fail for want of memory is made before; the child only asks the kernel, and says in shared memory
 * what it was refused. It is born in its control group (clone3), which is cheaper than to move there, and leaves nothing in the runner's. */

#include "runner/runner.h"

#include "base/strv.h"
#include "exec/exec.h"
#include "queue/spec.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <systemd/sd-journal.h>

/* systemd's own where a job has no PATH, or none with an absolute directory. */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#define TRIES_MAX 20U /* some ten seconds (task.c) */

#define EXIT_CHDIR 200
#define EXIT_STDIN 208
#define EXIT_STDOUT 209
#define EXIT_CGROUP 219
#define EXIT_STDERR 222

typedef struct Plan {
        Task *task;
        const JobSpec *spec;
        char **argv, **environment, **executables;
        Limit *limits;
        size_t n_limits;
        int in, out, err, report, cgroup;
        SpawnFailure *failure;
        const struct rlimit *files;
} Plan;

static void plan_done(Plan *p) {
        strv_free(p->argv);
        strv_free(p->environment);
        strv_free(p->executables);
        free(p->limits);
        if (p->err != p->out)
                safe_close(p->err);
        safe_close(p->out);
        if (p->spec->has_payload)
                safe_close(p->in);
        safe_close(p->report);
        safe_close(p->cgroup);
}

/* ---- what it is made of ---- */

/* Later ones win. */
static int add_variable(char ***l, const char *assignment) {
        size_t n = strcspn(assignment, "=") + 1;

        STRV_FOREACH(i, *l)
                if (strncmp(*i, assignment, n) == 0)
                        return free_and_strdup(i, assignment);
        return strv_extend(l, assignment);
}

static int add_words(char ***l, json_object *words, int (*add)(char ***l, const char *word)) {
        size_t n = json_object_is_type(words, json_type_array) ? json_object_array_length(words) : 0;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = add(l, strempty(json_object_get_string(json_object_array_get_idx(words, i))));
        return r;
}

static int plan_environment(Plan *p, const Runner *r, json_object *run) {
        int k;

        p->environment = strv_copy(r->environment);
        k = p->environment ? add_words(&p->environment, json_get(run, "environment"), add_variable) : -ENOMEM;
        STRV_FOREACH(i, p->spec->environment)
                if (k >= 0)
                        k = add_variable(&p->environment, *i);
        return k;
}

/* As for a unit (unit/job-command.c): absolute directories without "..". */
static bool is_searched(const char *directory) {
        return directory[0] == '/' && !strchr(directory, '\\') && !strstr(directory, "/../") && !endswith(directory, "/..");
}

static int add_executables(char ***l, const char *path, const char *word) {
        _cleanup_strv_free_ char **directories = strv_split(path, ":");
        int r = directories ? 0 : -ENOMEM;

        STRV_FOREACH(d, directories)
                if (r >= 0 && is_searched(*d))
                        r = strv_extendf(l, "%s/%s", *d, word);
        return r;
}

static int plan_command(Plan *p, const Runner *r, json_object *run) {
        json_object *helper = json_get(run, "helper");
        const char *path = strv_env_get(p->spec->environment, "PATH"), *word = p->spec->argv[0];
        int k = 0;

        if (helper) {
                k = strv_extend(&p->argv, r->helper);
                if (k >= 0)
                        k = add_words(&p->argv, helper, strv_extend);
                if (k >= 0)
                        k = strv_extendf(&p->argv, "--report=%i", p->report);
                if (k >= 0)
                        k = strv_extend(&p->argv, "--");
                if (k >= 0)
                        k = strv_extend(&p->executables, r->helper);
        }
        STRV_FOREACH(i, p->spec->argv)
                if (k >= 0)
                        k = strv_extend(&p->argv, *i);
        if (helper || k < 0)
                return k;
        if (strchr(word, '/'))
                return strv_extend(&p->executables, word);
        if (path)
                k = add_executables(&p->executables, path, word);
        return k < 0 || strv_length(p->executables) > 0 ? k : add_executables(&p->executables, PATH_DEFAULT, word);
}

static int plan_limits(Plan *p, json_object *run) {
        json_object *l = json_get(run, "limits");

        if (!json_object_is_type(l, json_type_object))
                return 0;
        p->limits = new0(Limit, json_object_object_length(l));
        if (!p->limits)
                return -ENOMEM;
        json_object_object_foreach(l, key, value)
                p->limits[p->n_limits++] = (Limit) { key, json_object_get_int64(value) };
        return 0;
}

static int plan_input(Plan *p, const Runner *r) {
        const JobSpec *s = p->spec;
        size_t done = 0;

        p->in = s->has_payload ? memfd_create("jobmill-payload", MFD_CLOEXEC) : r->null;
        while (p->in >= 0 && s->has_payload && done < s->payload_size) {
                ssize_t n = write(p->in, s->payload + done, s->payload_size - done);

                if (n < 0)
                        return -errno;
                done += n;
        }
        return p->in < 0 || (s->has_payload && lseek(p->in, 0, SEEK_SET) < 0) ? -errno : 0;
}

/* To spools, which the daemon has made for us; else to the journal, under the name that "jobmill logs" looks for. */
static int plan_output(Plan *p, json_object *run) {
        const char *out = json_get_text(run, "stdout"), *err = json_get_text(run, "stderr");

        if (out && err) {
                p->out = open(out, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
                p->err = p->out < 0 ? -EBADF : open(err, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
                return p->out < 0 || p->err < 0 ? -errno : 0;
        }
        p->out = sd_journal_stream_fd(p->task->name, LOG_INFO, /* level_prefix = */ 1);
        if (p->out < 0) /* there is none: as the runner's own */
                p->out = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        p->err = p->out;
        return p->out < 0 ? -errno : 0;
}

/* Kept open across the exec, for jobmill-exec alone, which closes it at its own. */
static int plan_report(Plan *p, json_object *run) {
        int fds[2];

        if (!json_get(run, "helper"))
                return 0;
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        safe_close(p->task->helper); /* of another try */
        p->task->helper = fds[0];
        p->report = fds[1];
        return 0;
}

static int plan_cgroup(Plan *p, Runner *r) {
        p->cgroup = cgroup_make(&r->cgroups, p->task->name);
        if (p->cgroup < 0)
                return p->cgroup;
        p->task->in_cgroup = true;
        if (r->cgroups.has_memory) /* as OOMPolicy=kill: all of it, or nothing */
                (void) cgroup_write(&r->cgroups, p->task->name, "memory.oom.group", "1");
        return limits_apply_cgroup(p->limits, p->n_limits, &r->cgroups, p->task->name);
}

/* ---- the child ---- */

static void child_fail(SpawnFailure *f, int status, int error) __attribute__((noreturn));
static void child_fail(SpawnFailure *f, int status, int error) {
        f->error = error;
        f->status = status;
        _exit(status);
}

static int execute(const Plan *p) {
        int error = ENOENT;

        STRV_FOREACH(i, p->executables) {
                (void) execve(*i, p->argv, p->environment);
                if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG)
                        continue;
                error = errno;
                if (errno != EACCES)
                        break;
        }
        return error;
}

static void run_child(const Plan *p) __attribute__((noreturn));
static void run_child(const Plan *p) {
        const JobSpec *s = p->spec;
        sigset_t none;
        int status;

        (void) setsid();
        if (dup2(p->in, STDIN_FILENO) < 0)
                child_fail(p->failure, EXIT_STDIN, errno);
        if (dup2(p->out, STDOUT_FILENO) < 0)
                child_fail(p->failure, EXIT_STDOUT, errno);
        if (dup2(p->err, STDERR_FILENO) < 0)
                child_fail(p->failure, EXIT_STDERR, errno);
        if (p->report >= 0 && fcntl(p->report, F_SETFD, 0) < 0)
                child_fail(p->failure, EXIT_STDERR, errno);
        (void) umask(s->umask == UINT32_MAX ? 0022 : s->umask);
        status = limits_apply_process(p->limits, p->n_limits, p->files);
        if (status > 0)
                child_fail(p->failure, status, errno);
        if (chdir(s->cwd ?: "/") < 0)
                child_fail(p->failure, EXIT_CHDIR, errno);
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        child_fail(p->failure, EXEC_EXIT_EXEC, execute(p));
}

static pid_t fork_into(int cgroup) {
        struct clone_args args = { .exit_signal = SIGCHLD, .flags = CLONE_INTO_CGROUP, .cgroup = (uint64_t) cgroup };

        return (pid_t) syscall(SYS_clone3, &args, sizeof(args));
}

/* Linux < 5.7 knows no CLONE_INTO_CGROUP; and a filter may refuse clone3(). */
static pid_t fork_and_move(const Plan *p, const Runner *r) {
        pid_t pid = fork();
        int k;

        if (pid != 0)
                return pid;
        k = cgroup_write(&r->cgroups, p->task->name, "cgroup.procs", "0");
        if (k < 0)
                child_fail(p->failure, EXIT_CGROUP, -k);
        return 0;
}

/* ---- all of it ---- */

static void fail(Task *t, const char *what, int error) {
        t->result = "exec";
        if (asprintf(&t->error, "%s: %s", what, strerror(error < 0 ? -error : error)) < 0)
                t->error = NULL;
}

static bool plan(Plan *p, Runner *r, json_object *run) {
        static const char *const what[] = { "its command cannot be read", "its properties cannot be read", "its input cannot be made", "its output cannot be opened",
                                            "its control group cannot be set up" };
        unsigned step = 0;
        int k;

        k = plan_report(p, run);
        if (k >= 0)
                k = plan_environment(p, r, run);
        if (k >= 0)
                k = plan_command(p, r, run);
        if (k >= 0 && ++step)
                k = plan_limits(p, run);
        if (k >= 0 && ++step)
                k = plan_input(p, r);
        if (k >= 0 && ++step)
                k = plan_output(p, run);
        if (k >= 0 && ++step)
                k = plan_cgroup(p, r);
        if (k < 0)
                fail(p->task, what[step], k);
        return k >= 0;
}

void spawn(Runner *r, Task *t, const JobSpec *s, json_object *run) {
        Plan p = { .task = t, .spec = s, .in = -EBADF, .out = -EBADF, .err = -EBADF, .report = -EBADF, .cgroup = -EBADF, .files = &r->files };

        bool had_cgroup = t->in_cgroup;

        p.failure = r->failures + t->failure;
        *p.failure = (SpawnFailure) {};
        if (plan(&p, r, run)) {
                t->pid = fork_into(p.cgroup);
                if (t->pid < 0 && (errno == ENOSYS || errno == EINVAL || errno == EPERM || errno == E2BIG))
                        t->pid = fork_and_move(&p, r);
                if (t->pid == 0)
                        run_child(&p);
                if (t->pid < 0) {
                        if (errno != EAGAIN || ++t->tries >= TRIES_MAX) /* a limit of tasks: others end */
                                fail(t, "no process can be made", errno);
                        t->pid = 0;
                }
        }
        plan_done(&p);
        r->n_groups += t->in_cgroup - had_cgroup;
}
