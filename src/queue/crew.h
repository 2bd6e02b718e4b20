/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which workers serve a queue, and what they have together. Kept, not looked for, as there may be a thousand: a crew is those that serve one user there, or everybody; so who is
 * given a job is the first of two crews. A worker has a seat in one crew of each of its queues. Between worker.c and here. */

#include "queue/heap.h"

#include <uthash.h>

typedef struct Crew Crew;
typedef struct Model Model;
typedef struct Queue Queue;
typedef struct Worker Worker;

typedef struct Seat {
        HeapNode by_room, by_slots;   /* of crew->room, crew->most */
        bool has_room, takes, of_unit, away, draining; /* as it is counted there */
        uint32_t used;
        Worker *worker;
        Crew *crew;                   /* NULL: it serves nobody there */
} Seat;

typedef struct CrewKey {
        Queue *queue;
        uint64_t user;     /* uid; CREW_OF_ALL */
} CrewKey;
#define CREW_OF_ALL UINT64_MAX

struct Crew {
        CrewKey key;
        size_t n_seats;
        HeapNode *room;               /* those that can be given something: most room first, then the oldest worker */
        HeapNode *most;               /* those that take jobs: most slots first */
        uint64_t used, all;           /* slots of these */
        unsigned n_of_unit;           /* that run in the queue's WorkerUnit=, and are there */
        unsigned n_away, n_draining;  /* that take none */
        UT_hash_handle hh;            /* model->crews */
};

Crew *crew_find(const Model *m, const Queue *q, uint64_t user); /* NULL: it has no members */
Worker *crew_first(const Crew *c); /* NULL: nobody has room, or there is no crew */
uint32_t crew_most(const Crew *c);   /* slots of the largest that takes jobs; 0: of none */

/* It is there: into its crews. -ENOMEM: it is in none */
int worker_sit_down(Worker *w);
void worker_stand_up(Worker *w);
/* It takes jobs or not, its slots are used or not: other than before. */
void worker_look_at_room(Worker *w);
