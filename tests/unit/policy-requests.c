/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The requests of test-policy-random.c, as api/ makes them of calls; each draws what it needs from w.dice. true: something came of it. */

#include "policy-events.h"

#include "api/unique.h"
#include "base/strv.h"
#include "queue/spec-change.h"

Job *request_fetch(uint64_t id) {
        Job *j = model_job(w.m.model, id);

        if (j || model_is_purged(w.m.model, id) || store_load_job(w.m.store, id, &j) < 0)
                return j;
        model_job_add(w.m.model, j, model_queue(w.m.model, j->queue_name));
        return j;
}

static Job *any_job(void) {
        uint64_t n = w.m.model->next_id - 1;
        Job *j = NULL;

        for (unsigned i = 0; i < 4 && !j && n > 0; i++) /* mostly one of the newer ones */
                j = request_fetch(n - any((unsigned) (chance(60) ? MIN(n, UINT64_C(12)) : n)));
        return j;
}

static JobSpec *make_spec(void) {
        JobSpec *s = spec_new();

        if (strv_extend(&s->argv, "/bin/true") < 0)
                fail("no memory");
        s->slots = chance(65) ? 1 : 1 + any(4);
        s->priority = chance(50) ? 0 : (int32_t) any(4);
        s->hold = chance(8);
        if (chance(15))
                *(chance(60) ? &s->delay_usec : &s->not_before_usec) = (1 + any(30)) * SEC;
        if (s->not_before_usec != USEC_INFINITY)
                s->not_before_usec += w.now.realtime;
        if (chance(10))
                s->deadline_usec = w.now.realtime + (1 + any(60)) * SEC;
        if (chance(20))
                s->timeout_usec = (1 + any(30)) * SEC;
        s->stop_timeout_usec = (1 + any(10)) * SEC;
        if (chance(40)) {
                s->max_attempts = 2 + any(3);
                s->backoff = any(3);
                s->backoff_base_usec = any(5) * SEC;
                s->backoff_jitter = any(3) / 2.0;
                s->requeue_lost = chance(30);
        }
        if (chance(12)) {
                s->array = 2 + any(6);
                s->array_max_running = any(4);
        }
        if (chance(25)) {
                s->output = OUTPUT_SPOOL;
                s->verify = chance(60) ? VERIFY_VERDICT : VERIFY_EXIT;
        }
        if (chance(15))
                s->retry_on = strv_split(chance(50) ? "exit-code" : "lost,timeout,oom-kill", ",");
        return s;
}

/* What a process in the foreground may ask for. */
static JobSpec *make_foreground_spec(void) {
        _cleanup_free_ char *error = NULL;
        JobSpec *s = spec_new();

        if (strv_extend(&s->argv, "/bin/true") < 0)
                fail("no memory");
        s->slots = chance(65) ? 1 : 1 + any(4);
        s->priority = (int32_t) any(4);
        if (chance(10))
                s->deadline_usec = w.now.realtime + (1 + any(60)) * SEC;
        if (chance(20))
                s->timeout_usec = (1 + any(30)) * SEC;
        s->stop_timeout_usec = (1 + any(10)) * SEC;
        if (run_check_spec(s, &error) < 0)
                fail("%s", error);
        return s;
}

/* As api/after.c does. */
static void add_after(JobSpec *s, char **never) {
        int r = 0;

        s->after = new0(After, 4);
        for (unsigned i = 1 + any(3); i > 0; i--) {
                Job *before = any_job();
                bool twice = false;

                for (size_t k = 0; before && k < s->n_after; k++)
                        twice = twice || s->after[k].id == before->id;
                if (before && !twice)
                        s->after[s->n_after++] = (After) { .id = before->id, .condition = chance(60) ? AFTER_SUCCESS : any(3),
                                                           .otherwise = chance(60) ? OTHERWISE_FAIL : any(3) };
        }
        for (size_t i = 0; i < s->n_after && r == 0; i++)
                r = spec_resolve_after(s, i, model_job(w.m.model, s->after[i].id), never);
        if (r < 0)
                fail("no memory");
}

/* true: it is not to be made. */
static bool key_is_taken(JobSpec *s, const Queue *q, uint32_t owner) {
        uint64_t n;
        Job *holder;

        if (!chance(15))
                return false;
        s->unique_key = strdup(chance(50) ? "k" : "l");
        s->unique_scope = chance(40) ? NULL : strdup(chance(50) ? "queued" : "20s");
        if (unique_find(w.m.model, w.m.store, &w.now, q, owner, s->unique_key, &holder) < 0)
                fail("keys cannot be read");
        if (!holder)
                return false;
        if (unique_find_all(w.m.model, w.m.store, &w.now, holder, &(uint64_t) { UINT64_MAX }, &n) <= 0 || chance(50))
                return true;
        unique_replace(w.m.model, holder, "replaced", &w.now);
        return false;
}

