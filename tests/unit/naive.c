/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See naive.h. Keep it small and dull: where it is clever it proves nothing. */

#include "naive.h"

#include "base/strv.h"

uint64_t covered[_COVER_MAX], transitions[_JOB_STATE_MAX][_JOB_STATE_MAX], results[_JOB_RESULT_MAX];
const int above[NQ] = { -1, 0, 1, -1, 3 };

/* docs/states.md, the picture. */
const bool legal[_JOB_STATE_MAX][_JOB_STATE_MAX] = {
        [JOB_HELD] = { [JOB_WAITING] = true, [JOB_READY] = true, [JOB_DONE] = true },
        [JOB_WAITING] = { [JOB_HELD] = true, [JOB_READY] = true, [JOB_DONE] = true },
        [JOB_READY] = { [JOB_HELD] = true, [JOB_WAITING] = true, [JOB_STARTING] = true, [JOB_DONE] = true },
        [JOB_STARTING] = { [JOB_READY] = true, [JOB_RUNNING] = true, [JOB_STOPPING] = true, [JOB_WAITING] = true, [JOB_DONE] = true },
        [JOB_RUNNING] = { [JOB_READY] = true, [JOB_STOPPING] = true, [JOB_WAITING] = true, [JOB_DONE] = true },
        [JOB_STOPPING] = { [JOB_WAITING] = true, [JOB_DONE] = true },
        [JOB_DONE] = { [JOB_WAITING] = true, [JOB_READY] = true },
};

static const JobResult result_of[_END_MAX] = {
        [END_SUCCESS] = JOB_SUCCESS,   [END_STATUS] = JOB_EXIT_CODE, [END_SIGNAL] = JOB_SIGNAL, [END_CORE] = JOB_CORE_DUMP,
        [END_WATCHDOG] = JOB_WATCHDOG, [END_OOM] = JOB_OOM_KILL,     [END_EXEC] = JOB_EXEC,     [END_TIMEOUT] = JOB_TIMEOUT,
        [END_AGAIN] = JOB_EXIT_CODE,   [END_NEVER] = JOB_EXIT_CODE,  [END_UNKNOWN] = JOB_LOST,
};

static void become(NaiveJob *j, JobState state) {
        if (j->state == state)
                return;
        if (j->array > 0 && !j->waits && state == JOB_HELD)
                COVER(array_held_gives_place), j->waits = true;
        if (j->array > 0 && !j->waits && state == JOB_DONE)
                COVER(array_done_gives_place);
        if (state == JOB_DONE)
                j->waits = false;
        if (j->holds && state == JOB_STARTING && j->scope == UNIQUE_QUEUED)
                COVER(key_given_up_at_start), j->holds = false, j->lent = true;
        else if (state != JOB_READY)
                j->lent = false;
        if (j->holds && state == JOB_DONE && (j->scope != UNIQUE_SPAN || j->attempt == 0))
                j->holds = false;
        if (!legal[j->state][state])
                naive_fail("the small model itself goes from %s to %s", job_state_to_string(j->state), job_state_to_string(state));
        transitions[j->state][state]++;
        j->state = state;
}

static void done(const Naive *n, NaiveJob *j, JobResult result) {
        if (j->judging)
                COVER(judged_cancelled);
        j->judging = false;
        j->ended = n->even;
        j->result = result;
        j->dead = result != JOB_SUCCESS;
        results[result]++;
        become(j, JOB_DONE);
}

/* It waits as before. */
static void start_was_none(NaiveJob *j) {
        become(j, JOB_READY);
        j->wants = j->lent;
        j->lent = false;
}

/* The one result of an attempt, which is the job's where none can follow. What was intended is what it was. */
void naive_finish(Naive *n, unsigned id, JobResult result) {
        NaiveJob *j = n->jobs + id;
        NaiveAttempt *a = &n->attempts[id][j->attempt];
        bool was_live = is_live(j);

        if (j->intent != JOB_RESULT_NONE && j->intent != result) {
                COVER(intent_wins);
                j->end = END_NOT;
        }
        if (j->intent != JOB_RESULT_NONE)
                result = j->intent;
        result = naive_judged(j, result, naive_says(id, j->attempt));
        j->intent = JOB_RESULT_NONE;
        if (!was_live) {
                done(n, j, result);
                return;
        }
        a->live = a->in_flight = a->mine = false;
        a->freezer = FREEZER_THAWED;
        if (result == JOB_OOM_KILL || (result == JOB_LOST && !n->shutting_down))
                j->poison++;
        else
                j->poison = 0;
        if (result == JOB_SUCCESS || result == JOB_CANCELLED || (result != JOB_LOST && j->attempt >= j->max_attempts)) {
                done(n, j, result);
                j->end = END_NOT;
                return;
        }
        j->judging = true;
        j->own_time = false;
        j->over = result;
        become(j, JOB_WAITING);
}

