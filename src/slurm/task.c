/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What becomes of a job between jobmilld and Slurm (slurm.h has the states). All follows from what the daemon says (assigned, with or without what was
 * kept; to be cancelled) and from what Slurm says of the job's name; so it does not matter who was away meanwhile. */

#include "slurm/slurm.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/spec-json.h"
#include "queue/verdict.h"

#include <pwd.h>
#include <signal.h>

#define NAME_PREFIX "jobmill-"
#define REASON_MAX 1024U
#define IO_TAIL 4096U /* IoTailMax= is no less, if it is not set */

/* ---- tasks ---- */

static void owner_done(Owner *o) {
        free(o->name);
        free(o->home);
}

static void task_free(Task *t) {
        Slurm *s = t->slurm;

        HASH_DEL(s->tasks, t);
        HASH_DELETE(by_name, s->names, t);
        commands_forget(s, t);
        link_forget(s->link, t);
        json_object_put(t->order);
        spec_free(t->spec);
        owner_done(&t->owner);
        free(t->directory);
        free(t->status);
        free(t->error);
        free(t);
}

void tasks_free(Slurm *s) {
        Task *t, *next;

        HASH_ITER(hh, s->tasks, t, next)
                task_free(t);
}

static Task *task_find(const Slurm *s, json_object *order) {
        const char *token = link_get_text(order, "attempt_token");
        Task *t = NULL;

        if (token)
                HASH_FIND_STR(s->tasks, token, t);
        return t;
}

static void set_state(Task *t, TaskState state) {
        t->state = state;
        t->since = now_usec(CLOCK_MONOTONIC);
}

/* "id":…,"attempt":… */
static void begin_report(const Task *t, JsonWriter *j) {
        char text[96];

        (void) snprintf(text, sizeof(text), "\"id\":%" PRIu64 ",\"attempt\":%" PRIu64, t->id, t->attempt);
        *j = (JsonWriter) {};
        json_write_raw(j, text, strlen(text));
}

static void write_key(JsonWriter *j, const char *key) {
        JSON_WRITE_LITERAL(j, ",\"");
        json_write_raw(j, key, strlen(key));
        JSON_WRITE_LITERAL(j, "\":");
}

static void write_text(JsonWriter *j, const char *key, const char *text) {
        write_key(j, key);
        json_write_string(j, text);
}

static void write_number(JsonWriter *j, const char *key, uint64_t n) {
        char text[24];

        write_key(j, key);
        (void) snprintf(text, sizeof(text), "%" PRIu64, n);
        json_write_raw(j, text, strlen(text));
}

/* ---- as the owner ---- */

static int run_as_owner(Task *t, char *const *argv, command_done_t done) {
        return command_run(t->slurm, &t->owner, argv, NULL, t, done);
}

/* By name and user: an id may be another job's by now. */
static int signal_it(Task *t, const char *how, command_done_t done) {
        char name[SLURM_NAME_MAX + 16], user[300];
        const char *const argv[] = { "scancel", name, user, how, how ? "--full" : NULL, NULL };

        (void) snprintf(name, sizeof(name), "--name=%s", t->name);
        (void) snprintf(user, sizeof(user), "--user=%s", t->owner.name);
        return run_as_owner(t, (char *const *) argv, done);
}

static void told_slurm(Slurm *s, Task *t, int status, const char *text, size_t size) {
        if (t && status != 0)
                log_warning("scancel of job %" PRIu64 " (%s): %.*s", t->id, t->name, (int) MIN(strcspn(text, "\n"), size), text);
}

/* ---- its end ---- */

static void forget(Slurm *s, Task *t, int status, const char *text, size_t size) {
        if (t)
                task_free(t);
}

static void complete(Task *t, const Output *o);

static void on_completed(void *userdata, const char *error) {
        Task *t = userdata;

        if (error && !streq(error, "AttemptFinished") && !streq(error, "NoSuchAttempt")) {
                log_error("What became of job %" PRIu64 " was refused: %s", t->id, error);
                if (t->told_output) {
                        complete(t, NULL);
                        return;
                }
        }
        if (!t->directory || output_remove(t, forget) < 0)
                task_free(t);
}

