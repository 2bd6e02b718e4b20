/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The events: each is done to the daemon in the box as its real surroundings would, and told to the small model. */

#include "box-events.h"

#include "api/unique.h"
#include "base/strv.h"
#include "queue/spec-change.h"

static void expect(int r, int wanted, const char *what, unsigned id) {
        say("    %s %u: %i\n", what, id, r);
        if (r != wanted)
                naive_fail("%s of job %u gives %i, it should give %i", what, id, r, wanted);
}

/* ---- requests ---- */

static bool is_same(unsigned a, unsigned b) {
        const NaiveJob *l = box.naive.jobs;

        return a == b || (a > 0 && b > 0 && l[a].array > 0 && l[a].array == l[b].array);
}

/* Who has it, by the small model, which the daemon's answer must be; of an array any. */
static unsigned find_holder(unsigned q, unsigned owner, const char *key, Job **ret) {
        unsigned id = naive_holder(&box.naive, q, owner, (unsigned) (key[0] - '0'), &box.now);

        if (unique_find(box.m.model, NULL, &box.now, model_queue(box.m.model, queue_names[q]), owner, key, ret) < 0)
                naive_fail("no holder can be found");
        if (!is_same(*ret ? (unsigned) (*ret)->id : 0, id))
                naive_fail("job %u has the key %s, it should be %u", *ret ? (unsigned) (*ret)->id : 0, key, id);
        return id;
}

/* As api/bus-submit.c does. true: nothing is to be made. */
static bool meets_holder(unsigned q, unsigned owner, const JobSpec *spec) {
        unsigned id, n;
        uint64_t found;
        Job *j;
        int r;

        if (!spec->unique_key)
                return false;
        id = find_holder(q, owner, spec->unique_key, &j);
        if (id == 0)
                return false;
        say("    key %s is that of %u\n", spec->unique_key, id);
        if (spec->unique_policy != UNIQUE_REPLACE)
                return spec->unique_policy == UNIQUE_RETURN ? COVER(key_returned), true : COVER(key_taken), true;
        n = naive_replaceable(&box.naive, id, &box.now);
        r = unique_find_all(box.m.model, NULL, &box.now, j, &(uint64_t) { UINT64_MAX }, &found);
        expect(r, n > 0, "replace", id);
        if (n == 0)
                return COVER(key_live), true;
        if (n != found)
                naive_fail("%u jobs have the key %s, it should be %u", (unsigned) found, spec->unique_key, n);
        COVER(key_replaced);
        if (n > 1)
                COVER(key_replaced_array);
        unique_replace(box.m.model, j, "replaced", &box.now);
        naive_replace(&box.naive, id);
        return false;
}

static void add_after(JobSpec *spec, unsigned id) {
        spec->after = new0(After, NJ);
        for (unsigned before = 1; before < id; before++)
                if (box.naive.jobs[before].there && chance(45))
                        spec->after[spec->n_after++] = (After) { .id = before, .condition = chance(60) ? 0 : any(3),
                                                                 .otherwise = chance(60) ? 0 : any(3) };
}

/* As api/after.c does: what has ended already counts at once. */
static void resolve_after(JobSpec *spec, unsigned id, char **never) {
        for (size_t i = 0; i < spec->n_after; i++) {
                Job *before;
                int r;

                box_fetch(spec->after[i].id, &before);
                r = spec_resolve_after(spec, i, before, never);
                for (unsigned k = 0; spec->after[i].met && k < MAX(spec->array, 1U); k++)
                        naive_edge_ended(&box.naive, id + k, before->id, &box.now);
                if (r != 0)
                        return;
        }
}

/* The same for retries. */
static int reopen(Job *j, bool look_only) {
        Edge edges[NJ] = {};

        if (!j->is_new)
                memcpy(edges, box.edges[j->id], sizeof(edges));
        for (size_t i = 0; j->is_new && i < j->spec->n_after; i++)
                edges[j->spec->after[i].id] = (Edge) { j->id, j->spec->after[i].id, j->spec->after[i].condition,
                                                       j->spec->after[i].otherwise, j->spec->after[i].met };
        for (unsigned before = 1; before < NJ && !j->edges_open_again; before++) {
                const Edge *e = edges + before;
                Job *b;

                box_fetch(before, &b);
                if (!b || e->job == 0)
                        continue;
                if (!look_only)
                        (void) model_edge_reopen(box.m.model, j, e, b);
                else if (model_edge_forbids(j, e, b))
                        return -EPERM;
        }
        if (!look_only)
                j->edges_open_again = true;
        return 0;
}

