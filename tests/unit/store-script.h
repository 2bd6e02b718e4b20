/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The life of a store in steps, for tests that let things fail or the power go at any place of it. A step that failed is
 * repeated on a model that was loaded again, as the daemon does; what it then leaves is the same. */

#include "store-util.h"

typedef struct Script {
        Directory *directory;
        Store *s;
        Model *m;
        unsigned opened_for; /* this step */
        int error;          /* of the last step */
        char text[256];     /* what it said */
} Script;

#define SCRIPT_N_STEPS 17U

/* The file as it is before the first step. old: one of the first version, with jobs; else there is none. */
void script_prepare(Directory *d, bool old);
void script_remove_files(const Directory *d);
/* 0: done, and durable if *ret_durable; else the error, and nothing was done: script_reload() */
int script_step(Script *x, unsigned i, bool *ret_durable);
/* Makes a transaction of its own, which may be done when the step fails. */
bool script_step_is_alone(unsigned i);
int script_reload(Script *x);
void script_close(Script *x);

/* Stands for all that is in the store. Words may be lost when there is no memory for them; nothing else. */
extern bool script_ignore_reasons;
uint64_t script_digest(sqlite3 *db);
/* Nothing is damaged, and what is counted is what is there. */
void script_check(sqlite3 *db);
/* The digests after each step. */
void script_digests(bool old, uint64_t digests[SCRIPT_N_STEPS]);
