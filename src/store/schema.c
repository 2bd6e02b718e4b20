/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tables and how they came to be.
 *
 * PRAGMA user_version is the number of migrations that a file has seen; each one runs in a transaction of its own together
 * with the new number, so that a crash in between leaves the file at the one before. A migration is never changed once it was
 * released: what comes later is a new one at the end of the list. PRAGMA application_id tells our file from any other.
 *
 * Why the tables are cut as they are: a job is written three or four times in its life and listed often, so its row holds
 * what changes and what lists are filtered by, and stays small. What is written once (spec, payload) is in job_spec. The
 * content of an environment is apart from its count of references, because SQLite writes whole rows.
 *
 * Unknown (UINT64_MAX in memory) is NULL. Words are stored, not numbers of an enum. */

#include "store/schema.h"

#include "base/crash-point.h"

#define SCHEMA_APPLICATION_ID 1785684589 /* "jobm", as a signed 32-bit number */
#define STRINGIFY(x) #x
#define STRINGIFY_VALUE(x) STRINGIFY(x)

static const char *const migrations[] = {
        /* 1 */
        "PRAGMA application_id = " STRINGIFY_VALUE(SCHEMA_APPLICATION_ID) ";"

        "CREATE TABLE meta ("
        "  key TEXT PRIMARY KEY NOT NULL,"
        "  value TEXT NOT NULL"
        ") STRICT, WITHOUT ROWID;"

        /* With the number of jobs of exactly this queue by state, so that a start costs nothing per job. */
        "CREATE TABLE queue ("
        "  name TEXT PRIMARY KEY NOT NULL,"
        "  paused INTEGER NOT NULL,"
        "  draining INTEGER NOT NULL,"
        "  held INTEGER NOT NULL,"
        "  waiting INTEGER NOT NULL,"
        "  ready INTEGER NOT NULL,"
        "  starting INTEGER NOT NULL,"
        "  running INTEGER NOT NULL,"
        "  stopping INTEGER NOT NULL,"
        "  done INTEGER NOT NULL,"
        "  dead INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"

        "CREATE TABLE job ("
        "  id INTEGER PRIMARY KEY,"
        "  queue TEXT NOT NULL,"
        "  owner INTEGER NOT NULL,"
        "  owner_name TEXT,"
        "  name TEXT,"
        "  state TEXT NOT NULL,"
        "  result TEXT,"
        "  intent TEXT,"
        "  reason TEXT,"
        "  priority INTEGER NOT NULL,"
        "  rank INTEGER NOT NULL,"
        "  slots INTEGER NOT NULL,"
        "  attempt INTEGER NOT NULL,"
        "  max_attempts INTEGER NOT NULL,"
        "  dead INTEGER NOT NULL,"
        "  submitted_usec INTEGER,"
        "  not_before_usec INTEGER,"
        "  ready_usec INTEGER,"
        "  started_usec INTEGER,"
        "  finished_usec INTEGER,"
        "  wait_usec INTEGER,"
        "  timeout_usec INTEGER,"
        "  stop_timeout_usec INTEGER,"
        "  privileged INTEGER NOT NULL,"
        "  environment INTEGER" /* NULL: none; -1: it had one, which was dropped */
        ") STRICT;"

        /* A new job is put into the first two of these; the others hold few rows, or a job once at its end.
         *
         * Windows of the scheduler, from the index alone. */
        "CREATE INDEX job_ready ON job (queue, rank, id, slots, owner) WHERE state = 'ready';"
        /* Lists by state, each state in the order of ids; what lives, at start. */
        "CREATE INDEX job_state ON job (state);"
        "CREATE INDEX job_due ON job (not_before_usec) WHERE state = 'waiting';"
        "CREATE INDEX job_finished ON job (ifnull(finished_usec, 0)) WHERE state = 'done';"
        "CREATE INDEX job_dead ON job (dead) WHERE dead = 1;"

        "CREATE TABLE job_spec ("
        "  job INTEGER PRIMARY KEY,"
        "  spec TEXT NOT NULL,"
        "  payload BLOB"
        ") STRICT;"

        "CREATE TABLE environment ("
        "  id INTEGER PRIMARY KEY,"
        "  hash INTEGER NOT NULL,"
        "  refs INTEGER NOT NULL"
        ") STRICT;"
        "CREATE INDEX environment_hash ON environment (hash);"
        "CREATE TABLE environment_content ("
        "  environment INTEGER PRIMARY KEY,"
        "  content BLOB NOT NULL" /* assignments, each ended by NUL */
        ") STRICT;"

        "CREATE TABLE attempt ("
        "  job INTEGER NOT NULL,"
        "  attempt INTEGER NOT NULL,"
        "  boot_id BLOB NOT NULL,"
        "  userspace_usec INTEGER,"
        "  token BLOB NOT NULL,"
        "  invocation_id BLOB,"
        "  slots INTEGER NOT NULL,"
        "  slot_numbers TEXT,"
        "  created_usec INTEGER,"
        "  result TEXT,"
        "  reason TEXT,"
        "  exit_status INTEGER,"
        "  exit_signal INTEGER,"
        "  started_usec INTEGER,"
        "  finished_usec INTEGER,"
        "  runtime_usec INTEGER,"
        "  cpu_usec INTEGER,"
        "  memory_peak INTEGER,"
        "  memory_peak_sampled INTEGER NOT NULL,"
        "  io_read_bytes INTEGER,"
        "  io_write_bytes INTEGER,"
        "  tasks_peak INTEGER,"
        "  PRIMARY KEY (job, attempt)"
        ") STRICT, WITHOUT ROWID;",

        /* 2: what was answered to requests with an id. Rows come and go in the order of job ids. */
        "CREATE TABLE receipt ("
        "  first_id INTEGER PRIMARY KEY,"
        "  n_jobs INTEGER NOT NULL,"
        "  caller INTEGER NOT NULL,"
        "  request_id TEXT NOT NULL,"
        "  digest INTEGER NOT NULL,"
        "  created_usec INTEGER NOT NULL"
        ") STRICT;"
        "CREATE UNIQUE INDEX receipt_request ON receipt (caller, request_id);"
        "CREATE TABLE receipt_count (caller INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;"
        "CREATE TRIGGER receipt_new AFTER INSERT ON receipt BEGIN"
        "  INSERT INTO receipt_count (caller, n) VALUES (new.caller, 1) ON CONFLICT (caller) DO UPDATE SET n = n + 1;"
        " END;"
        "CREATE TRIGGER receipt_gone AFTER DELETE ON receipt BEGIN"
        "  UPDATE receipt_count SET n = n - 1 WHERE caller = old.caller;"
        " END;",

        /* 3: freezer: NULL: it runs; frozen_usec up to freezer_usec, which is monotonic, as is its epoch */
        "ALTER TABLE attempt ADD COLUMN freezer TEXT;"
        "ALTER TABLE attempt ADD COLUMN freezer_usec INTEGER;"
        "ALTER TABLE attempt ADD COLUMN frozen_usec INTEGER NOT NULL DEFAULT 0;",

        /* 4: how many jobs of each owner are queued in a queue, as the counts of the table of queues: kept, not counted. */
        "CREATE TABLE backlog ("
        "  queue TEXT NOT NULL,"
        "  owner INTEGER NOT NULL,"
        "  n INTEGER NOT NULL,"
        "  PRIMARY KEY (queue, owner)"
        ") STRICT, WITHOUT ROWID;"
        "INSERT INTO backlog SELECT queue, owner, count(*) FROM job WHERE state IN ('held', 'waiting', 'ready')"
        " GROUP BY queue, owner;",

        /* 5: not_before_usec is the end of a span: it moves when the clock is set (store-clock.c) */
        "ALTER TABLE job ADD COLUMN delayed INTEGER NOT NULL DEFAULT 0;",

        /* 6: the scheduling policy. NULL: not given, of none. */
        "ALTER TABLE job ADD COLUMN output TEXT;"
        "ALTER TABLE job ADD COLUMN verify TEXT;"
        "ALTER TABLE job ADD COLUMN deadline_usec INTEGER;"
        "ALTER TABLE job ADD COLUMN keep_usec INTEGER;"
        "ALTER TABLE job ADD COLUMN ended_usec INTEGER;"
        "ALTER TABLE job ADD COLUMN submission_key INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN fair INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN poison INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN blockers INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN flow INTEGER;"
        "ALTER TABLE job ADD COLUMN array INTEGER;"
        "ALTER TABLE job ADD COLUMN array_index INTEGER;"
        "ALTER TABLE job ADD COLUMN array_waits INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE job ADD COLUMN unique_key TEXT;"
        "ALTER TABLE job ADD COLUMN unique_scope TEXT;"
        "ALTER TABLE job ADD COLUMN unique_until_usec INTEGER;"
        "ALTER TABLE job ADD COLUMN unique_held INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE receipt ADD COLUMN ids TEXT;" /* of the jobs, where they do not follow one another */
        /* Of jobs made at once of one spec, which those have that have none of their own in job_spec; with their number by state. */
        "CREATE TABLE array ("
        "  id INTEGER PRIMARY KEY,"
        "  n INTEGER NOT NULL,"
        "  max_running INTEGER NOT NULL,"
        "  used INTEGER NOT NULL,"
        "  held INTEGER NOT NULL,"
        "  waiting INTEGER NOT NULL,"
        "  ready INTEGER NOT NULL,"
        "  starting INTEGER NOT NULL,"
        "  running INTEGER NOT NULL,"
        "  stopping INTEGER NOT NULL,"
        "  done INTEGER NOT NULL,"
        "  dead INTEGER NOT NULL,"
        "  spec TEXT NOT NULL,"
        "  payload BLOB"
        ") STRICT;"
        "CREATE INDEX job_array_waiting ON job (array) WHERE array_waits = 1 AND state = 'waiting';"
        "CREATE INDEX job_unique ON job (unique_key, owner, queue) WHERE unique_held = 1;"
        "CREATE INDEX job_deadline ON job (deadline_usec) WHERE " JOB_WITH_DEADLINE ";"
        "UPDATE job SET submission_key = ifnull(submitted_usec, 0),"
        " ended_usec = iif(state = 'done', coalesce(finished_usec, submitted_usec, 0), NULL);"
        /* What is kept for as long as its queue says, and as it says itself, in the order in which it goes. */
        "CREATE INDEX job_keep ON job (queue, ended_usec) WHERE state = 'done' AND dead = 0 AND keep_usec IS NULL;"
        "CREATE INDEX job_keep_own ON job (queue, ended_usec + min(keep_usec, 4611686018427387903))"
        " WHERE state = 'done' AND dead = 0 AND keep_usec IS NOT NULL;"
        /* Windows of queues that share between users. */
        "CREATE INDEX job_fair ON job (queue, owner, rank, id, slots) WHERE state = 'ready' AND fair = 1;"
        "ALTER TABLE queue ADD COLUMN ranked_ageing_usec INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE queue ADD COLUMN ranked_fair INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE queue ADD COLUMN reranking INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE attempt ADD COLUMN verdict TEXT;"
        "ALTER TABLE attempt ADD COLUMN success INTEGER;"
        "ALTER TABLE attempt ADD COLUMN io_stdout TEXT;"
        "ALTER TABLE attempt ADD COLUMN io_stderr TEXT;"
        "ALTER TABLE attempt ADD COLUMN memory_max INTEGER;"
        /* Who waits for whom: job for before to end as condition says; otherwise: what if it does not. */
        "CREATE TABLE edge ("
        "  job INTEGER NOT NULL,"
        "  before INTEGER NOT NULL,"
        "  condition TEXT NOT NULL,"
        "  otherwise TEXT NOT NULL,"
        "  met INTEGER NOT NULL,"
        "  PRIMARY KEY (job, before)"
        ") STRICT, WITHOUT ROWID;"
        "CREATE INDEX edge_before ON edge (before);"
        /* Of queues with a RateLimit=: when the last ones started; by how much the clock was set since that was written. */
        "CREATE TABLE rate ("
        "  queue TEXT PRIMARY KEY NOT NULL,"
        "  starts TEXT NOT NULL,"
        "  moved_usec INTEGER NOT NULL"
        ") STRICT, WITHOUT ROWID;"
        /* Jobs that have ended, while not all that waited for them has been decided. */
        "CREATE TABLE ended (job INTEGER PRIMARY KEY) STRICT;"
        "CREATE INDEX job_flow ON job (flow) WHERE flow IS NOT NULL;"
        /* What waits for more than its time is not due. */
        "DROP INDEX job_due;"
        "CREATE INDEX job_due ON job (not_before_usec) WHERE state = 'waiting' AND blockers = 0;",

        /* 7: what became of jobs, by number: first of n, as JSON. */
        "CREATE TABLE event ("
        "  first INTEGER PRIMARY KEY,"
        "  n INTEGER NOT NULL,"
        "  events TEXT NOT NULL"
        ") STRICT;",

        /* 8: processes that are given jobs. executor: NULL: a service; worker: which one, also when it is gone. queues: words. */
        "CREATE TABLE worker ("
        "  id INTEGER PRIMARY KEY,"
        "  token BLOB NOT NULL,"
        "  uid INTEGER NOT NULL,"
        "  user TEXT,"
        "  boot_id BLOB NOT NULL,"
        "  pid INTEGER NOT NULL,"
        "  started INTEGER NOT NULL,"
        "  unit TEXT,"
        "  name TEXT,"
        "  metadata TEXT,"
        "  queues TEXT NOT NULL,"
        "  slots INTEGER NOT NULL,"
        "  draining INTEGER NOT NULL,"
        "  registered_usec INTEGER"
        ") STRICT;"
        "ALTER TABLE attempt ADD COLUMN executor TEXT;"
        "ALTER TABLE attempt ADD COLUMN worker INTEGER;",

        /* 9: accounting (store-usage.c): what was in the minute, hour or day that began then. */
        "CREATE TABLE usage ("
        "  span TEXT NOT NULL,"
        "  begin_usec INTEGER NOT NULL,"
        "  queue TEXT NOT NULL,"
        "  type TEXT NOT NULL," /* '': of none */
        "  owner INTEGER NOT NULL,"
        "  submitted INTEGER NOT NULL,"
        "  jobs INTEGER NOT NULL,"
        "  failed INTEGER NOT NULL,"
        "  cancelled INTEGER NOT NULL,"
        "  attempts INTEGER NOT NULL,"
        "  started INTEGER NOT NULL,"
        "  wait_usec INTEGER NOT NULL,"
        "  runtime_usec INTEGER NOT NULL,"
        "  slot_usec INTEGER NOT NULL,"
        "  measured INTEGER NOT NULL,"
        "  cpu_usec INTEGER NOT NULL,"
        "  PRIMARY KEY (span, begin_usec, queue, type, owner)"
        ") STRICT, WITHOUT ROWID;",

        /* 10: job types. NULL: of none; the type has no version */
        "ALTER TABLE job ADD COLUMN type TEXT;"
        "ALTER TABLE job ADD COLUMN type_version TEXT;",

        /* 11: jobs in the foreground, and the processes that wait for their turn or run them; a row until the job is done. */
        "CREATE TABLE run ("
        "  job INTEGER PRIMARY KEY,"
        "  token BLOB NOT NULL,"
        "  boot_id BLOB NOT NULL,"
        "  pid INTEGER NOT NULL,"
        "  started INTEGER NOT NULL"
        ") STRICT;"
        "ALTER TABLE job ADD COLUMN foreground INTEGER NOT NULL DEFAULT 0;",

        /* 12: schedules. of_file: its policy (calendar … job) is what its file said last. elapsed_usec: what was fired for last; and what came of each
         * time, the last ones. */
        "CREATE TABLE timer ("
        "  name TEXT PRIMARY KEY NOT NULL,"
        "  owner INTEGER NOT NULL,"
        "  owner_name TEXT,"
        "  of_file INTEGER NOT NULL,"
        "  paused INTEGER NOT NULL,"
        "  set_usec INTEGER,"
        "  elapsed_usec INTEGER,"
        "  next_usec INTEGER,"
        "  last_job INTEGER NOT NULL,"
        "  firings INTEGER NOT NULL,"
        "  calendar TEXT," /* a line each */
        "  every_usec INTEGER,"
        "  random_delay_usec INTEGER,"
        "  accuracy_usec INTEGER,"
        "  persistent INTEGER,"
        "  overlap TEXT,"
        "  job TEXT"
        ") STRICT, WITHOUT ROWID;"
        "CREATE TABLE firing ("
        "  timer TEXT NOT NULL,"
        "  number INTEGER NOT NULL,"
        "  cause TEXT NOT NULL,"
        "  due_usec INTEGER,"
        "  fired_usec INTEGER,"
        "  job INTEGER," /* NULL: none */
        "  note TEXT,"
        "  PRIMARY KEY (timer, number)"
        ") STRICT, WITHOUT ROWID;",

        /* 13: what was fired for last, by the clock of the boot, which nobody sets; 0: it has not elapsed yet */
        "ALTER TABLE timer ADD COLUMN elapsed_mark INTEGER NOT NULL DEFAULT 0;",

        /* 14: the events that a job tells of, as a set. */
        "ALTER TABLE job ADD COLUMN callbacks INTEGER NOT NULL DEFAULT 0;",

        /* 15: how many bytes the records of each user take (store-room.c), so whose an environment is: it is shared by the jobs of one user. One that two
         * had is of one of them. */
        "ALTER TABLE environment ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;"
        "UPDATE environment SET owner = o FROM (SELECT environment AS e, min(owner) AS o FROM job WHERE environment > 0 GROUP BY 1) WHERE e = id;"
        "CREATE TABLE room (owner INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT;"
        "INSERT INTO room SELECT o, sum(b) FROM ("
        "  SELECT owner AS o, 512 AS b FROM job NOT INDEXED"
        "  UNION ALL SELECT owner, length(CAST(s.spec AS BLOB)) + ifnull(length(s.payload), 0) FROM job_spec AS s CROSS JOIN job ON job.id = s.job"
        "  UNION ALL SELECT (SELECT owner FROM job WHERE job.id >= a.id AND job.id < a.id + a.n AND job.array = a.id LIMIT 1),"
        "   length(CAST(a.spec AS BLOB)) + ifnull(length(a.payload), 0) FROM array AS a"
        "  UNION ALL SELECT owner, 192 + ifnull(length(CAST(t.slot_numbers AS BLOB)), 0) + ifnull(length(CAST(t.reason AS BLOB)), 0)"
        "   + ifnull(length(CAST(t.verdict AS BLOB)), 0) + ifnull(length(CAST(t.io_stdout AS BLOB)), 0) + ifnull(length(CAST(t.io_stderr AS BLOB)), 0)"
        "   FROM attempt AS t CROSS JOIN job ON job.id = t.job"
        "  UNION ALL SELECT owner, 64 FROM edge CROSS JOIN job ON job.id = edge.job"
        "  UNION ALL SELECT owner, 64 + length(content) FROM environment_content CROSS JOIN environment ON id = environment"
        "  UNION ALL SELECT caller, 128 + length(CAST(request_id AS BLOB)) + ifnull(length(CAST(ids AS BLOB)), 0) FROM receipt"
        "  UNION ALL SELECT owner, 512 + ifnull(length(CAST(calendar AS BLOB)), 0) + ifnull(length(CAST(job AS BLOB)), 0) FROM timer"
        ") WHERE o IS NOT NULL GROUP BY o;",

        /* 16: workers whose process may go and come back, as an engine holds their jobs. away_usec: by the clock that is never set; NULL: it is there.
         * engine: what such a worker keeps of an attempt, JSON. */
        "ALTER TABLE worker ADD COLUMN durable INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE worker ADD COLUMN away_usec INTEGER;"
        "ALTER TABLE worker ADD COLUMN adapter TEXT;" /* in place of queues: all whose Executor= is this */
        "ALTER TABLE attempt ADD COLUMN engine TEXT;",
};

