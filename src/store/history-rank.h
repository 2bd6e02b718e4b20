/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ready jobs by (rank, id), across queues. The index has them by queue: so the first of each queue, and then of the queue whose job was
 * the first of all the next one. A walk costs a look at each queue that has ready jobs, once, and one for each job. */

#include "store/store.h"

typedef struct RankWalk RankWalk;

/* Those behind (rank, id); queues: of these alone, empty: of all. */
int rank_walk_new(Store *s, char *const *queues, int64_t rank, uint64_t id, RankWalk **ret);
RankWalk *rank_walk_free(RankWalk *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(RankWalk *, rank_walk_free);

/* 1, 0: there is no more, or an error. */
int rank_walk_next(RankWalk *w, int64_t *ret_rank, int64_t *ret_id);
