/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether the rows of the store fit together, a part at a time. What belongs to one job is looked at in order of ids, so many of a table
 * in each step. Sums can only be compared at once, which is not done where it would take long. */

#include "store/store-internal.h"

#define ROWS_PER_STEP 10000
#define ROWS_AT_ONCE 300000
#define BYTES_AT_ONCE (64U * 1024U * 1024U)

/* Of each table: where the next part ends, and what is wrong in it. ?1: behind this, ?2: up to that */
static const struct Part {
        const char *end, *wrong, *kind, *text;
} parts[] = {
        { "SELECT count(*), max(id) FROM (SELECT id FROM job WHERE id > ?1 ORDER BY id LIMIT ?2)",
          "SELECT id FROM job WHERE id > ?1 AND id <= ?2 AND NOT EXISTS (SELECT 1 FROM job_spec WHERE job = id)",
          "job-without-spec", "its spec is not in the store: it cannot be started" },
        { "SELECT count(*), max(id) FROM (SELECT id FROM job WHERE id > ?1 ORDER BY id LIMIT ?2)",
          "SELECT id FROM job j WHERE id > ?1 AND id <= ?2 AND attempt > 0 AND state IN ('starting', 'running', 'stopping')"
          " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job = j.id AND a.attempt = j.attempt)",
          "job-without-attempt", "it is live, and its attempt is not in the store" },
        { "SELECT count(*), max(job) FROM (SELECT job FROM job_spec WHERE job > ?1 ORDER BY job LIMIT ?2)",
          "SELECT job FROM job_spec WHERE job > ?1 AND job <= ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE id = job)",
          "spec-without-job", "there is a spec, but no such job" },
        { "SELECT count(*), max(job) FROM (SELECT job FROM attempt WHERE job > ?1 ORDER BY job LIMIT ?2)",
          "SELECT DISTINCT job FROM attempt WHERE job > ?1 AND job <= ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE id = job)",
          "attempt-without-job", "there are attempts, but no such job" },
};

/* All at once: each row is a text. */
static const struct Sum {
        const char *sql, *kind;
} sums[] = {
        { "WITH r AS (SELECT queue, sum(state = 'held') a, sum(state = 'waiting') b, sum(state = 'ready') c,"
          " sum(state = 'starting') d, sum(state = 'running') e, sum(state = 'stopping') f, sum(state = 'done') g, sum(dead) h"
          " FROM job GROUP BY queue)"
          " SELECT 'queue ' || name || ': its counters are not what is in it' FROM queue LEFT JOIN r ON r.queue = name"
          " WHERE held != ifnull(a, 0) OR waiting != ifnull(b, 0) OR ready != ifnull(c, 0) OR starting != ifnull(d, 0)"
          " OR running != ifnull(e, 0) OR stopping != ifnull(f, 0) OR done != ifnull(g, 0) OR dead != ifnull(h, 0)"
          " UNION ALL SELECT 'queue ' || queue || ': has jobs, and no counters' FROM r WHERE queue NOT IN (SELECT name FROM queue)",
          "counters" },
        { "WITH r AS (SELECT queue, owner, count(*) k FROM job WHERE state IN ('held', 'waiting', 'ready') GROUP BY 1, 2)"
          " SELECT 'queue ' || queue || ': user ' || owner || ' does not have as many jobs queued as is counted' FROM"
          " (SELECT queue, owner, n FROM backlog EXCEPT SELECT queue, owner, k FROM r"
          "  UNION SELECT * FROM (SELECT queue, owner, k FROM r EXCEPT SELECT queue, owner, n FROM backlog))"
          " GROUP BY queue, owner",
          "counters" },
        { "WITH r AS (SELECT environment e, count(*) k FROM job WHERE environment > 0 GROUP BY 1)"
          " SELECT 'environment ' || id || ': ' || ifnull(k, 0) || ' jobs have it, ' || refs || ' are counted'"
          " FROM environment LEFT JOIN r ON e = id WHERE refs != ifnull(k, 0)"
          " UNION ALL SELECT 'environment ' || e || ': jobs have it, and it is not in the store' FROM r"
          " WHERE e NOT IN (SELECT id FROM environment) OR e NOT IN (SELECT environment FROM environment_content)"
          " UNION ALL SELECT 'environment ' || environment || ': nobody knows this content' FROM environment_content"
          " WHERE environment NOT IN (SELECT id FROM environment)",
          "environment" },
        { "WITH r AS (SELECT caller u, count(*) k FROM receipt GROUP BY 1)"
          " SELECT 'user ' || caller || ': ' || ifnull(k, 0) || ' request ids are remembered, ' || n || ' are counted'"
          " FROM receipt_count LEFT JOIN r ON u = caller WHERE n != ifnull(k, 0)",
          "receipts" },
        { "PRAGMA quick_check(20)", "damaged" },
};

static int check_prepare(Store *s, const char *sql, sqlite3_stmt **ret) {
        int rc = sqlite3_prepare_v2(s->db, sql, -1, ret, NULL);
        return rc == SQLITE_OK ? 0 : store_sqlite_error(s, rc);
}

static void finalizep(sqlite3_stmt **stmt) {
        (void) sqlite3_finalize(*stmt);
}

static int check_part(Store *s, const struct Part *p, StoreCheck *k, store_finding_t found, void *userdata) {
        _cleanup_(finalizep) sqlite3_stmt *end = NULL, *wrong = NULL;
        uint64_t n, last;
        int r;

        r = check_prepare(s, p->end, &end);
        if (r < 0)
                return r;
        (void) sqlite3_bind_int64(end, 1, k->after);
        (void) sqlite3_bind_int64(end, 2, ROWS_PER_STEP);
        r = stmt_step(s, end);
        if (r < 0)
                return r;
        n = stmt_u64(end, 0);
        last = stmt_u64(end, 1);
        if (r == 0 || n == 0)
                return 0;
        r = check_prepare(s, p->wrong, &wrong);
        if (r < 0)
                return r;
        (void) sqlite3_bind_int64(wrong, 1, k->after);
        (void) sqlite3_bind_int64(wrong, 2, last);
        while ((r = stmt_step(s, wrong)) > 0) {
                r = found(userdata, p->kind, stmt_u64(wrong, 0), p->text);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        k->after = last;
        k->rows += k->step == 0 ? n : 0;
        return n < ROWS_PER_STEP ? 0 : 1;
}

static int check_sum(Store *s, const struct Sum *sum, StoreCheck *k, store_finding_t found, void *userdata) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        int r;

        if (k->rows > ROWS_AT_ONCE || store_size(s) > BYTES_AT_ONCE) {
                k->skipped = true;
                return 0;
        }
        r = check_prepare(s, sum->sql, &stmt);
        while (r >= 0 && (r = stmt_step(s, stmt)) > 0) {
                const char *text = stmt_text(stmt, 0);

                if (text && !streq(text, "ok"))
                        r = found(userdata, sum->kind, 0, text);
        }
        return r;
}

int store_check_step(Store *s, StoreCheck *k, store_finding_t found, void *userdata) {
        int r;

        if (k->step < ELEMENTSOF(parts))
                r = check_part(s, parts + k->step, k, found, userdata);
        else
                r = check_sum(s, sums + k->step - ELEMENTSOF(parts), k, found, userdata);
        if (r != 0)
                return r;
        k->after = 0;
        return ++k->step < ELEMENTSOF(parts) + ELEMENTSOF(sums);
}