/* A time that a user named is the wall's; the end of a span moves with the clock when that is set. */
static bool is_early(const NaiveJob *j, const Now *now) {
        return j->not_before != USEC_INFINITY && j->not_before > (j->delayed ? now->steady : now->realtime);
}

static bool is_left(const NaiveAttempt *last) {
        return last->there && !last->live && !last->stray && (last->worker == 0 || last->in_pool);
}

/* What is left of the last attempt is to be gone before the next one. */
void naive_let_go(Naive *n, NaiveJob *j, const Now *now) {
        NaiveAttempt *last = &n->attempts[j - n->jobs][j->attempt];

        if (!is_early(j, now) && is_left(last)) {
                COVER(waits_for_cleaning);
                j->delayed = true;
                j->not_before = now->steady + CLEANING_LOOK * (1U << (last->looks < CLEANING_DOUBLED_MAX ? last->looks : CLEANING_DOUBLED_MAX));
                last->looks++;
        }
        become(j, j->waits || naive_is_blocked(n, j - n->jobs) || is_early(j, now) ? JOB_WAITING : JOB_READY);
}

bool naive_must_wait(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;
        const NaiveAttempt *last = &n->attempts[id][j->attempt];

        if (!is_left(last))
                return false;
        COVER(cleaning_found);
        naive_let_go(n, j, now);
        return true;
}

static bool asks_for_another(const NaiveJob *j) {
        if (j->over == JOB_EXIT_CODE && j->end == END_AGAIN)
                return COVER(status_again), true;
        if (j->over == JOB_EXIT_CODE && j->end == END_NEVER)
                return COVER(status_never), false;
        if (j->retry_on == 0 || (j->retry_on & (1U << j->over)))
                return true;
        return COVER(not_listed), false;
}

void naive_judge(Naive *n, unsigned id, bool readable, const Now *now) {
        NaiveJob *j = n->jobs + id;
        bool counts = !(j->over == JOB_LOST && j->requeue_lost);
        usec_t delay = j->backoff;

        if (!j->judging)
                naive_fail("job %u is judged", id);
        j->judging = false;
        if (!readable) {
                COVER(judged_unread);
                done(n, j, j->over);
        } else if (counts && j->attempt >= j->max_attempts) {
                COVER(no_attempt_left);
                done(n, j, j->over);
        } else if (counts && !asks_for_another(j))
                done(n, j, j->over);
        else if (j->poison >= POISON_MAX) {
                COVER(poisoned);
                done(n, j, j->over);
        } else {
                if (counts) {
                        COVER(tried_again);
                        j->failures++;
                        for (unsigned i = 1; j->exponential && i < j->failures; i++) {
                                COVER(backoff_grew);
                                delay *= 2;
                        }
                } else {
                        COVER(lost_again);
                        if (j->attempt >= j->max_attempts)
                                COVER(lost_again_beyond);
                        j->max_attempts++;
                        delay = 0;
                }
                if (delay == 0)
                        COVER(tried_again_at_once);
                if (!j->own_time) {
                        j->delayed = delay > 0;
                        j->not_before = delay > 0 ? now->steady + delay : USEC_INFINITY;
                }
                if (j->state == JOB_HELD)
                        COVER(judged_held);
                else if (!j->own_time)
                        naive_let_go(n, j, now);
        }
        j->end = END_NOT;
}

static void set_due(NaiveJob *j, const JobSpec *spec, const Now *now) {
        j->delayed = spec->delay_usec != USEC_INFINITY;
        j->not_before = j->delayed ? now->steady + spec->delay_usec : spec->not_before_usec;
}

