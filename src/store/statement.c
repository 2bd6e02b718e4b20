/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All SQL of the store but the lists' (history.c), and the one way in which it is run: texts are prepared once when the
 * store is opened, which also proves that the tables are what we think; parameters are bound, the statement is stepped, and it
 * is reset with nothing bound as soon as its user is through with it. SQLite's codes become errnos here and nowhere else. */

#include "store/store-internal.h"

#include <stdarg.h>

/* A time, moved by ?1: never below 0 nor above what a number of SQLite's holds. */
#define MOVED(column) "max(0, min(" column ", 9223372036854775807 - max(?1, 0)) + ?1)"

/* Somebody who has not ended comes after this job, and is given its outcome. */
#define IS_NEEDED                                                                                                    \
        "EXISTS (SELECT 1 FROM edge AS e INDEXED BY edge_before CROSS JOIN job AS w ON w.id = e.job"                 \
        " WHERE e.before = job.id AND w.state <> 'done')"

/* … or a unique key is not to be had yet. */
#define IS_TO_STAY IS_NEEDED " OR (unique_held = 1 AND unique_until_usec > ?2)"
#define BEHIND(column) column " >= ?3 AND (" column " > ?3 OR id > ?4)"
#define OWN_END "ended_usec + min(keep_usec, 4611686018427387903)"

/* Sums stay numbers of SQLite's. */
#define ADDED(column) column " = " column " + min(excluded." column ", 9223372036854775807 - " column ")"
#define USAGE_SUMS                                                                                                   \
        " ON CONFLICT (span, begin_usec, queue, type, owner) DO UPDATE SET " ADDED("submitted") ", " ADDED("jobs") ", " \
        ADDED("failed") ", " ADDED("cancelled") ", " ADDED("attempts") ", " ADDED("started") ", " ADDED("wait_usec") ", " \
        ADDED("runtime_usec") ", " ADDED("slot_usec") ", " ADDED("measured") ", " ADDED("cpu_usec")