unsigned schema_version(void) {
        return ELEMENTSOF(migrations);
}

const char *schema_migration(unsigned version) {
        return migrations[version - 1];
}

/* Set and then asked for: SQLite ignores what it does not know or cannot do, without a word. */
struct Setting {
        const char *set;
        const char *get;
        const char *expect;
        bool file_only;
};

static const struct Setting settings[] = {
        { "PRAGMA journal_mode = WAL", "PRAGMA journal_mode", "wal", true },
        { "PRAGMA synchronous = FULL", "PRAGMA synchronous", "2", false },
        { "PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys", "0", false },
        { "PRAGMA temp_store = MEMORY", "PRAGMA temp_store", "2", false },
        { "PRAGMA cache_size = -4096", "PRAGMA cache_size", "-4096", false }, /* KiB */
        { "PRAGMA mmap_size = 0", "PRAGMA mmap_size", "0", true },
        /* What a burst of submits leaves behind is cut off again. */
        { "PRAGMA journal_size_limit = 16777216", "PRAGMA journal_size_limit", "16777216", false },
        /* Zeroes what is deleted where that costs no further writing. */
        { "PRAGMA secure_delete = FAST", "PRAGMA secure_delete", "2", false },
        { "PRAGMA cell_size_check = ON", "PRAGMA cell_size_check", "1", false },
        { "PRAGMA trusted_schema = OFF", "PRAGMA trusted_schema", "0", false },
};