void naive_clock_set(Naive *n, int64_t step) {
        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there && n->jobs[id].holds && n->jobs[id].until != USEC_INFINITY)
                        n->jobs[id].until += step;
        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there && n->jobs[id].delayed && (n->jobs[id].state == JOB_WAITING || n->jobs[id].state == JOB_HELD)) {
                        COVER(span_moved);
                        n->jobs[id].not_before += step;
                }
        for (unsigned p = 0; p < NQ; p++) {
                n->full_until[p] += n->full_until[p] > 0 && n->full_until[p] != USEC_INFINITY ? step : 0;
                for (unsigned i = 0; i < n->n_starts[p]; i++)
                        n->starts[p][i] += step;
        }
}

void naive_become(Naive *n, unsigned id, JobState state) {
        become(n->jobs + id, state);
}

/* ---- requests ---- */

static int check_place(const Naive *n, unsigned q, unsigned slots, bool is_new) {
        for (int p = (int) q; is_new && p >= 0; p = above[p])
                if (n->is_draining[p])
                        return -EDQUOT;
        for (int p = (int) q; p >= 0; p = above[p])
                if (slots > n->files[p].slots)
                        return -ERANGE;
        return 0;
}

static int check_deadline(const JobSpec *spec, const Now *now) {
        usec_t due = spec->delay_usec != USEC_INFINITY ? now->steady + spec->delay_usec : spec->not_before_usec;

        if (spec->deadline_usec == USEC_INFINITY)
                return 0;
        if (spec->deadline_usec <= now->realtime || (due != USEC_INFINITY && spec->deadline_usec <= due))
                return COVER(submit_too_late), -ERANGE;
        return 0;
}

/* One of its array, or alone. */
static void submit_one(Naive *n, unsigned q, unsigned owner, const JobSpec *spec, unsigned array, const Now *now) {
        NaiveJob *j = n->jobs + n->next_id;

        /* Never backwards. */
        if ((int64_t) now->even > n->last_key)
                n->last_key = (int64_t) now->even;
        else
                COVER(age_kept);

        *j = (NaiveJob) {
                .there = true, .queue = q, .owner = owner, .age = n->last_key, .slots = spec->slots, .priority = spec->priority, .freezable = spec->freezable,
                .keep = spec->keep_usec, .ended = USEC_INFINITY,
                .deadline = spec->deadline_usec, .timeout = spec->timeout_usec, .stop_timeout = spec->stop_timeout_usec, .state = JOB_HELD,
                .max_attempts = spec->max_attempts, .requeue_lost = spec->requeue_lost, .backoff = spec->backoff_base_usec,
                .exponential = spec->backoff == BACKOFF_EXPONENTIAL, .spool = spec->output == OUTPUT_SPOOL, .verify = spec->verify == VERIFY_VERDICT,
                .array = array, .waits = array > 0,
        };
        STRV_FOREACH(r, spec->retry_on)
                j->retry_on |= 1U << job_result_from_string(*r);
        set_due(j, spec, now);
        if (spec->unique_key) {
                j->key = (unsigned) (spec->unique_key[0] - '0');
                j->holds = true;
                j->scope = !spec->unique_scope ? UNIQUE_LIVE : streq(spec->unique_scope, "queued") ? UNIQUE_QUEUED : UNIQUE_SPAN;
                j->until = j->scope == UNIQUE_SPAN ? now->steady + 20 * USEC_PER_SEC : USEC_INFINITY;
        }
        naive_edges_submitted(n, n->next_id, spec);
        /* The first ones have a place at once. */
        if (array > 0 && !spec->hold && (spec->array_max_running == 0 || naive_array_used(n, array) < spec->array_max_running))
                j->waits = false;
        if (!spec->hold)
                naive_let_go(n, j, now);
        n->next_id++;
}

int naive_submit(Naive *n, unsigned q, unsigned owner, const JobSpec *spec, const Now *now) {
        int r = check_place(n, q, spec->slots, true);
        unsigned first = n->next_id;

        if (r == -EDQUOT)
                COVER(submit_draining);
        if (r == -ERANGE)
                COVER(submit_too_wide);
        if (r >= 0)
                r = check_deadline(spec, now);
        if (r < 0)
                return r;
        COVER(submitted);
        if (spec->array == 0) {
                submit_one(n, q, owner, spec, 0, now);
                return 0;
        }
        COVER(array_submitted);
        n->array_max[first] = spec->array_max_running;
        for (unsigned i = 0; i < spec->array; i++)
                submit_one(n, q, owner, spec, first, now);
        return 0;
}