/* One that gave its key up for a start that is under way; 0: there is none. */
static unsigned lender(void) {
        for (unsigned id = 1; id < NJ; id++)
                if (box.naive.jobs[id].there && box.naive.jobs[id].lent)
                        return id;
        return 0;
}

static void do_submit(void) {
        unsigned q = any(NQ), id = box.naive.next_id, owner = 1000 + any(2), of = lender(), n;
        JobSpec *spec;
        char *error = NULL, *never = NULL;
        Job *j;
        int r;

        if (id >= NJ)
                return;
        spec = spec_new();
        spec->slots = chance(70) ? 1 : 1 + any(3);
        spec->priority = chance(60) ? 0 : (int) any(3);
        spec->hold = chance(10);
        spec->freezable = chance(60);
        if (chance(15))
                *(chance(50) ? &spec->not_before_usec : &spec->delay_usec) = (1 + any(20)) * SEC;
        if (spec->not_before_usec != USEC_INFINITY)
                spec->not_before_usec += box.now.realtime;
        if (chance(15))
                spec->deadline_usec = box.now.realtime + any(25) * SEC;
        if (chance(50))
                spec->timeout_usec = (1 + any(30)) * SEC;
        if (chance(50))
                spec->stop_timeout_usec = (1 + any(10)) * SEC;
        if (chance(20))
                spec->keep_usec = any(40) * SEC;
        if (chance(25)) {
                spec->unique_key = strdup(chance(60) ? "1" : "2");
                if (of > 0) {
                        q = box.naive.jobs[of].queue;
                        owner = box.naive.jobs[of].owner;
                        spec->unique_key[0] = (char) ('0' + box.naive.jobs[of].key);
                }
                spec->unique_scope = chance(30) ? NULL : strdup(chance(50) ? "queued" : "20s");
                spec->unique_policy = UNIQUE_REJECT + any(3);
                if (meets_holder(q, owner, spec)) {
                        spec_free(spec);
                        return;
                }
        }
        spec->max_attempts = chance(50) ? 1 : 2 + any(2);
        spec->requeue_lost = chance(40);
        spec->backoff_base_usec = any(4) * SEC;
        spec->backoff = any(3);
        if (chance(20))
                spec->retry_on = strv_split(chance(50) ? "timeout,lost,oom-kill" : "exit-code,signal", ",");
        if (chance(50))
                add_after(spec, id);
        spec->output = chance(50) ? OUTPUT_SPOOL : OUTPUT_JOURNAL;
        spec->verify = spec->output == OUTPUT_SPOOL && chance(60) ? VERIFY_VERDICT : VERIFY_EXIT;
        if (chance(20) && id + 2 < NJ) {
                spec->array = 2 + any(NJ - id - 2 < 3 ? 1 : 3);
                spec->array_max_running = any(3);
                say("    an array of %u, %u at a time\n", spec->array, spec->array_max_running);
        }
        r = naive_submit(&box.naive, q, owner, spec, &box.now);
        if (r >= 0)
                resolve_after(spec, id, &never);
        say("    to %s, %u slots, priority %i\n", queue_names[q], spec->slots, spec->priority);
        n = MAX(spec->array, 1U);
        expect(model_submit(box.m.model, model_queue(box.m.model, queue_names[q]), spec, owner, "alice", &box.now, &j, &error), r, "submit", id);
        for (unsigned k = 0; r >= 0 && never && k < n; k++)
                model_fail(box.m.model, model_job(box.m.model, id + k), JOB_DEPENDENCY, never, &box.now);
        free(never);
        free(error);
        if (r < 0)
                spec_free(spec);
}

static void do_overflow(unsigned id) {
        Job *j = model_job(box.m.model, id);

        if (box.naive.attempts[id][box.naive.jobs[id].attempt].worker > 0 || !naive_overflows(&box.naive, id))
                return;
        say("    of %u\n", id);
        model_attempt_overflow(box.m.model, j->live, &box.now);
}

