/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of the small model: places in arrays, unique keys, start deadlines. */

#include "queue/model.h"

typedef struct Naive Naive;

#define ARRAYS_COVERED(X)                                                                                               \
        X(array_submitted) X(array_place_given) X(array_held_gives_place) X(array_done_gives_place)                     \
        X(array_retried_waits) X(array_limit_changed) X(array_place_taken) X(key_replaced_array)

/* Arrays: who is to have a place; 0: nobody, or there is none. It is given, or taken away again. */
unsigned naive_array_next(const Naive *n, unsigned array);
unsigned naive_array_used(const Naive *n, unsigned array);
void naive_give_place(Naive *n, unsigned id, const Now *now);
void naive_take_place(Naive *n, unsigned id);
bool naive_array_is_full(const Naive *n, unsigned array);
/* Between its files. */
void naive_become(Naive *n, unsigned id, JobState state);
/* Who has this key in that queue; 0: nobody. */
bool naive_key_is_locked(const Naive *n, unsigned id, const Now *now); /* by one that is done */
void naive_take_key_again(Naive *n, unsigned id, const Now *now); /* its start was none */
unsigned naive_holder(Naive *n, unsigned q, unsigned owner, unsigned key, const Now *now);
/* How many hold it with that one, if none of them has been started; 0: one has. They are cancelled, and hold it no more. */
unsigned naive_replaceable(const Naive *n, unsigned holder, const Now *now);
void naive_replace(Naive *n, unsigned holder);
bool naive_is_expired(const Naive *n, unsigned id, const Now *now);
void naive_expire(Naive *n, unsigned id, const Now *now);
