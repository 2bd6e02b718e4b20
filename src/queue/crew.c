/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See crew.h. Whom a worker serves is a matter of the queue's policy: where that changes all seats are taken anew (workers_configure()). */

#include "queue/crew.h"

#include "base/strv.h"
#include "queue/model.h"

static uint32_t room(const Worker *w) {
        return w->slots > w->slots_used ? w->slots - w->slots_used : 0;
}

static const Worker *by_room(const HeapNode *n) {
        return CONTAINER_OF(n, Seat, by_room)->worker;
}

static const Worker *by_slots(const HeapNode *n) {
        return CONTAINER_OF(n, Seat, by_slots)->worker;
}

static bool has_more_room(const HeapNode *x, const HeapNode *y, const void *userdata) {
        const Worker *a = by_room(x), *b = by_room(y);

        return room(a) != room(b) ? room(a) > room(b) : a->id < b->id;
}

static bool has_more_slots(const HeapNode *x, const HeapNode *y, const void *userdata) {
        return by_slots(x)->slots > by_slots(y)->slots;
}

Crew *crew_find(const Model *m, const Queue *q, uint64_t user) {
        const CrewKey key = { (Queue *) q, user };
        Crew *c;

        HASH_FIND(hh, m->crews, &key, sizeof(key), c);
        return c;
}

Worker *crew_first(const Crew *c) {
        return c && c->room ? (Worker *) by_room(c->room) : NULL;
}

uint32_t crew_most(const Crew *c) {
        return c && c->most ? by_slots(c->most)->slots : 0;
}

static Crew *crew_make(Model *m, Queue *q, uint64_t user) {
        Crew *c = crew_find(m, q, user);

        if (c)
                return c;
        c = new0(Crew, 1);
        if (!c)
                return NULL;
        c->key = (CrewKey) { q, user };
        HASH_ADD(hh, m->crews, key, sizeof(c->key), c);
        return c;
}

/* ---- seats ---- */

static void set_room(Seat *s, bool has_room) {
        if (s->has_room)
                heap_take(&s->crew->room, &s->by_room, has_more_room, NULL);
        s->has_room = has_room;
        if (has_room)
                heap_put(&s->crew->room, &s->by_room, has_more_room, NULL);
}

static void set_takes(Seat *s, bool takes) {
        Crew *c = s->crew;

        if (s->takes == takes)
                return;
        s->takes = takes;
        if (takes) {
                heap_put(&c->most, &s->by_slots, has_more_slots, NULL);
                c->all += s->worker->slots;
        } else {
                heap_take(&c->most, &s->by_slots, has_more_slots, NULL);
                c->all -= s->worker->slots;
        }
}

/* What it counts for, in its place or (there: false) no more. */
static void count(Seat *s, bool there) {
        const Worker *w = s->worker;
        bool takes = there && worker_takes_jobs(w);
        Crew *c = s->crew;

        c->used -= s->used;
        c->n_away -= s->away;
        c->n_draining -= s->draining;
        set_takes(s, takes);
        set_room(s, takes && room(w) > 0);
        s->used = takes ? w->slots_used : 0;
        s->draining = there && !takes && w->draining;
        c->n_of_unit -= s->of_unit;
        s->of_unit = there && w->unit && w->away.when == USEC_INFINITY && streq_ptr(c->key.queue->policy.worker_unit, w->unit);
        c->n_of_unit += s->of_unit;
        s->away = there && !takes && !w->draining;
        c->used += s->used;
        c->n_away += s->away;
        c->n_draining += s->draining;
}

void worker_look_at_room(Worker *w) {
        for (size_t i = 0; i < w->n_seats; i++)
                if (w->seats[i].crew)
                        count(w->seats + i, true);
}

static void leave(Seat *s) {
        Crew *c = s->crew;

        if (!c)
                return;
        count(s, false);
        s->crew = NULL;
        if (--c->n_seats > 0)
                return;
        HASH_DEL(s->worker->model->crews, c);
        free(c);
}

static int enter(Seat *s, Queue *q) {
        Worker *w = s->worker;
        uint64_t user = worker_serves_all(w, q) ? CREW_OF_ALL : w->uid;

        if (user != CREW_OF_ALL && !worker_serves(w, q, w->uid))
                return 0;
        s->crew = crew_make(w->model, q, user);
        if (!s->crew)
                return -ENOMEM;
        s->crew->n_seats++;
        count(s, true);
        return 0;
}

void worker_stand_up(Worker *w) {
        for (size_t i = 0; i < w->n_seats; i++)
                leave(w->seats + i);
        w->n_seats = 0;
        w->seats = mfree(w->seats);
}

/* q: NULL: there is no such queue now. */
static int take_seat(Worker *w, size_t i, Queue *q) {
        w->seats[i].worker = w;
        return q ? enter(w->seats + i, q) : 0;
}

int worker_sit_down(Worker *w) {
        size_t n = w->adapter ? HASH_COUNT(w->model->queues) : strv_length(w->queues), i = 0;
        Queue *q, *t;
        int r = 0;

        w->seats = new0(Seat, n);
        if (!w->seats)
                return -ENOMEM;
        if (w->adapter)
                HASH_ITER(hh, w->model->queues, q, t) {
                        if (worker_names(w, q) && r >= 0)
                                r = take_seat(w, i++, q);
                }
        else
                for (; i < n && r >= 0; i++)
                        r = take_seat(w, i, model_queue(w->model, w->queues[i]));
        w->n_seats = i;
        if (r < 0)
                worker_stand_up(w);
        return r;
}

int workers_configure(Model *m) {
        Worker *w, *t;
        int r = 0;

        HASH_ITER(hh, m->workers, w, t)
                worker_stand_up(w);
        HASH_ITER(hh, m->workers, w, t)
                if (!w->gone && r >= 0)
                        r = worker_sit_down(w);
        return r;
}
