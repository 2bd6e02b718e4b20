/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changing a job that is there. A job that has not started may become anything that could have been submitted; its place in the
 * window of its queue, or of another one, follows at once. Of a running one only what still has an effect can be changed.
 *
 * The time-outs of a running job can only be made shorter if its unit has a RuntimeMaxSec= of its own, as a net for when the
 * daemon is away: that cannot be changed any more. */

#include "queue/model-internal.h"
#include "queue/spec-change.h"

static uint64_t editable_in(JobState s) {
        if (s == JOB_DONE || s == JOB_STOPPING)
                return spec_fields_with(SPEC_EDIT_ALWAYS);
        return spec_fields_with(job_state_is_live(s) ? SPEC_EDIT_LIVE : SPEC_EDIT_QUEUED);
}

int model_may_update(const Job *j, uint64_t fields, bool move, char **ret_error) {
        uint64_t may = editable_in(j->state) & (j->foreground ? run_fields() : UINT64_MAX), refused = fields & ~may;
        bool queued = j->state != JOB_DONE && !job_state_is_live(j->state);
        _cleanup_free_ char *which = NULL, *allowed = NULL;

        if (refused == 0 && (queued || !move))
                return 0;
        which = spec_fields_to_string(refused ? refused & -refused : 0);
        allowed = spec_fields_to_string(may);
        if (!which || !allowed)
                return -ENOMEM;
        return spec_error(ret_error, -EALREADY, "'%s' of job %" PRIu64 " cannot be changed: it is %s. What can be: %s%s",
                            refused ? which : "queue", j->id, job_state_to_string(j->state), allowed, queued ? ", queue" : "");
}

/* Would PID 1 let the attempt run as long as its time-outs shall be? */
static int check_timeouts(const Job *j, const JobSpec *spec, char **ret_error) {
        usec_t stop = attempt_stop_timeout(j->live), new_stop = stop;

        if (!j->live->has_net)
                return 0;
        if (spec->stop_timeout_usec != j->stop_timeout_usec)
                new_stop = spec->stop_timeout_usec;
        if (spec->timeout_usec != USEC_INFINITY && new_stop != USEC_INFINITY &&
            usec_add(spec->timeout_usec, new_stop) <= usec_add(j->timeout_usec, stop))
                return 0;
        return spec_error(ret_error, -ERANGE,
                            "The time-outs of job %" PRIu64 ", which is %s, can only be made shorter: its unit ends it in any case",
                            j->id, job_state_to_string(j->state));
}

static int check_place(Model *m, const Job *j, const Queue *to, const JobSpec *spec, char **ret_error) {
        const Queue *at = to != j->queue ? queue_draining_at(to) : NULL;
        int r;

        if (at)
                return spec_error(ret_error, -EDQUOT, "Queue '%s' is being drained and takes no new jobs", at->name);
        if (to == j->queue && spec->slots == j->slots)
                return 0;
        if (to != j->queue) { /* there it does not count twice where both lie in one */
                backlog_add(m, j->queue, j->owner, -1);
                r = backlog_check(m, to, j->owner, 1, ret_error);
                backlog_add(m, j->queue, j->owner, 1);
                if (r < 0)
                        return r;
        }
        at = queue_too_small(to, spec->slots);
        if (at)
                return spec_error(ret_error, -ERANGE, "slots: %" PRIu32 " asked for, but queue '%s' has only %" PRIu32,
                                    spec->slots, at->name, at->policy.slots);
        return 0;
}

static bool touches(uint64_t fields, const char *name) {
        return fields & spec_field_bit(spec_field_find(name));
}

/* What is asked for may have come too late. */
static int check_times(const Job *j, const JobSpec *spec, uint64_t fields, const Now *now, char **ret_error) {
        if (touches(fields, "deadline_usec") && spec->deadline_usec != USEC_INFINITY && j->attempt > 0)
                return spec_error(ret_error, ERANGE, "'deadline_usec': job %" PRIu64 " has been started already", j->id);
        if (!touches(fields, "deadline_usec") && !touches(fields, "not_before_usec") && !touches(fields, "delay_usec"))
                return 0;
        return spec_check_deadline(spec, now, ret_error);
}

static int check_unique(const Job *j, const JobSpec *spec, uint64_t fields, char **ret_error) {
        UniqueScope scope;
        usec_t span;

        if (!touches(fields, "unique_scope"))
                return 0;
        if (!(touches(fields, "unique_key") ? spec->unique_key : j->unique_key))
                return spec_error(ret_error, -ERANGE, "'unique_scope': job %" PRIu64 " has no 'unique_key'", j->id);
        return unique_scope_parse(spec->unique_scope, &scope, &span) < 0 ? spec_error(ret_error, -ERANGE, "'unique_scope' is none") : 0;
}