static void write_end(const Task *t, JsonWriter *j) {
        static const char *const results[] = { [SLURM_END_TIMEOUT] = "timeout", [SLURM_END_OOM] = "oom-kill", [SLURM_END_LOST] = "lost",
                                               [SLURM_END_CANCELLED] = "cancelled", [SLURM_END_PREEMPTED] = "lost", [SLURM_END_NOT_STARTED] = "exec" };
        const SlurmJob *e = &t->end;
        char text[160];

        if (e->end == SLURM_END_STATUS && e->exit_signal > 0)
                write_number(j, "exit_signal", (uint64_t) e->exit_signal);
        else if (e->end == SLURM_END_STATUS)
                write_number(j, "exit_status", (uint64_t) e->exit_status);
        else {
                write_text(j, "result", results[e->end]);
                (void) snprintf(text, sizeof(text), "%s%s%s", e->state, *e->reason && !streq(e->reason, "None") ? ": " : "", streq(e->reason, "None") ? "" : e->reason);
                write_text(j, "error", text);
        }
        if (e->started > 0)
                write_number(j, "started_usec", e->started);
        if (e->finished > 0)
                write_number(j, "finished_usec", e->finished);
}

static void write_output(JsonWriter *j, const Output *o) {
        _cleanup_free_ char *out = NULL, *err = NULL;
        size_t n = o->n_out;
        Verdict v;

        if (verdict_find(o->out, o->n_out, o->n_out < SLURM_TAIL_MAX, &v)) {
                write_key(j, "verdict");
                json_write_raw(j, o->out + v.at, v.size);
                n = v.at;
        }
        out = verdict_tail(o->out, n, IO_TAIL);
        err = verdict_tail(o->err, o->n_err, IO_TAIL);
        if (out && *out)
                write_text(j, "stdout", out);
        if (err && *err)
                write_text(j, "stderr", err);
}

static void complete(Task *t, const Output *o) {
        JsonWriter j;

        begin_report(t, &j);
        if (t->error) {
                write_text(&j, "result", t->is_lost ? "lost" : "exec");
                write_text(&j, "error", t->error);
        } else
                write_end(t, &j);
        if (o)
                write_output(&j, o);
        t->told_output = o;
        set_state(t, TASK_ENDED);
        if (link_call(t->slurm->link, "Complete", &j, on_completed, t) < 0)
                set_state(t, TASK_READING); /* once more */
}

static void fail(Task *t, const char *format, ...) _printf_(2, 3);
static void fail(Task *t, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        free(t->error);
        t->error = vformat(format, ap);
        va_end(ap);
        if (t->error && strlen(t->error) > REASON_MAX)
                t->error[REASON_MAX] = 0;
        for (char *p = t->error; p && *p; p++)
                if ((unsigned char) *p < ' ' || (unsigned char) *p >= 127)
                        *p = '?';
        complete(t, NULL);
}

static void end_as(Task *t, SlurmEnd end, const char *state) {
        t->end = (SlurmJob) { .phase = SLURM_ENDED, .end = end };
        (void) snprintf(t->end.state, sizeof(t->end.state), "%s", state);
        complete(t, NULL);
}

static bool is_lost(Task *t, const Output *o) {
        if (o->status != OUTPUT_LOST)
                return false;
        t->is_lost = true;
        fail(t, "Slurm has begun it twice, and it was killed the first time");
        return true;
}

static void on_output(Slurm *s, Task *t, int status, const char *text, size_t size) {
        Output o;

        if (!t || t->state != TASK_READING)
                return;
        if (status != 0 || !output_read(text, size, &o)) {
                log_warning("What job %" PRIu64 " wrote cannot be read: %.*s", t->id, (int) MIN(strcspn(text, "\n"), size), status != 0 ? text : "");
                complete(t, NULL);
                return;
        }
        if (is_lost(t, &o))
                return;
        complete(t, &o);
}

/* ---- kept, told ---- */

static void write_engine(const Task *t, JsonWriter *j) {
        write_key(j, "engine");
        json_open(j, '{');
        json_write_key(j, "name");
        json_write_string(j, t->name);
        json_write_key(j, "directory");
        json_write_string(j, t->directory);
        if (t->slurm_id > 0) {
                json_write_key(j, "job_id");
                json_write_integer(j, (int64_t) t->slurm_id);
        }
        if (*t->end.nodes) {
                json_write_key(j, "nodes");
                json_write_string(j, t->end.nodes);
        }
        json_close(j, '}');
}

/* The daemon has another view: it was given up there, or has ended. It must not go on in Slurm while it is done once more. */
static bool is_given_up(Task *t, const char *error) {
        if (!error)
                return false;
        log_notice("Job %" PRIu64 " (%s): %s; it is cancelled in Slurm.", t->id, t->name, error);
        if (signal_it(t, NULL, forget) < 0)
                task_free(t);
        return true;
}

