/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unique keys as requests meet them. */

#include "api/request.h"

/* Who holds the key now, in memory or in the store: into the model; of an array any. NULL: it is free. */
int unique_find(Model *m, Store *s, const Now *now, const Queue *q, uint32_t owner, const char *key, Job **ret);
/* The start for which it gave its key up was none (Job.unique_wanted): its own again, if it is free. */
int unique_take_again(Model *m, Store *s, const Now *now, Job *j);
/* All who hold it with j, which does: into the model. *ret_n: so many. 1: none of them has been started, so another may take their place; 0.
 * At most *left, from which those that were looked at are taken; -E2BIG: there are more. */
int unique_find_all(Model *m, Store *s, const Now *now, const Job *j, uint64_t *left, uint64_t *ret_n);
/* They are cancelled, and the key is free. */
void unique_replace(Model *m, Job *j, const char *reason, const Now *now);
/* It must be free, or j's own (NULL: nobody's). 1; or NotUnique. */
int unique_check_free(Call *c, const Queue *q, uint32_t owner, const char *key, const Job *j, sd_bus_error *error);

/* What becomes of each of a batch that has a key: it is made, or answered by another one, or takes one's place (Request). *ret_i: the
 * one that is refused. Nothing is changed yet. */
int unique_plan(Call *c, Request *l, size_t n, size_t *ret_i, sd_bus_error *error);
