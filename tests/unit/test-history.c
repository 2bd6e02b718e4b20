/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lists: every order, every condition, and pages that lose and repeat nothing, also where keys are equal and while jobs come
 * and go. What a list must give is always worked out a second time from the whole table. */

#include "store-util.h"

#define N_JOBS 200U

static void add_tag(JobSpec *spec, const char *key, const char *value) {
        assert_int_equal(strv_extend(&spec->tags, key), 0);
        assert_int_equal(strv_extend(&spec->tags, value), 0);
}

/* Some of everything, with many equal ranks and times. */
static void fill(Store *s) {
        static const char *const queues[] = { "a", "a-b", "c" };
        _cleanup_(model_freep) Model *m = model_new();

        for (unsigned i = 0; i < N_JOBS; i++) {
                JobSpec *spec = spec_new();
                Now then = now;
                Job *j = NULL;

                assert_int_equal(strv_extend(&spec->argv, "true"), 0);
                spec->priority = i % 4;
                if (i % 5 == 0)
                        spec->name = strdup(i % 10 == 0 ? "ten" : "five");
                if (i % 3 == 0)
                        add_tag(spec, "a \"key\" ü", "x");
                if (i % 6 == 0)
                        add_tag(spec, "six", "'y'");
                then.realtime += i;
                if (i % 7 == 1)
                        spec->hold = true;
                if (i % 7 == 2)
                        spec->not_before_usec = then.realtime + 1;
                assert_int_equal(model_submit(m, add_queue(m, queues[i % 3]), spec, 1000 + i % 2, "alice", &then, &j, NULL), 0);
                if (i % 7 == 3 || i % 7 == 4)
                        assert_int_equal(model_start(m, j, token, &then), 0);
                if (i % 7 == 4) {
                        Outcome o = OUTCOME_INIT;
                        o.result = i % 2 ? JOB_SUCCESS : JOB_OOM_KILL;
                        o.finished_usec = now.realtime + i / 50;
                        model_attempt_ended(m, j->live, &o, &then);
                }
                if (i % 7 == 5) {
                        assert_int_equal(model_cancel(m, j, "tired", &then), 0);
                        j->finished_usec = i % 14 == 5 ? USEC_INFINITY : now.realtime;
                }
        }
        if (store_record(s, m) < 0)
                fail_msg("%s", store_error(s));
        model_recorded(m);
}

static int setup(void **state) {
        Store *s = NULL;

        assert_int_equal(store_open(STORE_MEMORY, &s, NULL), 0);
        fill(s);
        *state = s;
        return 0;
}

static int teardown(void **state) {
        store_close(*state);
        return 0;
}

/* ---- the same, worked out here ---- */

static bool has_tags(Store *s, const Job *j, char *const *tags) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;

        assert_int_equal(store_read_spec(s, j, &spec), 0);
        STRV_FOREACH_PAIR(k, v, tags) {
                bool found = false;
                STRV_FOREACH_PAIR(key, value, spec->tags)
                        found = found || (streq(*key, *k) && streq(*value, *v));
                if (!found)
                        return false;
        }
        return true;
}

static bool matches(Store *s, const Job *j, const JobFilter *f, JobOrder order) {
        bool found = f->n_ids == 0;

        for (size_t i = 0; i < f->n_ids; i++)
                found = found || f->ids[i] == j->id;
        if (!found)
                return false;
        found = f->n_owners == 0;
        for (size_t i = 0; i < f->n_owners; i++)
                found = found || f->owners[i] == j->owner;
        return found && (strv_length(f->queues) == 0 || strv_contains(f->queues, j->queue_name)) &&
               (f->states == 0 || (f->states & (1U << j->state))) && (f->results == 0 || (f->results & (1U << j->result))) &&
               (!f->name || streq_ptr(f->name, j->name)) && (f->dead < 0 || f->dead == j->dead) &&
               (f->since_usec == USEC_INFINITY || j->submitted_usec >= f->since_usec) &&
               (f->until_usec == USEC_INFINITY || j->submitted_usec < f->until_usec) &&
               (order != JOB_ORDER_RANK || j->state == JOB_READY) &&
               (order != JOB_ORDER_FINISHED || j->state == JOB_DONE) && has_tags(s, j, f->tags);
}

typedef struct Entry {
        int64_t key;
        uint64_t id;
} Entry;

