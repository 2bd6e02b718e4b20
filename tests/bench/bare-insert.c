/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bare-insert [--parse] [--environment=N] DB JOBS: the yardstick for SubmitMany. It makes a store at DB, with the tables, the indexes
 * and the settings of the daemon's, and inserts the same rows that "submit-many --hold" leads to, 10,000 a transaction, by prepared
 * statements on a connection of its own. It receives nothing, checks nothing and answers nobody. With --parse what it inserts is what
 * it reads, by json-c, in the text that submit-socket sends for each 10,000.
 *
 * Prints the seconds from the first BEGIN to the last COMMIT. */

#include "store/schema.h"
#include "varlink-client.h"

#include <getopt.h>
#include <time.h>

#define BATCH 10000U
#define EVENTS 1000U /* in a row */

typedef struct Inserter {
        sqlite3 *db;
        sqlite3_stmt *job, *spec, *event, *environment, *content, *refs, *queue, *backlog, *next_id;
        unsigned n_environment;
        json_tokener *tokener; /* of --parse */
        bool failed;
} Inserter;

static double seconds(clockid_t clock) {
        struct timespec t;

        clock_gettime(clock, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(Inserter *i, int rc) {
        if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW || i->failed)
                return;
        fprintf(stderr, "bare-insert: %s\n", sqlite3_errmsg(i->db));
        i->failed = true;
}

static void run(Inserter *i, sqlite3_stmt *stmt) {
        check(i, sqlite3_step(stmt));
        check(i, sqlite3_reset(stmt));
}

static void prepare(Inserter *i, sqlite3_stmt **ret, const char *sql) {
        check(i, sqlite3_prepare_v3(i->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

static void open_and_prepare(Inserter *i, const char *path) {
        check(i, sqlite3_open_v2(path, &i->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
        if (i->failed)
                return;
        check(i, sqlite3_exec(i->db,
                              "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                              "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;"
                              "PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 16777216; PRAGMA secure_delete = FAST;"
                              "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF",
                              NULL, NULL, NULL));
        prepare(i, &i->job,
                "INSERT INTO job (id, queue, owner, owner_name, name, state, priority, rank, slots, attempt, max_attempts, dead, submitted_usec,"
                " privileged, environment, output, verify, submission_key)"
                " VALUES (?1, 'bench', 0, 'root', ?4, 'held', 0, 0, 1, 0, 1, 0, ?2, 1, ?3, 'journal', 'exit', ?2)");
        prepare(i, &i->spec, "INSERT INTO job_spec (job, spec, payload) VALUES (?1, ?2, NULL)");
        prepare(i, &i->event, "INSERT INTO event (first, n, events) VALUES (?1, ?2, ?3)");
        prepare(i, &i->environment, "INSERT INTO environment (id, hash, refs) VALUES (1, 1, 0)");
        prepare(i, &i->content, "INSERT INTO environment_content (environment, content) VALUES (1, ?1)");
        prepare(i, &i->refs, "UPDATE environment SET refs = refs + ?1 WHERE id = 1");
        prepare(i, &i->queue,
                "INSERT INTO queue (name, paused, draining, held, waiting, ready, starting, running, stopping, done, dead)"
                " VALUES ('bench', 0, 0, ?1, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (name) DO UPDATE SET held = excluded.held");
        prepare(i, &i->backlog,
                "INSERT INTO backlog (queue, owner, n) VALUES ('bench', 0, ?1) ON CONFLICT (queue, owner) DO UPDATE SET n = excluded.n");
        prepare(i, &i->next_id,
                "INSERT INTO meta (key, value) VALUES ('next_id', ?1)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value");
}

static void insert_job(Inserter *i, int64_t id, int64_t now, const char *name, const char *spec) {
        (void) sqlite3_bind_int64(i->job, 1, id);
        (void) sqlite3_bind_int64(i->job, 2, now);
        if (i->n_environment > 0)
                (void) sqlite3_bind_int64(i->job, 3, 1);
        (void) sqlite3_bind_text(i->job, 4, name, -1, SQLITE_STATIC);
        run(i, i->job);
        (void) sqlite3_bind_int64(i->spec, 1, id);
        (void) sqlite3_bind_text(i->spec, 2, spec, -1, SQLITE_STATIC);
        run(i, i->spec);
}

static void insert_parsed(Inserter *i, int64_t id, int64_t now, json_object *job) {
        json_object *name, *argv;
        char spec[4096];

        if (!json_object_object_get_ex(job, "name", &name) || !json_object_object_get_ex(job, "argv", &argv) ||
            snprintf(spec, sizeof(spec), "{\"argv\":%s}",
                     json_object_to_json_string_ext(argv, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) >= (int) sizeof(spec)) {
                i->failed = true;
                return;
        }
        insert_job(i, id, now, json_object_get_string(name), spec);
}

/* The jobs of a call. What holds them is to be put. */
static json_object *parse(Inserter *i, const char *text, size_t size, json_object **ret_jobs) {
        json_object *call, *parameters;

        json_tokener_reset(i->tokener);
        call = json_tokener_parse_ex(i->tokener, text, size);
        if (!call || !json_object_object_get_ex(call, "parameters", &parameters) || !json_object_object_get_ex(parameters, "jobs", ret_jobs))
                i->failed = true;
        return call;
}

static void insert_environment(Inserter *i) {
        char content[8192];
        size_t n = 0;

        for (unsigned k = 0; k < i->n_environment; k++)
                n += snprintf(content + n, sizeof(content) - n, "BENCH_VARIABLE_%u=/usr/share/some/where/%u", k, k) + 1;
        run(i, i->environment);
        (void) sqlite3_bind_blob(i->content, 1, content, n, SQLITE_TRANSIENT);
        run(i, i->content);
}

/* As JSON, a thousand in a row: what listeners would be told. */
static void insert_events(Inserter *i, uint64_t first, uint64_t n) {
        static char events[EVENTS * 160];
        size_t size = 0;

        for (uint64_t id = first; id < first + n; id++)
                size += snprintf(events + size, sizeof(events) - size,
                                 "%s{\"number\":%" PRIu64 ",\"id\":%" PRIu64 ",\"queue\":\"bench\",\"owner\":0,\"state\":\"held\",\"attempt\":0,\"new\":true}",
                                 id > first ? "," : "", (UINT64_C(1) << 32) + id, id);
        (void) sqlite3_bind_int64(i->event, 1, (INT64_C(1) << 32) + first);
        (void) sqlite3_bind_int64(i->event, 2, n);
        (void) sqlite3_bind_text(i->event, 3, events, size, SQLITE_STATIC);
        run(i, i->event);
}

static void insert_batch(Inserter *i, uint64_t first, uint64_t n, const char *call, size_t size) {
        json_object *message = NULL, *jobs = NULL;
        int64_t now = seconds(CLOCK_REALTIME) * 1e6;
        char text[32];

        if (i->tokener)
                message = parse(i, call, size, &jobs);
        check(i, sqlite3_exec(i->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
        if (first == 1 && i->n_environment > 0)
                insert_environment(i);
        for (uint64_t k = 0; !i->failed && k < n; k++)
                if (jobs)
                        insert_parsed(i, first + k, now, json_object_array_get_idx(jobs, k));
                else
                        insert_job(i, first + k, now, "bench", "{\"argv\":[\"/bin/true\"]}");
        if (i->n_environment > 0) {
                (void) sqlite3_bind_int64(i->refs, 1, n);
                run(i, i->refs);
        }
        for (uint64_t k = 0; k < n; k += EVENTS)
                insert_events(i, first + k, MIN(n - k, (uint64_t) EVENTS));
        (void) sqlite3_bind_int64(i->queue, 1, first + n - 1);
        run(i, i->queue);
        (void) sqlite3_bind_int64(i->backlog, 1, first + n - 1);
        run(i, i->backlog);
        snprintf(text, sizeof(text), "%" PRIu64, first + n);
        (void) sqlite3_bind_text(i->next_id, 1, text, -1, SQLITE_STATIC);
        run(i, i->next_id);
        check(i, sqlite3_exec(i->db, "COMMIT", NULL, NULL, NULL));
        json_object_put(message);
}

static void finish(Inserter *i) {
        sqlite3_stmt *all[] = { i->job, i->spec, i->event, i->environment, i->content, i->refs, i->queue, i->backlog, i->next_id };

        FOREACH_ELEMENT(stmt, all)
                (void) sqlite3_finalize(*stmt);
        (void) sqlite3_close(i->db);
        if (i->tokener)
                json_tokener_free(i->tokener);
}

/* The tables are the daemon's by construction. */
static int make_store(const char *path) {
        _cleanup_free_ char *error = NULL;
        Store *s;
        int r;

        r = store_open(path, &s, &error);
        if (r < 0) {
                fprintf(stderr, "bare-insert: %s\n", strempty(error));
                return r;
        }
        store_close(s);
        return 0;
}

static int parse_argv(Inserter *i, int argc, char *argv[]) {
        static const struct option options[] = {
                { "environment", required_argument, NULL, 'e' },
                { "parse", no_argument, NULL, 'p' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'e')
                        i->n_environment = strtoul(optarg, NULL, 10);
                else if (c == 'p' && !i->tokener)
                        i->tokener = json_tokener_new();
                else
                        return -EINVAL;
        return argc - optind == 2 && i->n_environment <= 64 ? 0 : -EINVAL;
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *call = NULL;
        Inserter i = {};
        size_t size = 0;
        uint64_t n = 0;
        double begin;

        if (parse_argv(&i, argc, argv) < 0 || (n = strtoull(argv[optind + 1], NULL, 10)) == 0) {
                fprintf(stderr, "usage: bare-insert [--parse] [--environment=N] DB JOBS\n");
                return 2;
        }
        if (make_store(argv[optind]) < 0)
                return 1;
        open_and_prepare(&i, argv[optind]);
        if (i.tokener && !(call = submit_many_text("bench", true, BATCH, &size)))
                return 1;
        begin = seconds(CLOCK_MONOTONIC);
        for (uint64_t first = 1; !i.failed && first <= n; first += BATCH)
                insert_batch(&i, first, MIN(n + 1 - first, (uint64_t) BATCH), call, size);
        if (!i.failed)
                printf("%.6f\n", seconds(CLOCK_MONOTONIC) - begin);
        finish(&i);
        return i.failed;
}