static const char *const statement_table[_STMT_MAX] = {
        [STMT_BEGIN] = "BEGIN IMMEDIATE",
        [STMT_COMMIT] = "COMMIT",
        [STMT_ROLLBACK] = "ROLLBACK",

        [STMT_META_GET] = "SELECT value FROM meta WHERE key = ?1",
        [STMT_META_SET] = "INSERT INTO meta (key, value) VALUES (?1, ?2)"
                          " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [STMT_META_DELETE] = "DELETE FROM meta WHERE key = ?1",

        [STMT_QUEUE_UPSERT] =
                "INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead,"
                "  ranked_ageing_usec, ranked_fair, reranking)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
                " ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, draining = excluded.draining,"
                "  held = excluded.held, waiting = excluded.waiting, ready = excluded.ready,"
                "  starting = excluded.starting, running = excluded.running, stopping = excluded.stopping,"
                "  done = excluded.done, dead = excluded.dead, ranked_ageing_usec = excluded.ranked_ageing_usec,"
                "  ranked_fair = excluded.ranked_fair, reranking = excluded.reranking",
        [STMT_BACKLOG_UPSERT] =
                "INSERT INTO backlog (queue, owner, n) VALUES (?1, ?2, ?3)"
                " ON CONFLICT (queue, owner) DO UPDATE SET n = excluded.n",
        [STMT_BACKLOG_DELETE] = "DELETE FROM backlog WHERE queue = ?1 AND owner = ?2",
        [STMT_BACKLOG_ALL] = "SELECT queue, owner, n FROM backlog",
        [STMT_QUEUE_FLAGS] = "SELECT paused, draining FROM queue WHERE name = ?1",
        [STMT_QUEUE_ALL] =
                "SELECT name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead,"
                " ranked_ageing_usec, ranked_fair, reranking FROM queue",

        [STMT_RATE_UPSERT] = "INSERT INTO rate (queue, starts, moved_usec) VALUES (?1, ?2, 0)"
                             " ON CONFLICT (queue) DO UPDATE SET starts = excluded.starts, moved_usec = 0",
        [STMT_RATE_DELETE] = "DELETE FROM rate WHERE queue = ?1",
        [STMT_RATE_ALL] = "SELECT queue, starts, moved_usec FROM rate",
        [STMT_RATE_MOVE] = "UPDATE rate SET moved_usec = moved_usec + ?1",

        [STMT_JOB_INSERT] =
                "INSERT INTO job (" JOB_COLUMNS ", environment)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
                "  ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43,"
                "  ?44, ?45, ?46, ?47, ?48, ?49)",
        [STMT_JOB_UPDATE] =
                "UPDATE job SET queue = ?2, owner = ?3, owner_name = ?4, name = ?5, state = ?6, result = ?7, intent = ?8,"
                " reason = ?9, priority = ?10, rank = ?11, slots = ?12, attempt = ?13, max_attempts = ?14, dead = ?15,"
                " submitted_usec = ?16, not_before_usec = ?17, ready_usec = ?18, started_usec = ?19,"
                " finished_usec = ?20, wait_usec = ?21, timeout_usec = ?22, stop_timeout_usec = ?23, privileged = ?24,"
                " delayed = ?25, output = ?26, verify = ?27, deadline_usec = ?28, keep_usec = ?29, ended_usec = ?30,"
                " submission_key = ?31, fair = ?32, poison = ?33, blockers = ?34, flow = ?35, array = ?36, array_index = ?37,"
                " array_waits = ?38, unique_key = ?39, unique_scope = ?40, unique_until_usec = ?41, unique_held = ?42,"
                " failures = ?43, grown = ?44, type = ?45, type_version = ?46, foreground = ?47, callbacks = ?48 WHERE id = ?1",
        [STMT_JOB_DELETE] = "DELETE FROM job WHERE id = ?1",
        [STMT_JOB_GET] = "SELECT " JOB_COLUMNS " FROM job WHERE id = ?1",
        [STMT_JOB_LIVE] = "SELECT " JOB_COLUMNS " FROM job INDEXED BY job_state"
                          " WHERE state IN ('starting', 'running', 'stopping')",
        [STMT_JOB_WINDOW] = "SELECT id, rank, slots, owner, priority, submission_key FROM job INDEXED BY job_ready"
                            " WHERE state = 'ready' AND queue = ?1 AND slots <= ?2 ORDER BY rank, id LIMIT ?3",
        [STMT_JOB_WINDOW_FAIR] = "SELECT id, rank, slots, owner, priority, submission_key FROM job INDEXED BY job_fair"
                                 " WHERE state = 'ready' AND fair = 1 AND queue = ?1 AND owner = ?4 AND slots <= ?2"
                                 " ORDER BY rank, id LIMIT ?3",
        [STMT_RANK_QUEUES] = "SELECT name FROM queue WHERE ready > 0",
        [STMT_RANK_EQUAL] = "SELECT rank, id FROM job INDEXED BY job_ready"
                            " WHERE state = 'ready' AND queue = ?1 AND rank = ?2 AND id > ?3 ORDER BY id LIMIT 1",
        [STMT_RANK_ABOVE] = "SELECT rank, id FROM job INDEXED BY job_ready"
                            " WHERE state = 'ready' AND queue = ?1 AND rank > ?2 ORDER BY rank, id LIMIT 1",
        [STMT_JOB_KEEP] = "SELECT id, ended_usec, " IS_TO_STAY " FROM job INDEXED BY job_keep"
                          " WHERE state = 'done' AND dead = 0 AND keep_usec IS NULL AND queue = ?1 AND " BEHIND("ended_usec")
                          " ORDER BY ended_usec, id",
        [STMT_JOB_KEEP_OWN] = "SELECT id, " OWN_END ", " IS_TO_STAY " FROM job INDEXED BY job_keep_own"
                              " WHERE state = 'done' AND dead = 0 AND keep_usec IS NOT NULL AND queue = ?1 AND " BEHIND(OWN_END)
                              " ORDER BY " OWN_END ", id",
        [STMT_JOB_READY] = "SELECT id, queue, priority, submission_key FROM job INDEXED BY job_state"
                           " WHERE state = 'ready' AND id > ?1 ORDER BY id LIMIT ?2",
        [STMT_JOB_RERANK] = "UPDATE job SET rank = ?2, fair = ?3 WHERE id = ?1 AND (rank <> ?2 OR fair <> ?3)",
        [STMT_QUEUE_RERANK] = "UPDATE queue SET ranked_ageing_usec = ?2, ranked_fair = ?3, reranking = ?4 WHERE name = ?1",
        [STMT_JOB_DUE] = "SELECT id FROM job INDEXED BY job_due"
                         " WHERE state = 'waiting' AND blockers = 0 AND not_before_usec <= ?1 ORDER BY not_before_usec, id LIMIT ?2",
        [STMT_JOB_NEXT_DUE] = "SELECT min(not_before_usec) FROM job INDEXED BY job_due"
                              " WHERE state = 'waiting' AND blockers = 0 AND not_before_usec > ?1",
        [STMT_JOB_EXPIRED] = "SELECT id FROM job INDEXED BY job_deadline WHERE " JOB_WITH_DEADLINE
                             " AND deadline_usec <= ?1 ORDER BY deadline_usec, id LIMIT ?2",
        [STMT_JOB_NEXT_DEADLINE] = "SELECT min(deadline_usec) FROM job INDEXED BY job_deadline WHERE " JOB_WITH_DEADLINE
                                   " AND deadline_usec > ?1",
        [STMT_JOB_MOVE_DELAYS] =
                "UPDATE job INDEXED BY job_state"
                " SET not_before_usec = " MOVED("not_before_usec")
                " WHERE state IN ('waiting', 'held') AND delayed = 1 AND not_before_usec IS NOT NULL",
        [STMT_JOB_UNIQUE] = "SELECT id FROM job INDEXED BY job_unique"
                            " WHERE unique_held = 1 AND unique_key = ?1 AND owner = ?2 AND queue = ?3 AND id > ?4 ORDER BY id LIMIT 1",
        [STMT_JOB_MOVE_UNIQUE] = "UPDATE job INDEXED BY job_unique SET unique_until_usec = " MOVED("unique_until_usec")
                                 " WHERE unique_held = 1 AND unique_until_usec IS NOT NULL",
        [STMT_ATTEMPT_MOVE] = /* of starts that may have to be looked for in the journal */
                "UPDATE attempt SET created_usec = " MOVED("created_usec")
                " WHERE (job, attempt) IN (SELECT id, attempt FROM job INDEXED BY job_state WHERE state IN ('starting', 'stopping'))"
                " AND invocation_id IS NULL AND created_usec IS NOT NULL",
        [STMT_JOB_MAX_ID] = /* whatever has an id, so that a row that belongs to nothing is in nobody's way */
                "SELECT max(ifnull((SELECT max(id) FROM job NOT INDEXED), 0), ifnull((SELECT max(job) FROM job_spec), 0),"
                " ifnull((SELECT max(job) FROM attempt), 0))",
        [STMT_JOB_LAST_KEY] = "SELECT submission_key FROM job NOT INDEXED ORDER BY id DESC LIMIT 1",
        [STMT_JOB_ENVIRONMENT] = "SELECT environment FROM job WHERE id = ?1",
        [STMT_JOB_SET_ENVIRONMENT] = "UPDATE job SET environment = ?2 WHERE id = ?1",

        [STMT_EDGE_INSERT] = "INSERT INTO edge (job, before, condition, otherwise, met) VALUES (?1, ?2, ?3, ?4, ?5)",
        [STMT_EDGE_SET] = "UPDATE edge SET met = ?3 WHERE job = ?1 AND before = ?2",
        [STMT_EDGE_SET_ALL] = "UPDATE edge SET met = 1 WHERE job = ?1",
        [STMT_EDGE_ALL] = "SELECT job, before, condition, otherwise, met FROM edge WHERE job = ?1 ORDER BY before",
        [STMT_EDGE_OPEN] = "SELECT before FROM edge WHERE job = ?1 AND met = 0 ORDER BY before LIMIT ?2",
        [STMT_EDGE_BEHIND] = /* who waits */
                "SELECT job, before, condition, otherwise, met FROM edge INDEXED BY edge_before"
                " WHERE before = ?1 AND job > ?2 AND met = 0 ORDER BY job LIMIT ?3",
        [STMT_EDGE_NEEDED] = /* the outcome of a job, by one that has not ended */
                "SELECT e.job FROM edge AS e INDEXED BY edge_before CROSS JOIN job AS j ON j.id = e.job"
                " WHERE e.before = ?1 AND j.state <> 'done' LIMIT 1",
        [STMT_FLOW_STATES] = "SELECT state, count(*), sum(dead) FROM job INDEXED BY job_flow WHERE flow = ?1 GROUP BY state",
        [STMT_EDGE_INPUTS] =
                "SELECT e.before, j.name, j.result, a.exit_status, a.exit_signal, a.success, a.verdict FROM edge AS e"
                " LEFT JOIN job AS j ON j.id = e.before LEFT JOIN attempt AS a ON a.job = j.id AND a.attempt = j.attempt"
                " WHERE e.job = ?1 ORDER BY e.before",
        [STMT_EDGE_DELETE] = "DELETE FROM edge WHERE job = ?1",
        [STMT_ENDED_INSERT] = "INSERT OR IGNORE INTO ended (job) VALUES (?1)",
        [STMT_ENDED_DELETE] = "DELETE FROM ended WHERE job = ?1",
        [STMT_ENDED_ALL] = "SELECT job FROM ended",

        [STMT_SPEC_INSERT] = "INSERT INTO job_spec (job, spec, payload) VALUES (?1, ?2, ?3)",
        [STMT_SPEC_UPDATE] = "UPDATE job_spec SET spec = ?2 WHERE job = ?1",
        [STMT_SPEC_SET_PAYLOAD] = "UPDATE job_spec SET payload = ?2 WHERE job = ?1",
        /* Its own, or that of its array ?2. */
        [STMT_SPEC_GET] = "SELECT ifnull((SELECT spec FROM job_spec WHERE job = ?1), (SELECT spec FROM array WHERE id = ?2))",
        [STMT_SPEC_LOAD] = "SELECT j.environment, ifnull(o.spec, a.spec), CASE WHEN o.job IS NULL THEN a.payload ELSE o.payload END FROM job AS j"
                           " LEFT JOIN job_spec AS o ON o.job = j.id LEFT JOIN array AS a ON a.id = j.array WHERE j.id = ?1",
        [STMT_SPEC_OF_ARRAY] = "INSERT OR IGNORE INTO job_spec (job, spec, payload) SELECT ?1, spec, payload FROM array WHERE id = ?2",

        [STMT_ARRAY_INSERT] =
                "INSERT INTO array (" ARRAY_COLUMNS ", spec, payload)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        [STMT_ARRAY_UPDATE] =
                "UPDATE array SET n = ?2, max_running = ?3, used = ?4, held = ?5, waiting = ?6, ready = ?7, starting = ?8, running = ?9,"
                " stopping = ?10, done = ?11, dead = ?12 WHERE id = ?1",
        [STMT_ARRAY_GET] = "SELECT " ARRAY_COLUMNS " FROM array WHERE id = ?1",
        [STMT_JOB_OF_VAULT] = "SELECT owner FROM job WHERE id >= ?1 AND id < ?1 + ifnull((SELECT n FROM array WHERE id = ?1), 1)"
                              " AND (id = ?1 OR array = ?1) AND state <> 'done' LIMIT 1",
        [STMT_ARRAY_WAITING] = "SELECT id FROM job INDEXED BY job_array_waiting"
                               " WHERE array_waits = 1 AND state = 'waiting' AND array = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        [STMT_ARRAY_NEXT_WAITING] = "SELECT array, id FROM job INDEXED BY job_array_waiting"
                                    " WHERE array_waits = 1 AND state = 'waiting' AND array > ?1 ORDER BY array LIMIT 1",
        [STMT_ARRAY_DELETE_WITH_LAST] = /* ids of an array follow one another */
                "DELETE FROM array WHERE id = (SELECT array FROM job WHERE id = ?1) AND NOT EXISTS (SELECT 1 FROM job NOT INDEXED"
                " WHERE job.id >= array.id AND job.id < array.id + array.n AND job.array = array.id AND job.id <> ?1)"
                " RETURNING (SELECT owner FROM job WHERE id = ?1), " ROOM_OF_SPEC,
        [STMT_SPEC_DELETE] = "DELETE FROM job_spec WHERE job = ?1",
        [STMT_SPEC_SIZES] = /* its own, or those of its array ?2 */
                "SELECT 1, " ROOM_BYTES("spec") ", ifnull(length(payload), 0) FROM job_spec WHERE job = ?1"
                " UNION ALL SELECT 0, " ROOM_BYTES("spec") ", ifnull(length(payload), 0) FROM array WHERE id = ?2"
                " AND NOT EXISTS (SELECT 1 FROM job_spec WHERE job = ?1)",

        [STMT_ENVIRONMENT_FIND] = "SELECT e.id, c.content FROM environment AS e INDEXED BY environment_hash"
                                  " CROSS JOIN environment_content AS c ON c.environment = e.id WHERE e.hash = ?1 AND e.owner = ?2",
        [STMT_ENVIRONMENT_GET] = "SELECT content FROM environment_content WHERE environment = ?1",
        [STMT_ENVIRONMENT_INSERT] = "INSERT INTO environment (hash, refs, owner) VALUES (?1, 0, ?2)",
        [STMT_ENVIRONMENT_CONTENT_INSERT] = "INSERT INTO environment_content (environment, content) VALUES (?1, ?2)",
        [STMT_ENVIRONMENT_COUNT] = "UPDATE environment SET refs = refs + ?2 WHERE id = ?1",
        [STMT_ENVIRONMENT_DELETE] = "DELETE FROM environment WHERE id = ?1 AND refs <= 0",
        [STMT_ENVIRONMENT_CONTENT_DELETE] = "DELETE FROM environment_content WHERE environment = ?1",

        [STMT_ATTEMPT_INSERT] =
                "INSERT INTO attempt (" ATTEMPT_COLUMNS ")"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
                "  ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)",
        [STMT_ATTEMPT_UPDATE] =
                "UPDATE attempt SET boot_id = ?3, userspace_usec = ?4, token = ?5, invocation_id = ?6, slots = ?7,"
                " slot_numbers = ?8, created_usec = ?9, result = ?10, reason = ?11, exit_status = ?12, exit_signal = ?13,"
                " started_usec = ?14, finished_usec = ?15, runtime_usec = ?16, cpu_usec = ?17, memory_peak = ?18,"
                " memory_peak_sampled = ?19, io_read_bytes = ?20, io_write_bytes = ?21, tasks_peak = ?22,"
                " freezer = ?23, freezer_usec = ?24, frozen_usec = ?25, verdict = ?26, success = ?27, io_stdout = ?28,"
                " io_stderr = ?29, memory_max = ?30, executor = ?31, worker = ?32, engine = ?33"
                " WHERE job = ?1 AND attempt = ?2",
        [STMT_ATTEMPT_GET] = "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE job = ?1 AND attempt = ?2",
        [STMT_ATTEMPT_ALL] = "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE job = ?1 ORDER BY attempt",
        [STMT_ATTEMPT_NEWEST] = "SELECT " ATTEMPT_COLUMNS " FROM attempt WHERE job = ?1 ORDER BY attempt DESC",
        [STMT_ATTEMPT_DELETE] = "DELETE FROM attempt WHERE job = ?1",
        [STMT_ATTEMPT_DELETE_ONE] = "DELETE FROM attempt WHERE job = ?1 AND attempt = ?2",

        [STMT_WORKER_UPSERT] = "INSERT INTO worker (" WORKER_COLUMNS ")"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
                               " ON CONFLICT (id) DO UPDATE SET token = ?2, boot_id = ?5, pid = ?6, started = ?7, unit = ?8, metadata = ?10,"
                               "  queues = ?11, slots = ?12, draining = ?13, registered_usec = ?14, away_usec = ?16, adapter = ?17",
        [STMT_WORKER_DELETE] = "DELETE FROM worker WHERE id = ?1",
        [STMT_WORKER_ALL] = "SELECT " WORKER_COLUMNS " FROM worker ORDER BY id",

        [STMT_RUN_INSERT] = "INSERT INTO run (" RUN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5)",
        [STMT_RUN_DELETE] = "DELETE FROM run WHERE job = ?1",
        [STMT_RUN_ALL] = "SELECT " RUN_COLUMNS " FROM run",

        [STMT_TIMER_UPSERT] = "INSERT OR REPLACE INTO timer (" TIMER_COLUMNS ")"
                              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        [STMT_TIMER_DELETE] = "DELETE FROM timer WHERE name = ?1",
        [STMT_TIMER_ALL] = "SELECT " TIMER_COLUMNS " FROM timer",
        [STMT_FIRING_INSERT] = "INSERT INTO firing (" FIRING_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [STMT_FIRING_TRIM] = "DELETE FROM firing WHERE timer = ?1 AND number <= ?2",
        [STMT_FIRING_UNFINISHED] = "SELECT DISTINCT job.id FROM firing CROSS JOIN job ON job.id = firing.job"
                                   " WHERE firing.timer = ?1 AND job.state != 'done' ORDER BY job.id LIMIT ?2",
        [STMT_FIRING_LIST] = "SELECT " FIRING_COLUMNS " FROM firing WHERE timer = ?1 ORDER BY number DESC LIMIT ?2",

        [STMT_EVENT_INSERT] = "INSERT INTO event (first, n, events) VALUES (?1, ?2, ?3)",
        [STMT_EVENT_SIZES] = "SELECT first + n - 1, n FROM event ORDER BY first",
        [STMT_EVENT_TRIM] = "DELETE FROM event WHERE first <= ?1",
        [STMT_EVENT_NEXT_START] = "SELECT first, (SELECT first + n - 1 FROM event WHERE first < ((e.first >> 32) + 1) << 32"
                                  "               ORDER BY first DESC LIMIT 1)"
                                  " FROM event AS e WHERE first > ?1 ORDER BY first LIMIT 1",
        [STMT_EVENT_READ] = "SELECT first, n, events FROM event"
                            " WHERE first >= ifnull((SELECT max(first) FROM event WHERE first <= ?1), 0)"
                            " ORDER BY first LIMIT 2",
        [STMT_RECEIPT_INSERT] = "INSERT INTO receipt (first_id, n_jobs, caller, request_id, digest, created_usec, ids)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [STMT_RECEIPT_GET] = "SELECT first_id, n_jobs, digest, created_usec, ids FROM receipt INDEXED BY receipt_request"
                             " WHERE caller = ?1 AND request_id = ?2",
        [STMT_RECEIPT_COUNT] = "SELECT n FROM receipt_count WHERE caller = ?1",
        [STMT_RECEIPT_EXPIRE] = "DELETE FROM receipt WHERE first_id IN"
                                " (SELECT first_id FROM receipt NOT INDEXED ORDER BY first_id LIMIT ?1)"
                                " AND (created_usec < ?2 OR created_usec > ?3) RETURNING caller, " ROOM_OF_RECEIPT,
        [STMT_RECEIPT_OLDEST] = "SELECT created_usec FROM receipt NOT INDEXED ORDER BY first_id LIMIT 1",
        [STMT_ROOM_ALL] = "SELECT owner, bytes FROM room",
        [STMT_ROOM_UPSERT] = "INSERT OR REPLACE INTO room (owner, bytes) VALUES (?1, ?2)",
        [STMT_ROOM_DELETE] = "DELETE FROM room WHERE owner = ?1",
        [STMT_ROOM_OF_JOB] = "SELECT owner, " ROOM_OF_JOB " FROM job WHERE id = ?1",
        [STMT_ROOM_OF_ENVIRONMENT] = "SELECT owner, " ROOM_OF_ENVIRONMENT " FROM environment_content JOIN environment ON id = environment"
                                     " WHERE environment = ?1 AND refs <= 0",
        [STMT_ROOM_OF_TIMER] = "SELECT owner, " ROOM_OF_TIMER " FROM timer WHERE name = ?1",
        [STMT_USAGE_ADD] = "INSERT INTO usage (" USAGE_COLUMNS ")"
                           " VALUES ('minute', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)" USAGE_SUMS,
        [STMT_USAGE_OLDEST] = "SELECT begin_usec FROM usage WHERE span = ?1 ORDER BY begin_usec LIMIT 1",
        [STMT_USAGE_COUNT] = "SELECT count(*) FROM usage WHERE span = ?1",
        [STMT_USAGE_COUNT_AT] = "SELECT count(*) FROM usage WHERE span = ?1 AND begin_usec = ?2",
        [STMT_USAGE_HAS] = "SELECT 1 FROM usage WHERE span = 'minute' AND begin_usec = ?1 AND queue = ?2 AND type = ?3 AND owner = ?4",
        [STMT_USAGE_FOLD] = "INSERT INTO usage (" USAGE_COLUMNS ")"
                            " SELECT ?3, ?4, queue, type, owner, " USAGE_VALUES " FROM usage WHERE span = ?1 AND begin_usec = ?2" USAGE_SUMS,
        [STMT_USAGE_DELETE] = "DELETE FROM usage WHERE span = ?1 AND begin_usec = ?2",
        [STMT_RECEIPT_MOVE] = "UPDATE receipt SET created_usec = " MOVED("created_usec"),
};