/* Before the first look into the file: so nobody else gets in between, and no shared memory is made for it. */
static const struct Setting locking = { "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA locking_mode", "exclusive", false };

static int schema_apply_setting(Store *s, const struct Setting *setting) {
        _cleanup_free_ char *value = NULL;
        int r;

        if (setting->file_only && s->memory)
                return 0;
        r = store_exec(s, setting->set);
        if (r < 0)
                return r;
        r = store_query_text(s, setting->get, &value);
        if (r < 0)
                return r;
        if (!streq_ptr(value, setting->expect))
                return store_set_error(s, -EIO, "%s gave \"%s\", expected \"%s\"", setting->set, strempty(value),
                                       setting->expect);
        return 0;
}

static int schema_query_number(Store *s, const char *sql, int64_t *ret) {
        _cleanup_free_ char *value = NULL;
        int r = store_query_text(s, sql, &value);
        if (r < 0)
                return r;

        *ret = value ? strtoll(value, NULL, 10) : 0;
        return 0;
}

static int schema_identify(Store *s, unsigned *ret_version) {
        int64_t version = 0, application = 0, n_objects = 0;
        int r;

        r = schema_query_number(s, "PRAGMA user_version", &version);
        if (r >= 0)
                r = schema_query_number(s, "PRAGMA application_id", &application);
        if (r >= 0)
                r = schema_query_number(s, "SELECT count(*) FROM sqlite_schema", &n_objects);
        if (r < 0)
                return r;

        if (application != SCHEMA_APPLICATION_ID && (application != 0 || version != 0 || n_objects > 0))
                return store_set_error(s, -EUCLEAN, "The file is an SQLite database, but not one of jobmill");
        if (version > (int64_t) schema_version())
                return store_set_error(s, -EPROTONOSUPPORT, "Made by a newer version (schema %" PRIi64 ", this one knows %u)",
                                       version, schema_version());
        if (version < 0)
                return store_set_error(s, -EUCLEAN, "The schema has the impossible version %" PRIi64, version);
        *ret_version = version;
        return 0;
}

