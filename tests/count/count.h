/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* What a process has done, for tests that compare it at n and at 10 n of something, as times would not do: basic blocks of our code that
 * were entered, steps of SQLite's machine, and allocations; and the memory that it holds. Only a build with -Dcrash-points=true counts. */
typedef struct Count {
        uint64_t blocks;
        uint64_t steps;
        uint64_t allocations; /* of the whole process, libraries and all */
        uint64_t bytes;       /* allocated and not freed */
} Count;

extern Count *count; /* the file $JOBMILL_COUNT, if there is one, so that others can read it */
