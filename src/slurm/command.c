/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Slurm's tools, each in a process of its own: as the job's owner where it is about a job, so that Slurm itself judges what he may. What a process
 * writes goes into a memory file: it blocks nobody, and is read when the process has ended. */

#include "slurm/slurm.h"

#include "base/log.h"
#include "base/time-util.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_MAX (256U * 1024U * 1024U) /* of squeue: a job takes some KiB of JSON */

struct Command {
        Slurm *slurm;
        Task *task; /* NULL: of none, or forgotten */
        command_done_t done;
        pid_t pid;
        int output;
        bool timed_out;
        sd_event_source *child, *timeout;
        TAILQ_ENTRY(Command) entry;
};

bool command_may_run(const Slurm *s) {
        return s->n_commands < SLURM_COMMANDS_MAX;
}

static void command_free(Command *c) {
        TAILQ_REMOVE(&c->slurm->commands, c, entry);
        c->slurm->n_commands--;
        sd_event_source_disable_unref(c->child);
        sd_event_source_disable_unref(c->timeout);
        safe_close(c->output);
        free(c);
}

static void read_output(const Command *c, command_done_t done, Task *t, int status) {
        struct stat st;
        char *text = NULL;

        if (fstat(c->output, &st) >= 0 && st.st_size > 0 && st.st_size <= (off_t) OUTPUT_MAX)
                text = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, c->output, 0);
        if (text == MAP_FAILED)
                text = NULL;
        done(c->slurm, t, status, strempty(text), text ? (size_t) st.st_size : 0);
        if (text)
                (void) munmap(text, (size_t) st.st_size);
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        Command *c = userdata;
        int status = si->si_code == CLD_EXITED && !c->timed_out ? si->si_status : -1;
        Task *t = c->task;

        if (t)
                t->commanded = false;
        if (c->done)
                read_output(c, c->done, t, status);
        command_free(c);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t when, void *userdata) {
        Command *c = userdata;

        c->timed_out = true;
        (void) kill(c->pid, SIGKILL);
        return 0;
}

/* What lets us become others is nothing for them: from one user to another the kernel takes nothing away. */
static int drop_rights(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -1;
        return (int) syscall(SYS_capset, &header, data);
}

/* In the child. Nothing of ours is left to it but the memory file. */
static _Noreturn void execute(const Owner *owner, char *const *argv, int (*prepare)(const Task *t), const Task *t, int output) {
        sigset_t none;
        int r = 0;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
                _exit(126);
        if (owner && owner->uid != geteuid() &&
            (initgroups(owner->name, owner->gid) < 0 || setresgid(owner->gid, owner->gid, owner->gid) < 0 || setresuid(owner->uid, owner->uid, owner->uid) < 0)) {
                dprintf(STDERR_FILENO, "Cannot become user %s: %m\n", owner->name);
                _exit(126);
        }
        if (drop_rights() < 0) {
                dprintf(STDERR_FILENO, "Cannot drop capabilities: %m\n");
                _exit(126);
        }
        if (prepare)
                r = prepare(t);
        if (r != 0 || !argv)
                _exit(r);
        (void) execvp(argv[0], argv);
        dprintf(STDERR_FILENO, "%s: %m\n", argv[0]);
        _exit(127);
}

int command_run(Slurm *s, const Owner *owner, char *const *argv, int (*prepare)(const Task *t), Task *t, command_done_t done) {
        Command *c = new0(Command, 1);
        int r;

        if (!c)
                return -ENOMEM;
        c->slurm = s;
        TAILQ_INSERT_TAIL(&s->commands, c, entry);
        s->n_commands++;
        c->output = memfd_create("output", MFD_CLOEXEC);
        if (c->output < 0 || (c->pid = fork()) < 0) {
                r = -errno;
                command_free(c);
                return r;
        }
        if (c->pid == 0)
                execute(owner, argv, prepare, t, c->output);
        r = sd_event_add_child(s->event, &c->child, c->pid, WEXITED, on_child, c);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &c->timeout, CLOCK_MONOTONIC, SLURM_COMMAND_TIMEOUT, 0, on_timeout, c);
        if (r < 0) {
                (void) kill(c->pid, SIGKILL);
                (void) waitpid(c->pid, NULL, 0);
                command_free(c);
                return r;
        }
        c->task = t;
        c->done = done;
        if (t)
                t->commanded = true;
        return 0;
}

void commands_forget(Slurm *s, const Task *t) {
        Command *c;

        TAILQ_FOREACH(c, &s->commands, entry)
                if (t && c->task == t) {
                        c->task = NULL;
                        c->done = NULL;
                }
}