/* A request that is for jobs that have not started. */
static int check_queued(const NaiveJob *j) {
        if (j->state == JOB_DONE)
                return COVER(refused_done), -EALREADY;
        if (is_live(j))
                return COVER(refused_live), -EBUSY;
        return 0;
}

int naive_cancel(Naive *n, unsigned id) {
        NaiveJob *j = n->jobs + id;

        if (j->state == JOB_DONE)
                return -EALREADY;
        if (j->state == JOB_STOPPING) {
                if (j->intent == JOB_TIMEOUT && j->attempt < j->max_attempts)
                        COVER(cancelled_in_timeout);
                j->max_attempts = MIN(j->max_attempts, j->attempt); /* nothing shall follow */
                return 0;
        }
        if (is_live(j)) {
                COVER(cancelled_live);
                become(j, JOB_STOPPING);
                j->intent = JOB_CANCELLED;
        } else {
                COVER(cancelled_queued);
                naive_finish(n, id, JOB_CANCELLED);
        }
        return 0;
}

/* A span that was over stays over, though the clock was set back since. */
static void keep_time(NaiveJob *j, const Now *now) {
        if (j->state == JOB_READY && j->delayed && j->not_before > now->steady) {
                COVER(span_stays_over);
                j->not_before = now->steady;
        }
}

int naive_hold(Naive *n, unsigned id, const Now *now) {
        int r = check_queued(n->jobs + id);

        if (r < 0)
                return r;
        keep_time(n->jobs + id, now);
        COVER(held);
        become(n->jobs + id, JOB_HELD);
        return 0;
}

int naive_release(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;

        if (j->state == JOB_DONE)
                return -EALREADY;
        if (j->state == JOB_HELD) {
                COVER(released);
                naive_let_go(n, j, now);
        }
        return 0;
}

int naive_retry(Naive *n, unsigned id, unsigned attempts, usec_t delay, const Now *now) {
        NaiveJob *j = n->jobs + id;

        if (j->state != JOB_DONE)
                return -EBUSY;
        if (!naive_edges_retried(n, id))
                return COVER(retry_in_vain), -EPERM;
        COVER(retried);
        if (attempts > 1)
                COVER(retried_with_more);
        j->result = JOB_RESULT_NONE;
        j->dead = false;
        j->deadline = USEC_INFINITY;
        j->max_attempts = j->attempt + attempts;
        j->failures = j->poison = 0;
        j->delayed = delay > 0;
        j->not_before = delay > 0 ? now->steady + delay : USEC_INFINITY;
        j->ended = USEC_INFINITY;
        if (j->array > 0)
                COVER(array_retried_waits), j->waits = true;
        naive_let_go(n, j, now);
        return 0;
}

int naive_kill(const Naive *n, unsigned id) {
        const NaiveJob *j = n->jobs + id;

        if (j->state == JOB_DONE)
                return -EALREADY;
        if (!is_live(j) || !n->attempts[id][j->attempt].running)
                return -EBUSY;
        return n->attempts[id][j->attempt].worker > 0 && !n->attempts[id][j->attempt].in_pool ? -EOPNOTSUPP : 0;
}

/* Of a live job only its time-outs can be changed, and where its unit has a net of its own only made shorter. */
static int update_live(Naive *n, NaiveJob *j, const NaiveAttempt *a, const JobSpec *spec) {
        usec_t stop = j->stop_timeout == USEC_INFINITY ? STOP_TIMEOUT_DEFAULT : j->stop_timeout, new_stop = stop;

        if (spec->stop_timeout_usec != j->stop_timeout)
                new_stop = spec->stop_timeout_usec;
        if (a->net && (spec->timeout_usec == USEC_INFINITY || new_stop == USEC_INFINITY ||
                       spec->timeout_usec + new_stop > j->timeout + stop))
                return COVER(timeouts_refused), -ERANGE;
        COVER(timeouts_shortened);
        j->timeout = spec->timeout_usec;
        j->stop_timeout = spec->stop_timeout_usec;
        return 0;
}

