/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists of what is recorded.
 *
 * A list is read in two steps. First the ids of one page, with the one key that they are ordered by: from a statement that
 * is put together from the texts in this file, with every value bound as a parameter, and that names the index it walks
 * (INDEXED BY fails rather than read a million rows). Then each row by its id, so that nothing wide is ever sorted.
 *
 * The cursor is the place behind the last row, "letter:key:id", never a number of rows: a page costs the same wherever it
 * lies, and jobs that come and go meanwhile shift nothing. Every list has one, the first page that of the very beginning,
 * hence one text for all pages.
 *
 *   newest, oldest   by id, from the primary key; where states are asked for, from job_state, one way for each, merged; what is dead, or
 *                    has a result that makes it so, from job_dead
 *   rank             ready jobs by (rank, id): from job_ready, merged queue by queue (history-rank.c)
 *   finished         done jobs by (finished_usec, id) from job_finished
 *
 * What else the filter asks for is looked at row by row on that way: at so many rows, and the page ends there, so that no page takes long where
 * few rows or none match. */

#include "store/history.h"

#include "base/parse.h"
#include "base/string-table.h"
#include "store/history-query.h"
#include "store/history-rank.h"
#include "store/store-internal.h"

static const char *const job_order_table[_JOB_ORDER_MAX] = {
        [JOB_ORDER_NEWEST] = "newest",
        [JOB_ORDER_OLDEST] = "oldest",
        [JOB_ORDER_RANK] = "rank",
        [JOB_ORDER_FINISHED] = "finished",
};
DEFINE_STRING_TABLE_LOOKUP(job_order, JobOrder);

void job_row_done(JobRow *r) {
        r->job = job_free(r->job);
        r->attempt = attempt_free(r->attempt);
        r->spec = spec_free(r->spec);
}

static void finalizep(sqlite3_stmt **stmt) {
        sqlite3_finalize(*stmt);
}

/* ---- cursor ---- */

typedef struct Cursor {
        int64_t key, id;
} Cursor;

static const struct Order {
        char letter;
        const char *by;
        Cursor start; /* before the first row that there can be */
} orders[_JOB_ORDER_MAX] = {
        [JOB_ORDER_NEWEST] = { 'n', "id DESC", { 0, INT64_MAX } },
        [JOB_ORDER_OLDEST] = { 'o', "id", { 0, 0 } },
        [JOB_ORDER_RANK] = { 'r', "key, id", { INT64_MIN, 0 } },
        [JOB_ORDER_FINISHED] = { 'f', "key DESC, id DESC", { INT64_MAX, INT64_MAX } },
};

static int cursor_parse(JobOrder order, const char *text, Cursor *ret) {
        Cursor c = orders[order].start;
        _cleanup_free_ char *key = NULL;
        const char *colon;

        if (!isempty(text)) {
                if (text[0] != orders[order].letter || text[1] != ':')
                        return -EINVAL;
                colon = strchr(text + 2, ':');
                if (!colon)
                        return -EINVAL;
                key = strndup(text + 2, colon - text - 2);
                if (!key)
                        return -ENOMEM;
                if (parse_i64(key, &c.key) < 0 || parse_i64(colon + 1, &c.id) < 0)
                        return -EINVAL;
        }
        *ret = c;
        return 0;
}

static char *cursor_format(JobOrder order, const Cursor *c) {
        char *text;

        return asprintf(&text, "%c:%" PRIi64 ":%" PRIi64, orders[order].letter, c->key, c->id) < 0 ? NULL : text;
}

/* ---- ways through the table ---- */

/* Ids are few and found by themselves, in any order. ?1 and ?2 are the cursor. */
static const char *const ways_by_id[_JOB_ORDER_MAX] = {
        [JOB_ORDER_NEWEST] = "SELECT id, 0 AS key FROM job NOT INDEXED WHERE id < ?1",
        [JOB_ORDER_OLDEST] = "SELECT id, 0 AS key FROM job NOT INDEXED WHERE id > ?1",
        [JOB_ORDER_RANK] = "SELECT id, rank AS key FROM job NOT INDEXED"
                           " WHERE state = 'ready' AND (rank, id) > (?2, ?1)",
        [JOB_ORDER_FINISHED] = "SELECT id, ifnull(finished_usec, 0) AS key FROM job NOT INDEXED"
                               " WHERE state = 'done' AND (ifnull(finished_usec, 0), id) < (?2, ?1)",
};