static void do_update(Job *j, unsigned id) {
        static const char *const fields[] = { "priority", "slots", "not_before_usec", "deadline_usec", "timeout_usec", "stop_timeout_usec" };
        unsigned to = chance(40) ? any(NQ) : box.naive.jobs[id].queue, first = chance(50) ? 4 : 0;
        JobSpec *spec = spec_new();
        uint64_t set = 0;
        char *error = NULL;
        int r;

        (void) job_to_spec(j, spec);
        if (j->is_new && j->spec->n_after > 0) {
                spec->after = new0(After, NJ);
                spec->n_after = j->spec->n_after;
                memcpy(spec->after, j->spec->after, spec->n_after * sizeof(After));
        }
        for (unsigned i = first; i < ELEMENTSOF(fields); i++) {
                if (chance(60))
                        continue;
                set |= spec_field_bit(spec_field_find(fields[i]));
                if (i == 0)
                        spec->priority = (int) any(4);
                else if (i == 1)
                        spec->slots = 1 + any(3);
                else if (i == 2 && chance(40)) {
                        set ^= spec_field_bit(spec_field_find(fields[i])) ^ spec_field_bit(spec_field_find("delay_usec"));
                        spec->delay_usec = any(10) * SEC;
                } else if (i == 2)
                        spec->not_before_usec = chance(40) ? USEC_INFINITY : box.now.realtime + any(10) * SEC;
                else if (i == 3)
                        spec->deadline_usec = chance(30) ? USEC_INFINITY : box.now.realtime + any(20) * SEC;
                else
                        *(i == 4 ? &spec->timeout_usec : &spec->stop_timeout_usec) = chance(10) ? USEC_INFINITY : (1 + any(20)) * SEC;
        }
        if (first == 0 && j->in_array && chance(40)) {
                set |= spec_field_bit(spec_field_find("array_max_running"));
                spec->array_max_running = any(3);
        }
        if (set == 0 && to == box.naive.jobs[id].queue) {
                spec_free(spec);
                return;
        }
        if (to != box.naive.jobs[id].queue && j->unique_held) {
                Job *holder;

                unsigned has = find_holder(to, j->owner, j->unique_key, &holder);
                if (has != 0 && !is_same(has, id)) {
                        COVER(key_move_refused);
                        spec_free(spec);
                        return;
                }
        }
        r = naive_update(&box.naive, id, to, spec, (set & ~(spec_field_bit(spec_field_find("timeout_usec")) |
                                                           spec_field_bit(spec_field_find("stop_timeout_usec")))) == 0,
                         set & (spec_field_bit(spec_field_find("not_before_usec")) | spec_field_bit(spec_field_find("delay_usec"))),
                         set & spec_field_bit(spec_field_find("deadline_usec")), &box.now);
        expect(model_update(box.m.model, j, model_queue(box.m.model, queue_names[to]), spec, set, &box.now, &error), r, "update", id);
        free(error);
        if (r >= 0 && (set & spec_field_bit(spec_field_find("array_max_running")))) {
                COVER(array_limit_changed);
                box.naive.array_max[j->array] = j->in_array->max_running;
        }
        if (r < 0)
                spec_free(spec);
}

