/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is counted of a user, over all his connections, since limits hold for all of them together. Counted where it changes: nobody
 * has to look at a thousand connections for it. Kept as long as a connection of his is. */

#include "base/macro.h"

#include <uthash.h>

typedef struct Account {
        uint32_t uid;
        unsigned n_clients;     /* connections to bus and socket that are known to be his */
        unsigned n_connections; /* those to the socket */
        unsigned n_runs;        /* jobs in the foreground; a client each */
        unsigned n_workers;     /* the same */
        unsigned n_waits;       /* for a job's end */
        unsigned n_aside;       /* calls that wait for something else, */
        unsigned n_polkit;      /* … of which polkit is being asked, */
        unsigned n_calendars;   /* … and systemd, about calendar events */
        size_t aside_size;      /* what these take in memory */
        uint64_t turn;          /* work is of this one */
        unsigned work;          /* that his calls made in it */
        size_t input, output;   /* bytes on the socket: not run yet; not read yet by him */
        UT_hash_handle hh;
} Account;

Account *account_find(Account *all, uint32_t uid); /* NULL: he has no connection */
Account *account_get(Account **all, uint32_t uid); /* for one more; NULL: out of memory */
void account_put(Account **all, Account *a);
