/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Accounting: a table of sums by time, queue, type and user, so that reports and charts read some thousand rows and never the jobs.
 *
 * What counts is added to the row of its minute with the commit that records it. Rows that are older than minutes are kept, or too
 * many, are folded into that of their hour, these into that of their day, and the oldest days go: one time each in a transaction. So
 * everything is counted in one row, whichever it is, and the table stays small. How many rows there are is known without counting them: else each
 * minute would cost more the more are kept. Days are those of the local time zone, as they were when
 * they were folded. */

#include "store/store-internal.h"

#include <time.h>

static const char *const span_table[_USAGE_SPAN_MAX] = {
        [USAGE_MINUTES] = "minute",
        [USAGE_HOURS] = "hour",
        [USAGE_DAYS] = "day",
};

const char *usage_span_to_string(UsageSpan s) {
        return span_table[s];
}

/* ---- record ---- */

static void bind_key(Store *s, sqlite3_stmt *stmt, const Usage *u) {
        stmt_bind_u64(s, stmt, 1, u->key.minute);
        stmt_bind_text(s, stmt, 2, u->key.queue);
        stmt_bind_text(s, stmt, 3, u->key.type);
        stmt_bind_u64(s, stmt, 4, u->key.owner);
}

/* 1: it has a row already */
static int is_there(Store *s, const Usage *u) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_USAGE_HAS);

        bind_key(s, stmt, u);
        return stmt_step(s, stmt);
}

static int record_one(Store *s, const Usage *u) {
        int r = s->usage.known ? is_there(s, u) : 1;
        sqlite3_stmt *stmt;

        if (r < 0)
                return r;
        s->usage.n[USAGE_MINUTES] += r == 0;
        stmt = store_stmt(s, STMT_USAGE_ADD);
        bind_key(s, stmt, u);
        for (UsageValue v = 0; v < _USAGE_MAX; v++)
                stmt_bind_i64(s, stmt, 5 + v, (int64_t) MIN(u->values[v], (uint64_t) INT64_MAX));
        return stmt_exec(s, stmt);
}

int store_record_usage(Store *s, const Model *m) {
        const Usage *u;
        int r = 0;

        for (u = m->usage; u && r >= 0; u = u->hh.next)
                r = record_one(s, u);
        return r;
}

/* ---- fold ---- */

usec_t usage_begin(UsageSpan span, usec_t t) {
        time_t seconds = (time_t) (t / USEC_PER_SEC);
        struct tm tm;

        if (span == USAGE_MINUTES || !localtime_r(&seconds, &tm))
                return t - t % USAGE_MINUTE;
        if (span == USAGE_HOURS) /* some zones are off by half an hour */
                seconds -= ((seconds + tm.tm_gmtoff) % 3600 + 3600) % 3600;
        else {
                tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
                tm.tm_isdst = -1;
                seconds = mktime(&tm);
        }
        return seconds <= 0 ? 0 : MIN((usec_t) seconds * USEC_PER_SEC, t);
}

/* One number. at: of those that began then. */
static int look(Store *s, StatementId id, UsageSpan span, usec_t at, uint64_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, id);
        int r;

        stmt_bind_text(s, stmt, 1, span_table[span]);
        if (id == STMT_USAGE_COUNT_AT)
                stmt_bind_u64(s, stmt, 2, at);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        *ret = r > 0 ? stmt_u64(stmt, 0) : UINT64_MAX;
        return 0;
}

/* Once; from then on by what is written. */
static int count(Store *s) {
        int r = 0;

        for (UsageSpan span = 0; !s->usage.known && r >= 0 && span < _USAGE_SPAN_MAX; span++)
                r = look(s, STMT_USAGE_COUNT, span, 0, s->usage.n + span);
        s->usage.known = r >= 0;
        return r;
}

/* Into what is coarser. */
static int write_sums(Store *s, UsageSpan span, usec_t begin) {
        usec_t to = usage_begin(span + 1, begin);
        uint64_t before, after;
        sqlite3_stmt *stmt;
        int r;

        r = look(s, STMT_USAGE_COUNT_AT, span + 1, to, &before);
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_USAGE_FOLD);
        stmt_bind_text(s, stmt, 1, span_table[span]);
        stmt_bind_u64(s, stmt, 2, begin);
        stmt_bind_text(s, stmt, 3, span_table[span + 1]);
        stmt_bind_u64(s, stmt, 4, to);
        r = stmt_exec(s, stmt);
        if (r >= 0)
                r = look(s, STMT_USAGE_COUNT_AT, span + 1, to, &after);
        if (r >= 0)
                s->usage.n[span + 1] += after - before;
        return r;
}

static int write_fold(Store *s, UsageSpan span, usec_t begin) {
        sqlite3_stmt *stmt;
        int r = 0;

        if (span + 1 < _USAGE_SPAN_MAX)
                r = write_sums(s, span, begin);
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_USAGE_DELETE);
        stmt_bind_text(s, stmt, 1, span_table[span]);
        stmt_bind_u64(s, stmt, 2, begin);
        r = stmt_exec(s, stmt);
        if (r >= 0)
                s->usage.n[span] -= (uint64_t) sqlite3_changes(s->db);
        return r;
}

static int fold(Store *s, UsageSpan span, usec_t begin) {
        int r;

        /* What comes back after a power cut is folded again. */
        r = store_begin(s, /* relaxed = */ true);
        if (r < 0)
                return r;
        r = write_fold(s, span, begin);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0) {
                store_rollback(s);
                s->usage.known = false;
        }
        return r;
}

int store_fold_usage(Store *s, usec_t now, const UsageLimits *limits) {
        uint64_t oldest;
        int r;

        r = count(s);
        if (r < 0)
                return r;
        for (UsageSpan span = 0; span < _USAGE_SPAN_MAX; span++) {
                r = look(s, STMT_USAGE_OLDEST, span, 0, &oldest);
                if (r < 0)
                        return r;
                if (oldest == UINT64_MAX || (oldest >= usage_begin(span + 1 < _USAGE_SPAN_MAX ? span + 1 : span,
                                                                   usec_sub(now, limits->keep[span])) && s->usage.n[span] <= limits->rows_max))
                        continue;
                r = fold(s, span, oldest);
                return r < 0 ? r : 1;
        }
        return 0;
}