static void do_request(unsigned kind) {
        unsigned id = 1 + any(NJ - 1);
        Model *m = box.m.model;
        Naive *n = &box.naive;
        unsigned attempts;
        usec_t delay;
        Job *j;
        int r;

        for (unsigned i = 0; i < 3 && !n->jobs[id].there; i++)
                id = 1 + any(NJ - 1);
        box_fetch(id, &j);
        if (!j != !n->jobs[id].there)
                naive_fail("job %u is there, or is not", id);
        if (!j)
                return;
        switch (kind) {
        case EVENT_cancel:
                r = naive_cancel(n, id);
                expect(model_cancel(m, j, NULL, &box.now), r, "cancel", id);
                break;
        case EVENT_hold:
                r = naive_hold(n, id, &box.now);
                expect(model_hold(m, j, &box.now), r, "hold", id);
                break;
        case EVENT_release:
                r = naive_release(n, id, &box.now);
                expect(model_release(m, j, &box.now), r, "release", id);
                break;
        case EVENT_retry:
                if (n->jobs[id].state == JOB_DONE && n->jobs[id].attempt >= 4)
                        break;
                attempts = 1 + any(2);
                delay = chance(60) ? 0 : any(5) * SEC;
                /* as control_retry() */
                if (n->jobs[id].state == JOB_DONE && n->jobs[id].key > 0 && !n->jobs[id].holds) {
                        Job *holder;

                        unsigned has = find_holder(n->jobs[id].queue, j->owner, j->unique_key, &holder);
                        if (has != 0 && !is_same(has, id)) {
                                COVER(key_retry_refused);
                                break;
                        }
                }
                r = naive_retry(n, id, attempts, delay, &box.now);
                if (j->state == JOB_DONE && reopen(j, true) < 0) {
                        expect(-EPERM, r, "retry", id);
                        break;
                }
                if (j->state == JOB_DONE)
                        (void) reopen(j, false);
                expect(model_retry(m, j, attempts, delay, &box.now), r, "retry", id);
                if (r >= 0) {
                        if (n->jobs[id].key > 0)
                                COVER(key_retaken);
                        n->jobs[id].holds = n->jobs[id].key > 0;
                        unique_take(m, j);
                }
                break;
        case EVENT_purge:
                if (naive_is_needed(n, id)) {
                        COVER(still_needed);
                        break;
                }
                if (n->jobs[id].state == JOB_DONE && box.stored.jobs[id].state != JOB_DONE) /* who waits for it was not looked for */
                        break;
                r = naive_purge(n, id);
                expect(model_purge(m, j), r, "purge", id);
                break;
        case EVENT_update:
                do_update(j, id);
                break;
        case EVENT_kill:
                r = naive_kill(n, id);
                if (r >= 0)
                        box.user_signals |= UINT64_C(1) << id;
                expect(model_kill(m, j, 1 + (int) any(31)), r, "kill", id);
                break;
        case EVENT_freeze:
                r = naive_freeze(n, id, &box.now);
                expect(model_freeze(m, j, &box.now), r, "freeze", id);
                break;
        default:
                r = naive_thaw(n, id, &box.now);
                expect(model_thaw(m, j, &box.now), r, "thaw", id);
        }
}

static void do_queue(unsigned kind) {
        unsigned i = any(NQ);
        Queue *q = model_queue(box.m.model, queue_names[i]);
        bool on = chance(35);

        if (kind == EVENT_pause) {
                box.naive.is_paused[i] = on;
                model_queue_pause(box.m.model, q, on);
        } else if (kind == EVENT_drain) {
                box.naive.is_draining[i] = on;
                model_queue_drain(box.m.model, q, on);
        } else {
                if (kind == EVENT_shut && box.naive.files[i].there) {
                        box.naive.files[i].gate = chance(25);
                        box.naive.files[i].pressure_max = chance(25) ? 10 : 0;
                        box.naive.files[i].rate_n = chance(50) ? 1 + any(3) : 0;
                        box.naive.files[i].rate_span = (1 + any(8)) * SEC / 2;
                } else if (kind == EVENT_executor)
                        box.naive.files[i].by = any(3);
                else if (kind == EVENT_shut || kind == EVENT_caps)
                        box.naive.files[i].slots = chance(15) ? UINT32_MAX : 1 + any(4);
                else if (kind == EVENT_order) {
                        box.naive.files[i].fair = chance(50);
                        box.naive.files[i].keep = chance(50) ? USEC_INFINITY : any(60) * SEC;
                        box.naive.files[i].keep_max = chance(60) ? UINT64_MAX : any(3);
                        box.naive.files[i].ageing = chance(40) ? 0 : (1 + any(8)) * SEC;
                } else {
                        box.naive.files[i].there = chance(60);
                        box.naive.files[i].bad = !box.naive.files[i].there && chance(50);
                        if (!box.naive.files[i].there) {
                                box.naive.files[i].slots = UINT32_MAX;
                                box.naive.files[i].rate_n = box.naive.files[i].pressure_max = 0;
                                box.naive.files[i].gate = false;
                        }
                }
                box_apply_file(q, i);
                naive_policies(&box.naive);
                if (admission_configure(box.m.model) < 0)
                        naive_fail("no memory");
                retention_look_again(box.m.model, q);
                for (Queue *p = box.m.model->queues; p; p = p->hh.next)
                        queue_window_clear(p);
        }
        say("    %s: %s, %s, %u slots\n", q->name, q->paused ? "paused" : "not paused", q->draining ? "draining" : "not draining",
            q->policy.slots);
}

/* ---- the world ---- */

