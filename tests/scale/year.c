/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A year of a busy site: 1,000 users, 100 queues in 20 departments, nights, weekends, and each month a campaign that leaves a backlog, through the
 * daemon's turn, model and store (site.h), with Keep=, KeepMax=, accounts, events and purges as the daemon has them. A turn for
 * each simulated minute (with few jobs: each hour).
 *
 *   year [JOBS [FOLDER]]
 *
 * prints a row of figures for each month. Fails where a cap is passed, a job is lost or runs twice, or where something grows with what
 * has been: memory, what is stored, or the steps of SQLite that it takes to start a job. */

#include "site.h"

#include "base/strv.h"
#include "base/time-util.h"
#include "queue/schedule.h"
#include "store/store-internal.h"

#include <signal.h>
#include <time.h>

#define JOBS 20000U
#define MONTHS 12U
#define USERS 1000U
#define FIRST_USER 10000U
#define PEAK 6U /* the month of the largest campaign */

#ifdef __SANITIZE_ADDRESS__
#define MEASURED false /* memory is the sanitizer's */
#else
#define MEASURED true
#endif

static uint64_t n_jobs = JOBS;
static char folder[4096], file[sizeof(folder) + 16], more_files[3][sizeof(folder) + 32];

typedef struct Month {
        uint64_t submitted, ended, kept, backlog_max, memory, used_bytes, file_bytes, turns;
        double dispatch, record, steps;
} Month;
static Month months[MONTHS];

/* ---- the site ---- */

static uint32_t slots_of_department(void) {
        return (uint32_t) MAX(n_jobs / 625000, UINT64_C(4));
}

static Model *make_model(void) {
        uint32_t slots = slots_of_department();
        Model *m = model_new();
        Queue *q;

        if (!m)
                fail("no memory");
        m->starting_max = STARTING_MAX;
        m->poison_max = 5;
        m->queued_max = m->queued_per_user_max = UINT64_MAX;
        m->timeout_default = USEC_INFINITY;
        m->stop_timeout_default = STOP_TIMEOUT_DEFAULT;
        for (unsigned i = 0; i < SITE_QUEUES; i++) {
                char child = i < DEPARTMENTS ? 0 : "abcd"[(i - DEPARTMENTS) % CHILDREN];

                if (model_queue_add(m, site_queue_name(i), &q) < 0)
                        fail("no memory");
                q->configured = true;
                q->policy.slots = site.slots[i] = child ? MAX(slots * 3 / 4, 2U) : slots;
                q->policy.fair = child == 'b';
                q->policy.ageing_usec = child == 'a' ? HOUR : 0;
                if (child == 'a')
                        q->policy.keep_max = n_jobs / 1000;
                if (child == 'b')
                        q->policy.keep_usec = 90 * DAY;
                if (child == 'c')
                        q->policy.rate = (RateLimit) { (uint32_t) MAX(n_jobs / 500000, UINT64_C(1)), HOUR };
                if (child == 'd')
                        q->policy.keep_usec = 7 * DAY;
        }
        if (admission_configure(m) < 0)
                fail("no memory");
        return m;
}

/* ---- jobs ---- */

static void say(char ***l, const char *format, uint64_t n) {
        char text[64];

        (void) snprintf(text, sizeof(text), format, n);
        if (strv_extend(l, text) < 0)
                fail("no memory");
}