/* What is equal to the cursor's key and what lies behind it are two ways, merged: SQLite does not use an index for both
 * halves of a comparison of pairs where one of them is the primary key. */
static const char way_finished_equal[] = "SELECT id, ifnull(finished_usec, 0) AS key FROM job INDEXED BY job_finished"
                                         " WHERE state = 'done' AND ifnull(finished_usec, 0) = ?2 AND id < ?1";
static const char way_finished_below[] = "SELECT id, ifnull(finished_usec, 0) AS key FROM job INDEXED BY job_finished"
                                         " WHERE state = 'done' AND ifnull(finished_usec, 0) < ?2";

static const char *const ways_by_state[] = {
        [JOB_ORDER_NEWEST] = "SELECT id, 0 AS key FROM job INDEXED BY job_state WHERE id < ?1",
        [JOB_ORDER_OLDEST] = "SELECT id, 0 AS key FROM job INDEXED BY job_state WHERE id > ?1",
};
static const char *const ways_dead[] = {
        [JOB_ORDER_NEWEST] = "SELECT id, 0 AS key FROM job INDEXED BY job_dead WHERE dead = 1 AND id < ?1",
        [JOB_ORDER_OLDEST] = "SELECT id, 0 AS key FROM job INDEXED BY job_dead WHERE dead = 1 AND id > ?1",
};

/* scan: all rows of the way, with a third column that says whether the filter fits. */
static void write_way(FILE *f, const Query *q, const char *way, const char *more, bool scan) {
        const char *from = strstr(way, " FROM job");

        if (scan)
                fprintf(f, "%.*s, (1%s)%s%s", (int) (from - way), way, q->filter, from, more);
        else
                fprintf(f, "%s%s%s", way, more, q->filter);
}

/* One ordered way for each state, which SQLite merges as they are read. */
static void write_states(FILE *f, const Query *q, unsigned states, JobOrder order, bool scan) {
        const char *separator = "";

        for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                if (states & (1U << i)) {
                        char state[64];

                        (void) snprintf(state, sizeof(state), " AND state = '%s'", job_state_to_string(i));
                        fputs(separator, f);
                        write_way(f, q, ways_by_state[order], state, scan);
                        separator = " UNION ALL ";
                }
}

/* They are few, and found by themselves. */
static bool is_by_id(const JobFilter *f) {
        return f->n_ids > 0 || f->flow > 0 || f->array > 0;
}

static void write_ways(FILE *f, const Query *q, const JobFilter *filter, JobOrder order, bool scan) {
        unsigned states = filter->states;
        bool ended = filter->results != 0 && !(filter->results & (1U << JOB_RESULT_NONE)); /* no other has a result */
        bool dead = filter->dead > 0 || (ended && !(filter->results & (1U << JOB_SUCCESS)));

        if (states == 0 && ended)
                states = 1U << JOB_DONE;

        if (is_by_id(filter))
                fprintf(f, "%s%s", ways_by_id[order], q->filter);
        else if (order == JOB_ORDER_FINISHED) {
                write_way(f, q, way_finished_equal, "", scan);
                fputs(" UNION ALL ", f);
                write_way(f, q, way_finished_below, "", scan);
        } else if (dead)
                write_way(f, q, ways_dead[order], "", scan);
        else if (states != 0)
                write_states(f, q, states, order, scan);
        else
                write_way(f, q, ways_by_id[order], "", scan);
}

static char *list_text(const Query *q, const JobFilter *filter, JobOrder order, bool scan) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        write_ways(f, q, filter, order, scan);
        fprintf(f, " ORDER BY %s LIMIT ?3", orders[order].by);
        bool failed = ferror(f);
        if (fclose(f) != 0 || failed)
                return mfree(text);
        return text;
}

/* ---- pages ---- */

typedef struct Page {
        Cursor *rows;
        size_t n, capacity;
        Cursor last;  /* of those that were looked at */
        bool ended;   /* there, because they were enough */
} Page;

