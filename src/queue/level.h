/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who comes first at one level of the tree of queues: the best of the queue's own ready jobs, or of what the queues below it offer, by
 * the order of this level. Kept, not looked for: what changes costs the logarithm of how many there are.
 *
 * A level compares groups of sources. Where it is fair there is one group for each owner, else one for all. A source is the head
 * of the own jobs of a group, or what a queue below offers. */

#include "queue/heap.h"

#include <sys/queue.h>
#include <uthash.h>

typedef struct Queue Queue;
typedef struct Schedule Schedule;
typedef struct Group Group;
typedef struct Level Level;

/* A ready job as the scheduler sees it. */
typedef struct Candidate {
        int64_t rank;     /* as stored: by the order of its own queue */
        uint64_t id;
        int64_t key;      /* submission key */
        int32_t priority;
        uint32_t slots;
        uint32_t owner;
} Candidate;

typedef struct Source {
        HeapNode node;    /* first member */
        Group *group;     /* in which it stands; NULL: there is nothing */
        Queue *child;     /* whose offer it is; NULL: it is of the queue itself */
        bool unknown;     /* what comes first there is on disk */
        Candidate c;
} Source;

struct Group {
        HeapNode node;    /* first member; among the groups of its level */
        bool listed;      /* there */
        HeapNode *sources;
        Level *level;
        uint32_t owner;   /* where the level is fair */
        uint64_t slots_used; /* there, by him, in all of the subtree */
        /* The own ready jobs: */
        Source own;
        Candidate *window; /* those of lowest rank, sorted by (rank, id) */
        uint32_t n_window, window_capacity;
        uint32_t cursor;  /* decide: the next of the window to look at */
        bool window_more; /* the store has ready jobs that are not in the window */
        bool skipped;     /* decide: on the list of those whose cursor is to be set back */
        bool skipped_all; /* … and what lies on disk is passed over, too, as this one cannot start: */
        uint64_t skipped_for;
        uint32_t skipped_slots; /* so many it needs */
        TAILQ_ENTRY(Group) skipped_entry;
        UT_hash_handle hh; /* level->owners */
};

struct Level {
        Schedule *schedule;
        Queue *queue;     /* NULL: the root */
        usec_t ageing;    /* 0: by priority, then id */
        bool fair;
        Group all;        /* unless it is fair */
        Group *owners;
        HeapNode *groups;
};

/* The order of a queue: smallest first, then id. */
struct Schedule {
        Level top;        /* the root: by priority, then id */
        TAILQ_HEAD(TouchedList, Queue) touched; /* what they offer may be another than it was */
        TAILQ_HEAD(SkippedList, Group) skipped;
        TAILQ_HEAD(LackingList, Queue) lacking; /* some slots are free there, but too few for the first: it is to be asked whether it could start at all */
        uint32_t n_away;  /* ready jobs that may be passed over one by one, as nobody is there to be told (run.h) */
        bool missed;      /* a process in the foreground was there and is not: all that lack slots are to be asked of again */
        Group *wanted;    /* its window is to be read before anything else can start; NULL: none */
        uint32_t n_groups; /* that may have a window */
        bool stale;       /* all of it is to be made anew: a policy changed, or there was no memory */
};

int64_t rank_of(usec_t ageing, int32_t priority, int64_t key);

void level_init(Level *l, Schedule *s, Queue *q);
void level_done(Level *l);
/* The first of all, NULL: there is none. */
const Source *level_first(const Level *l);
/* The place of this owner's own jobs. NULL: there is none yet. */
Group *level_group(Level *l, uint32_t owner);
Group *level_group_make(Level *l, uint32_t owner); /* NULL: out of memory */
/* It is no longer needed, maybe. */
void level_group_drop(Group *g);
/* c NULL: nothing. */
void level_offer(Level *l, Source *s, const Candidate *c, bool unknown);
void level_use(Level *l, uint32_t owner, int64_t slots);

/* ---- windows: the true head of the ready backlog ---- */

/* Insert sorted, drop, empty. Insert keeps at most max and sets window_more for what fell out. -ENOMEM */
int window_insert(Group *g, const Candidate *c, uint32_t max);
void window_remove(Group *g, uint64_t id);
void window_clear(Group *g);