static JobSpec *make_spec(char child, uint32_t user) {
        JobSpec *s = spec_new();

        if (!s || strv_extend(&s->argv, "/usr/bin/python3") < 0 || strv_extend(&s->tags, "batch") < 0)
                fail("no memory");
        say(&s->argv, "/srv/projects/%" PRIu64 "/step.py", user);
        say(&s->argv, "--input=/srv/data/%016" PRIx64 ".parquet", any(UINT64_MAX));
        say(&s->tags, "run-%" PRIu64, any(1000));
        for (uint64_t i = 0; i < 10; i++) /* as all of the user's */
                say(&s->environment, i % 2 ? "PROJECT_OPTION=%" PRIu64 : "PROJECT_PATH=/srv/projects/%" PRIu64, user * 10 + i);
        s->name = strdup(child == 'd' ? "fetch" : "convert");
        s->cwd = strdup("/srv/projects");
        if (!s->name || !s->cwd)
                fail("no memory");
        s->slots = chance(0.06) ? 2 : 1;
        s->priority = chance(0.1) ? (int32_t) any(10) : 0;
        if (chance(0.02))
                s->delay_usec = (1 + any(48)) * HOUR / 2;
        if (chance(0.005))
                s->deadline_usec = site.now.realtime + 2 * DAY;
        if (chance(0.02))
                s->timeout_usec = 3 * site.run_mean;
        if (child == 'd') {
                s->max_attempts = 3;
                s->backoff = BACKOFF_EXPONENTIAL;
                s->backoff_base_usec = 60 * SEC;
                s->backoff_max_usec = HOUR;
        }
        return s;
}

static uint64_t submit(Queue *q, JobSpec *s, uint32_t user, bool is_short) {
        _cleanup_free_ char *error = NULL;
        uint32_t n = MAX(s->array, 1U);
        char name[16];
        Job *j;

        (void) snprintf(name, sizeof(name), "u%u", user);
        if (model_submit(site.m.model, q, s, user, name, &site.now, &j, &error) < 0)
                fail("refused: %s", strempty(error));
        site_submitted(j->id, n, is_short);
        return j->id;
}

/* One, an array, or three of which each comes after the one before. How many. */
static uint64_t submit_some(bool is_short) {
        static const char kinds[] = "aaaaaaaaabbbbbbbcddd";
        uint32_t user = FIRST_USER + (uint32_t) (any(USERS) * any(USERS) / USERS); /* some have more than others */
        char child = kinds[any(sizeof(kinds) - 1)];
        Queue *q = model_queue(site.m.model, site_queue_name(DEPARTMENTS + (user % DEPARTMENTS) * CHILDREN + (unsigned) (child - 'a')));
        uint64_t room = n_jobs - site.submitted, id;
        JobSpec *s = make_spec(child, user);
        bool chain = !is_short && room >= 3 && chance(0.02);

        if (!is_short && !chain && room >= 20 && chance(0.005)) {
                s->array = 20;
                s->array_max_running = 3;
        }
        id = submit(q, s, user, is_short);
        for (unsigned i = 0; i < 2 && chain; i++) {
                _cleanup_free_ char *never = NULL;

                s = make_spec(child, user);
                s->after = new0(After, 1);
                if (!s->after)
                        fail("no memory");
                s->after[s->n_after++] = (After) { .id = id, .condition = AFTER_SUCCESS, .otherwise = OTHERWISE_FAIL };
                if (spec_resolve_after(s, 0, model_job(site.m.model, id), &never) < 0 || never)
                        fail("a job that has not ended is not waited for");
                id = submit(q, s, user, is_short);
        }
        return chain ? 3 : MAX(s->array, 1U);
}

/* How much of it comes in an hour that begins then. */
static double weight_at(usec_t t) {
        uint64_t day = (t - BEGIN) / DAY, hour = (t - BEGIN) % DAY / HOUR;
        double w = hour >= 9 && hour < 17 ? 2 : hour >= 7 && hour < 22 ? 1 : 0.4;

        return day % 7 < 5 ? w : w * 0.4;
}

static usec_t month_begins(unsigned month) {
        return BEGIN + month * (365 * DAY / MONTHS) / HOUR * HOUR;
}

static uint64_t campaign_of(unsigned month) {
        return month == PEAK ? n_jobs / 10 : n_jobs / 100;
}

