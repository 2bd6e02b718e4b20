/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Events: what became of jobs, numbered, written in the transaction that it is a part of, and kept until there are too many. As JSON, which
 * is how they are read: a row has those of one commit, or some of them.
 *
 * A number is the count of starts (store-starts.c) and, below 2^32, one more than the last: it only grows, and is never used again, also when
 * the end of the log was lost in a power cut. So those of one start follow one another without a gap, and a number that none of the kept ones
 * has was told by a daemon whose work is undone. */

#include "base/json-writer.h"
#include "store/store-internal.h"

#define ROW_EVENTS 1000U
#define TRIM_SHARE 8U  /* when so much of what may be is too much */
#define TRIM_MAX 2000U /* at a time; and twice what is new */

static bool is_event(const Change *c) {
        return c->is_new || c->state_changed || c->was_edited;
}

static void write_event(JsonWriter *w, const Change *c, uint64_t number) {
        json_open(w, '{');
        json_write_key(w, "number");
        json_write_integer(w, (int64_t) number);
        json_write_key(w, "id");
        json_write_integer(w, (int64_t) c->id);
        json_write_key(w, "queue");
        json_write_string(w, c->queue->name);
        json_write_key(w, "owner");
        json_write_integer(w, c->owner);
        json_write_key(w, "state");
        json_write_string(w, job_state_to_string(c->state));
        json_write_key(w, "attempt");
        json_write_integer(w, c->attempt);
        if (c->state == JOB_DONE) {
                json_write_key(w, "result");
                json_write_string(w, job_result_to_string(c->result));
        }
        if (c->is_new) {
                json_write_key(w, "new");
                json_write_bool(w, true);
        }
        json_close(w, '}');
}

void store_announce(Store *s, const Change *changes, size_t n, uint64_t max) {
        s->event.changes = changes;
        s->event.n_changes = n;
        s->event.max = max;
}

/* ---- record ---- */

static int insert_row(Store *s, uint64_t first, uint64_t n, JsonWriter *w) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_EVENT_INSERT);

        JSON_WRITE_LITERAL(w, "\0");
        if (w->failed)
                return -ENOMEM;
        stmt_bind_u64(s, stmt, 1, first);
        stmt_bind_u64(s, stmt, 2, n);
        stmt_bind_text(s, stmt, 3, w->text);
        s->event.count += n;
        return stmt_exec(s, stmt);
}

/* How far the oldest rows go that are not more. */
static int measure(Store *s, uint64_t excess, uint64_t *ret_n, uint64_t *ret_last) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_EVENT_SIZES);
        int r;

        *ret_n = *ret_last = 0;
        while ((r = stmt_step(s, stmt)) > 0 && *ret_n + stmt_u64(stmt, 1) <= excess) {
                *ret_last = stmt_u64(stmt, 0);
                *ret_n += stmt_u64(stmt, 1);
        }
        return r;
}

static int drop(Store *s, uint64_t last) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_EVENT_TRIM);
        char text[32];
        int r;

        stmt_bind_u64(s, stmt, 1, last);
        r = stmt_exec(s, stmt);
        (void) snprintf(text, sizeof(text), "%" PRIu64, last);
        return r < 0 ? r : store_meta_write(s, STORE_META_EVENTS_TRIMMED, text);
}

/* A little in each commit: there may be millions too many where the limit was lowered. */
static int trim(Store *s, uint64_t n_new) {
        uint64_t n, last;
        int r;

        r = measure(s, MIN(s->event.count - s->event.max, TRIM_MAX + 2 * n_new), &n, &last);
        if (r >= 0 && n > 0)
                r = drop(s, last);
        if (r < 0 || n == 0)
                return r;
        s->event.count -= n;
        s->event.trimmed = last;
        return 0;
}

/* The next number, of what is told with this count of starts, is one that nobody was told. */
int store_forget_events(Store *s, uint64_t starts) {
        int r = store_load_events(s);
        return r < 0 ? r : drop(s, MAX(s->event.last + 1, starts << 32));
}

int store_record_events(Store *s) {
        uint64_t before = MAX(s->event.last, s->starts << 32), number = before, first = number + 1;
        JsonWriter w = {};
        int r = 0;

        for (size_t i = 0; i < s->event.n_changes && r >= 0; i++) {
                if (!is_event(s->event.changes + i))
                        continue;
                write_event(&w, s->event.changes + i, ++number);
                if (number + 1 - first < ROW_EVENTS)
                        continue;
                r = insert_row(s, first, number + 1 - first, &w);
                json_writer_done(&w);
                first = number + 1;
        }
        if (r >= 0 && number >= first)
                r = insert_row(s, first, number + 1 - first, &w);
        json_writer_done(&w);
        if (r >= 0 && s->event.count > s->event.max + s->event.max / TRIM_SHARE)
                r = trim(s, number - before);
        s->event.next = number > before ? number : s->event.last;
        return r;
}

/* ---- load ---- */

/* Those of one start, the first behind this number, are counted by their first and last. */
static int count_next(Store *s, uint64_t after) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_EVENT_NEXT_START);
        uint64_t first;
        int r;

        stmt_bind_u64(s, stmt, 1, after);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r;
        first = stmt_u64(stmt, 0);
        s->event.last = MAX(first, stmt_u64(stmt, 1));
        s->event.count += s->event.last + 1 - first;
        return 1;
}

int store_load_events(Store *s) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = store_get_meta(s, STORE_META_EVENTS_TRIMMED, &text);
        if (r < 0 && r != -ENOENT)
                return r;
        s->event.trimmed = text ? strtoull(text, NULL, 10) : 0;
        s->event.count = s->event.last = 0;
        while ((r = count_next(s, s->event.last)) > 0)
                ;
        s->event.last = MAX(s->event.last, s->event.trimmed);
        return r;
}

/* ---- read ---- */

uint64_t store_last_event(const Store *s) {
        return s->event.last;
}

/* The n-th object of the list. None of them has anything in it that looks like a brace. */
static const char *skip(const char *list, uint64_t n) {
        for (; n > 0 && list; n--)
                if ((list = strchr(list + 1, '{')) == NULL)
                        break;
        return list;
}

int store_read_events(Store *s, uint64_t after, event_row_t callback, void *userdata) {
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        bool known = after == 0 || after == s->event.trimmed;
        uint64_t first, last;
        const char *text;
        int r;

        if (after == s->event.last)
                return 0;
        stmt = store_stmt(s, STMT_EVENT_READ);
        stmt_bind_u64(s, stmt, 1, after);
        while ((r = stmt_step(s, stmt)) > 0) {
                first = stmt_u64(stmt, 0);
                last = first + stmt_u64(stmt, 1) - 1;
                known = known || (first <= after && after <= last);
                if (after < last)
                        break;
        }
        if (r < 0 || !known)
                return r < 0 ? r : -ERANGE;
        if (r == 0)
                return 0;
        text = stmt_text(stmt, 2);
        if (text)
                text = skip(text, after + 1 > first ? after + 1 - first : 0);
        if (!text)
                return stmt_no_memory(stmt) ? -ENOMEM : store_set_error(s, -EUCLEAN, "Event %" PRIu64 " cannot be read", first);
        r = callback(userdata, text, last);
        return r < 0 ? r : 1;
}
