/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of a job in the runner:
 *
 *   ordered    its process runs; or it cannot be made, and that is how it ended
 *   ended      its process is over; what its control group used is read, and what is left in there is killed
 *   reporting  its control group is empty and gone: only now may its slots be another's
 *   reported   the daemon has recorded it, and it is forgotten but for its token
 */

#include "runner/runner.h"

#include "base/parse.h"
#include "queue/spec-json.h"

#include <signal.h>
#include <sys/wait.h>

#define LEAVE_LOOK (2 * USEC_PER_MSEC)
#define LEAVE_DOUBLED_MAX 8U
#define AGAIN (10 * USEC_PER_MSEC) /* twice as long each time */
#define AGAIN_DOUBLED_MAX 6U
#define ERROR_MAX 1024U /* bytes, as the daemon takes it */

static Task *task_free(Runner *r, Task *t) {
        HASH_DEL(r->tasks, t);
        HASH_DELETE(hh_name, r->names, t);
        r->free_failures[r->n_free_failures++] = t->failure;
        safe_close(t->helper);
        json_object_put(t->order);
        free(t->error);
        return mfree(t);
}

static Task *task_find(const Runner *r, json_object *order) {
        const char *token = json_get_text(order, "attempt_token");
        Task *t = NULL;

        if (token)
                HASH_FIND_STR(r->tasks, token, t);
        return t;
}

/* ---- how it ended ---- */

/* The daemon takes no message that is not UTF-8, and a job may have a say in what its helper writes. */
static void make_text(char *text) {
        size_t n = strlen(text);

        if (n > ERROR_MAX)
                for (n = ERROR_MAX; n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80; n--)
                        ; /* not inside of a character */
        text[n] = 0;
        if (utf8_is_valid(text, n))
                return;
        for (char *p = text; *p; p++)
                if ((unsigned char) *p >= 0x80)
                        *p = '?';
}

static void report(Runner *r, Task *t) {
        t->reporting = true;
        if (t->error)
                make_text(t->error);
        r->n_groups -= t->in_cgroup;
        strays_kill(r);
        link_report(r, t);
}

static void leave(Runner *r, Task *t) {
        usec_t after = LEAVE_LOOK << MIN(t->looks++, LEAVE_DOUBLED_MAX);

        TAILQ_INSERT_TAIL(&r->leaving, t, entry);
        if (sd_event_source_get_enabled(r->leave_timer, NULL) > 0)
                return;
        (void) sd_event_source_set_time_relative(r->leave_timer, after);
        (void) sd_event_source_set_enabled(r->leave_timer, SD_EVENT_ONESHOT);
}

static void clear(Runner *r, Task *t) {
        if (t->in_cgroup && cgroup_remove(&r->cgroups, t->name) < 0) {
                if (cgroup_is_populated(&r->cgroups, t->name)) {
                        cgroup_kill(&r->cgroups, t->name, SIGKILL);
                        leave(r, t);
                        return;
                }
                (void) cgroup_remove(&r->cgroups, t->name); /* else what the job made of it is in the way: the unit's end removes it */
        }
        report(r, t);
}

void tasks_leave(Runner *r) {
        struct TaskList l = TAILQ_HEAD_INITIALIZER(l);
        Task *t;

        TAILQ_CONCAT(&l, &r->leaving, entry);
        while ((t = TAILQ_FIRST(&l))) {
                TAILQ_REMOVE(&l, t, entry);
                clear(r, t);
        }
        link_flush(r);
}

static void end(Runner *r, Task *t) {
        t->ended = true;
        clear(r, t);
}

static void read_failure(const Runner *r, Task *t) {
        const SpawnFailure *f = r->failures + t->failure;
        const char *what;
        char text[2 * ERROR_MAX];
        ssize_t n = t->helper >= 0 ? read(t->helper, text, sizeof(text)) : 0;

        if (n > 0) {
                t->result = "exec";
                t->error = strndup(text, n);
        }
        if (f->status == 0)
                return;
        what = f->status == 203   ? "the command cannot be executed"
               : f->status == 200 ? "cannot change to the working directory"
               : f->status == 219 ? "cannot move to its control group"
                                  : "the command cannot be set up";
        free(t->error);
        t->result = "exec";
        if (asprintf(&t->error, "%s: %s", what, strerror(f->error)) < 0)
                t->error = NULL;
}

static void reaped(Runner *r, Task *t, int status) {
        HASH_DELETE(hh_pid, r->processes, t);
        t->pid = 0;
        t->was_process = true;
        t->status = status;
        cgroup_read_usage(&r->cgroups, t->name, &t->usage);
        read_failure(r, t);
        if (!t->result && t->usage.oom_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
                t->result = "oom-kill";
        if (!t->result && t->stopped) {
                t->result = "lost";
                t->error = strdup("its runner was stopped");
        }
        end(r, t);
}

/* Also what jobs left behind: they are ours since their parents are gone. */
void tasks_reap(Runner *r) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                Task *t;

                HASH_FIND(hh_pid, r->processes, &pid, sizeof(pid), t);
                if (t)
                        reaped(r, t, status);
        }
        if (!TAILQ_EMPTY(&r->leaving))
                tasks_leave(r);
        link_flush(r);
}

