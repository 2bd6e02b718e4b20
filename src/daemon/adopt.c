/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units of our name that no attempt in memory has: of a job that was done before we started (it only has to be let go), or a
 * stray, that no row knows (an old copy of the store was put back). A stray keeps the slots that it carries, is counted, and is
 * never killed silently; its number is not given to anybody else. */

#include "daemon/manager.h"

#include "base/crash-point.h"
#include "base/log.h"

static Queue *queue_of_unit(Manager *m, const UnknownUnit *x) {
        _cleanup_free_ char *name = x->state.slice ? queue_name_from_slice(x->state.slice) : NULL;
        Queue *q;

        return model_queue_add(m->model, name ?: "default", &q) < 0 ? NULL : q;
}

static void adopt(Manager *m, const UnknownUnit *x, Attempt *a, AttemptPhase phase) {
        Queue *q = queue_of_unit(m, x);

        a->phase = phase;
        if (!q || model_attempt_add(m->model, a, NULL, q) < 0) {
                attempt_free(a);
                log_oom();
                return;
        }
        units_apply(m->units, a, &x->state);
        if (phase == ATTEMPT_ENDED)
                model_attempt_act(m->model, a);
}

/* No new job gets its id, nor after a crash: the manager's journal still knows the unit by its name when that has gone. */
static void skip_id(Manager *m, uint64_t id) {
        m->model->next_id = MAX(m->model->next_id, id + 1);
}

/* The job must not use the stray's number for an attempt of its own. */
static void skip_number(Manager *m, uint64_t id, uint32_t number) {
        Job *j = model_job(m->model, id);
        Queue *q;

        if (!j) {
                if (model_is_purged(m->model, id) || store_load_job(m->store, id, &j) < 0)
                        return;
                if (model_queue_add(m->model, j->queue_name, &q) < 0) {
                        job_free(j);
                        return;
                }
                model_job_add(m->model, j, q);
        }
        /* Of a live one model_start() passes it over later. */
        if (!j->live && j->attempt < number) {
                j->max_attempts += number - j->attempt;
                j->attempt = number;
                model_job_changed(m->model, j);
        }
}

static bool is_unit_of(const Attempt *a, const UnknownUnit *x) {
        return streq(a->unit, x->name) && sd_id128_equal(a->token, x->state.token);
}

static void adopt_stray(Manager *m, const UnknownUnit *x, uint64_t id, uint32_t number) {
        Attempt *a = attempt_new(id, number);

        if (!a || (endswith(x->name, ".scope") && attempt_be_scope(a) < 0)) {
                attempt_free(a);
                log_oom();
                return;
        }
        a->epoch = m->model->epoch;
        a->token = x->state.token;
        a->invocation_id = x->state.invocation_id;
        if (!x->state.slots || attempt_slot_numbers_from_string(x->state.slots, &a->slot_numbers, &a->slots) < 0 ||
            a->slots == 0) {
                free(a->slot_numbers);
                a->slot_numbers = NULL;
                a->slots = 1;
        }
        log_warning("%s is not known to the store; it keeps its slots until it ends.", x->name);
        skip_id(m, id);
        skip_number(m, id, number);
        adopt(m, x, a, unit_state_is_ended(&x->state) ? ATTEMPT_ENDED : ATTEMPT_STRAY);
}

/* Whose slots they are, where users share a queue. */
static void adopt_done(Manager *m, const UnknownUnit *x, Attempt *a) {
        Job *j;

        a->epoch = m->model->epoch;
        if (manager_load_job(m, a->job_id, &j) >= 0)
                a->owner = j->owner;
        adopt(m, x, a, ATTEMPT_ENDED);
}

static void adopt_unknown(Manager *m, const UnknownUnit *x) {
        Attempt *a = NULL;
        uint64_t id;
        uint32_t number;

        if (!attempt_unit_name_parse(x->name, &id, &number))
                return;
        HASH_FIND_STR(m->model->attempts, x->name, a);
        if (a) {
                units_apply(m->units, a, &x->state);
                return;
        }
        if (store_load_attempt(m->store, id, number, &a) >= 0) {
                if (is_unit_of(a, x)) {
                        adopt_done(m, x, a);
                        return;
                }
                attempt_free(a);
        }
        adopt_stray(m, x, id, number);
}

void manager_adopt_unknown(Manager *m) {
        UnknownUnit *x;

        while ((x = TAILQ_FIRST(&m->units->unknown))) {
                CRASH_POINT("adopt-before");
                adopt_unknown(m, x);
                CRASH_POINT("adopt-after");
                unknown_unit_free(x);
        }
}