/* One of those for which it makes sense; NULL: none. */
static Unit *pick_unit(bool (*good)(const Unit *u)) {
        Unit *found[NJ * NA];
        unsigned n = 0;

        for (unsigned i = 0; i < NJ * NA; i++)
                if (good(&box.units[i / NA][i % NA]))
                        found[n++] = &box.units[i / NA][i % NA];
        return n > 0 ? found[any(n)] : NULL;
}
static bool is_pending(const Unit *u) {
        return u->there && u->is == PENDING;
}
static bool is_active(const Unit *u) {
        return u->there && u->is == ACTIVE;
}
static bool is_not_over(const Unit *u) {
        return u->there && u->is != OVER && u->is != LEAVING;
}
static bool is_ours_and_not_over(const Unit *u) {
        return is_not_over(u) && u->ours;
}
static bool has_processes(const Unit *u) {
        return u->populated && (!u->there || u->is == OVER || u->is == LEAVING);
}

static void do_unit(unsigned kind) {
        Unit *u = pick_unit(kind == EVENT_runs ? is_pending : kind == EVENT_ends ? is_not_over : kind == EVENT_processes_go ? has_processes :
                            kind == EVENT_restarted_outside ? is_ours_and_not_over : is_active);

        if (!u)
                return;
        say("    unit %u-%u\n", (unsigned) (u - &box.units[0][0]) / NA, (unsigned) (u - &box.units[0][0]) % NA);
        switch (kind) {
        case EVENT_runs:
                unit_runs(u);
                break;
        case EVENT_ends:
                unit_ends(u, u->is == PENDING && chance(50) ? END_EXEC : chance(50) ? END_SUCCESS :
                             u->is == PENDING ? END_STATUS : END_STATUS + any(_END_MAX - END_STATUS));
                break;
        case EVENT_stopped_outside:
                unit_is_stopped(u);
                break;
        case EVENT_restarted_outside:
                unit_is_restarted(u);
                break;
        case EVENT_frozen_outside:
                u->frozen = !u->frozen;
                break;
        default:
                u->populated = false;
                unit_empties(u);
        }
}

/* Somebody else's unit under the name that the next attempt of a job will have. */
static void do_foreign(void) {
        unsigned id = 1 + any(box.naive.next_id), number = id < NJ ? box.naive.jobs[id].attempt + 1 : 0;
        Unit *u;

        if (id >= NJ || !box.naive.jobs[id].there || number > 3)
                return;
        /* or of this one, when it has gone */
        if (box.naive.attempts[id][number - 1].live && box.naive.attempts[id][number - 1].worker == 0 && chance(40))
                number--;
        if (box.units[id][number].there || (box.attempts[id][number].there && !box.naive.attempts[id][number].live))
                return;
        u = &box.units[id][number];
        *u = (Unit) { .there = true, .populated = true, .is = ACTIVE, .invocation = ++box.invocations, .slots = 1, .queue = any(NQ),
                      .token = { .qwords = { ++box.tokens, 9 } }, .started = box.now.monotonic, .starts = u->starts,
                      .last_end = u->last_end, .last_stopped = u->last_stopped };
        say("    unit %u-%u\n", id, number);
}

void begin_daemon(void) {
        box.m = (Manager) { .user = true, .api = &box.api, .event = (sd_event *) &box };
        box_bus_begin();
        if (manager_load_model(&box.m) < 0)
                naive_fail("no memory");
        units_connect(box.m.units);
}

void end_daemon(void) {
        box_bus_end();
        model_free(box.m.model);
        free(box.m.status);
        box.m.model = NULL;
}

static void kill_daemon(void) {
        COVER(crashed);
        box_drop_calls();
        end_daemon();
        for (unsigned i = 0; i < NW; i++)
                box.peers[i].connected = false;
        box.deaf = false;
        box.api = (Api) { .ready = true, .restored = box.naive.store_restored };
        box.naive.store_full = false;
}

/* The machine, too. */
static void do_reboot(void) {
        box_drop_calls();
        box.epoch++;
        box.boot++;
        box.system_stops = false;
        for (unsigned i = 0; i < NJ * NA; i++) {
                Unit *u = &box.units[i / NA][i % NA];
                u->there = u->populated = u->frozen = false;
        }
        for (unsigned i = 0; i < NW; i++)
                box.peers[i].alive = false;
}

