/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sequences of random events, as test-model-naive.c and test-policy-random.c run them. They run in a child, so that whatever ends it (a
 * difference, an assertion, a sanitizer) is caught: then events are left out as long as it still fails, and what is left is printed with
 * all that happens in it. By environment, after the test's prefix:
 *
 *   …_SEED=S …_SEQUENCES=N   other ones, or more of them
 *   …_COUNTS=1               how often what is counted was there
 *   …_REPLAY=S/I/E,E,…       as printed after a failure */

#include "base/macro.h"

typedef struct Event {
        unsigned kind;
        uint64_t dice;
} Event;

typedef struct Sequences {
        const char *prefix;
        uint64_t n;               /* sequences, if the environment does not say */
        unsigned events_min, events_max;
        const unsigned *weights;  /* of each kind */
        unsigned n_kinds;
        /* One; left_out: those that do not happen, or NULL. Whatever is wrong ends the process. */
        void (*run)(uint64_t seed, uint64_t i, const Event *events, const bool *left_out, unsigned n, bool verbose);
        /* After so many, all of them well; false: something that should have happened never did. */
        bool (*done)(uint64_t seed, uint64_t n, bool print);
} Sequences;

/* splitmix64: the next number of these dice. */
uint64_t draw(uint64_t *dice);
/* For main(): its exit status. */
int sequences_run(const Sequences *s);