static int schema_migrate(Store *s, unsigned version) {
        char sql[64];
        int r;

        for (unsigned i = version; i < schema_version(); i++) {
                r = store_exec(s, "BEGIN IMMEDIATE");
                if (r < 0)
                        return r;
                (void) snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", i + 1);
                CRASH_POINT("migration-begun");
                r = store_exec(s, migrations[i]);
                CRASH_POINT("migration-made");
                if (r >= 0)
                        r = store_exec(s, sql);
                CRASH_POINT("migration-commit-before");
                if (r >= 0)
                        r = store_exec(s, "COMMIT");
                CRASH_POINT("migration-commit-after");
                if (r < 0) {
                        store_rollback(s);
                        return r;
                }
        }
        return 0;
}

/* Both ends of each tree, from the root down: finds a file that was cut off, overwritten or mixed up with another, at a
 * price that does not grow with the file. Pages in the middle are looked at when they are used. */
static int schema_look(Store *s) {
        _cleanup_free_ char *value = NULL;

        return store_query_text(
                        s,
                        "SELECT (SELECT min(id) FROM job NOT INDEXED), (SELECT max(id) FROM job NOT INDEXED),"
                        " (SELECT min(job) FROM job_spec), (SELECT max(job) FROM job_spec),"
                        " (SELECT min(job) FROM attempt), (SELECT max(job) FROM attempt),"
                        " (SELECT max(name) FROM queue), (SELECT max(key) FROM meta),"
                        " (SELECT min(state) FROM job INDEXED BY job_state),"
                        " (SELECT max(state) FROM job INDEXED BY job_state),"
                        " (SELECT queue FROM job INDEXED BY job_ready WHERE state = 'ready' ORDER BY queue LIMIT 1),"
                        " (SELECT not_before_usec FROM job INDEXED BY job_due WHERE state = 'waiting' AND blockers = 0"
                        "  ORDER BY not_before_usec LIMIT 1),"
                        " (SELECT min(job) FROM edge), (SELECT max(before) FROM edge INDEXED BY edge_before), (SELECT max(job) FROM ended),"
                        " (SELECT min(span) FROM usage), (SELECT max(span) FROM usage),"
                        " (SELECT min(n) FROM (SELECT n FROM event ORDER BY first LIMIT 1)), (SELECT n FROM event ORDER BY first DESC LIMIT 1),"
                        " (SELECT max(hash) FROM environment), (SELECT max(environment) FROM environment_content),"
                        " (SELECT max(name) FROM timer), (SELECT max(timer) FROM firing), (SELECT max(bytes) FROM (SELECT bytes FROM room ORDER BY owner DESC LIMIT 1)),"
                        " (SELECT max(first_id) FROM receipt), (SELECT max(caller) FROM receipt INDEXED BY receipt_request)",
                        &value);
}

int schema_apply(Store *s) {
        unsigned version = 0;
        int r;

        r = schema_apply_setting(s, &locking);
        if (r < 0)
                return r;
        r = schema_identify(s, &version);
        if (r < 0)
                return r;
        FOREACH_ELEMENT(i, settings) {
                r = schema_apply_setting(s, i);
                if (r < 0)
                        return r;
        }
        r = schema_migrate(s, version);
        if (r < 0)
                return r;
        return schema_look(s);
}