/* What comes from t to t + span. */
static void submit_all(usec_t t, usec_t span, unsigned month) {
        static double owed, owed_short, weights;
        double base = (double) (n_jobs - n_jobs / 10 - 11 * (n_jobs / 100));
        usec_t begins = month_begins(month) + 10 * DAY;

        for (usec_t h = BEGIN; weights == 0 || (h > BEGIN && h < BEGIN + 365 * DAY); h += HOUR)
                weights += weight_at(h);
        owed += base * weight_at(t) * (double) span / (double) HOUR / weights;
        if (t >= begins && t < begins + HOUR)
                owed_short += (double) campaign_of(month) * (double) span / (double) HOUR;
        if (t + span == BEGIN + 365 * DAY)
                owed = (double) (n_jobs - site.submitted);
        while (owed >= 1 && site.submitted < n_jobs)
                owed -= (double) submit_some(false);
        while (owed_short >= 1 && site.submitted < n_jobs)
                owed_short -= (double) submit_some(true);
}

/* What has failed is looked at, and purged two weeks later by those whose it is. */
static void purge_failed(usec_t t) {
        static uint64_t first = 1, before[14];
        uint64_t *newest = before + (t - BEGIN) / DAY % 14;

        for (unsigned n = 0; first < *newest && site_fate(first) >= FATE_DONE; first++) {
                Job *j;

                if (site_fate(first) != FATE_FAILED)
                        continue;
                if (manager_load_job(&site.m, first, &j) < 0 || !j->dead || model_purge(site.m.model, j) < 0)
                        fail("job %" PRIu64 " has failed, and cannot be purged", first);
                if (++n % 64 == 0)
                        site_turn();
        }
        site_turn();
        *newest = site.m.model->next_id;
}

/* ---- the months ---- */