static int page_add(Page *p, int64_t key, int64_t id) {
        if (p->n >= p->capacity) {
                size_t capacity = MAX(p->capacity * 2, (size_t) 64);
                Cursor *rows = realloc(p->rows, capacity * sizeof(Cursor));
                if (!rows)
                        return -ENOMEM;
                p->rows = rows;
                p->capacity = capacity;
        }
        p->rows[p->n++] = (Cursor) { .key = key, .id = id };
        return 0;
}

#define SCAN_MAX 5000       /* rows that are looked at for a page: some ten milliseconds */
#define SCAN_TAGS_MAX 1000  /* … also at their specs */

/* Whether the filter fits one row, whose id is the cursor's. */
static int row_fits(Store *s, sqlite3_stmt *stmt, int64_t id) {
        int r;

        if (!stmt)
                return 1;
        stmt_bind_i64(s, stmt, PARAMETER_CURSOR_ID, id);
        r = stmt_step(s, stmt);
        (void) sqlite3_reset(stmt);
        return r;
}

static int page_read_ranks(Store *s, const JobFilter *f, Query *q, uint32_t limit, int64_t n, Page *p) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        _cleanup_(rank_walk_freep) RankWalk *walk = NULL;
        char *text;
        int r = 0;

        if (!isempty(q->filter)) {
                if (asprintf(&text, "SELECT 1 FROM job NOT INDEXED WHERE id = ?1%s", q->filter) < 0)
                        return -ENOMEM;
                r = query_prepare(s, q, text, &stmt);
        }
        if (r >= 0)
                r = rank_walk_new(s, f->queues, p->last.key, (uint64_t) p->last.id, &walk);
        while (r >= 0 && p->n <= limit && (r = rank_walk_next(walk, &p->last.key, &p->last.id)) > 0) {
                p->ended = stmt && --n == 0;
                r = row_fits(s, stmt, p->last.id);
                if (r > 0)
                        r = page_add(p, p->last.key, p->last.id);
                if (p->ended)
                        break;
        }
        return r;
}

/* scan: there is more to look at than what the way itself gives. */
static int page_read_way(Store *s, const JobFilter *f, JobOrder order, Query *q, uint32_t limit, bool scan, int64_t n, Page *p) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        char *text;
        int r;

        text = list_text(q, f, order, scan);
        if (!text)
                return -ENOMEM;
        r = query_prepare(s, q, text, &stmt);
        if (r < 0)
                return r;
        while (p->n <= limit && (r = stmt_step(s, stmt)) > 0) {
                p->last = (Cursor) { .key = sqlite3_column_int64(stmt, 1), .id = sqlite3_column_int64(stmt, 0) };
                p->ended = scan && --n == 0;
                if (scan && !sqlite3_column_int(stmt, 2))
                        continue;
                r = page_add(p, p->last.key, p->last.id);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Up to one row more than limit, which tells whether there is another page. */
static int page_read(Store *s, const JobFilter *f, JobOrder order, const Cursor *after, uint32_t limit, Page *ret) {
        _cleanup_(query_done) Query q;
        bool scan;
        int64_t n;
        int r;

        r = query_init(&q, f, "");
        if (r >= 0 && f->collapse)
                r = query_collapse(&q, order);
        if (r < 0)
                return r;
        scan = !is_by_id(f) && !isempty(q.filter);
        n = scan ? MAX((int64_t) limit + 1, f->tags ? SCAN_TAGS_MAX : SCAN_MAX) : (int64_t) limit + 1;
        q.parameters[PARAMETER_CURSOR_ID].number = after->id;
        q.parameters[PARAMETER_CURSOR_KEY].number = after->key;
        q.parameters[PARAMETER_LIMIT].number = n;
        ret->last = *after;
        if (order == JOB_ORDER_RANK && !is_by_id(f))
                return page_read_ranks(s, f, &q, limit, n, ret);
        return page_read_way(s, f, order, &q, limit, scan, n, ret);
}

int history_get(Store *s, uint64_t id, bool with_spec, JobRow *ret) {
        _cleanup_(job_row_done) JobRow row = {};
        int r;

        r = store_load_job(s, id, &row.job);
        if (r < 0)
                return r;
        if (row.job->attempt > 0) {
                r = store_load_attempt(s, id, row.job->attempt, &row.attempt);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        if (with_spec) {
                r = store_read_spec(s, row.job, &row.spec);
                if (r < 0)
                        return r;
        }
        *ret = row;
        row = (JobRow) {};
        return 0;
}

int history_list(Store *s, const JobFilter *f, JobOrder order, const char *cursor, uint32_t limit, bool with_spec,
                 job_row_t callback, void *userdata, char **ret_next) {
        _cleanup_free_ Cursor *rows = NULL;
        _cleanup_free_ char *next = NULL;
        Page page = {};
        Cursor after;
        size_t n;
        int r;

        r = cursor_parse(order, cursor, &after);
        if (r < 0)
                return r;
        r = page_read(s, f, order, &after, limit, &page);
        rows = page.rows;
        if (r < 0)
                return r;

        n = MIN(page.n, (size_t) limit);
        for (size_t i = 0; i < n; i++) {
                _cleanup_(job_row_done) JobRow row = {};

                r = history_get(s, rows[i].id, with_spec, &row);
                if (r == -ENOENT) /* the callback took it away */
                        continue;
                if (r < 0)
                        return r;
                r = callback(userdata, &row);
                if (r < 0)
                        return r;
                if (r > 0)
                        n = i + 1;
        }

        if (page.n > n)
                next = cursor_format(order, n > 0 ? rows + n - 1 : &after);
        else if (page.ended)
                next = cursor_format(order, &page.last);
        else
                next = strdup("");
        if (!next)
                return -ENOMEM;
        *ret_next = TAKE_PTR(next);
        return 0;
}

static int read_attempts(Store *s, StatementId which, uint64_t job, attempt_row_t callback, void *userdata) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, which);
        int r;

        stmt_bind_u64(s, stmt, 1, job);
        while ((r = stmt_step(s, stmt)) > 0) {
                _cleanup_(attempt_freep) Attempt *a = NULL;

                r = attempt_from_row(s, stmt, &a);
                if (r < 0)
                        return r;
                r = callback(userdata, a);
                if (r != 0)
                        return r;
        }
        return r;
}