/* An old copy of the store is put back while jobs run: their units are strays then. */
static void do_store_restored(void) {
        unsigned id = 1 + any(NJ - 1);

        while (id < NJ && box.rows[id].array > 0) /* an array is there as a whole, or not at all */
                id++;
        if (id == NJ)
                id = 0;

        /* It is known at once if it is older than its last use; it may also be empty. */
        box.naive.store_restored = box.api.restored = chance(50);

        /* Who comes after a job is younger than it: not there either. */
        for (unsigned behind = id + 1; behind < NJ; behind++)
                if (box.edges[behind][id].job != 0)
                        return;
        memset(box.edges[id], 0, sizeof(box.edges[id]));
        memset(box.stored.edges[id], 0, sizeof(box.stored.edges[id]));
        box.rows[id] = (Row) {};
        memset(box.attempts[id], 0, sizeof(box.attempts[id]));
        box.stored.jobs[id] = (NaiveJob) {};
        for (unsigned i = 1; i < NA; i++)
                box.stored.attempts[id][i].row = box.stored.attempts[id][i].there = box.stored.attempts[id][i].live = false;
        /* Ids that the store does not remember, and that no unit has, may come again. */
        for (unsigned i = 0; i < NJ * NA; i++)
                if (!box.rows[i / NA].there) {
                        box.units[i / NA][i % NA].starts = 0;
                        box.units[i / NA][i % NA].last_end = END_NOT;
                        box.units[i / NA][i % NA].last_stopped = false;
                        box.told_results[i / NA][i % NA] = 0;
                }
        box.stored.next_id = box.next_id = 1;
        for (unsigned i = 1; i < NJ; i++)
                if (box.rows[i].there)
                        box.stored.next_id = box.next_id = i + 1;
        for (unsigned q = 0; q < NQ; q++) {
                memset(box.queues[q].count, 0, sizeof(box.queues[q].count));
                box.queues[q].dead = 0;
                for (unsigned i = 1; i < NJ; i++)
                        if (box.rows[i].there && box.rows[i].queue == q) {
                                box.queues[q].count[box.rows[i].state]++;
                                box.queues[q].dead += box.rows[i].dead;
                        }
        }
}

static void do_time(unsigned kind) {
        usec_t d = (chance(80) ? any(3) : any(30)) * SEC + any(1000);

        if (kind == EVENT_clock_step) {
                int64_t step = (int64_t) any(100) * (int64_t) SEC - 50 * (int64_t) SEC;

                box.now.realtime += step;
                box.step += step;
        } else {
                box.now.steady += d;
                box.now.even += d;
                box.now.realtime += d;
                box.now.monotonic += d;
        }
}

static void do_tick(void) {
        box.now.monotonic += SEC;
        box.now.realtime += SEC;
        box.now.steady += SEC;
        box.now.even += SEC;
        box.naive.even = box.now.even;
        box_tick();
}

void do_event(unsigned kind) {
        box.naive.even = box.now.even;
        switch (kind) {
        case EVENT_submit:
                do_submit();
                break;
        case EVENT_cancel ... EVENT_thaw:
                do_request(kind);
                break;
        case EVENT_pause ... EVENT_executor:
                do_queue(kind);
                break;
        case EVENT_time ... EVENT_clock_step:
                do_time(kind);
                break;
        case EVENT_tick:
                do_tick();
                break;
        case EVENT_runs ... EVENT_processes_go:
                do_unit(kind);
                break;
        case EVENT_foreign:
                do_foreign();
                break;
        case EVENT_deaf ... EVENT_hears:
                box.deaf = kind == EVENT_deaf;
                break;
        case EVENT_look:
                units_resync(box.m.units, chance(50));
                break;
        case EVENT_deliver:
                (void) box_deliver();
                if (chance(50)) /* in the same turn */
                        do_request(EVENT_cancel + any(EVENT_purge - EVENT_cancel));
                break;
        case EVENT_calls_time_out:
                box_time_out_calls();
                break;
        case EVENT_journal:
                box.naive.journal = any(3);
                break;
        case EVENT_reloading:
                box_reloading();
                break;
        case EVENT_new_manager:
                box_new_manager();
                break;
        case EVENT_disconnect:
                box_disconnect();
                break;
        case EVENT_reconnect:
                box_reconnect();
                break;
        case EVENT_shutdown:
                box_shutdown(!box.system_stops);
                break;
        case EVENT_commit_fails:
                box.fail_commits = 1 + any(2);
                break;
        case EVENT_storage_timer:
                if (box.m.storage_failed) {
                        box.m.storage_failed = false;
                        units_resync(box.m.units, true);
                }
                break;
        case EVENT_accept:
                if (box.naive.store_restored)
                        COVER(accepted);
                box.naive.store_restored = box.api.restored = false;
                break;
        case EVENT_comes ... EVENT_left_goes:
                box_worker_event(kind);
                break;
        case EVENT_overflow:
                do_overflow(1 + any(NJ - 1));
                break;
        case EVENT_gate:
                box_gate(chance(60));
                break;
        case EVENT_pressure:
                box.pressure = chance(50) ? any(9) : 9 + any(6);
                break;
        case EVENT_drop_in:
                box.drop_in = chance(50);
                break;
        case EVENT_full:
                box.naive.store_full = box.api.storage_full = chance(50);
                break;
        default: /* crash, reboot, store_restored */
                kill_daemon();
                if (kind == EVENT_reboot)
                        do_reboot();
                else if (kind == EVENT_store_restored)
                        do_store_restored();
                begin_daemon();
        }
}