static void on_submitted(Slurm *s, Task *t, int status, const char *text, size_t size);

static void on_kept(void *userdata, const char *error) {
        Task *t = userdata;

        if (error) { /* it is over, or was never: nothing was asked of Slurm */
                task_free(t);
                return;
        }
        if (t->cancel) {
                end_as(t, SLURM_END_CANCELLED, "CANCELLED");
                return;
        }
        set_state(t, TASK_SUBMITTING);
        if (submit_begin(t, on_submitted) < 0)
                fail(t, "sbatch cannot be run");
}

static void on_noted(void *userdata, const char *error) {
        Task *t = userdata;

        if (t->state < TASK_READING)
                (void) is_given_up(t, error);
}

static int keep(Task *t, bool started, link_answered_t answered) {
        JsonWriter j;

        begin_report(t, &j);
        write_engine(t, &j);
        if (started && t->end.started > 0)
                write_number(&j, "started_usec", t->end.started);
        return link_call(t->slurm->link, "Keep", &j, answered, t);
}

static void say_status(Task *t, const char *format, ...) _printf_(2, 3);
static void say_status(Task *t, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        JsonWriter j;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        if (!text || streq_ptr(t->status, text))
                return;
        free(t->status);
        t->status = TAKE_PTR(text);
        begin_report(t, &j);
        write_text(&j, "status", t->status);
        (void) link_call(t->slurm->link, "Progress", &j, NULL, t);
}

/* ---- submitted ---- */

/* What sbatch says when nobody has answered: it may have come through. */
static bool is_unanswered(const char *text) {
        static const char *const words[] = { "Unable to contact slurm controller", "timed out", "Zero Bytes were transmitted", "Connection refused",
                                             "Communication connection failure", "send/recv", "Slurm backup controller in standby" };

        FOREACH_ELEMENT(w, words)
                if (strstr(text, *w))
                        return true;
        return false;
}

static void on_submitted(Slurm *s, Task *t, int status, const char *text, size_t size) {
        _cleanup_free_ char *said = strndup(text, size);
        char *last;

        if (!t)
                return;
        if (!said)
                said = strdup("");
        set_state(t, TASK_WATCHED);
        if (status == 0) {
                last = said ? strrchr(said, '\n') : NULL; /* warnings come first */
                if (last)
                        *last = 0;
                last = said ? strrchr(said, '\n') : NULL;
                last = last ? last + 1 : said;
                if (last)
                        last[strcspn(last, ";")] = 0; /* ;CLUSTER */
                if (last && parse_u64(last, &t->slurm_id) >= 0)
                        (void) keep(t, false, on_noted);
                return;
        }
        if (status < 0 || !said || is_unanswered(said)) {
                s->is_up = false; /* until it is heard of again */
                return;
        }
        while ((last = strrchr(said, '\n')) && !last[1])
                *last = 0;
        fail(t, "%s", last ? last + 1 : said);
}

static void submit(Task *t) {
        _cleanup_free_ char *error = NULL;

        if (t->cancel)
                end_as(t, SLURM_END_CANCELLED, "CANCELLED");
        else if (submit_check(t, &error) < 0)
                fail(t, "%s", strempty(error));
        else if (keep(t, false, on_kept) >= 0)
                set_state(t, TASK_KEEPING);
}

/* ---- watched ---- */

static void found(Task *t, const SlurmJob *j) {
        t->missing = 0;
        t->was_found = true;
        t->since = t->slurm->poll_began;
        t->slurm_id = j->id;
        t->end = *j;
        if (j->phase == SLURM_ENDED) {
                set_state(t, TASK_READING);
                return;
        }
        if (j->phase == SLURM_PENDING) {
                say_status(t, "waits in Slurm: %s", j->reason);
                return;
        }
        say_status(t, "%s on %s", j->state, j->nodes);
        if (!t->told_started && j->started > 0 && keep(t, true, on_noted) >= 0)
                t->told_started = true;
}

/* As the owner: with PrivateData=jobs Slurm shows him what it does not show us. */
static void on_last_look(Slurm *s, Task *t, int status, const char *text, size_t size) {
        if (!t || t->state != TASK_WATCHED)
                return;
        if (status != 0 || size > 0) {
                say_status(t, "%s", status != 0 ? "Slurm does not say whether it knows it" : "Slurm hides it from jobmill-slurm (PrivateData=)");
                return;
        }
        t->is_lost = true;
        fail(t, t->was_found ? "Slurm does not know it any more" : "Slurm does not know it");
}

