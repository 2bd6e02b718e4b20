/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units of GateUnit=, of one queue or of several. What they mean for a queue is in admission.h. */

#include "base/macro.h"

#include <sys/queue.h>
#include <uthash.h>

typedef struct Model Model;
typedef struct Queue Queue;
typedef struct Gate Gate;

TAILQ_HEAD(GateList, Gate);

/* Of the object of a unit; that of an alias is the unit's which it is one of. */
typedef struct GatePath {
        char *path;
        struct GateList gates;
        UT_hash_handle hh;        /* model->gate_paths */
} GatePath;

struct Gate {
        char *unit;
        char *state;              /* for people: "is inactive", "does not exist"; NULL: not known yet */
        bool open;
        bool look;                /* unit/: it is to be looked at, on model->gate_looks, */
        bool looking, again;      /* … is being looked at; at the next tick */
        GatePath *path;           /* unit/; NULL: not known */
        TAILQ_HEAD(, Queue) queues; /* whose policies name it */
        TAILQ_ENTRY(Gate) look_entry, path_entry;
        UT_hash_handle hh;        /* model->gates, by unit */
};

void gate_look(Model *m, Gate *g, bool look);
GatePath *gate_path(const Model *m, const char *path); /* NULL: it is no gate's */
int gate_set_path(Model *m, Gate *g, const char *path); /* -ENOMEM */

/* Policies were read: those of all queues, one by one, between begin and end. -ENOMEM */
void gates_begin(Model *m);
int gate_want(Model *m, Queue *q);
void gates_end(Model *m);
void gates_done(Model *m);

/* The unit of a gate was seen. load, active: the manager's words. */
void admission_gate_seen(Model *m, Gate *g, const char *load, const char *active);
/* It could not be: it stays shut, and says why. */
void admission_gate_failed(Model *m, Gate *g, const char *error);
/* Another manager, or another connection: nothing is known any more. */
void admission_gates_forget(Model *m);