int naive_update(Naive *n, unsigned id, unsigned to, const JobSpec *spec, bool timeouts_only, bool due, bool deadline, const Now *now) {
        NaiveJob *j = n->jobs + id;
        int r;

        if (j->state == JOB_DONE || j->state == JOB_STOPPING || (is_live(j) && (!timeouts_only || to != j->queue)))
                return COVER(update_refused), -EALREADY;
        if (is_live(j))
                return update_live(n, j, &n->attempts[id][j->attempt], spec);
        if (to != j->queue || spec->slots != j->slots) {
                r = check_place(n, to, spec->slots, to != j->queue);
                if (r < 0)
                        return COVER(update_refused), r;
        }
        if (deadline && spec->deadline_usec != USEC_INFINITY && j->attempt > 0) /* it is too late for that */
                return COVER(update_refused), -ERANGE;
        r = due || deadline ? check_deadline(spec, now) : 0;
        if (r < 0)
                return r;
        if (to != j->queue)
                COVER(moved);
        COVER(updated);
        keep_time(j, now);
        j->queue = to;
        j->slots = spec->slots;
        j->priority = spec->priority;
        if (due) {
                set_due(j, spec, now);
                j->own_time = j->judging; /* which what becomes of its attempt does not take away again */
        }
        j->deadline = spec->deadline_usec;
        j->timeout = spec->timeout_usec;
        j->stop_timeout = spec->stop_timeout_usec;
        if (j->state == JOB_WAITING || (j->state == JOB_READY && is_early(j, now)))
                naive_let_go(n, j, now);
        return 0;
}

/* ---- time ---- */

void naive_deadlines(Naive *n, const Now *now) {
        for (unsigned id = 1; id < NJ; id++) {
                NaiveJob *j = n->jobs + id;
                const NaiveAttempt *a = &n->attempts[id][j->attempt];

                if (!j->there || j->state != JOB_RUNNING || j->timeout == USEC_INFINITY || a->started == USEC_INFINITY ||
                    a->freezer != FREEZER_THAWED || now->monotonic < a->started + j->timeout + a->frozen)
                        continue;
                COVER(timed_out);
                if (a->frozen > 0)
                        COVER(timed_out_after_thaw);
                become(j, JOB_STOPPING);
                j->intent = JOB_TIMEOUT;
        }
}

bool naive_is_due(const Naive *n, unsigned id, const Now *now) {
        return n->jobs[id].there && n->jobs[id].state == JOB_WAITING && !n->jobs[id].waits && !naive_is_blocked(n, id) && !is_early(n->jobs + id, now);
}

void naive_due(Naive *n, unsigned id, const Now *now) {
        if (!naive_is_due(n, id, now))
                return;
        COVER(came_due);
        naive_let_go(n, n->jobs + id, now);
}

static void count_start(Naive *n, unsigned q, const Now *now) {
        for (int p = (int) q; p >= 0; p = above[p]) {
                n->eased_left[p] -= n->eased_left[p] > 0;
                if (n->files[p].rate_n == 0)
                        continue;
                if (n->n_starts[p] == NS) {
                        memmove(n->starts[p], n->starts[p] + 1, (NS - 1) * sizeof(usec_t));
                        n->n_starts[p]--;
                }
                n->starts[p][n->n_starts[p]++] = now->steady;
        }
}

void naive_start(Naive *n, unsigned id, const Now *now) {
        NaiveJob *j = n->jobs + id;
        NaiveAttempt *a;

        if (j->attempt + 2 >= NA)
                naive_fail("job %u is tried too often", id);
        count_start(n, j->queue, now);
        a = &n->attempts[id][++j->attempt];
        while (a->there && a->stray) { /* its number is not given to anybody else */
                COVER(number_passed_over);
                a = &n->attempts[id][++j->attempt];
                j->max_attempts++;
        }
        if (a->row || a->there)
                naive_fail("attempt %u of job %u is used twice", j->attempt, id);
        become(j, JOB_STARTING);
        *a = (NaiveAttempt) {
                .row = true, .there = true, .live = true, .mine = true, .queue = j->queue, .owner = j->owner, .slots = j->slots, .epoch = n->epoch,
                .net = j->timeout != USEC_INFINITY, .started = USEC_INFINITY, .since = USEC_INFINITY,
        };
        if (!naive_needs_worker(n, id))
                return;
        a->there = false;
        a->worker = naive_choose(n, id);
        a->there = true;
        if (a->worker == 0)
                naive_fail("job %u starts, and no worker has room", id);
        a->in_pool = n->workers[a->worker].runner >= 0;
        a->in_pool ? COVER(runner_chosen) : COVER(worker_chosen);
        a->mine = a->net = false;
        a->running = true;
        a->started = now->monotonic;
        become(j, JOB_RUNNING);
}

