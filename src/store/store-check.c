/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether the rows of the store fit together, a part at a time, and mending what is not. What belongs to one job is looked at in order of
 * ids, so many of a table in each step. Sums can only be compared at once, which is not done where it would take long, but for a
 * repair.
 *
 * What is mended follows from rows that are there: sums are made again, what belongs to nothing is dropped. Nothing is invented: a job
 * that has lost its spec stays without. In a file that is itself damaged nothing is mended. */

#include "store/store-internal.h"

#define ROWS_PER_STEP 10000
#define ROWS_AT_ONCE 300000
#define BYTES_AT_ONCE (64U * 1024U * 1024U)

/* Lists of failures rely on that. */
#define IS_DEAD "(state = 'done' AND result IS NOT 'success')"
#define JOBS_IN_ORDER "SELECT count(*), max(id) FROM (SELECT id FROM job WHERE id > ?1 ORDER BY id LIMIT ?2)"

/* Of each table: where the next part ends, and what is wrong in it. ?1: behind this, ?2: up to that. mends: NULL ends */
static const struct Part {
        const char *end, *wrong, *kind, *text, *mend, *mends[2];
} parts[] = {
        { JOBS_IN_ORDER, "SELECT id FROM job WHERE id > ?1 AND id <= ?2 AND dead != " IS_DEAD,
          "dead", "it counts as dead and is not, or the other way round", "it is set right",
          { "UPDATE job SET dead = " IS_DEAD " WHERE dead != " IS_DEAD } },
        { JOBS_IN_ORDER, "SELECT id FROM job WHERE id > ?1 AND id <= ?2 AND NOT EXISTS (SELECT 1 FROM job_spec WHERE job = job.id)"
                         " AND NOT EXISTS (SELECT 1 FROM array WHERE array.id = job.array)",
          "job-without-spec", "its spec is not in the store: it cannot be started; cancel it, and purge it", NULL, {} },
        { JOBS_IN_ORDER,
          "SELECT id FROM job j WHERE id > ?1 AND id <= ?2 AND state IN ('starting', 'running', 'stopping')"
          " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job = j.id AND a.attempt = j.attempt)",
          "job-without-attempt", "it is live, and its attempt is not in the store", "it is lost",
          { "UPDATE job SET state = 'done', result = 'lost', intent = NULL, reason = 'its attempt is not in the store', dead = 1,"
            " finished_usec = ?1 WHERE state IN ('starting', 'running', 'stopping')"
            " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job = job.id AND a.attempt = job.attempt)" } },
        { "SELECT count(*), max(job) FROM (SELECT job FROM job_spec WHERE job > ?1 ORDER BY job LIMIT ?2)",
          "SELECT job FROM job_spec WHERE job > ?1 AND job <= ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE id = job)",
          "spec-without-job", "there is a spec, but no such job", "it is dropped",
          { "DELETE FROM job_spec WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = job)" } },
        { "SELECT count(*), max(job) FROM (SELECT job FROM attempt WHERE job > ?1 ORDER BY job LIMIT ?2)",
          "SELECT DISTINCT job FROM attempt WHERE job > ?1 AND job <= ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE id = job)",
          "attempt-without-job", "there are attempts, but no such job", "they are dropped",
          { "DELETE FROM attempt WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = job)" } },
        { "SELECT count(*), max(job) FROM (SELECT job FROM edge WHERE job > ?1 ORDER BY job LIMIT ?2)",
          "SELECT DISTINCT job FROM edge WHERE job > ?1 AND job <= ?2 AND NOT EXISTS (SELECT 1 FROM job WHERE id = job)",
          "edge-without-job", "there is something that it waits for, but no such job", "it is dropped",
          { "DELETE FROM edge WHERE NOT EXISTS (SELECT 1 FROM job WHERE id = job)" } },
};

#define QUEUE_SUMS \
        "SELECT queue, sum(state = 'held') a, sum(state = 'waiting') b, sum(state = 'ready') c, sum(state = 'starting') d," \
        " sum(state = 'running') e, sum(state = 'stopping') f, sum(state = 'done') g, sum(dead) h FROM job NOT INDEXED GROUP BY queue"
#define ARRAY_SUMS \
        "SELECT array i, sum(array_waits = 0 AND state NOT IN ('held', 'done')) u, sum(state = 'held') a, sum(state = 'waiting') b," \
        " sum(state = 'ready') c, sum(state = 'starting') d, sum(state = 'running') e, sum(state = 'stopping') f, sum(state = 'done') g," \
        " sum(dead) h FROM job NOT INDEXED WHERE array IS NOT NULL GROUP BY array"
#define BACKLOG_SUMS \
        "SELECT queue, owner, count(*) k FROM job NOT INDEXED WHERE state IN ('held', 'waiting', 'ready') GROUP BY 1, 2"