static int compare_entries(const void *x, const void *y) {
        const Entry *a = x, *b = y;

        if (a->key != b->key)
                return a->key < b->key ? -1 : 1;
        return a->id < b->id ? -1 : a->id > b->id;
}

static size_t expect(Store *s, const JobFilter *f, JobOrder order, Entry *entries) {
        size_t n = 0;

        for (uint64_t id = 1; id <= N_JOBS; id++) {
                _cleanup_(job_freep) Job *j = NULL;

                assert_int_equal(store_load_job(s, id, &j), 0);
                if (!matches(s, j, f, order))
                        continue;
                entries[n].id = id;
                entries[n].key = order == JOB_ORDER_RANK ? j->rank : 0;
                if (order == JOB_ORDER_FINISHED)
                        entries[n].key = j->finished_usec == USEC_INFINITY ? 0 : (int64_t) j->finished_usec;
                n++;
        }
        qsort(entries, n, sizeof(Entry), compare_entries);
        if (order == JOB_ORDER_NEWEST || order == JOB_ORDER_FINISHED)
                for (size_t i = 0; i < n / 2; i++) {
                        Entry t = entries[i];
                        entries[i] = entries[n - 1 - i];
                        entries[n - 1 - i] = t;
                }
        return n;
}

/* ---- pages ---- */

typedef struct Got {
        uint64_t ids[N_JOBS + 8];
        size_t n;
} Got;

static int on_row(void *userdata, JobRow *row) {
        Got *g = userdata;

        assert_true(g->n < ELEMENTSOF(g->ids));
        g->ids[g->n++] = row->job->id;
        assert_null(row->spec);
        assert_int_equal(row->job->attempt > 0, row->attempt != NULL);
        return 0;
}

static void read_pages(Store *s, const JobFilter *f, JobOrder order, uint32_t limit, Got *g) {
        _cleanup_free_ char *cursor = strdup("");

        g->n = 0;
        do {
                size_t before = g->n;
                char *next = NULL;
                int r = history_list(s, f, order, cursor, limit, false, on_row, g, &next);

                if (r < 0)
                        fail_msg("%s", store_error(s));
                free(cursor);
                cursor = next;
                assert_true(*cursor ? g->n - before == limit : g->n - before <= limit);
        } while (*cursor);
}

/* The same ids in pieces; entries are newest first. */
static void check_ranges(Store *s, const JobFilter *f, const Entry *entries, size_t n) {
        uint64_t ids[7], count, sum = 0, after = 0;
        size_t k, seen = 0;

        for (uint64_t until = 5; until < N_JOBS + 6; until += 5) {
                assert_int_equal(history_count(s, f, until - 5, until, &count), 0);
                sum += count;
                do {
                        assert_int_equal(history_ids(s, f, after, until, ids, ELEMENTSOF(ids), &k), 0);
                        for (size_t i = 0; i < k; i++) {
                                assert_true(seen < n);
                                assert_int_equal(ids[i], entries[n - 1 - seen++].id);
                                after = ids[i];
                        }
                } while (k == ELEMENTSOF(ids));
                after = until;
        }
        assert_int_equal(seen, n);
        assert_int_equal(sum, n);
}

static size_t check(Store *s, const JobFilter *f) {
        static const uint32_t limits[] = { 1, 7, 1000 };
        Entry entries[N_JOBS];
        uint64_t count;
        size_t n = 0;
        Got g;

        for (JobOrder order = 0; order < _JOB_ORDER_MAX; order++) {
                n = expect(s, f, order, entries);
                FOREACH_ELEMENT(limit, limits) {
                        read_pages(s, f, order, *limit, &g);
                        assert_int_equal(g.n, n);
                        for (size_t i = 0; i < n; i++)
                                assert_int_equal(g.ids[i], entries[i].id);
                }
        }
        n = expect(s, f, JOB_ORDER_NEWEST, entries);
        assert_int_equal(history_count(s, f, 0, UINT64_MAX, &count), 0);
        assert_int_equal(count, n);
        check_ranges(s, f, entries, n);
        return n;
}

static void test_all(void **state) {
        assert_int_equal(check(*state, &JOB_FILTER_INIT), N_JOBS);
}