/* ---- what the manager lets be known: the table of docs/states.md ---- */

static void started(Naive *n, unsigned id, NaiveAttempt *a, const Unit *u) {
        a->running = true;
        a->invocation = u->invocation;
        a->started = u->started;
        if (n->jobs[id].state == JOB_STARTING)
                become(n->jobs + id, JOB_RUNNING);
}

static bool journal_knows_end(const Naive *n, const Unit *history, JobResult *ret, End *ret_end) {
        if (n->journal == JOURNAL_IS_SHORT || (history->last_end == END_NOT && !history->last_stopped))
                return false;
        *ret = history->last_stopped ? JOB_CANCELLED : result_of[history->last_end];
        *ret_end = history->last_end;
        return true;
}

static void absent_start(Naive *n, unsigned id, NaiveAttempt *a, const Unit *history, const Now *now) {
        JobResult result = JOB_LOST;

        if (a->mine && !a->asked)
                return;
        if (a->in_flight) {
                COVER(absent_in_flight);
                return;
        }
        if (n->jobs[id].intent != JOB_RESULT_NONE)
                COVER(absent_intent);
        else if (n->journal == JOURNAL_IS_SHORT)
                COVER(absent_unknown);
        else if (history->starts > 0) {
                COVER(absent_journal);
                (void) journal_knows_end(n, history, &result, &n->jobs[id].end);
        } else if (n->journal == JOURNAL_IS_LATE || a->marked == 0) {
                /* What PID 1 said before our own line is in the journal once that line is. */
                if (a->marked == 0)
                        a->marked = now->monotonic;
                if (now->monotonic < a->marked + 10 * USEC_PER_SEC) {
                        COVER(absent_behind);
                        return;
                }
                COVER(absent_unknown);
        } else { /* it never ran */
                COVER(absent_asked_again);
                a->mine = true;
                a->asked = false;
                return;
        }
        naive_finish(n, id, result);
}

/* Before one that was stopped is called cancelled the manager is asked whether the system stops. true: its answer is out. */
static bool ask_why(Naive *n, NaiveAttempt *a) {
        if (n->shutting_down)
                return false;
        COVER(asked_why);
        if (a->asked_why == 0)
                a->asked_why = n->manager_asked + 1;
        return n->manager_answered < a->asked_why;
}

static void absent(Naive *n, unsigned id, NaiveAttempt *a, const Unit *history, const Now *now) {
        JobResult result = JOB_LOST;

        if (!a->running) {
                absent_start(n, id, a, history, now);
                return;
        }
        if (ask_why(n, a))
                return;
        if (n->shutting_down)
                COVER(shutdown);
        else if (a->stop_seen) {
                COVER(vanished_stopped);
                result = JOB_CANCELLED;
        } else if (journal_knows_end(n, history, &result, &n->jobs[id].end))
                COVER(vanished_journal);
        else
                COVER(vanished_lost);
        naive_finish(n, id, result);
}

static void foreign(Naive *n, unsigned id, NaiveAttempt *a, unsigned number) {
        NaiveJob *j = n->jobs + id;

        if (a->running) {
                COVER(foreign_lost);
                naive_finish(n, id, JOB_LOST);
        } else if (j->intent != JOB_RESULT_NONE) {
                unsigned poison = j->poison;

                COVER(foreign_intent);
                naive_finish(n, id, j->intent);
                j->poison = poison; /* it never was one of its attempts */
        } else { /* it was never started: the next number */
                COVER(foreign_withdrawn);
                a->live = a->in_flight = a->mine = false;
                j->max_attempts++;
                start_was_none(j);
        }
}