#define ROOM_SUMS \
        "SELECT o, sum(b) k FROM (SELECT owner o, " ROOM_OF_JOB " b FROM job NOT INDEXED" \
        " UNION ALL SELECT (SELECT owner FROM job WHERE job.id >= array.id AND job.id < array.id + array.n AND job.array = array.id LIMIT 1), " \
        ROOM_OF_SPEC " FROM array" \
        " UNION ALL SELECT owner, " ROOM_OF_ENVIRONMENT " FROM environment_content JOIN environment ON id = environment" \
        " UNION ALL SELECT caller, " ROOM_OF_RECEIPT " FROM receipt" \
        " UNION ALL SELECT owner, " ROOM_OF_TIMER " FROM timer) WHERE o IS NOT NULL GROUP BY o"
#define ENVIRONMENT_SUMS "SELECT environment e, count(*) k FROM job WHERE environment > 0 GROUP BY 1"
#define EDGES_OPEN "count(*) FROM edge AS e WHERE e.job = job.id AND e.met = 0"
/* One that is purged has no end any more that could be told: what waits for it is as if it were told already. */
#define EDGE_OVERDUE \
        "CASE WHEN j.id IS NULL THEN 'is not there' ELSE 'has ended' END FROM edge AS e LEFT JOIN job AS j ON j.id = e.before" \
        " WHERE e.met = 0 AND (j.id IS NULL OR j.state = 'done') AND e.before NOT IN (SELECT job FROM ended)"
#define IMPOSSIBLE_QUEUE "(name = '' OR length(name) > 64 OR name GLOB '*[^a-z0-9_-]*')"
#define INDEX_DIFFERS(name, where) \
        "SELECT 'index " name ": does not have the rows of its table' WHERE (SELECT count(*) FROM job NOT INDEXED WHERE " where ")" \
        " != (SELECT count(*) FROM job INDEXED BY " name " WHERE " where ")"