static void test_ids(void **state) {
        uint64_t ids[] = { 190, 3, 3, 4711, 5, 4, 6, 7, 8, UINT64_MAX };
        JobFilter f = JOB_FILTER_INIT;

        f.ids = ids;
        f.n_ids = ELEMENTSOF(ids);
        assert_int_equal(check(*state, &f), 7);
        f.states = 1U << JOB_DONE;
        assert_true(check(*state, &f) > 0);
}

static void test_queues(void **state) {
        char *queues[] = { (char *) "a", (char *) "c", (char *) "none", (char *) "x') OR 1 --", (char *) "\"", NULL };
        JobFilter f = JOB_FILTER_INIT;

        f.queues = queues;
        assert_int_equal(check(*state, &f), 133); /* a-b is not a */
        f.queues = queues + 3;
        assert_int_equal(check(*state, &f), 0);
}

static void test_states(void **state) {
        JobFilter f = JOB_FILTER_INIT;
        size_t sum = 0;

        for (JobState i = 0; i < _JOB_STATE_MAX; i++) {
                f.states = 1U << i;
                sum += check(*state, &f);
        }
        assert_int_equal(sum, N_JOBS);
        f.states = (1U << JOB_READY) | (1U << JOB_HELD) | (1U << JOB_STARTING);
        assert_true(check(*state, &f) > 50);
        f.states = (1U << JOB_DONE) | (1U << JOB_READY);
        assert_true(check(*state, &f) > 50);
        f.states = (1U << _JOB_STATE_MAX) - 1;
        assert_int_equal(check(*state, &f), N_JOBS);
        f.states = (1U << JOB_DONE) - 1;
        assert_true(check(*state, &f) < N_JOBS);
}

static void test_results(void **state) {
        JobFilter f = JOB_FILTER_INIT;

        f.results = 1U << JOB_OOM_KILL;
        assert_true(check(*state, &f) > 0);
        f.results |= 1U << JOB_CANCELLED;
        assert_true(check(*state, &f) > 30);
        f.results = 1U << JOB_RESULT_NONE;
        assert_true(check(*state, &f) > 100);
        f.results = 1U << JOB_WATCHDOG;
        assert_int_equal(check(*state, &f), 0);
}

static void test_other_conditions(void **state) {
        uint32_t owners[] = { 1001, 4711 };
        JobFilter f = JOB_FILTER_INIT;

        f.owners = owners;
        f.n_owners = ELEMENTSOF(owners);
        assert_int_equal(check(*state, &f), N_JOBS / 2);
        f = JOB_FILTER_INIT;
        f.name = (char *) "ten";
        assert_int_equal(check(*state, &f), 20);
        f.name = (char *) "no' OR '1";
        assert_int_equal(check(*state, &f), 0);
        f = JOB_FILTER_INIT;
        f.dead = 1;
        assert_true(check(*state, &f) > 30);
        f.states = 1U << JOB_DONE;
        assert_true(check(*state, &f) > 30);
        f.dead = 0;
        assert_true(check(*state, &f) > 10);
        f = JOB_FILTER_INIT;
        f.since_usec = now.realtime + 10;
        f.until_usec = now.realtime + 20;
        assert_int_equal(check(*state, &f), 10);
        f.until_usec = UINT64_MAX - 1;
        assert_int_equal(check(*state, &f), N_JOBS - 10);
}

static void test_tags(void **state) {
        char *tags[] = { (char *) "a \"key\" ü", (char *) "x", (char *) "six", (char *) "'y'", NULL };
        char *wrong[] = { (char *) "six", (char *) "x", NULL };
        JobFilter f = JOB_FILTER_INIT;

        f.tags = tags + 2;
        assert_int_equal(check(*state, &f), 34);
        f.tags = tags;
        assert_int_equal(check(*state, &f), 34);
        f.tags = wrong;
        assert_int_equal(check(*state, &f), 0);
        f.tags = tags;
        f.states = (1U << JOB_READY) | (1U << JOB_WAITING);
        f.since_usec = now.realtime;
        assert_true(check(*state, &f) > 0);
}

