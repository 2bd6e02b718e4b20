/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Places of arrays (array.h). A job of an array has a place from when it is given one until it is done for good or held; between its
 * attempts it keeps it. One without a place is waiting, or held, and the place counts among its blockers. Who gives up a place, or
 * asks for one, puts the array on the list of those that decide looks at (daemon/arrays.c): the place goes to the job of lowest index
 * that waits for it, in the same commit. */

#include "queue/array.h"

#include "queue/model-internal.h"

Array *array_new(uint64_t id, uint32_t n, uint32_t max_running) {
        Array *a = new0(Array, 1);

        if (!a)
                return NULL;
        a->id = id;
        a->n = n;
        a->max_running = max_running;
        TAILQ_INIT(&a->elements);
        return a;
}

Array *array_free(Array *a) {
        if (!a)
                return NULL;
        spec_free(a->spec);
        return mfree(a);
}

uint32_t array_free_places(const Array *a) {
        if (a->max_running == 0)
                return UINT32_MAX;
        return a->used < a->max_running ? a->max_running - a->used : 0;
}

bool array_is_full(const Job *j) {
        const Array *a = j->in_array;

        return a && a->max_running > 0 &&
               a->count[JOB_STARTING] + a->count[JOB_RUNNING] + a->count[JOB_STOPPING] >= a->max_running;
}

bool array_element_waits(const Job *j) {
        return j->in_array && j->array_waits && j->state == JOB_WAITING;
}

static bool element_before(const HeapNode *a, const HeapNode *b, const void *userdata) {
        return CONTAINER_OF(a, Job, array_node)->id < CONTAINER_OF(b, Job, array_node)->id;
}

Job *array_first_waiting(const Array *a) {
        return a->waiting ? CONTAINER_OF(a->waiting, Job, array_node) : NULL;
}

/* Whenever it is another than it was whether j waits there, or in which state. */
static void list_waiting(Job *j, bool waits) {
        if (j->array_listed == waits)
                return;
        if (waits)
                heap_put(&j->in_array->waiting, &j->array_node, element_before, NULL);
        else
                heap_take(&j->in_array->waiting, &j->array_node, element_before, NULL);
        j->array_listed = waits;
}

/* ---- lists ---- */

void model_array_changed(Model *m, Array *a) {
        if (a->changed)
                return;
        TAILQ_INSERT_TAIL(&m->changed_arrays, a, changed_entry);
        a->changed = true;
}

static void array_want(Model *m, Array *a) {
        if (a->wanted)
                return;
        TAILQ_INSERT_TAIL(&m->wanted_arrays, a, wanted_entry);
        a->wanted = true;
}

void model_array_look(Model *m, const Job *j) {
        if (j->in_array && array_free_places(j->in_array) > 0)
                array_want(m, j->in_array);
}

static void array_drop_if_unused(Model *m, Array *a) {
        if (a->changed || a->wanted || !TAILQ_EMPTY(&a->elements))
                return;
        HASH_DEL(m->arrays, a);
        array_free(a);
}

void model_array_settled(Model *m, Array *a) {
        TAILQ_REMOVE(&m->wanted_arrays, a, wanted_entry);
        a->wanted = false;
        array_drop_if_unused(m, a);
}

void arrays_recorded(Model *m) {
        Array *a;

        while ((a = TAILQ_FIRST(&m->changed_arrays))) {
                TAILQ_REMOVE(&m->changed_arrays, a, changed_entry);
                a->changed = a->is_new = false;
                a->spec = spec_free(a->spec);
                array_drop_if_unused(m, a);
        }
}

void array_job_added(Model *m, Job *j) {
        Array *a = NULL;

        if (!j->in_array)
                return;
        HASH_FIND(hh, m->arrays, &j->in_array->id, sizeof(j->in_array->id), a);
        if (!a) {
                a = j->in_array;
                HASH_ADD(hh, m->arrays, id, sizeof(a->id), a);
        } else if (a != j->in_array)
                array_free(j->in_array); /* as it is stored; this one is newer */
        j->in_array = a;
        j->owns_array = false;
        TAILQ_INSERT_TAIL(&a->elements, j, array_entry);
        list_waiting(j, array_element_waits(j));
}

void array_job_dropped(Model *m, Job *j) {
        if (!j->in_array || j->owns_array)
                return;
        TAILQ_REMOVE(&j->in_array->elements, j, array_entry);
        list_waiting(j, false);
        array_drop_if_unused(m, TAKE_PTR(j->in_array));
}

/* ---- places ---- */

static void wait_for_place(Job *j) {
        if (j->array_waits)
                return;
        j->array_waits = true;
        j->blockers++;
        list_waiting(j, !j->owns_array && array_element_waits(j));
}

static void no_longer_waits(Job *j) {
        if (!j->array_waits)
                return;
        j->array_waits = false;
        j->blockers -= j->blockers > 0;
        list_waiting(j, false);
}

static bool is_out(JobState s) {
        return s == JOB_HELD || s == JOB_DONE;
}

void array_add_element(Array *a, Job *j, uint32_t i) {
        j->in_array = a;
        j->array = a->id;
        j->array_index = i;
        wait_for_place(j);
        if (i > 0)
                return;
        a->is_new = true;
        a->spec = spec_ref(j->spec);
}

/* The first ones have places at once. */
void array_submitted(Model *m, Job *j) {
        Array *a = j->in_array;

        if (!a)
                return;
        a->count[JOB_HELD]++;
        model_array_changed(m, a);
        if (j->spec->hold || array_free_places(a) == 0)
                return;
        a->used++;
        no_longer_waits(j);
}

void array_state_changes(Model *m, Job *j, JobState state) {
        Array *a = j->in_array;

        if (!a)
                return;
        a->count[j->state]--;
        a->count[state]++;
        model_array_changed(m, a);
        if (is_out(state) && !is_out(j->state) && !j->array_waits) {
                a->used--;
                array_want(m, a);
        }
        if (state == JOB_HELD)
                wait_for_place(j);
        else if (state == JOB_DONE)
                no_longer_waits(j);
        else if (is_out(j->state) && j->array_waits)
                array_want(m, a);
        list_waiting(j, j->array_waits && state == JOB_WAITING);
}

void array_dead_changes(Model *m, Job *j, bool dead) {
        if (!j->in_array)
                return;
        j->in_array->dead += dead ? 1 : -1;
        model_array_changed(m, j->in_array);
}

void array_ask(Model *m, Job *j) {
        if (!j->in_array)
                return;
        wait_for_place(j);
        array_want(m, j->in_array);
}

void array_job_purged(Model *m, Job *j) {
        if (!j->in_array)
                return;
        j->in_array->count[j->state]--;
        model_array_changed(m, j->in_array);
}

void model_array_give_place(Model *m, Job *j, const Now *now) {
        j->in_array->used++;
        no_longer_waits(j);
        model_array_changed(m, j->in_array);
        model_job_changed(m, j);
        if (j->state == JOB_WAITING)
                job_let_go(m, j, now);
}

void model_array_take_place(Model *m, Job *j) {
        job_set_state(m, j, JOB_WAITING);
        j->in_array->used--;
        wait_for_place(j);
}

void model_array_set_max(Model *m, Array *a, uint32_t max_running) {
        if (a->max_running == max_running)
                return;
        a->max_running = max_running;
        model_array_changed(m, a);
        array_want(m, a);
}