/* All at once: each row is a text. */
static const struct Sum {
        const char *sql, *kind, *mend, *mends[6];
} sums[] = {
        /* Before what is counted by them. */
        { INDEX_DIFFERS("job_ready", "state = 'ready'") " UNION ALL " INDEX_DIFFERS("job_due", "state = 'waiting' AND blockers = 0")
          " UNION ALL " INDEX_DIFFERS("job_dead", "dead = 1") " UNION ALL " INDEX_DIFFERS("job_finished", "state = 'done'")
          " UNION ALL " INDEX_DIFFERS("job_state", "state > ''") " UNION ALL " INDEX_DIFFERS("job_deadline", JOB_WITH_DEADLINE)
          " UNION ALL " INDEX_DIFFERS("job_unique", "unique_held = 1")
          " UNION ALL " INDEX_DIFFERS("job_array_waiting", "array_waits = 1 AND state = 'waiting'"),
          "index", "it is made again", { "REINDEX job" } },
        { "SELECT 'a queue has the impossible name \"' || name || '\"' FROM queue WHERE " IMPOSSIBLE_QUEUE
          " AND name NOT IN (SELECT queue FROM job)",
          "queue", "it is dropped", { "DELETE FROM queue WHERE " IMPOSSIBLE_QUEUE " AND name NOT IN (SELECT queue FROM job)" } },
        { "SELECT DISTINCT 'job ' || before || ': jobs wait for it, and it ' || " EDGE_OVERDUE,
          "edges", "they are decided, as by its end",
          { "INSERT OR IGNORE INTO ended SELECT before FROM (SELECT before, " EDGE_OVERDUE ")" } },
        { "SELECT 'job ' || id || ': waits for ' || (array_waits + (SELECT " EDGES_OPEN ")) || ' jobs, ' || blockers || ' are counted' FROM job NOT INDEXED"
          " WHERE blockers != array_waits + (SELECT " EDGES_OPEN ")",
          "edges", "they are counted again",
          { "UPDATE job SET blockers = array_waits + (SELECT " EDGES_OPEN ") WHERE blockers != array_waits + (SELECT " EDGES_OPEN ")",
            "UPDATE job SET not_before_usec = 0 WHERE state = 'waiting' AND blockers = 0 AND not_before_usec IS NULL" } },
        { "WITH r AS (" QUEUE_SUMS ")"
          " SELECT 'queue ' || name || ': its counters are not what is in it' FROM queue LEFT JOIN r ON r.queue = name"
          " WHERE held != ifnull(a, 0) OR waiting != ifnull(b, 0) OR ready != ifnull(c, 0) OR starting != ifnull(d, 0)"
          " OR running != ifnull(e, 0) OR stopping != ifnull(f, 0) OR done != ifnull(g, 0) OR dead != ifnull(h, 0)"
          " UNION ALL SELECT 'queue ' || queue || ': has jobs, and no counters' FROM r WHERE queue NOT IN (SELECT name FROM queue)",
          "counters", "it is counted again",
          { "INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
            " SELECT DISTINCT queue, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM job"
            " WHERE queue NOT IN (SELECT name FROM queue)",
            "WITH r AS (" QUEUE_SUMS "), n AS (SELECT * FROM queue LEFT JOIN r ON r.queue = name)"
            " UPDATE queue SET held = ifnull(a, 0), waiting = ifnull(b, 0), ready = ifnull(c, 0), starting = ifnull(d, 0),"
            " running = ifnull(e, 0), stopping = ifnull(f, 0), done = ifnull(g, 0), dead = ifnull(h, 0) FROM n"
            " WHERE n.name = queue.name" } },
        { "SELECT 'array ' || id || ': there is none of its jobs' FROM array WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.array = array.id)",
          "array", "it is dropped", { "DELETE FROM array WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.array = array.id)" } },
        { "WITH r AS (" ARRAY_SUMS ")"
          " SELECT 'array ' || id || ': its counters are not what is in it' FROM array JOIN r ON i = id"
          " WHERE (used, held, waiting, ready, starting, running, stopping, done, dead) IS NOT (u, a, b, c, d, e, f, g, h)",
          "counters", "it is counted again",
          { "WITH r AS (" ARRAY_SUMS ")"
            " UPDATE array SET used = u, held = a, waiting = b, ready = c, starting = d, running = e, stopping = f, done = g, dead = h"
            " FROM r WHERE i = id" } },
        { "WITH r AS (" BACKLOG_SUMS ")"
          " SELECT 'queue ' || queue || ': user ' || owner || ' does not have as many jobs queued as is counted' FROM"
          " (SELECT queue, owner, n FROM backlog EXCEPT SELECT queue, owner, k FROM r"
          "  UNION SELECT * FROM (SELECT queue, owner, k FROM r EXCEPT SELECT queue, owner, n FROM backlog))"
          " GROUP BY queue, owner",
          "counters", "they are counted again", { "DELETE FROM backlog", "INSERT INTO backlog " BACKLOG_SUMS } },
        { "WITH r AS (" ENVIRONMENT_SUMS ")"
          " SELECT 'environment ' || id || ': ' || ifnull(k, 0) || ' jobs have it, ' || refs || ' are counted'"
          " FROM environment LEFT JOIN r ON e = id WHERE refs != ifnull(k, 0) OR refs = 0"
          " UNION ALL SELECT 'environment ' || environment || ': nobody knows this content' FROM environment_content"
          " WHERE environment NOT IN (SELECT id FROM environment)",
          "environment", "they are counted again, and what nobody has is dropped",
          /* One that has lost its row can still be read; that it is not found by its content any more costs room. */
          { "INSERT INTO environment (id, hash, refs, owner) SELECT environment, 0, 0,"
            " ifnull((SELECT owner FROM job WHERE job.environment = environment_content.environment LIMIT 1), 0) FROM environment_content"
            " WHERE environment NOT IN (SELECT id FROM environment)",
            "WITH r AS (" ENVIRONMENT_SUMS "), n AS (SELECT id, k FROM environment LEFT JOIN r ON e = id)"
            " UPDATE environment SET refs = ifnull(k, 0) FROM n WHERE n.id = environment.id",
            "DELETE FROM environment WHERE refs = 0",
            "DELETE FROM environment_content WHERE environment NOT IN (SELECT id FROM environment)" } },
        { "SELECT 'environment ' || environment || ': job ' || id || ' has it, and it is not in the store' FROM job"
          " WHERE environment > 0 AND environment NOT IN (SELECT environment FROM environment_content)",
          "environment-missing", "jobs that have it cannot be started any more",
          { "UPDATE job SET environment = -1 WHERE environment > 0 AND environment NOT IN (SELECT environment FROM environment_content)",
            "DELETE FROM environment WHERE id NOT IN (SELECT environment FROM environment_content)" } },
        { "WITH r AS (SELECT caller u, count(*) k FROM receipt GROUP BY 1)"
          " SELECT 'user ' || caller || ': ' || ifnull(k, 0) || ' request ids are remembered, ' || n || ' are counted'"
          " FROM receipt_count LEFT JOIN r ON u = caller WHERE n != ifnull(k, 0)"
          " UNION ALL SELECT 'user ' || u || ': ' || k || ' request ids are remembered, and none counted' FROM r"
          " WHERE u NOT IN (SELECT caller FROM receipt_count)",
          "receipts", "they are counted again",
          { "DELETE FROM receipt_count", "INSERT INTO receipt_count SELECT caller, count(*) FROM receipt GROUP BY caller" } },
        { "WITH r AS (" ROOM_SUMS ")"
          " SELECT 'user ' || owner || ': ' || ifnull(k, 0) || ' bytes are stored, ' || bytes || ' are counted'"
          " FROM room LEFT JOIN r ON o = owner WHERE bytes != ifnull(k, 0)"
          " UNION ALL SELECT 'user ' || o || ': ' || k || ' bytes are stored, and none counted' FROM r"
          " WHERE o NOT IN (SELECT owner FROM room)",
          "room", "they are counted again", { "DELETE FROM room", "INSERT INTO room " ROOM_SUMS } },
        { "PRAGMA quick_check(20)", "damaged", NULL, {} },
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
        (void) sqlite3_bind_int64(end, 2, k->mend ? INT64_MAX : ROWS_PER_STEP);
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
                StoreFinding f = { .kind = p->kind, .job = stmt_u64(wrong, 0), .text = p->text, .mend = p->mend, .mended = k->mend && p->mend && !k->damaged };

                k->mendable += !!p->mend;
                r = found(userdata, &f);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        k->after = last;
        k->rows += k->step == 0 ? n : 0;
        return k->mend || n < ROWS_PER_STEP ? 0 : 1;
}