static int check_array(const Job *j, uint64_t fields, char **ret_error) {
        if (!touches(fields, "array_max_running") || j->in_array)
                return 0;
        return spec_error(ret_error, -ERANGE, "'array_max_running': job %" PRIu64 " is of no array", j->id);
}

static void move_to(Model *m, Job *j, Queue *to) {
        if (to == j->queue)
                return;
        model_queue_changed(m, j->queue);
        model_queue_changed(m, to);
        model_count(m, j->queue, j->state, -1);
        model_count(m, to, j->state, 1);
        backlog_add(m, j->queue, j->owner, -1);
        backlog_add(m, to, j->owner, 1);
        j->queue = to;
}

/* Not started: it leaves its place and is given the one that it has now. */
static void place_anew(Model *m, Job *j, Queue *to, JobSpec *spec, uint64_t fields, const Now *now) {
        if (j->state == JOB_READY)
                queue_window_remove(j->queue, j->owner, j->id);
        job_keep_time(j, now);
        move_to(m, j, to);
        j->priority = spec->priority;
        j->slots = spec->slots;
        job_set_rank(j);
        if (touches(fields, "not_before_usec") || touches(fields, "delay_usec"))
                job_set_due(j, spec, now);

        if (j->state == JOB_WAITING || (j->state == JOB_READY && job_is_early(j, now)))
                job_let_go(m, j, now);
        else if (j->state == JOB_READY)
                job_into_window(j);
}

/* What stands in the job itself, and needs no more than that it says so. */
static void change_plain(Job *j, const JobSpec *spec, uint64_t fields) {
        uint32_t had = j->live || j->ended ? j->attempt : j->attempt + 1; /* or is about to have */

        j->output = spec->output;
        j->verify = spec->verify;
        if (touches(fields, "max_attempts"))
                j->max_attempts = MAX(spec->max_attempts, had);
        if (touches(fields, "properties"))
                j->grown = 0; /* a MemoryMax= that is given anew counts as it is */
        j->deadline_usec = spec->deadline_usec;
        j->keep_usec = spec->keep_usec;
}

static void change_timeouts(Model *m, Job *j, const JobSpec *spec) {
        usec_t before = j->timeout_usec;

        j->timeout_usec = spec->timeout_usec;
        j->stop_timeout_usec = spec->stop_timeout_usec;
        if (j->live && j->timeout_usec != before)
                attempt_arm(m, j->live);
}

/* What the commit shall store; takes spec over. */
static void keep_spec(Job *j, JobSpec *spec, uint64_t fields) {
        if (j->is_new) {
                spec_free(j->spec);
                j->spec = spec;
                j->own_spec = true;
                return;
        }
        j->edited_fields |= fields;
        if (fields & ~spec_fields_of_job()) {
                spec_free(j->edited);
                j->edited = spec;
        } else
                spec_free(spec);
}

int model_update(Model *m, Job *j, Queue *to, JobSpec *spec, uint64_t fields, const Now *now, char **ret_error) {
        _cleanup_free_ char *queue_name = NULL, *name = NULL, *key = NULL;
        bool live = job_state_is_live(j->state);
        int r;

        if (!to)
                to = j->queue;
        r = model_may_update(j, fields, to != j->queue, ret_error);
        if (r >= 0)
                r = live ? check_timeouts(j, spec, ret_error) : check_place(m, j, to, spec, ret_error);
        if (r >= 0)
                r = check_times(j, spec, fields, now, ret_error);
        if (r >= 0)
                r = check_unique(j, spec, fields, ret_error);
        if (r >= 0)
                r = check_array(j, fields, ret_error);
        if (r < 0)
                return r;
        queue_name = strdup(to->name);
        if (!queue_name || free_and_strdup(&name, spec->name) < 0 || free_and_strdup(&key, spec->unique_key) < 0)
                return -ENOMEM;

        /* From here on nothing fails. */
        free(j->queue_name);
        j->queue_name = TAKE_PTR(queue_name);
        free(j->name);
        j->name = TAKE_PTR(name);
        change_timeouts(m, j, spec);
        change_plain(j, spec, fields);
        if (!live && j->state != JOB_DONE)
                place_anew(m, j, to, spec, fields, now);
        unique_change(m, j, &key, spec, fields);
        if (touches(fields, "array_max_running"))
                model_array_set_max(m, j->in_array, spec->array_max_running);
        keep_spec(j, spec, fields);
        j->was_edited = true;
        model_job_changed(m, j);
        return 0;
}
