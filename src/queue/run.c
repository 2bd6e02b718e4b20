/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See run.h.
 *
 *   waiting, ready      its process waits; if it goes, the job is cancelled
 *   starting            its scope is asked for
 *   running             the process was seen in it, and was still the same: it is told to go
 *   stopping            as any other; where it was not told to go, it is told that it need not
 *   done                its row goes with the commit */

#include "queue/run.h"

#include "queue/model-internal.h"
#include "queue/spec-change.h"

Run *run_free(Run *r) {
        return mfree(r);
}

uint64_t run_fields(void) {
        static const char *const names[] = { "name", "tags", "priority", "slots", "timeout_usec", "stop_timeout_usec", "keep_usec",
                                             "properties", "deadline_usec", "unique_key", "unique_scope" };
        uint64_t fields = 0;

        FOREACH_ELEMENT(name, names)
                fields |= spec_field_bit(spec_field_find(*name));
        return fields;
}

int run_check_spec(JobSpec *s, char **ret_error) {
        static const char *const told_once[] = { "argv", "cwd", "after" };
        uint64_t may = run_fields();
        const SpecField *fields;
        size_t n;

        FOREACH_ELEMENT(name, told_once)
                may |= spec_field_bit(spec_field_find(*name));
        fields = spec_field_table(&n);
        for (const SpecField *f = fields; f < fields + n; f++)
                if (!spec_field_is_default(s, f) && !(may & spec_field_bit(f)))
                        return spec_error(ret_error, EPERM, "%s: not of a job that runs in the foreground", f->name);
        /* Whatever its queue says: one try, of which nothing is kept but how it ended. */
        s->max_attempts = 1;
        s->output = OUTPUT_JOURNAL;
        s->verify = VERIFY_EXIT;
        return 0;
}

Run *model_run(const Model *m, uint64_t job) {
        Run *r;

        HASH_FIND(hh, m->runs.by_job, &job, sizeof(job), r);
        return r;
}

Run *model_run_of_token(const Model *m, const sd_id128_t *token) {
        Run *r;

        HASH_FIND(token_hh, m->runs.by_token, token, sizeof(*token), r);
        return r;
}

bool run_is_away(const Model *m, uint64_t job) {
        const Run *r = model_run(m, job);

        return r && !r->connected;
}

void model_run_connected(Model *m, Run *r, bool connected) {
        const Job *j = model_job(m, r->job);

        /* Only one that was there and waits can have kept slots. */
        m->schedule.missed = m->schedule.missed || (r->connected && !connected && !(j && j->live));
        m->schedule.n_away -= !r->connected;
        r->connected = connected;
        m->schedule.n_away += !r->connected;
}

#define PROCESS_SIZE (offsetof(Run, pid) + sizeof(uint32_t) - offsetof(Run, boot_id))

Run *model_run_of_process(const Model *m, sd_id128_t boot_id, uint64_t started, uint32_t pid) {
        const Run key = { .boot_id = boot_id, .started = started, .pid = pid };
        Run *r;

        HASH_FIND(process_hh, m->runs.by_process, &key.boot_id, PROCESS_SIZE, r);
        return r;
}

static void run_changed(Model *m, Run *r) {
        if (r->changed)
                return;
        TAILQ_INSERT_TAIL(&m->runs.changed, r, changed_entry);
        r->changed = true;
}

void model_run_add(Model *m, Run *r, bool loaded) {
        const Job *j = loaded ? NULL : model_job(m, r->job);

        if (!loaded) {
                r->is_new = true;
                run_changed(m, r);
        }
        m->schedule.n_away += !r->connected;
        HASH_ADD(hh, m->runs.by_job, job, sizeof(r->job), r);
        HASH_ADD(token_hh, m->runs.by_token, token, sizeof(r->token), r);
        HASH_ADD(process_hh, m->runs.by_process, boot_id, PROCESS_SIZE, r);
        if (j && j->state == JOB_DONE) /* by its submission: what it comes after has failed */
                run_over(m, j);
}

void model_run_act(Model *m, Run *r) {
        if (r->wanted)
                return;
        TAILQ_INSERT_TAIL(&m->runs.go, r, go_entry);
        r->wanted = true;
}

Run *model_next_run(Model *m) {
        Run *r = TAILQ_FIRST(&m->runs.go);

        if (r) {
                TAILQ_REMOVE(&m->runs.go, r, go_entry);
                r->wanted = false;
        }
        return r;
}

void run_act_of(Model *m, const Attempt *a) {
        Run *r = a->executor == EXECUTOR_SCOPE ? model_run(m, a->job_id) : NULL;

        if (r)
                model_run_act(m, r);
}

void model_run_gone(Model *m, Run *r) {
        if (r->gone || r->over)
                return;
        r->gone = true;
        model_run_away(m, r);
}

void model_run_away(Model *m, Run *r) {
        if (r->doomed || r->over)
                return;
        r->doomed = true;
        TAILQ_INSERT_TAIL(&m->runs.gone, r, gone_entry);
}

Run *model_next_gone_run(Model *m) {
        Run *r = TAILQ_FIRST(&m->runs.gone);

        if (r) {
                TAILQ_REMOVE(&m->runs.gone, r, gone_entry);
                r->doomed = false;
        }
        return r;
}

void model_run_end(Model *m, const Run *r, Job *j, const Now *now) {
        if (!r->gone && r->connected) /* it has, after all */
                return;
        if (!r->gone)
                (void) model_cancel(m, j, "its process did not come back for its turn", now);
        else if (!j->live)
                (void) model_cancel(m, j, "its process is gone", now);
        else if (j->live->phase == ATTEMPT_STARTING)
                model_attempt_act(m, j->live); /* nothing ran; what became of its scope is seen there */
        else
                model_attempt_abandon(m, j->live, "its process is gone", now);
}

void model_run_exited(Model *m, Attempt *a, Outcome *outcome, const Now *now) {
        outcome->started_usec = a->outcome.started_usec;
        outcome->finished_usec = now->realtime;
        if (a->started_monotonic != USEC_INFINITY)
                outcome->runtime_usec = usec_sub(now->monotonic, a->started_monotonic);
        model_attempt_ended(m, a, outcome, now);
}

void run_over(Model *m, const Job *j) {
        Run *r = j->foreground ? model_run(m, j->id) : NULL;

        if (!r || r->over)
                return;
        r->over = true;
        HASH_DELETE(process_hh, m->runs.by_process, r);
        run_changed(m, r);
}

void run_start_undone(Model *m, const Job *j) {
        Run *r = j->foreground ? model_run(m, j->id) : NULL;

        if (r && r->gone)
                model_run_away(m, r);
}

void runs_recorded(Model *m) {
        Run *r;

        while ((r = TAILQ_FIRST(&m->runs.changed))) {
                TAILQ_REMOVE(&m->runs.changed, r, changed_entry);
                r->changed = r->is_new = false;
                if (!r->over)
                        continue;
                if (r->wanted)
                        TAILQ_REMOVE(&m->runs.go, r, go_entry);
                if (r->doomed)
                        TAILQ_REMOVE(&m->runs.gone, r, gone_entry);
                m->schedule.n_away -= !r->connected;
                HASH_DEL(m->runs.by_job, r);
                HASH_DELETE(token_hh, m->runs.by_token, r);
                run_free(r);
        }
}
