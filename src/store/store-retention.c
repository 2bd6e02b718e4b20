/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which ended jobs of a queue have been kept long enough, or are too many: read from two indexes in the order in which they go, those
 * that are kept as their queue says and those that say so themselves. So a new Keep= costs nothing for what is stored. What somebody
 * still needs who comes after it stays until he has ended, and what holds a unique key until its span is over. When they are many,
 * the next look goes on behind them: they hold nobody else back. Nor do they use up the room of KeepMax=: what is behind them may stay
 * until as many are newer than it. */

#include "store/store-internal.h"

#define NEEDED_MAX 1000U                      /* that are passed over in one look */
#define NEEDED_LOOK (60 * USEC_PER_SEC)       /* until the next one */

typedef struct Take {
        uint64_t *ids;
        size_t n, max;
        size_t needed; /* that may go, but for somebody who comes after them */
        uint64_t excess, stay; /* so many are too many, but for those that have to stay */
        const Now *now;
        usec_t next;
        RetentionLook *look;
} Take;

static bool too_many(const Take *t) {
        return t->excess > t->n + t->stay;
}

/* keep is added to what the row says; all: also what might stay, while there are too many. 1: no more now. */
static int take(Store *s, unsigned pass, StatementId id, const char *queue, usec_t keep, bool all, Take *t) {
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        size_t skip = id == STMT_JOB_KEEP_OWN && all ? t->n : 0; /* of them, some are taken already */
        usec_t now = t->now->even;
        int r;

        if (pass < t->look->pass)
                return 0;
        stmt = store_stmt(s, id);
        stmt_bind_text(s, stmt, 1, queue);
        stmt_bind_u64(s, stmt, 2, t->now->steady);
        stmt_bind_u64(s, stmt, 3, pass == t->look->pass ? t->look->at : 0);
        stmt_bind_u64(s, stmt, 4, pass == t->look->pass ? t->look->id : 0);
        while ((r = stmt_step(s, stmt)) > 0) {
                uint64_t job = stmt_u64(stmt, 0);
                usec_t until = usec_add(stmt_u64(stmt, 1), keep);

                for (size_t i = 0; i < skip; i++)
                        if (t->ids[i] == job)
                                job = 0;
                if (job == 0)
                        continue;
                if (until > now && !(all && too_many(t))) {
                        t->next = MIN(t->next, until);
                        return 0;
                }
                if (sqlite3_column_int(stmt, 2)) {
                        t->next = MIN(t->next, usec_add(now, NEEDED_LOOK));
                        t->stay += pass < 2 || until > now; /* else it was met in the first pass */
                        if (++t->needed < NEEDED_MAX)
                                continue;
                        *t->look = (RetentionLook) { .pass = pass, .at = stmt_u64(stmt, 1), .id = job, .next = t->next, .stay = t->stay,
                                                     .stayed = t->look->stayed };
                        t->next = now;
                        return 1;
                }
                if (t->n == t->max) {
                        t->next = now;
                        return 1;
                }
                t->ids[t->n++] = job;
        }
        return r;
}

int store_load_outdated(Store *s, const char *queue, const Now *now, usec_t keep, uint64_t excess, RetentionLook *look, uint64_t *ids,
                        size_t n, size_t *ret_n, usec_t *ret_next) {
        Take t = { .ids = ids, .max = n, .excess = excess, .now = now, .look = look, .stay = look->stay };
        int r;

        t.next = look->id > 0 ? look->next : USEC_INFINITY;
        r = take(s, 0, STMT_JOB_KEEP_OWN, queue, 0, false, &t);
        if (r == 0)
                r = take(s, 1, STMT_JOB_KEEP, queue, keep, true, &t);
        if (r == 0 && too_many(&t))
                r = take(s, 2, STMT_JOB_KEEP_OWN, queue, 0, true, &t);
        if (r < 0)
                return r;
        if (r == 0)
                *look = (RetentionLook) { .stayed = t.stay };
        *ret_n = t.n;
        *ret_next = t.next;
        return 0;
}