static void test_too_many_tags(void **state) {
        _cleanup_(job_filter_done) JobFilter f = JOB_FILTER_INIT;
        uint64_t count;

        assert_true(job_filter_is_empty(&f));
        for (unsigned i = 0; i < SPEC_TAGS_MAX; i++) {
                assert_int_equal(strv_extendf(&f.tags, "k%u", i), 0);
                assert_int_equal(strv_extend(&f.tags, "v"), 0);
        }
        f.name = strdup("n");
        f.dead = 0;
        f.since_usec = f.until_usec = 0;
        assert_false(job_filter_is_empty(&f));
        assert_int_equal(history_count(*state, &f, 0, UINT64_MAX, &count), 0);
        assert_int_equal(count, 0);
        assert_int_equal(strv_extend(&f.tags, "one"), 0);
        assert_int_equal(strv_extend(&f.tags, "more"), 0);
        assert_int_equal(history_count(*state, &f, 0, UINT64_MAX, &count), -E2BIG);
}

/* ---- cursors, callbacks ---- */

static int on_failing(void *userdata, JobRow *row) {
        *(uint64_t *) userdata = row->job->id;
        return -ENOTUNIQ;
}

static int on_enough(void *userdata, JobRow *row) {
        *(uint64_t *) userdata = row->job->id;
        return 1;
}

static void test_cursor(void **state) {
        static const char *const bad[] = { "x", "n", "n:", "n:0", "n:0:", "n:0:x", "n::1", "o:0:1", "n:0:1:2",
                                           "n:0:99999999999999999999" };
        JobFilter f = JOB_FILTER_INIT;
        char *next = NULL, *first;
        uint64_t id = 0;
        Got g = {};

        FOREACH_ELEMENT(i, bad)
                assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, *i, 1, false, on_row, &g, &next), -EINVAL);
        assert_null(next);

        /* The callback's word is the last one. */
        assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, "", 10, false, on_failing, &id, &next), -ENOTUNIQ);
        assert_int_equal(id, N_JOBS);
        assert_null(next);

        /* It has enough: the page ends, and the next one goes on behind it. */
        assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, "", 10, false, on_enough, &id, &next), 0);
        assert_int_equal(id, N_JOBS);
        first = next;
        assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, first, 1, false, on_enough, &id, &next), 0);
        free(first);
        assert_int_equal(id, N_JOBS - 1);
        next = mfree(next);

        /* No rows, and the place is kept. */
        assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, "n:0:50", 0, false, on_row, &g, &next), 0);
        assert_int_equal(g.n, 0);
        assert_string_equal(next, "n:0:50");
        next = mfree(next);
        assert_int_equal(history_list(*state, &f, JOB_ORDER_NEWEST, next, 1, false, on_row, &g, &next), 0);
        assert_int_equal(g.ids[0], N_JOBS);
        free(next);
}

static void test_orders(void **state) {
        for (JobOrder i = 0; i < _JOB_ORDER_MAX; i++)
                assert_int_equal(job_order_from_string(job_order_to_string(i)), i);
        assert_int_equal(job_order_from_string("best"), _JOB_ORDER_INVALID);
}

typedef struct Changing {
        Store *s;
        Got got;
} Changing;

static int on_row_delete(void *userdata, JobRow *row) {
        Changing *c = userdata;
        _cleanup_(model_freep) Model *m = model_new();
        uint64_t *id;

        assert_int_equal(store_load(c->s, m), 0);
        id = new0(uint64_t, 1);
        *id = row->job->id + 1;
        m->purged = id;
        m->n_purged = 1;
        assert_int_equal(store_record(c->s, m), 0);
        return on_row(&c->got, row);
}

/* The callback takes the next row away, with the store in full use. */
static void test_changing(void **state) {
        Changing c = { .s = *state };
        JobFilter f = JOB_FILTER_INIT;
        char *next = NULL;

        assert_int_equal(history_list(c.s, &f, JOB_ORDER_OLDEST, "", 10, false, on_row_delete, &c, &next), 0);
        assert_int_equal(c.got.n, 5);
        assert_int_equal(c.got.ids[4], 9);
        assert_string_equal(next, "o:0:10");
        free(next);
}

static int on_attempt(void *userdata, const Attempt *a) {
        unsigned *n = userdata;

        assert_int_equal(a->number, ++*n);
        return a->number == 3 ? -ECANCELED : 0;
}