static void seen_over(Naive *n, unsigned id, NaiveAttempt *a, const Unit *u) {
        bool stopped = u->end == END_EXEC || (u->halted && u->end != END_SUCCESS);

        if (!a->running) {
                COVER(ended_unseen_start);
                started(n, id, a, u);
        }
        if (u->halted && stopped && ask_why(n, a))
                return;
        COVER(ended);
        if (n->shutting_down && stopped) {
                COVER(shutdown);
                naive_finish(n, id, JOB_LOST);
        } else {
                n->jobs[id].end = u->end;
                naive_finish(n, id, result_of[u->end]);
        }
}

void naive_seen(Naive *n, unsigned id, unsigned number, const Unit *u, const Unit *history, const Now *now) {
        NaiveAttempt *a = &n->attempts[id][number];

        if (!a->there || !a->live || a->worker > 0 || n->epoch == 0) /* 0: whose it is cannot be told yet */
                return;
        if (a->epoch != n->epoch) {
                if (n->jobs[id].intent != JOB_RESULT_NONE)
                        COVER(other_epoch_intent);
                else
                        COVER(other_epoch_lost);
                naive_finish(n, id, JOB_LOST);
        } else if (!u)
                absent(n, id, a, history, now);
        else if (!u->ours)
                foreign(n, id, a, number);
        else {
                /* The protocol stands on properties that a drop-in may change: the first job after each start shows it. */
                if (!n->checked && u->odd) {
                        n->mismatch = true;
                        if (!a->running && u->is != OVER) {
                                COVER(mismatch);
                                naive_finish(n, id, JOB_EXEC);
                                return;
                        }
                }
                n->checked = n->checked || !u->odd;
                if (a->running && u->invocation > 0 && u->invocation != a->invocation) {
                        COVER(restarted);
                        naive_finish(n, id, JOB_LOST);
                } else if (u->is == OVER)
                        seen_over(n, id, a, u);
                else if (u->is == PENDING && !a->running)
                        return;
                else {
                        if (!a->running)
                                COVER(seen_started);
                        started(n, id, a, u);
                        a->net = u->net;
                        naive_seen_frozen(n, id, number, u->frozen, now);
                }
        }
}

/* Only "started" is believed from a signal; a stop is remembered. */
void naive_signal(Naive *n, unsigned id, unsigned number, const Unit *u) {
        NaiveAttempt *a = &n->attempts[id][number];

        if (!a->there || !a->live || a->worker > 0)
                return;
        if (u->is == LEAVING)
                a->stop_seen = true;
        else if (u->is == ACTIVE && !a->running && n->checked) {
                COVER(started_by_signal);
                started(n, id, a, u);
        }
}

void naive_start_answered(Naive *n, unsigned id, unsigned number, StartAnswer answer) {
        NaiveAttempt *a = &n->attempts[id][number];

        a->in_flight = false;
        if (!a->there || !a->live || a->running)
                return;
        switch (answer) {
        case START_REFUSED:
                COVER(start_refused);
                naive_finish(n, id, JOB_EXEC);
                break;
        case START_LATER:
                COVER(start_again);
                a->asked = false;
                a->stuck = true;
                break;
        case START_SILENT:
                COVER(start_silent);
                break;
        case START_EXISTS:
                COVER(start_exists);
                break;
        case START_FULL: /* it was none */
                COVER(start_full);
                if (n->jobs[id].intent != JOB_RESULT_NONE) {
                        unsigned poison = n->jobs[id].poison;

                        naive_finish(n, id, n->jobs[id].intent);
                        n->jobs[id].poison = poison;
                        break;
                }
                n->full_until[n->jobs[id].queue] = USEC_INFINITY; /* from the next decision on */
                a->live = a->mine = a->row = false;
                n->jobs[id].attempt = number - 1;
                start_was_none(n->jobs + id);
                break;
        case START_OK:
                break;
        }
}

void naive_no_spec(Naive *n, unsigned id) {
        COVER(no_spec);
        naive_finish(n, id, JOB_EXEC);
}

void naive_never_asked(Naive *n, const Naive *stored, unsigned id, unsigned number) {
        const NaiveAttempt *a = &n->attempts[id][number];

        if (!a->live)
                return; /* we knew */
        if (!a->mine || a->asked || stored->jobs[id].state != JOB_STOPPING)
                naive_fail("attempt %u of job %u was ended without a cause", number, id);
        COVER(never_asked);
        naive_finish(n, id, JOB_CANCELLED);
}