const char *store_statement_text(StatementId id) {
        return statement_table[id];
}

/* ---- errors ---- */

int store_set_error(Store *s, int error, const char *format, ...) {
        va_list ap;

        /* A row that could not be read for want of memory looks damaged. */
        if (error == -EUCLEAN && s->db && sqlite3_errcode(s->db) == SQLITE_NOMEM)
                return store_sqlite_error(s, SQLITE_NOMEM);
        va_start(ap, format);
        (void) vsnprintf(s->error, sizeof(s->error), format, ap);
        va_end(ap);
        return error;
}

static int sqlite_code_to_errno(int code, int system_errno) {
        switch (code & 0xff) {
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return -EACCES;
        case SQLITE_TOOBIG:
                return -E2BIG;
        case SQLITE_CONSTRAINT:
                return -EEXIST;
        case SQLITE_IOERR:
                if (code == SQLITE_IOERR_NOMEM)
                        return -ENOMEM;
                return system_errno == ENOSPC || system_errno == EDQUOT ? -ENOSPC : -EIO;
        case SQLITE_CANTOPEN:
                return system_errno > 0 ? -system_errno : -EIO;
        default: /* a mistake of ours */
                return -ENOTRECOVERABLE;
        }
}

int store_sqlite_error(Store *s, int code) {
        int error = sqlite_code_to_errno(code, s->db ? sqlite3_system_errno(s->db) : 0);
        const char *message = s->db && sqlite3_extended_errcode(s->db) == code ? sqlite3_errmsg(s->db)
                                                                              : sqlite3_errstr(code);

        return store_set_error(s, error, "SQLite: %s (%i)", message, code);
}