static int look_as_owner(Task *t) {
        char name[SLURM_NAME_MAX + 16];
        const char *const argv[] = { "squeue", "--noheader", "--states=all", "--format=%i", name, NULL };

        (void) snprintf(name, sizeof(name), "--name=%s", t->name);
        return run_as_owner(t, (char *const *) argv, on_last_look);
}

static void on_status_file(Slurm *s, Task *t, int status, const char *text, size_t size) {
        usec_t now = now_usec(CLOCK_MONOTONIC);
        Output o = { .status = -1 };

        if (!t || t->state != TASK_WATCHED)
                return;
        if (status == 0)
                (void) output_read(text, size, &o);
        if (is_lost(t, &o))
                return;
        if (o.status >= 0) { /* it has ended, and Slurm has forgotten it */
                t->end.phase = SLURM_ENDED;
                t->end.end = SLURM_END_STATUS;
                t->end.exit_status = o.status;
                complete(t, &o);
        } else if (t->cancel && usec_sub(now, t->missing) >= SLURM_CANCEL_AGAIN)
                end_as(t, SLURM_END_CANCELLED, "CANCELLED");
        else if (usec_sub(now, t->missing) < s->missing_usec)
                say_status(t, "is not known to Slurm");
        else
                (void) look_as_owner(t);
}

/* A node that does not answer may run it still. */
static void missing(Task *t) {
        const Slurm *s = t->slurm;

        if (t->missing == 0)
                t->missing = now_usec(CLOCK_MONOTONIC);
        if (*s->dead_nodes) {
                say_status(t, "is not known to Slurm, and these nodes do not answer: %.128s", s->dead_nodes);
                return;
        }
        if (!t->commanded && command_may_run(s))
                (void) output_begin(t, on_status_file);
}

static void look_at(Task *t) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        if (t->commanded || !command_may_run(t->slurm))
                return;
        if (t->state == TASK_WAITS && t->slurm->is_up)
                submit(t);
        else if (t->state == TASK_READING && output_begin(t, on_output) < 0)
                complete(t, NULL);
        else if (t->state == TASK_WATCHED && t->signal > 0) {
                char how[24];

                (void) snprintf(how, sizeof(how), "--signal=%d", t->signal);
                if (signal_it(t, how, told_slurm) >= 0)
                        t->signal = 0;
        } else if (t->state == TASK_WATCHED && t->cancel && now >= t->cancel_next && signal_it(t, NULL, told_slurm) >= 0)
                t->cancel_next = usec_add(now, SLURM_CANCEL_AGAIN);
}

/* ---- Slurm is asked ---- */

static void polled(Slurm *s, json_object *jobs) {
        Task *t, *next;

        for (size_t i = 0; i < json_object_array_length(jobs); i++) {
                const char *name;
                SlurmJob j;

                if (slurm_job_read(json_object_array_get_idx(jobs, i), &j, &name) < 0 || !startswith(name, NAME_PREFIX))
                        continue;
                HASH_FIND(by_name, s->names, name, strlen(name), t);
                if (t && t->state == TASK_WATCHED)
                        found(t, &j);
        }
        HASH_ITER(hh, s->tasks, t, next)
                if (t->state == TASK_WATCHED && t->since < s->poll_began)
                        missing(t);
}

static void poll_again(Slurm *s) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        s->polling = false;
        s->poll_next = usec_add(now, MAX(SLURM_POLL, SLURM_POLL_SHARE * usec_sub(now, s->poll_began)));
}

static void on_squeue(Slurm *s, Task *unused, int status, const char *text, size_t size) {
        json_tokener *tokener = json_tokener_new();
        json_object *o = NULL, *jobs = NULL;
        const char *error = "it does not answer";

        s->dead_nodes = text; /* behind a NUL: what sinfo has said */
        if (tokener && status == 0 && strnlen(text, size) < size) {
                s->dead_nodes = text + strlen(text) + 1;
                o = json_tokener_parse_ex(tokener, text, (int) strlen(text));
                jobs = slurm_jobs(o, &error);
        }
        if (s->is_up != (jobs != NULL))
                log_notice(jobs ? "Slurm answers." : "Slurm does not answer: %s", error);
        s->is_up = jobs != NULL;
        if (jobs)
                polled(s, jobs);
        json_object_put(o);
        if (tokener)
                json_tokener_free(tokener);
        poll_again(s);
}