static int check_sum(Store *s, const struct Sum *sum, StoreCheck *k, store_finding_t found, void *userdata) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        int r;

        /* A repair has begun with that. */
        if (k->mend && !k->damaged && streq(sum->kind, "damaged"))
                return 0;
        if (!k->mend && (k->rows > ROWS_AT_ONCE || store_size(s) > BYTES_AT_ONCE)) {
                k->skipped = true;
                return 0;
        }
        r = check_prepare(s, sum->sql, &stmt);
        while (r >= 0 && (r = stmt_step(s, stmt)) > 0) {
                const char *text = stmt_text(stmt, 0);
                StoreFinding f = { .kind = sum->kind, .text = text, .mend = sum->mend, .mended = k->mend && sum->mend && !k->damaged };

                if (!text || streq(text, "ok"))
                        continue;
                k->mendable += !!sum->mend;
                r = found(userdata, &f);
        }
        return r;
}

int store_check_step(Store *s, StoreCheck *k, store_finding_t found, void *userdata) {
        int r;

        if (k->step < ELEMENTSOF(parts))
                r = check_part(s, parts + k->step, k, found, userdata);
        else
                r = check_sum(s, sums + (k->step - ELEMENTSOF(parts)), k, found, userdata);
        if (r != 0)
                return r;
        k->after = 0;
        return ++k->step < ELEMENTSOF(parts) + ELEMENTSOF(sums);
}

/* ---- repair ---- */

static int mend(Store *s, const char *const *mends, size_t n, usec_t now) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n && mends[i]; i++) {
                _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;

                r = check_prepare(s, mends[i], &stmt);
                if (r < 0)
                        return r;
                if (sqlite3_bind_parameter_count(stmt) > 0)
                        (void) sqlite3_bind_int64(stmt, 1, now);
                while ((r = stmt_step(s, stmt)) > 0)
                        ;
        }
        return r;
}

/* Each one does nothing where nothing is wrong. Sums are made of what is left when all else is mended. */
static int mend_all(Store *s, usec_t now) {
        int r = 0;

        for (const struct Part *p = parts; r >= 0 && p < parts + ELEMENTSOF(parts); p++)
                r = mend(s, p->mends, ELEMENTSOF(p->mends), now);
        for (const struct Sum *sum = sums; r >= 0 && sum < sums + ELEMENTSOF(sums); sum++)
                r = mend(s, sum->mends, ELEMENTSOF(sum->mends), now);
        return r;
}

/* Rows that a damaged file does not show any more may still be saved from it: what they belong to must not be dropped. */
static int check_file(Store *s, bool *ret_damaged) {
        _cleanup_(finalizep) sqlite3_stmt *stmt = NULL;
        int r;

        r = check_prepare(s, "PRAGMA quick_check(1)", &stmt);
        if (r >= 0)
                r = stmt_step(s, stmt);
        if (r > 0)
                *ret_damaged = !streq_ptr(stmt_text(stmt, 0), "ok");
        return r;
}

int store_repair(Store *s, usec_t now, store_finding_t found, void *userdata) {
        StoreCheck k = { .mend = true };
        int r;

        r = store_begin(s, /* relaxed = */ false);
        if (r < 0)
                return r;
        r = check_file(s, &k.damaged);
        while (r >= 0 && (r = store_check_step(s, &k, found, userdata)) > 0)
                ;
        if (k.damaged)
                k.mendable = 0;
        if (r >= 0 && k.mendable > 0) {
                r = mend_all(s, now);
                if (r >= 0) /* of what was mended nobody is told */
                        r = store_forget_events(s, store_starts_to_come(s));
                if (r >= 0)
                        r = store_commit(s);
        }
        if (r < 0 || k.mendable == 0) {
                store_rollback(s);
                return r;
        }
        store_environment_forget(s);
        return 1;
}