/* ---- texts that are run once ---- */

int store_exec(Store *s, const char *sql) {
        int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
        return rc == SQLITE_OK ? 0 : store_sqlite_error(s, rc);
}

int store_query_text(Store *s, const char *sql, char **ret) {
        sqlite3_stmt *stmt;
        char *value = NULL;
        int r, rc;

        rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
        if (rc != SQLITE_OK)
                return store_sqlite_error(s, rc);

        r = stmt_step(s, stmt);
        if (r > 0)
                r = stmt_strdup(stmt, 0, &value);
        sqlite3_finalize(stmt);
        if (r < 0)
                return r;
        *ret = value;
        return 0;
}

/* ---- prepared statements ---- */

int store_prepare_all(Store *s) {
        for (StatementId i = 0; i < _STMT_MAX; i++) {
                int rc = sqlite3_prepare_v3(s->db, statement_table[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
                                            NULL);
                /* No such table or column: somebody else changed the file. */
                if (rc == SQLITE_ERROR)
                        return store_set_error(s, -EUCLEAN, "The tables are not as expected: %s", sqlite3_errmsg(s->db));
                if (rc != SQLITE_OK)
                        return store_sqlite_error(s, rc);
        }
        return 0;
}

void store_finalize_all(Store *s) {
        FOREACH_ELEMENT(i, s->statements) {
                sqlite3_finalize(*i);
                *i = NULL;
        }
}

sqlite3_stmt *store_stmt(Store *s, StatementId id) {
        assert(!sqlite3_stmt_busy(s->statements[id]));
        return s->statements[id];
}

static void stmt_reset(sqlite3_stmt *stmt) {
        (void) sqlite3_reset(stmt); /* repeats the error of the last step */
        (void) sqlite3_clear_bindings(stmt);
}

void stmt_resetp(sqlite3_stmt **stmt) {
        if (*stmt)
                stmt_reset(*stmt);
}

static void stmt_bound(Store *s, int rc) {
        if (rc != SQLITE_OK && s->bind_error == SQLITE_OK)
                s->bind_error = rc;
}

void stmt_bind_i64(Store *s, sqlite3_stmt *stmt, int i, int64_t v) {
        stmt_bound(s, sqlite3_bind_int64(stmt, i, v));
}

void stmt_bind_u64(Store *s, sqlite3_stmt *stmt, int i, uint64_t v) {
        if (v <= INT64_MAX)
                stmt_bind_i64(s, stmt, i, v);
}

void stmt_bind_text(Store *s, sqlite3_stmt *stmt, int i, const char *v) {
        if (v)
                stmt_bound(s, sqlite3_bind_text(stmt, i, v, -1, SQLITE_STATIC));
}

void stmt_bind_blob(Store *s, sqlite3_stmt *stmt, int i, const void *v, size_t n) {
        /* A blob of no bytes is not NULL. */
        if (n == 0)
                stmt_bound(s, sqlite3_bind_zeroblob(stmt, i, 0));
        else
                stmt_bound(s, sqlite3_bind_blob64(stmt, i, v, n, SQLITE_STATIC));
}

int stmt_step(Store *s, sqlite3_stmt *stmt) {
        int rc = s->bind_error;

        s->bind_error = SQLITE_OK;
        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
                return 1;
        if (rc == SQLITE_DONE)
                return 0;
        return store_sqlite_error(s, rc);
}

int stmt_exec(Store *s, sqlite3_stmt *stmt) {
        int r;

        do
                r = stmt_step(s, stmt);
        while (r > 0);
        stmt_reset(stmt);
        return r;
}

uint64_t stmt_u64(sqlite3_stmt *stmt, int i) {
        if (sqlite3_column_type(stmt, i) == SQLITE_NULL)
                return UINT64_MAX;
        return sqlite3_column_int64(stmt, i);
}

const char *stmt_text(sqlite3_stmt *stmt, int i) {
        return (const char *) sqlite3_column_text(stmt, i);
}

/* SQLite also gives NULL, and from then on says that it is NULL, when it has no memory for a text. */
bool stmt_no_memory(sqlite3_stmt *stmt) {
        return sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM;
}

int stmt_strdup(sqlite3_stmt *stmt, int i, char **ret) {
        const char *text = stmt_text(stmt, i);

        if (!text && stmt_no_memory(stmt))
                return -ENOMEM;
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -ENOMEM : 0;
}