/* Both in one: a job that is not in the first is looked for on what the second says. */
static void poll_slurm(Slurm *s) {
        static const char *const argv[] = { "sh", "-c",
                                            "squeue --json && printf '\\0' && sinfo --noheader --Node --dead --format=%N | sort -u | tr '\\n' ' ' && printf '\\0'", NULL };

        s->poll_began = now_usec(CLOCK_MONOTONIC);
        if (command_run(s, NULL, (char *const *) argv, NULL, NULL, on_squeue) >= 0)
                s->polling = true;
        else
                poll_again(s);
}

void tasks_turn(Slurm *s) {
        Task *t, *next;

        if (s->tasks && !s->polling && now_usec(CLOCK_MONOTONIC) >= s->poll_next)
                poll_slurm(s);
        HASH_ITER(hh, s->tasks, t, next)
                look_at(t);
}

/* ---- orders ---- */

static int find_owner(uint32_t uid, Owner *ret) {
        const struct passwd *p = getpwuid(uid);

        if (!p)
                return -ESRCH;
        *ret = (Owner) { .uid = uid, .gid = p->pw_gid, .name = strdup(p->pw_name), .home = strdup(p->pw_dir) };
        return ret->name && ret->home ? 0 : -ENOMEM;
}

/* Where it was is known of one that was asked for. */
static int find_place(Task *t) {
        const char *kept = link_get_text(link_get(t->order, "engine"), "directory"), *base = link_get_text(link_get(t->order, "options"), "Directory");
        _cleanup_free_ char *own = NULL;

        if (kept)
                return (t->directory = strdup(kept)) ? 0 : -ENOMEM;
        if (base && asprintf(&own, "%s/%s", base, t->owner.name) < 0)
                return -ENOMEM;
        if (!base && asprintf(&own, "%s/.jobmill-slurm", t->owner.home) < 0)
                return -ENOMEM;
        return asprintf(&t->directory, "%s/%s", own, t->name) < 0 ? -ENOMEM : 0;
}

static int read_order(Task *t, json_object *order) {
        const char *kept = link_get_text(link_get(order, "engine"), "name"), *token = link_get_text(order, "attempt_token");
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t keys;
        int r;

        t->order = json_object_get(order);
        t->id = link_get_number(order, "id");
        t->attempt = link_get_number(order, "attempt");
        (void) snprintf(t->token, sizeof(t->token), "%s", token);
        if (kept)
                (void) snprintf(t->name, sizeof(t->name), "%s", kept);
        else
                (void) snprintf(t->name, sizeof(t->name), NAME_PREFIX "%" PRIu64 "-%" PRIu64 "-%.16s", t->id, t->attempt, token);
        t->slurm_id = link_get_number(link_get(order, "engine"), "job_id");
        t->spec = spec_new();
        if (!t->spec)
                return -ENOMEM;
        r = spec_read_json_object(link_get(order, "job"), t->spec, &queue, &keys, &error);
        if (r >= 0)
                r = find_owner((uint32_t) link_get_number(order, "owner"), &t->owner);
        if (r >= 0)
                r = find_place(t);
        if (r < 0 && r != -ENOMEM) {
                free(t->error);
                t->error = TAKE_PTR(error);
        }
        return r;
}

void task_assign(Slurm *s, json_object *order) {
        Task *t = task_find(s, order);
        int r;

        if (t) /* it is told again */
                return;
        if (strlen(strempty(link_get_text(order, "attempt_token"))) != TOKEN_SIZE - 1 || !(t = new0(Task, 1)))
                return; /* it comes again with the next connection */
        t->slurm = s;
        r = read_order(t, order);
        HASH_ADD_STR(s->tasks, token, t);
        HASH_ADD_KEYPTR(by_name, s->names, t->name, strlen(t->name), t);
        set_state(t, link_get(order, "engine") ? TASK_WATCHED : TASK_WAITS);
        if (r == -ENOMEM)
                task_free(t);
        else if (r < 0)
                fail(t, "%s", t->error ?: r == -ESRCH ? "its owner has no account here" : strerror(-r));
}

void task_cancel(Slurm *s, json_object *order) {
        Task *t = task_find(s, order);

        if (!t)
                return;
        t->cancel = true;
        t->cancel_next = 0;
        if (t->state == TASK_WAITS)
                end_as(t, SLURM_END_CANCELLED, "CANCELLED");
}

void task_signal(Slurm *s, json_object *order) {
        Task *t = task_find(s, order);

        if (t)
                t->signal = (int) link_get_number(order, "signal");
}