/* An order that comes again was given by the daemon before it knew; behind it are no more than there can be at a time. */
static void remember(Runner *r, const Task *t) {
        Finished *f;

        if (HASH_COUNT(r->finished) >= TASKS_MAX) {
                f = r->finished;
                HASH_DEL(r->finished, f);
        } else
                f = new0(Finished, 1);
        if (!f)
                return;
        memcpy(f->token, t->token, sizeof(f->token));
        HASH_ADD_STR(r->finished, token, f);
}

static bool is_finished(const Runner *r, json_object *order) {
        const char *token = json_get_text(order, "attempt_token");
        Finished *f = NULL;

        if (token)
                HASH_FIND_STR(r->finished, token, f);
        return f;
}

void tasks_done(Runner *r) {
        Finished *f, *t;

        HASH_ITER(hh, r->finished, f, t) {
                HASH_DEL(r->finished, f);
                free(f);
        }
}

void task_reported(Runner *r, Task *t) {
        remember(r, t);
        task_free(r, t);
        runner_look_idle(r);
}

/* ---- orders ---- */

static Task *task_new(Runner *r, json_object *order) {
        const char *token = json_get_text(order, "attempt_token");
        Task *t;

        if (!token || strlen(token) != 32 || r->n_free_failures == 0)
                return NULL;
        t = new0(Task, 1);
        if (!t)
                return NULL;
        t->id = json_get_number(order, "id");
        t->attempt = (uint32_t) json_get_number(order, "attempt");
        memcpy(t->token, token, 33);
        (void) snprintf(t->name, sizeof(t->name), "jobmill-job-%" PRIu64 "-%" PRIu32, t->id, t->attempt);
        t->helper = -EBADF;
        t->usage = CGROUP_USAGE_INIT;
        t->failure = r->free_failures[--r->n_free_failures];
        HASH_ADD_STR(r->tasks, token, t);
        HASH_ADD(hh_name, r->names, name, strlen(t->name), t);
        return t;
}

static void begin(Runner *r, Task *t, json_object *order) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        _cleanup_free_ char *error = NULL, *queue = NULL;
        json_object *job = json_get(order, "job");
        uint64_t keys;

        if (r->stopping) {
                t->result = "unstarted";
                return;
        }
        if (!spec || !json_object_is_type(job, json_type_object) || spec_read_json_object(job, spec, &queue, &keys, &error) < 0 || !spec->argv || !spec->argv[0]) {
                t->result = "exec";
                if (asprintf(&t->error, "the runner cannot read it: %s", strempty(error)) < 0)
                        t->error = NULL;
        } else
                spawn(r, t, spec, json_get(order, "run"));
}

/* It keeps its slots: when others of its user's have ended, here or elsewhere, there is room. */
static void lack(Runner *r, Task *t, json_object *order) {
        t->order = json_object_get(order);
        TAILQ_INSERT_TAIL(&r->lacking, t, entry);
        if (sd_event_source_get_enabled(r->again_timer, NULL) > 0)
                return;
        (void) sd_event_source_set_time_relative(r->again_timer, AGAIN << MIN(t->tries, AGAIN_DOUBLED_MAX));
        (void) sd_event_source_set_enabled(r->again_timer, SD_EVENT_ONESHOT);
}

static void try(Runner *r, Task *t, json_object *order) {
        begin(r, t, order);
        if (t->pid > 0)
                HASH_ADD(hh_pid, r->processes, pid, sizeof(t->pid), t);
        else if (!t->result)
                lack(r, t, order);
        else
                end(r, t);
}

void tasks_again(Runner *r) {
        struct TaskList l = TAILQ_HEAD_INITIALIZER(l);
        Task *t;

        TAILQ_CONCAT(&l, &r->lacking, entry);
        while ((t = TAILQ_FIRST(&l))) {
                json_object *order = TAKE_PTR(t->order);

                TAILQ_REMOVE(&l, t, entry);
                try(r, t, order);
                json_object_put(order);
        }
        link_flush(r);
}

int task_order(Runner *r, json_object *order) {
        Task *t;

        if (task_find(r, order) || is_finished(r, order)) /* it is given once more after each interruption */
                return 0;
        t = task_new(r, order);
        if (!t) {
                fprintf(stderr, "An order cannot be taken.\n");
                return -ENOMEM;
        }
        try(r, t, order);
        return 0;
}

/* Of what was to end before it had begun. */
static void forgo(Runner *r, Task *t) {
        TAILQ_REMOVE(&r->lacking, t, entry);
        t->order = (json_object_put(t->order), NULL);
        t->result = "exec";
        t->error = strdup("it was to end, and there had been no room for a process");
        end(r, t);
}

void task_signal(Runner *r, json_object *order) {
        Task *t = task_find(r, order);
        uint64_t sig = json_get_number(order, "signal");

        if (t && t->order && (sig == SIGKILL || json_get(order, "reason")))
                forgo(r, t);
        else if (t && !t->reporting && sig >= 1 && sig <= 64)
                cgroup_kill(&r->cgroups, t->name, (int) sig);
}

/* The runner's unit is stopped: what ends by that did not end by itself. */
void tasks_stop(Runner *r) {
        Task *t, *next;

        tasks_again(r); /* which go back unstarted */
        HASH_ITER(hh, r->tasks, t, next)
                if (t->pid > 0) {
                        t->stopped = true;
                        cgroup_kill(&r->cgroups, t->name, SIGTERM);
                }
}