/* ---- the end ---- */

static bool all_over(void) {
        for (unsigned id = 1; id < NJ; id++) {
                if (box.naive.jobs[id].there && job_state_is_live(box.naive.jobs[id].state))
                        return false;
                for (unsigned i = 1; i < NA; i++)
                        if (box.naive.attempts[id][i].there)
                                return false;
        }
        return !box.m.storage_failed && box.m.units->synced && naive_next(&box.naive, &box.now) == 0;
}

/* Everybody does what he is asked: then each job that may start starts, and each that has started ends. */
void wind_up(void (*turn)(bool deliver)) {
        box.kind = true;
        box.deaf = false;
        box.fail_commits = 0;
        box.naive.journal = JOURNAL_IS_TRUE;
        if (box.system_stops)
                box_shutdown(false);
        box.drop_in = false;
        do_event(EVENT_accept);
        box.naive.store_full = box.api.storage_full = false;
        for (unsigned i = 0; i < NQ; i++) {
                box.naive.files[i].gate = false;
                box.naive.files[i].rate_n = box.naive.files[i].pressure_max = 0;
                box_apply_file(model_queue(box.m.model, queue_names[i]), i);
        }
        naive_policies(&box.naive);
        (void) admission_configure(box.m.model);
        for (unsigned i = 0; i < 40 && !all_over(); i++) {
                say("  kind world %u\n", i);
                box_reconnect();
                do_event(EVENT_storage_timer);
                box_time_out_calls();
                if (i == 2)
                        box_reloading();
                box_workers_end();
                for (unsigned k = 0; k < NJ * NA; k++) {
                        Unit *u = &box.units[k / NA][k % NA];

                        if (has_processes(u)) {
                                u->populated = false;
                                unit_empties(u);
                        }
                        u->frozen = u->frozen && i < 5;
                        if (is_not_over(u) && i > 4 && !u->frozen && !(u->stubborn && box.naive.jobs[k / NA].state == JOB_STOPPING))
                                unit_ends(u, END_SUCCESS);
                }
                turn(true);
                for (unsigned id = 1; i == 3 && id < NJ; id++) {
                        Job *j;

                        box_fetch(id, &j);
                        if (j && j->state == JOB_RUNNING && naive_thaw(&box.naive, id, &box.now) >= 0)
                                expect(model_thaw(box.m.model, j, &box.now), 0, "thaw", id);
                }
                box.now.monotonic += i % 3 == 1 ? 100 * SEC : 2 * SEC;
                box.now.realtime += i % 3 == 1 ? 100 * SEC : 2 * SEC;
                box.now.steady += i % 3 == 1 ? 100 * SEC : 2 * SEC;
                box.now.even += i % 3 == 1 ? 100 * SEC : 2 * SEC;
                box.naive.even = box.now.even;
                box_tick();
                turn(true);
        }
        for (unsigned id = 1; id < NJ; id++) {
                const NaiveJob *j = box.naive.jobs + id;
                bool waits = box.naive.mismatch && !box.naive.attempts[id][j->attempt].asked; /* for the drop-in to go */

                if (j->there && job_state_is_live(j->state) && !waits)
                        naive_fail("job %u is %s for ever", id, job_state_to_string(j->state));
                for (unsigned i = 1; i < NA; i++)
                        if (box.naive.attempts[id][i].there && !(waits && i == j->attempt))
                                naive_fail("the slots of attempt %u-%u are held for ever", id, i);
        }
}