static void test_get(void **state) {
        Store *s = *state;
        JobRow row = {};
        unsigned n = 0;

        assert_int_equal(history_get(s, 1, false, &row), 0);
        assert_int_equal(row.job->id, 1);
        assert_null(row.attempt);
        assert_null(row.spec);
        job_row_done(&row);

        assert_int_equal(history_get(s, 4, true, &row), 0);
        assert_int_equal(row.attempt->number, 1);
        assert_int_equal(row.attempt->job_id, 4);
        assert_string_equal(row.spec->argv[0], "true");
        assert_int_equal(row.spec->priority, 3);
        job_row_done(&row);

        assert_int_equal(history_get(s, 4711, true, &row), -ENOENT);

        assert_int_equal(history_attempts(s, 1, on_attempt, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(store_exec(s, "INSERT INTO attempt (job, attempt, boot_id, token, slots, memory_peak_sampled)"
                                       " VALUES (4, 3, zeroblob(16), zeroblob(16), 0, 0),"
                                       " (4, 2, zeroblob(16), zeroblob(16), 0, 0)"), 0);
        assert_int_equal(history_attempts(s, 4, on_attempt, &n), -ECANCELED);
        assert_int_equal(n, 3);

        /* The newest attempt is missing, the job is still shown. */
        assert_int_equal(store_exec(s, "DELETE FROM attempt"), 0);
        assert_int_equal(history_get(s, 4, false, &row), 0);
        assert_null(row.attempt);
        job_row_done(&row);
}

typedef struct Seen {
        uint64_t ids[8];
        size_t n;
} Seen;

static int on_seen(void *userdata, JobRow *row) {
        Seen *seen = userdata;

        assert_true(seen->n < ELEMENTSOF(seen->ids));
        seen->ids[seen->n++] = row->job->id;
        return 0;
}

static void check_few(Store *s, JobOrder order, bool tags) {
        bool rising = order == JOB_ORDER_OLDEST || order == JOB_ORDER_RANK;
        unsigned pages = 0, last = tags ? 20000 : 20999, first = tags ? 1500 : 1001;
        _cleanup_(job_filter_done) JobFilter f = JOB_FILTER_INIT;
        _cleanup_free_ char *cursor = strdup("");
        Seen seen = {};

        if (tags) {
                assert_int_equal(strv_extend(&f.tags, "k"), 0);
                assert_int_equal(strv_extend(&f.tags, "v"), 0);
        } else
                f.name = strdup("rare");
        if (order == JOB_ORDER_OLDEST)
                f.states = 1U << JOB_DONE | 1U << JOB_READY;
        do {
                char *next;

                assert_int_equal(history_list(s, &f, order, cursor, 1, false, on_seen, &seen, &next), 0);
                free(cursor);
                cursor = next;
                assert_true(pages++ < 100);
        } while (!isempty(cursor));
        assert_true(pages > (tags ? 15 : 3));
        assert_int_equal(seen.n, 2);
        assert_int_equal(seen.ids[0], rising ? first : last);
        assert_int_equal(seen.ids[1], rising ? last : first);
}

/* Few fit of very many: no page looks at all of them, and together they find all. */
static void test_few_of_many(void **state) {
        static const JobOrder by[] = { JOB_ORDER_NEWEST, JOB_ORDER_OLDEST, JOB_ORDER_FINISHED, JOB_ORDER_RANK };
        _cleanup_free_ char *next = NULL;
        JobFilter f = JOB_FILTER_INIT;
        Store *s = *state;
        Seen seen = {};

        /* One that has ended, twenty thousand times, as ids 1001 and up; of these two have a name, and two have the tag of another. */
        assert_int_equal(store_exec(s, "DELETE FROM job WHERE id NOT IN (6, 7)"), 0);
        assert_int_equal(store_exec(s, "WITH RECURSIVE n (i) AS (SELECT 1001 UNION ALL SELECT i + 1 FROM n WHERE i < 21000)"
                                       " INSERT INTO job (id, queue, owner, state, result, priority, rank, slots, attempt, max_attempts, dead,"
                                       "  privileged, finished_usec, name)"
                                       " SELECT i, iif(i % 2, 'a', 'c'), 1000, 'done', 'success', 0, i / 3, 1, 0, 1, 0, 0, i / 3,"
                                       "  iif(i IN (1001, 20999), 'rare', NULL) FROM n"), 0);
        assert_int_equal(store_exec(s, "INSERT INTO job_spec (job, spec) SELECT id, iif(id IN (1500, 20000),"
                                       " '{\"argv\":[\"a\"],\"tags\":{\"k\":\"v\"}}', '{\"argv\":[\"a\"]}') FROM job WHERE id > 1000"), 0);
        FOREACH_ELEMENT(order, by) {
                if (*order == JOB_ORDER_RANK)
                        assert_int_equal(store_exec(s, "UPDATE job SET state = 'ready', result = NULL WHERE id > 1000"), 0);
                check_few(s, *order, false);
                check_few(s, *order, true);
        }

        /* Those with a result that is none of theirs are not looked for among them. */
        assert_int_equal(store_exec(s, "UPDATE job SET state = 'done', result = 'success' WHERE id > 1000"), 0);
        f.results = 1U << JOB_CANCELLED;
        assert_int_equal(history_list(s, &f, JOB_ORDER_OLDEST, "", 1, false, on_seen, &seen, &next), 0);
        assert_int_equal(seen.n, 1);
        assert_int_equal(seen.ids[0], 6);
        assert_string_equal(next, "");
}

static void expect_array(Store *s, unsigned states, bool collapse, JobOrder order, uint64_t first, size_t n) {
        JobFilter f = JOB_FILTER_INIT;
        uint64_t count;
        Got g;

        f.array = N_JOBS + 1;
        f.states = states;
        f.collapse = collapse;
        read_pages(s, &f, order, 2, &g);
        assert_int_equal(g.n, n);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(g.ids[i], order == JOB_ORDER_NEWEST ? first - i : first + i);
        f.collapse = false;
        assert_int_equal(history_count(s, &f, 0, UINT64_MAX, &count), 0);
        assert_true(collapse || count == n);
}

/* Jobs 1 to 5 of it, of which two have a place. */
static void test_array(void **state) {
        _cleanup_(model_freep) Model *m = model_new();
        const uint64_t first = N_JOBS + 1;
        JobFilter f = JOB_FILTER_INIT;
        JobSpec *spec = spec_new();
        Store *s = *state;
        Job *j;
        Got g;

        assert_int_equal(store_load(s, m), 0);
        assert_int_equal(strv_extend(&spec->argv, "true"), 0);
        spec->array = 5;
        spec->array_max_running = 2;
        add_tag(spec, "of", "array");
        assert_int_equal(model_submit(m, add_queue(m, "a"), spec, 1000, "alice", &now, &j, NULL), 0);
        assert_int_equal(store_record(s, m), 0);
        model_recorded(m);

        expect_array(s, 0, false, JOB_ORDER_NEWEST, first + 4, 5);
        expect_array(s, 0, false, JOB_ORDER_OLDEST, first, 5);
        expect_array(s, 1U << JOB_READY, false, JOB_ORDER_OLDEST, first, 2);
        expect_array(s, 1U << JOB_WAITING, false, JOB_ORDER_NEWEST, first + 4, 3);
        expect_array(s, 0, true, JOB_ORDER_NEWEST, first + 4, 1);
        expect_array(s, 0, true, JOB_ORDER_OLDEST, first, 1);
        expect_array(s, 1U << JOB_READY, true, JOB_ORDER_NEWEST, first + 1, 1);
        expect_array(s, 1U << JOB_WAITING, true, JOB_ORDER_OLDEST, first + 2, 1);

        f.collapse = true;
        read_pages(s, &f, JOB_ORDER_OLDEST, 1000, &g);
        assert_int_equal(g.n, N_JOBS + 1);
        f.tags = (char *[]) { (char *) "of", (char *) "array", NULL };
        read_pages(s, &f, JOB_ORDER_OLDEST, 1000, &g);
        assert_true(g.n == 1 && g.ids[0] == first);
        f = JOB_FILTER_INIT;
        f.array = 7; /* none */
        read_pages(s, &f, JOB_ORDER_OLDEST, 1000, &g);
        assert_int_equal(g.n, 0);
}

#define history_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                history_test(test_all),
                history_test(test_ids),
                history_test(test_queues),
                history_test(test_states),
                history_test(test_results),
                history_test(test_other_conditions),
                history_test(test_tags),
                history_test(test_too_many_tags),
                history_test(test_cursor),
                history_test(test_orders),
                history_test(test_changing),
                history_test(test_get),
                history_test(test_few_of_many),
                history_test(test_array),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