int history_attempts(Store *s, uint64_t job, attempt_row_t callback, void *userdata) {
        return read_attempts(s, STMT_ATTEMPT_ALL, job, callback, userdata);
}

int history_attempts_newest(Store *s, uint64_t job, attempt_row_t callback, void *userdata) {
        return read_attempts(s, STMT_ATTEMPT_NEWEST, job, callback, userdata);
}

/* The ways of the order "oldest" know no key, so ?2 is free for the end of the range. */
static int query_range(Store *s, Query *q, const JobFilter *f, uint64_t after, uint64_t until, const char *before,
                       const char *behind, sqlite3_stmt **ret) {
        char *text = NULL;
        size_t size;
        FILE *stream;
        bool failed;
        int r;

        r = query_init(q, f, " AND id <= ?2");
        if (r < 0)
                return r;
        q->parameters[PARAMETER_CURSOR_ID].number = (int64_t) MIN(after, (uint64_t) INT64_MAX);
        q->parameters[PARAMETER_CURSOR_KEY].number = (int64_t) MIN(until, (uint64_t) INT64_MAX);
        stream = open_memstream(&text, &size);
        if (!stream)
                return -ENOMEM;
        fputs(before, stream);
        write_ways(stream, q, f, JOB_ORDER_OLDEST, false);
        fputs(behind, stream);
        failed = ferror(stream);
        if (fclose(stream) != 0 || failed) {
                free(text);
                return -ENOMEM;
        }
        return query_prepare(s, q, text, ret);
}

int history_ids(Store *s, const JobFilter *f, uint64_t after, uint64_t until, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        _cleanup_(query_done) Query q;
        size_t k = 0;
        int r;

        r = query_range(s, &q, f, after, until, "", " ORDER BY id", &stmt);
        if (r < 0)
                return r;
        while (k < n && (r = stmt_step(s, stmt)) > 0)
                ids[k++] = sqlite3_column_int64(stmt, 0);
        if (r < 0)
                return r;
        *ret_n = k;
        return 0;
}

int history_count(Store *s, const JobFilter *f, uint64_t after, uint64_t until, uint64_t *ret) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        _cleanup_(query_done) Query q;
        int r;

        r = query_range(s, &q, f, after, until, "SELECT count(*) FROM (", ")", &stmt);
        if (r < 0)
                return r;
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        *ret = sqlite3_column_int64(stmt, 0);
        return 0;
}