static uint64_t ask(const char *sql) {
        sqlite3_stmt *s = NULL;
        uint64_t n;

        if (sqlite3_prepare_v2(site.m.store->db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
                fail("%s: %s", sql, sqlite3_errmsg(site.m.store->db));
        n = (uint64_t) sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        return n;
}

/* Every job is done once, or waits, or runs; and what the store has is what was not purged. */
static void check_books(void) {
        const Model *m = site.m.model;
        uint64_t there = 0, stored;

        for (JobState s = 0; s < _JOB_STATE_MAX; s++)
                there += m->count[s];
        if (site.submitted != site.ended + there - m->count[JOB_DONE])
                fail("%" PRIu64 " jobs were submitted, %" PRIu64 " have ended, %" PRIu64 " have not", site.submitted, site.ended, there - m->count[JOB_DONE]);
        stored = ask("SELECT count(*) FROM job");
        if (there != site.submitted - site.purged || stored != there)
                fail("of %" PRIu64 " jobs %" PRIu64 " were purged, %" PRIu64 " are there, and %" PRIu64 " are stored", site.submitted, site.purged, there, stored);
        for (const Queue *q = m->queues; q; q = q->hh.next)
                if (q->policy.keep_max != UINT64_MAX && q->count[JOB_DONE] - q->dead > q->policy.keep_max)
                        fail("queue %s keeps %" PRIu64 " jobs that are done, KeepMax= is %" PRIu64, q->name, q->count[JOB_DONE] - q->dead, q->policy.keep_max);
}

static void end_month(unsigned i) {
        Times *t = &site.times;
        Month *m = months + i;

        check_books();
        m->submitted = site.submitted;
        m->ended = site.ended;
        m->kept = site.m.model->count[JOB_DONE];
        m->memory = site_memory();
        m->file_bytes = store_size(site.m.store);
        m->used_bytes = m->file_bytes - ask("PRAGMA freelist_count") * ask("PRAGMA page_size");
        m->turns = site.turns;
        m->dispatch = meter_share(&t->dispatch, 0.5);
        m->record = meter_share(&t->record, 0.5);
        m->steps = (double) t->steps / (double) t->started;
        printf("| %u | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %.1f | %.0f, %.0f | %.0f, %.0f | %.0f | %.0f | %.1f, %.1f | %.1f | %.0f |\n", i + 1,
               m->submitted - (i > 0 ? months[i - 1].submitted : 0), m->backlog_max, m->kept, (double) m->memory / 1048576,
               (double) m->used_bytes / 1048576, (double) m->file_bytes / 1048576, m->dispatch, meter_share(&t->dispatch, 0.99), m->steps, m->record,
               meter_share(&t->commit, 0.5) / 1000, meter_share(&t->commit, 0.99) / 1000, t->chunk / 1000, t->turn / 1000);
        fflush(stdout);
        memset(t, 0, sizeof(*t));
}

static void run_month(unsigned i, usec_t tick) {
        const Model *m = site.m.model;

        for (usec_t t = month_begins(i); t < (i + 1 < MONTHS ? month_begins(i + 1) : BEGIN + 365 * DAY); t += tick) {
                site_set_time(t);
                site_ends();
                submit_all(t, tick, i);
                site_turn();
                if ((t - BEGIN) % DAY == 3 * HOUR)
                        purge_failed(t);
                months[i].backlog_max = MAX(months[i].backlog_max, m->count[JOB_READY]);
        }
        end_month(i);
}

/* Nobody submits anything any more. */
static void wind_up(usec_t tick) {
        usec_t t = BEGIN + 365 * DAY;

        for (; site.ended < site.submitted; t += tick) {
                if (t > BEGIN + 730 * DAY)
                        fail("%" PRIu64 " jobs wait for ever", site.submitted - site.ended);
                site_set_time(t);
                site_ends();
                site_turn();
        }
        check_books();
        for (uint64_t id = 1; id <= site.submitted; id++)
                if (site_fate(id) < FATE_DONE)
                        fail("job %" PRIu64 " was lost", id);
}

static int found(void *userdata, const StoreFinding *f) {
        fail("the store: %s: %s", f->kind, f->text);
}

static void check_store(void) {
        StoreCheck k = {};
        int r;

        while ((r = store_check_step(site.m.store, &k, found, NULL)) > 0)
                ;
        if (r < 0)
                fail("the store cannot be checked: %s", store_error(site.m.store));
}

/* As jobmill backup does, a step a turn. Then the store is opened as by a daemon that starts. */
static void copy_and_open(void) {
        _cleanup_free_ char *error = NULL;
        StoreBackup *b = NULL;
        usec_t began = now_usec(CLOCK_MONOTONIC), step, longest = 0, copied, opened;
        Model *m;
        int fd = -EBADF, r = store_backup_begin(site.m.store, &b);

        for (bool more = r >= 0; more; longest = MAX(longest, now_usec(CLOCK_MONOTONIC) - step)) {
                step = now_usec(CLOCK_MONOTONIC);
                r = store_backup_step(b, &fd);
                more = r > 0;
        }
        if (r < 0)
                fail("a backup fails: %s", store_error(site.m.store));
        store_backup_free(b);
        safe_close(fd);
        copied = now_usec(CLOCK_MONOTONIC);
        site.m.store = store_close(site.m.store);
        if (store_open(file, &site.m.store, &error) < 0)
                fail("%s", error);
        m = make_model();
        if (store_load(site.m.store, m) < 0)
                fail("%s", store_error(site.m.store));
        opened = now_usec(CLOCK_MONOTONIC);
        model_free(m);
        printf("a backup: %.1f s, its longest step %.1f ms; closed, opened and loaded in %.2f s\n", (double) (copied - began) / SEC, (double) longest / 1000,
               (double) (opened - copied) / SEC);
}

/* ---- what must not grow ---- */

static void at_most(const char *what, double value, double limit, const char *of) {
        if (value > limit)
                fail("%s: %.1f, and at most %.1f would be right (%s)", what, value, limit, of);
}

static void check_growth(void) {
        const Month *first = months, *quiet = months + PEAK - 1, *peak = months + PEAK, *last = months + MONTHS - 1;

        /* Keep= is 90 days at most: from the fourth month on as much goes as comes. By the ninth there are as many events and accounts as ever. */
        at_most("jobs that are kept", (double) last->kept, 1.3 * (double) quiet->kept, "the sixth month's");
        at_most("bytes that are used", (double) last->used_bytes, 1.15 * (double) months[8].used_bytes, "the ninth month's");
        at_most("bytes of the file", (double) last->file_bytes, 1.15 * (double) months[8].file_bytes, "the ninth month's");
        at_most("SQLite's steps to start a job", last->steps, 1.5 * first->steps, "the first month's");
        at_most("SQLite's steps to start a job beside the largest backlog", peak->steps, 1.5 * first->steps, "the first month's");
        if (MEASURED)
                at_most("memory", (double) last->memory, 1.1 * (double) peak->memory + (1 << 20), "the seventh month's");
}

/* ---- */

static void open_store(const char *where) {
        _cleanup_free_ char *error = NULL;
        Store *s = NULL;
        Model *m;

        (void) snprintf(folder, sizeof(folder), "%s/jobmill-year-XXXXXX", where);
        if (!mkdtemp(folder))
                fail("%s: %s", folder, strerror(errno));
        (void) snprintf(file, sizeof(file), "%s/jobmill.db", folder);
        for (unsigned i = 0; i < ELEMENTSOF(more_files); i++)
                (void) snprintf(more_files[i], sizeof(more_files[i]), "%s%s", i == 2 ? folder : file, (const char *[]) { "-wal", "-journal", "/jobmill.lock" }[i]);
        if (store_open(file, &s, &error) < 0)
                fail("%s", strempty(error));
        m = make_model();
        if (store_load(s, m) < 0)
                fail("%s", store_error(s));
        site_begin(n_jobs, DEPARTMENTS * slots_of_department(), s, m);
}

/* It may be memory that they take: also where it fails, or is told to end. */
void site_remove(void) {
        (void) unlink(file);
        FOREACH_ELEMENT(f, more_files)
                (void) unlink(*f);
        (void) rmdir(folder);
}

static void on_signal(int sig) {
        site_remove();
        _exit(128 + sig);
}

int main(int argc, char *argv[]) {
        usec_t tick;

        if (argc > 1)
                n_jobs = strtoull(argv[1], NULL, 10);
        if (n_jobs < 1000 || n_jobs > 100000000)
                fail("JOBS is 1000…100000000");
        setenv("TZ", "UTC", 1);
        (void) signal(SIGINT, on_signal);
        (void) signal(SIGTERM, on_signal);
        site.dice = n_jobs;
        tick = n_jobs >= 5000000 ? HOUR / 60 : n_jobs >= 500000 ? HOUR / 6 : HOUR;
        site.run_mean = DEPARTMENTS * slots_of_department() * (365 * DAY / n_jobs) / 2;
        site_set_time(BEGIN);
        open_store(argc > 2 ? argv[2] : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        printf("%" PRIu64 " jobs, %u slots, runs of %.0f s on average, a turn each %" PRIu64 " min, in %s\n\n", n_jobs, DEPARTMENTS * slots_of_department(),
               (double) site.run_mean / SEC, tick / SEC / 60, folder);
        printf("| month | submitted | backlog, most | ended and kept | resident set, MiB | stored, file, MiB | start, median, p99, µs | its steps | record, µs |"
               " commit, median, p99, ms | what is old, ms | turn, ms |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
        for (unsigned i = 0; i < MONTHS; i++)
                run_month(i, tick);
        wind_up(tick);
        check_store();
        printf("\n%" PRIu64 " jobs, %" PRIu64 " attempts, %" PRIu64 " turns; accounts: %" PRIu64 " rows, back to day %" PRIu64 "\n", site.submitted, site.attempts,
               site.turns, ask("SELECT count(*) FROM usage"), (ask("SELECT min(begin_usec) FROM usage") - BEGIN) / DAY + 1);
        copy_and_open();
        printf("%.0f s of the processor\n", (double) clock() / CLOCKS_PER_SEC);
        check_growth();
        site_end();
        store_close(site.m.store);
        site_remove();
        return 0;
}