bool request_submit(void) {
        Queue *q = model_queue(w.m.model, queue_names[chance(50) ? w.busy : any(N_QUEUES)]);
        uint32_t owner = 1000 + any(N_OWNERS);
        _cleanup_free_ char *error = NULL, *never = NULL;
        bool foreground;
        JobSpec *s;
        Job *j = NULL;
        int r;

        if (w.m.model->next_id + 8 >= JOBS_MAX || !q->configured)
                return false;
        foreground = !w.setup[queue_index(q->name)].by_workers && chance(10);
        s = foreground ? make_foreground_spec() : make_spec();
        if (chance(35))
                add_after(s, &never);
        if (key_is_taken(s, q, owner)) {
                spec_free(s);
                return false;
        }
        r = backlog_check(w.m.model, q, owner, MAX(s->array, 1U), &error);
        check_backlog(queue_index(q->name), owner, MAX(s->array, 1U), 0, r < 0);
        if (r >= 0) {
                free(TAKE_PTR(error));
                r = model_submit(w.m.model, q, s, owner, "alice", &w.now, &j, &error);
                check_submit(queue_index(q->name), s, r);
        }
        if (r < 0) {
                say("    refused: %s\n", strempty(error));
                spec_free(s);
                return false;
        }
        say("    %" PRIu64 " in %s, %" PRIu32 " slots, priority %i, of %u", j->id, q->name, j->slots, j->priority, j->owner);
        if (s->array > 0)
                say(", an array of %" PRIu32 ", %" PRIu32 " at a time", s->array, s->array_max_running);
        for (size_t i = 0; i < j->spec->n_after; i++)
                say(", after %" PRIu64 " (%s, %s%s)", j->spec->after[i].id, after_condition_to_string(j->spec->after[i].condition),
                    after_otherwise_to_string(j->spec->after[i].otherwise), j->spec->after[i].met ? ", met" : "");
        say("\n");
        for (uint64_t i = 0, first = j->id, n = MAX(s->array, 1U); i < n; i++) {
                j = model_job(w.m.model, first + i);
                world_note_time(j);
                w.submitted[j->id] = w.now.monotonic;
                w.fore[j->id] = (Fore) {};
                if (never)
                        model_fail(w.m.model, j, JOB_DEPENDENCY, never, &w.now);
                if (foreground)
                        fore_submitted(j);
        }
        return true;
}

/* ---- changes ---- */

typedef struct Edit {
        const char *field;
        Queue *to;
        JobSpec *values;
} Edit;

/* false: such a change is not taken. */
static bool draw_edit(Edit *ret) {
        static const char *const fields[] = { "priority", "slots", "not_before_usec", "delay_usec", "deadline_usec", "max_attempts", "timeout_usec",
                                              "array_max_running", "unique_key" };
        JobSpec *s = make_spec();

        *ret = (Edit) { fields[any(ELEMENTSOF(fields))], chance(40) ? model_queue(w.m.model, queue_names[any(N_QUEUES)]) : NULL, s };
        s->not_before_usec = chance(30) ? USEC_INFINITY : w.now.realtime + any(20) * SEC;
        s->delay_usec = any(20) * SEC;
        s->deadline_usec = chance(30) ? USEC_INFINITY : w.now.realtime + (1 + any(40)) * SEC;
        s->max_attempts = 1 + any(5);
        s->timeout_usec = (1 + any(20)) * SEC;
        s->array_max_running = any(4);
        s->unique_key = chance(25) ? NULL : strdup(chance(50) ? "k" : "l");
        return !ret->to || ret->to->configured;
}

/* As api/bus-update.c makes it of what the job is now; NULL: the key is another one's. */
static JobSpec *edited_spec(const Edit *e, Job *j) {
        _cleanup_free_ char *error = NULL;
        JobSpec *s = NULL;
        Job *holder = NULL;

        if (j->is_new || j->edited)
                (void) spec_copy(j->is_new ? j->spec : j->edited, UINT64_MAX, &s);
        else
                s = spec_new();
        if (!s || job_to_spec(j, s) < 0 || spec_change(s, e->values, spec_field_bit(spec_field_find(e->field)), &error) < 0)
                fail("%s: %s", e->field, strempty(error));
        if (!s->unique_key || (!streq(e->field, "unique_key") && !(e->to && j->unique_held)))
                return s;
        if (unique_find(w.m.model, w.m.store, &w.now, e->to ?: j->queue, j->owner, s->unique_key, &holder) < 0 || (holder && !unique_is_same(holder, j)))
                return spec_free(s);
        return s;
}

static bool apply_edit(const Edit *e, Job *j) {
        bool moves = e->to && e->to != j->queue && job_state_is_queued(j->state);
        JobSpec *s = edited_spec(e, j);
        _cleanup_free_ char *error = NULL;
        int r;

        if (!s)
                return false;
        r = model_update(w.m.model, j, e->to, s, spec_field_bit(spec_field_find(e->field)), &w.now, &error);
        if (moves && (r >= 0 || r == -EXFULL))
                check_backlog(queue_index(e->to->name), j->owner, 1, j->id, r < 0);
        if (r < 0) {
                spec_free(s);
                return false;
        }
        say("    %s of %" PRIu64 ", in %s\n", e->field, j->id, j->queue_name);
        if (streq(e->field, "not_before_usec") || streq(e->field, "delay_usec"))
                world_note_time(j);
        return true;
}