void naive_withdrawn(Naive *n, unsigned id, unsigned number) {
        NaiveAttempt *a = &n->attempts[id][number];

        if (!a->live)
                return; /* we knew */
        if (a->worker > 0 && !a->asked && n->jobs[id].intent != JOB_RESULT_NONE) {
                naive_returned(n, id, number, false);
                return;
        }
        if (!a->mine || a->asked || a->running || !n->shutting_down)
                naive_fail("attempt %u of job %u was taken back without a cause", number, id);
        COVER(withdrawn_shutdown);
        a->live = a->mine = false;
        n->jobs[id].max_attempts++;
        start_was_none(n->jobs + id);
}

/* A unit of our name that no attempt has. */
void naive_unknown(Naive *n, unsigned id, unsigned number, const Unit *u) {
        NaiveAttempt *a = &n->attempts[id][number];
        bool done = a->row && u->ours;

        if (a->there)
                return;
        if (done)
                COVER(adopted_done);
        else if (u->is == OVER)
                COVER(adopted_ended_stray);
        else
                COVER(adopted_stray);
        a->there = true;
        a->live = false;
        a->stray = !done;
        a->worker = 0;
        a->queue = u->queue;
        a->owner = done ? n->jobs[id].owner : UINT32_MAX; /* its row is there, so its job is */
        if (!done)
                a->slots = u->slots;
        if (done)
                return;
        if (n->next_id <= id) {
                COVER(stray_raised_id);
                n->next_id = id + 1;
        }
        if (n->jobs[id].there && !is_live(n->jobs + id) && n->jobs[id].attempt < number) {
                COVER(stray_raised_number);
                n->jobs[id].max_attempts += number - n->jobs[id].attempt;
                n->jobs[id].attempt = number;
        }
}

void naive_gone(Naive *n, unsigned id, unsigned number) {
        NaiveAttempt *a = &n->attempts[id][number];

        if (a->live)
                naive_fail("the slots of attempt %u of job %u were given back while it lives", number, id);
        COVER(gone);
        a->there = a->stray = false;
        a->looks = 0;
}

void naive_forget(Naive *n, const Naive *stored) {
        memcpy(n->jobs, stored->jobs, sizeof(n->jobs));
        memcpy(n->edges, stored->edges, sizeof(n->edges));
        memcpy(n->attempts, stored->attempts, sizeof(n->attempts));
        memcpy(n->workers, stored->workers, sizeof(n->workers));
        memcpy(n->is_paused, stored->is_paused, sizeof(n->is_paused));
        memcpy(n->is_draining, stored->is_draining, sizeof(n->is_draining));
        memcpy(n->starts, stored->starts, sizeof(n->starts));
        memcpy(n->n_starts, stored->n_starts, sizeof(n->n_starts));
        n->gate_open = false;
        memset(n->full_until, 0, sizeof(n->full_until));
        memset(n->pressed, 0, sizeof(n->pressed));
        memset(n->eased, 0, sizeof(n->eased));
        n->pressure = n->pressure_at = 0;
        for (unsigned p = 0; p < NQ; p++)
                if (n->files[p].rate_n == 0 && !n->files[p].bad)
                        n->n_starts[p] = 0;
        n->next_id = stored->next_id;
        /* Of the newest job that there is. */
        n->last_key = INT64_MIN;
        for (unsigned id = 1; id < NJ; id++)
                if (n->jobs[id].there)
                        n->last_key = n->jobs[id].age;
        memcpy(n->array_max, stored->array_max, sizeof(n->array_max));
        for (unsigned id = 1; id < NJ; id++)
                for (unsigned i = 1; i < NA; i++) {
                        NaiveAttempt *a = &n->attempts[id][i];

                        a->there = a->there && a->live;
                        a->mine = a->stray = a->in_flight = a->stop_seen = false;
                        a->asked = true;
                        a->stuck = false;
                        if (a->worker == 0)
                                a->started = USEC_INFINITY;
                        a->marked = a->asked_why = a->looks = 0;
                        a->net = n->jobs[id].timeout != USEC_INFINITY && a->worker == 0;
                        if (a->live)
                                COVER(crashed_live);
                }
}
