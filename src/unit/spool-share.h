/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who gives how much back where the spools of running attempts fill their tmpfs. Pure. Owners first: each keeps an even share, and what
 * others do not need of theirs; within an owner's the streams that hold most give first. So nobody takes room of another one's by having more
 * jobs, and who holds no more than his share loses nothing. */

#include "queue/verdict.h"
#include "unit/spool.h"

/* Never less of a stream: what a verdict and the longest tail are read from. */
#define SPOOL_KEEP_MIN ((uint64_t) 2 * VERDICT_MAX + 8192)

typedef struct SpoolUse {
        Attempt *attempt;
        uint32_t owner;
        uint64_t held[_SPOOL_STREAM_MAX];
        uint64_t keep; /* so much of each stream stays; UINT64_MAX: all */
} SpoolUse;

/* Sets keep of each, so that all together take no more than room but for SPOOL_KEEP_MIN. Changes their order. -ENOMEM */
int spool_share(SpoolUse *uses, size_t n, uint64_t room);
/* Which one must go, as they take more than room even so: the one that holds most, of the owner who holds most. NULL: none. */
SpoolUse *spool_greediest(SpoolUse *uses, size_t n, uint64_t room);
uint64_t spool_held(const SpoolUse *uses, size_t n);