static bool update(Job *j) {
        Edit e;
        bool done = draw_edit(&e) && apply_edit(&e, j);

        spec_free(e.values);
        return done;
}

bool request_rekey(Job *j) {
        Edit e;
        bool done;

        (void) draw_edit(&e);
        e.field = "unique_key";
        e.to = NULL;
        done = apply_edit(&e, j);
        spec_free(e.values);
        return done;
}

/* ---- once more ---- */

typedef struct Reopening {
        Job *job;
        bool look_only;
} Reopening;

static int reopen_edge(void *userdata, const Edge *e) {
        const Reopening *o = userdata;
        Job *before = request_fetch(e->before);

        if (!before)
                return 0;
        if (!o->look_only)
                return model_edge_reopen(w.m.model, o->job, e, before);
        return model_edge_forbids(o->job, e, before) ? -EPERM : 0;
}

/* As api/after.c does. */
static int each_edge(Job *j, bool look_only) {
        Reopening o = { j, look_only };
        int r = 0;

        if (!j->is_new)
                return store_edges(w.m.store, j->id, reopen_edge, &o);
        for (const After *a = j->spec->after; r >= 0 && a < j->spec->after + j->spec->n_after; a++)
                r = reopen_edge(&o, &(Edge) { j->id, a->id, a->condition, a->otherwise, a->met });
        return r;
}

static bool do_retry(Job *j) {
        Job *holder = NULL;

        if (j->state == JOB_DONE && j->unique_key && !j->unique_held &&
            (unique_find(w.m.model, w.m.store, &w.now, j->queue, j->owner, j->unique_key, &holder) < 0 ||
             (holder && !unique_is_same(holder, j))))
                return false;
        if (queue_draining_at(j->queue) || j->foreground)
                return false;
        if (j->state != JOB_DONE || j->attempt + 6 >= ATTEMPTS_MAX || (!j->edges_open_again && each_edge(j, true) < 0))
                return false;
        if (!j->edges_open_again && each_edge(j, false) < 0)
                fail("no memory");
        j->edges_open_again = true;
        if (model_retry(w.m.model, j, 1 + any(2), chance(50) ? 0 : any(8) * SEC, &w.now) < 0)
                return false;
        unique_take(w.m.model, j);
        world_note_time(j);
        return true;
}

static bool purge(Job *j) {
        if (j->state != JOB_DONE || j->reopened || model_has_new_edge_to(w.m.model, j->id, false) || store_is_needed(w.m.store, j->id) != 0)
                return false;
        return model_purge(w.m.model, j) >= 0;
}

/* ---- one, or many ---- */

static bool act(unsigned kind, Job *j) {
        switch (kind) {
        case EVENT_cancel:
                return model_cancel(w.m.model, j, NULL, &w.now) >= 0;
        case EVENT_hold:
                return model_hold(w.m.model, j, &w.now) >= 0;
        case EVENT_release:
                return model_release(w.m.model, j, &w.now) >= 0;
        case EVENT_retry:
                return do_retry(j);
        case EVENT_purge:
                return purge(j);
        case EVENT_freeze:
                return model_freeze(w.m.model, j, &w.now) >= 0;
        case EVENT_thaw:
                return model_thaw(w.m.model, j, &w.now) >= 0;
        default:
                return update(j);
        }
}

bool request_on_job(unsigned kind) {
        Job *j = any_job();

        if (!j)
                return false;
        say("    job %" PRIu64 ", %s\n", j->id, job_state_to_string(j->state));
        return act(kind, j);
}

/* By a filter: a queue, an owner, or both. More than one, or it was not many. */
bool request_on_many(void) {
        static const unsigned kinds[] = { EVENT_cancel, EVENT_hold, EVENT_release, EVENT_retry, EVENT_purge, EVENT_update, EVENT_update, EVENT_update };
        unsigned kind = kinds[any(ELEMENTSOF(kinds))], queue = any(N_QUEUES), n = 0;
        uint32_t owner = chance(50) ? 0 : 1000 + any(N_OWNERS);
        Edit e;

        if (draw_edit(&e)) {
                say("    kind %u, those of %s and %" PRIu32 "\n", kind, queue_names[queue], owner);
                for (uint64_t id = 1; id < w.m.model->next_id; id++) {
                        Job *j = request_fetch(id);

                        if (j && queue_index(j->queue->name) == queue && (owner == 0 || j->owner == owner))
                                n += kind == EVENT_update ? apply_edit(&e, j) : act(kind, j);
                }
        }
        spec_free(e.values);
        return n > 1;
}

/* As CancelJobs() of an array that has more jobs than a page: nobody takes the places before the next one. */
void request_page(void) {
        Job *j = any_job();

        if (!j || j->array == 0 || j->state == JOB_DONE)
                return;
        say("    job %" PRIu64 " of array %" PRIu64 "\n", j->id, j->array);
        (void) model_cancel(w.m.model, j, NULL, &w.now);
        w.m.model->deferred_array = j->array;
        w.happened[EVENT_pages]++;
}
