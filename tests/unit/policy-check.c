/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold whatever happens, judged from the rows of the store, from what queues were set to, and from the units that there are; by
 * nothing that schedule.c, level.c, reason.c or admission.c know. */

#include "policy-world.h"

#include "base/strv.h"

#include <sqlite3.h>

#include "store/store-internal.h"

/* How often each check had something to look at: one that never has proves nothing. */
#define SEEN(X)                                                                                                                    \
        X(started) X(first_of_queue) X(first_of_user) X(first_of_all) X(rate_used_up) X(reason_paused) X(reason_gate) X(reason_pressure) \
        X(reason_rate) X(reason_backstop) X(reason_cap) X(reason_room) X(reason_wide) X(reason_starting) X(reason_behind) X(reason_retry) X(waits_for_time) \
        X(could_start) X(deadline_ahead) X(key_held) X(edge_open) X(edge_failed) X(array_waits) X(array_live)
enum {
#define X(name) SEEN_##name,
        SEEN(X)
#undef X
        _SEEN_MAX,
};
uint64_t seen[_SEEN_MAX];
static const char *const seen_names[_SEEN_MAX] = {
#define X(name) #name,
        SEEN(X)
#undef X
};
#define COUNT(name) (seen[SEEN_##name]++)

bool check_counts(bool print) {
        bool good = true;

        for (unsigned i = 0; print && i < _SEEN_MAX; i++)
                printf("%10" PRIu64 " %s\n", seen[i], seen_names[i]);
        for (unsigned i = 0; i < _SEEN_MAX; i++)
                if (seen[i] == 0)
                        good = false, printf("never came to: %s\n", seen_names[i]);
        return good;
}

typedef struct View {
        uint64_t id, array;
        unsigned queue;
        uint32_t owner, slots, attempt, blockers;
        JobState state;
        int32_t priority;
        int64_t key, rank;
        usec_t not_before, deadline;
        bool delayed, fair, dead;
} View;

static View views[JOBS_MAX];
static unsigned n_views;

/* To read them again each time would take as long as all the rest. */
static struct { const char *sql; sqlite3_stmt *s; } statements[32];

static sqlite3_stmt *prepare(const char *sql) {
        unsigned i = 0;

        while (statements[i].sql && statements[i].sql != sql)
                i++;
        if (!statements[i].s && sqlite3_prepare_v2(w.m.store->db, sql, -1, &statements[i].s, NULL) != SQLITE_OK)
                fail("%s: %s", sql, sqlite3_errmsg(w.m.store->db));
        statements[i].sql = sql;
        return statements[i].s;
}

static void run(const char *sql) {
        char *error = NULL;

        if (sqlite3_exec(w.m.store->db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail("%s: %s", sql, error);
}

Store *check_store(void) {
        static Store *s;
        char *error = NULL;
        char sql[128];

        if (!s) {
                if (store_open(STORE_MEMORY, &s, &error) < 0)
                        fail("the store: %s", error);
                w.m.store = s;
                run("CREATE TEMP TABLE at_first AS SELECT * FROM meta");
        }
        w.m.store = s;
        s->next_id = 0;
        s->counted = false;
        for (sqlite3_stmt *t = prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
             sqlite3_step(t) == SQLITE_ROW || (sqlite3_reset(t), false);) {
                snprintf(sql, sizeof(sql), "DELETE FROM main.\"%s\"", sqlite3_column_text(t, 0));
                run(sql);
        }
        run("INSERT INTO meta SELECT * FROM at_first");
        return s;
}

/* The first number that it gives; 0: no row. */
static int64_t ask(const char *sql) {
        sqlite3_stmt *s = prepare(sql);
        int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;

        sqlite3_reset(s);
        return n;
}

static usec_t time_of(sqlite3_stmt *s, int i) {
        return sqlite3_column_type(s, i) == SQLITE_NULL ? USEC_INFINITY : (usec_t) sqlite3_column_int64(s, i);
}

static View *view_of(uint64_t id) {
        for (unsigned i = 0; i < n_views; i++)
                if (views[i].id == id)
                        return views + i;
        return NULL;
}

static void look_at_rows(void) {
        sqlite3_stmt *s = prepare("SELECT id, queue, owner, slots, attempt, blockers, state, priority, submission_key, rank, not_before_usec,"
                                  " deadline_usec, delayed, fair, dead, array FROM job WHERE state <> 'done' ORDER BY id");

        n_views = 0;
        while (sqlite3_step(s) == SQLITE_ROW) {
                View *v = views + n_views++;

                *v = (View) {
                        .id = (uint64_t) sqlite3_column_int64(s, 0), .queue = queue_index((const char *) sqlite3_column_text(s, 1)),
                        .owner = (uint32_t) sqlite3_column_int64(s, 2), .slots = (uint32_t) sqlite3_column_int64(s, 3),
                        .attempt = (uint32_t) sqlite3_column_int64(s, 4), .blockers = (uint32_t) sqlite3_column_int64(s, 5),
                        .state = job_state_from_string((const char *) sqlite3_column_text(s, 6)),
                        .priority = sqlite3_column_int(s, 7), .key = sqlite3_column_int64(s, 8), .rank = sqlite3_column_int64(s, 9),
                        .not_before = time_of(s, 10), .deadline = time_of(s, 11), .delayed = sqlite3_column_int(s, 12),
                        .fair = sqlite3_column_int(s, 13), .dead = sqlite3_column_int(s, 14),
                        .array = (uint64_t) sqlite3_column_int64(s, 15),
                };
        }
        sqlite3_reset(s);
}

/* … and what memory has that is newer. */
static void look_at_memory(void) {
        look_at_rows();
        for (const Job *j = w.m.model->jobs; j; j = j->hh.next) {
                View *v = view_of(j->id);

                if (!v)
                        v = views + n_views++;
                *v = (View) {
                        .id = j->id, .queue = queue_index(j->queue->name), .owner = j->owner, .slots = j->slots, .attempt = j->attempt,
                        .blockers = j->blockers, .state = j->state, .priority = j->priority, .key = j->submission_key, .rank = j->rank,
                        .not_before = j->not_before_usec, .deadline = j->deadline_usec, .delayed = j->delayed, .fair = j->fair, .array = j->array,
                };
        }
}

/* ---- what is in the way ---- */

static bool is_below(unsigned q, unsigned top) {
        for (int p = (int) q; p >= 0; p = above[p])
                if (p == (int) top)
                        return true;
        return false;
}

static unsigned starts_within(unsigned q, const Now *now) {
        unsigned n = 0;

        for (unsigned i = 0; i < w.starts[q].n; i++)
                n += w.starts[q].l[i].at + w.setup[q].rate.span > now->steady;
        return n;
}

static bool is_rated(unsigned q, const Now *now) {
        return w.setup[q].rate.n > 0 && starts_within(q, now) >= w.setup[q].rate.n;
}

static const Queue *model_queue_at(unsigned q) {
        return model_queue(w.m.model, queue_names[q]);
}

/* Of itself, whatever lies above. Pressure has a hysteresis: the daemon says whether it is in the way, and must not make that up. */
static bool is_shut(unsigned q, const Now *now) {
        return model_queue_at(q)->paused || (w.setup[q].gate && !w.gate_open) || model_queue_at(q)->pressure_shut ||
               model_queue_at(q)->refusal || is_rated(q, now);
}

/* The whole way up to `top`, or to the root: -1. */
static bool is_open(unsigned q, int top, const Now *now) {
        for (int p = (int) q; p >= 0; p = above[p]) {
                if (is_shut((unsigned) p, now))
                        return false;
                if (p == top)
                        return true;
        }
        return true;
}

static bool is_too_wide(const View *v) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (v->slots > w.setup[p].slots)
                        return true;
        return false;
}

static bool has_room(unsigned q, uint32_t slots) {
        return w.setup[q].slots == UINT32_MAX || world_used(q, -1) + slots <= w.setup[q].slots;
}

/* The nearest level at which slots are missing; -1: none are. */
static int lacks_at(const View *v) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (!has_room((unsigned) p, v->slots))
                        return p;
        return -1;
}

static bool waits_in_line(const View *v) {
        return v->state == JOB_READY && !is_too_wide(v);
}

/* ---- a start ---- */

static int64_t rank_in(const View *v, unsigned q) {
        const Setup *s = w.setup + q;

        return s->fair || s->ageing == 0 ? -(int64_t) v->priority : v->key - v->priority * (int64_t) s->ageing;
}

/* By the order of the queue that both are in. */
static bool comes_before(const View *a, const View *b) {
        const Setup *s = w.setup + a->queue;
        int64_t x = rank_in(a, a->queue), y = rank_in(b, a->queue);
        uint32_t m, n;

        if (x != y)
                return x < y;
        if (!s->fair || a->owner == b->owner)
                return a->id < b->id;
        m = world_used(a->queue, a->owner);
        n = world_used(a->queue, b->owner);
        return m != n ? m < n : a->id < b->id;
}

static bool all_plain(void) {
        for (unsigned q = 0; q < N_QUEUES; q++)
                if (w.setup[q].fair || w.setup[q].ageing > 0)
                        return false;
        return true;
}

/* Where all queues order by priority, then id, nobody may pass the first of all that are not shut: neither where it has room, nor below
 * the level at which it waits for some, or it would starve. */
static void check_first_of_all(const View *v, const Now *now) {
        const View *first = NULL;
        int level;

        if (!all_plain())
                return;
        for (const View *o = views; o < views + n_views; o++)
                if (waits_in_line(o) && is_open(o->queue, -1, now) &&
                    (!first || o->priority > first->priority || (o->priority == first->priority && o->id < first->id)))
                        first = o;
        if (!first)
                fail("job %" PRIu64 " starts, and nobody may", v->id);
        COUNT(first_of_all);
        level = lacks_at(first);
        if (first != v && level < 0)
                fail("job %" PRIu64 " starts, it is the turn of %" PRIu64, v->id, first->id);
        if (level >= 0 && is_below(v->queue, (unsigned) level))
                fail("job %" PRIu64 " takes slots of %s that %" PRIu64 " waits for", v->id, queue_names[level], first->id);
}

/* So many of an array at a time. */
static void check_array(const Job *j) {
        unsigned live = 0;

        if (!j->in_array)
                return;
        for (const View *o = views; o < views + n_views; o++)
                live += o->array == j->array && job_state_is_live(o->state);
        if (live > 0)
                COUNT(array_live);
        if (j->in_array->max_running > 0 && live >= j->in_array->max_running)
                fail("job %" PRIu64 " starts, and %u of its array are live", j->id, live);
}

void check_start(const Job *j) {
        const Now *now = &w.m.now;
        View *v;

        look_at_memory();
        v = view_of(j->id);
        COUNT(started);
        if (w.sync || w.m.storage_failed)
                fail("job %" PRIu64 " starts though nothing may", j->id);
        if (!v || v->state != JOB_READY || v->blockers > 0)
                fail("job %" PRIu64 " starts, and is not ready", j->id);
        if (w.times[j->id] != USEC_INFINITY && w.times[j->id] > now->monotonic)
                fail("job %" PRIu64 " starts before its time", j->id);
        if (j->attempt == 0 && j->deadline_usec <= now->realtime)
                fail("job %" PRIu64 " starts after its deadline", j->id);
        if (j->attempt >= j->max_attempts)
                fail("job %" PRIu64 " is tried more often than it may", j->id);
        for (int p = (int) v->queue; p >= 0; p = above[p]) {
                if (is_shut((unsigned) p, now))
                        fail("job %" PRIu64 " starts, and %s is shut", j->id, queue_names[p]);
                if (!has_room((unsigned) p, v->slots))
                        fail("job %" PRIu64 " starts, and %s is full", j->id, queue_names[p]);
                if (w.setup[p].rate.n > 0)
                        COUNT(rate_used_up);
        }
        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there && l->id == j->id && !l->refused)
                        fail("job %" PRIu64 " starts while attempt %" PRIu32 " is not gone", j->id, l->number);
        check_array(j);
        for (const View *o = views; o < views + n_views; o++) {
                if (o == v || o->queue != v->queue || !waits_in_line(o))
                        continue;
                if (w.setup[v->queue].fair && o->owner != v->owner)
                        COUNT(first_of_user);
                else
                        COUNT(first_of_queue);
                if (comes_before(o, v))
                        fail("job %" PRIu64 " starts, and %" PRIu64 " of %s comes first", j->id, o->id, queue_names[v->queue]);
        }
        check_first_of_all(v, now);
}

/* Its outcome is an input of those that come after it. */
void check_purge(uint64_t id) {
        sqlite3_stmt *s = prepare("SELECT job FROM edge WHERE before = ?1");

        look_at_memory();
        sqlite3_bind_int64(s, 1, (sqlite3_int64) id);
        while (sqlite3_step(s) == SQLITE_ROW) {
                const View *v = view_of((uint64_t) sqlite3_column_int64(s, 0));

                if (v && v->state != JOB_DONE)
                        fail("job %" PRIu64 " is purged, and %" PRIu64 " comes after it", id, v->id);
        }
        sqlite3_reset(s);
}

/* ---- counters ---- */

#define NOTHING(text, sql)                                                                                                         \
        do {                                                                                                                       \
                int64_t wrong = ask(sql);                                                                                          \
                if (wrong != 0)                                                                                                    \
                        fail("%s (%" PRIi64 ")", text, wrong);                                                                     \
        } while (false)

static int found(void *userdata, const StoreFinding *f) {
        fail("the store says of job %" PRIu64 ": %s: %s", f->job, f->kind, f->text);
}

void check_store_itself(void) {
        StoreCheck k = {};

        while (store_check_step(w.m.store, &k, found, NULL) > 0)
                ;
}

static void check_rows(void) {
        NOTHING("two jobs hold one key", "SELECT min(id) FROM job WHERE unique_held = 1 GROUP BY queue, owner, unique_key HAVING count(*) > 1");
        NOTHING("a job is done without a result, or has one before", "SELECT id FROM job WHERE (state = 'done') <> (ifnull(result, '') <> '')");
        NOTHING("dead is not what it is", "SELECT id FROM job WHERE dead <> (state = 'done' AND result <> 'success')");
        NOTHING("a job is live without an attempt", "SELECT id FROM job j WHERE state IN ('starting', 'running', 'stopping') AND NOT EXISTS"
                " (SELECT 1 FROM attempt a WHERE a.job = j.id AND a.attempt = j.attempt AND ifnull(a.result, '') = '')");
        NOTHING("an attempt of one that is not live is open", "SELECT a.job FROM attempt a JOIN job j ON j.id = a.job WHERE ifnull(a.result, '') = ''"
                " AND (j.state NOT IN ('starting', 'running', 'stopping') OR a.attempt <> j.attempt)");
        NOTHING("an attempt ended well, and its job is not done", "SELECT a.job FROM attempt a JOIN job j ON j.id = a.job WHERE"
                " a.result = 'success' AND a.attempt = j.attempt AND j.state <> 'done' AND j.max_attempts <= j.attempt");
        NOTHING("a job has more attempts than it may", "SELECT id FROM job WHERE attempt > max_attempts");
        NOTHING("a job does not wait for as many as it should",
                "SELECT id FROM job j WHERE blockers <> array_waits + (SELECT count(*) FROM edge e WHERE e.job = j.id AND e.met = 0)");
        NOTHING("the places of an array are not those that its jobs have",
                "SELECT a.id FROM array a WHERE used <> (SELECT count(*) FROM job j WHERE j.array = a.id AND array_waits = 0 AND"
                " j.state NOT IN ('held', 'done'))");
        seen[SEEN_array_waits] += (uint64_t) ask("SELECT count(*) FROM job WHERE array_waits = 1 AND state = 'waiting'");
        if (!w.sync && !w.m.storage_failed)
                NOTHING("a job waits for a place in its array, and there is one",
                        "SELECT j.id FROM job j JOIN array a ON a.id = j.array WHERE array_waits = 1 AND state = 'waiting' AND"
                        " (a.max_running = 0 OR a.used < a.max_running)");
        NOTHING("a job waits for one that has ended",
                "SELECT j.id FROM job j JOIN edge e ON e.job = j.id JOIN job b ON b.id = e.before WHERE e.met = 0 AND j.state <> 'done'"
                " AND b.state = 'done' AND b.id NOT IN (SELECT job FROM ended)");
        NOTHING("what a job waits for was purged",
                "SELECT j.id FROM job j JOIN edge e ON e.job = j.id WHERE e.met = 0 AND j.state <> 'done' AND e.before NOT IN (SELECT id FROM job)");
        NOTHING("a job ended because of another, and comes after none",
                "SELECT id FROM job j WHERE result = 'dependency' AND NOT EXISTS (SELECT 1 FROM edge e WHERE e.job = j.id)");
        seen[SEEN_edge_open] += (uint64_t) ask("SELECT count(*) FROM edge WHERE met = 0");
        seen[SEEN_edge_failed] += (uint64_t) ask("SELECT count(*) FROM job WHERE result = 'dependency'");
        seen[SEEN_key_held] += (uint64_t) ask("SELECT count(*) FROM job WHERE unique_held = 1");
}

static void check_counters(void) {
        Model *m = w.m.model;
        uint64_t all = 0;

        for (unsigned q = 0; q < N_QUEUES; q++) {
                const Queue *of = model_queue_at(q);
                uint64_t count[_JOB_STATE_MAX] = {}, queued = 0;

                for (const View *v = views; v < views + n_views; v++) {
                        count[v->state] += v->queue == q;
                        queued += job_state_is_queued(v->state) && is_below(v->queue, q);
                }
                for (JobState s = 0; s < JOB_DONE; s++)
                        if (of->count[s] != count[s])
                                fail("%s has %" PRIu64 " jobs %s, counted are %" PRIu64, of->name, count[s], job_state_to_string(s), of->count[s]);
                if (of->backlog.n != queued)
                        fail("%s has %" PRIu64 " jobs queued, counted are %" PRIu64, of->name, queued, of->backlog.n);
                if (!w.sync && of->slots_used != world_used(q, -1))
                        fail("%s has %" PRIu32 " slots in use, counted are %" PRIu32, of->name, world_used(q, -1), of->slots_used);
                all += above[q] < 0 ? queued : 0;
        }
        if (m->backlog.n != all)
                fail("%" PRIu64 " jobs are queued, counted are %" PRIu64, all, m->backlog.n);
}

static void check_slot_numbers(void) {
        for (const Lease *a = w.leases; a < w.leases + LEASES_MAX; a++)
                for (const Lease *b = a + 1; b < w.leases + LEASES_MAX; b++)
                        for (uint32_t i = 0; a->there && b->there && a->queue == b->queue && i < a->slots * b->slots; i++)
                                if (a->numbers[i / b->slots] == b->numbers[i % b->slots])
                                        fail("%" PRIu64 " and %" PRIu64 " have the same slot number", a->id, b->id);
}

/* ---- those that wait ---- */

/* What is named must be on its way up. */
static unsigned named(const View *v, const char *name, const char *reason) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (streq(queue_names[p], name))
                        return (unsigned) p;
        fail("job %" PRIu64 " waits because of \"%s\", and is in %s", v->id, reason, queue_names[v->queue]);
}

static void untrue(const View *v, const char *reason) {
        fail("job %" PRIu64 " of %s waits because of \"%s\", which is not true", v->id, queue_names[v->queue], reason);
}

/* Is there one before it that lacks slots at this level? */
static bool is_behind(const View *v, unsigned level, const Now *now) {
        for (const View *o = views; o < views + n_views; o++)
                if (o != v && waits_in_line(o) && is_below(o->queue, level) && is_open(o->queue, (int) level, now) &&
                    !has_room(level, o->slots) &&
                    (!all_plain() || o->priority > v->priority || (o->priority == v->priority && o->id < v->id)))
                        return true;
        return false;
}

static void check_shut_reason(const View *v, const char *reason, const Now *now) {
        char name[64] = "", span[64];
        unsigned q;

        if (sscanf(reason, "queue %63s is paused", name) == 1) {
                COUNT(reason_paused);
                if (!model_queue_at(named(v, name, reason))->paused)
                        untrue(v, reason);
        } else if (startswith(reason, "gate gate.service is inactive")) {
                bool gated = false;

                COUNT(reason_gate);
                for (int p = (int) v->queue; p >= 0; p = above[p])
                        gated = gated || w.setup[p].gate;
                if (!gated || w.gate_open)
                        untrue(v, reason);
        } else if (startswith(reason, "cpu pressure of ")) {
                bool limited = false;

                COUNT(reason_pressure);
                for (int p = (int) v->queue; p >= 0; p = above[p])
                        limited = limited || (w.setup[p].pressure > 0 && w.m.model->pressure[PRESSURE_CPU].permyriad > w.setup[p].pressure * 80);
                if (!limited || !w.pressure_timer.on)
                        untrue(v, reason);
        } else if (sscanf(reason, "rate: next in %63s", span) == 1 || sscanf(reason, "rate of %63[^:]: next in %63s", name, span) == 2) {
                q = *name ? named(v, name, reason) : v->queue;
                COUNT(reason_rate);
                if (!is_rated(q, now))
                        untrue(v, reason);
                if (!w.due.on || w.due.at > model_queue_at(q)->rate_next)
                        fail("job %" PRIu64 " waits for a rate, and nothing wakes it", v->id);
        } else if (sscanf(reason, "systemd takes no more units of %63[^:]: no room", name) == 1) {
                q = named(v, name, reason);
                COUNT(reason_backstop);
                if (!model_queue_at(q)->refusal || !w.due.on || w.due.at > model_queue_at(q)->refused_until)
                        untrue(v, reason);
        } else
                fail("job %" PRIu64 " waits because of \"%s\"", v->id, reason);
}

static void check_ready_reason(const View *v, const char *reason, const Now *now) {
        char name[64];
        uint32_t slots, used, cap;
        unsigned q;

        if (w.m.model->dispatch_blocked) {
                if (!streq(reason, w.m.model->dispatch_blocked))
                        untrue(v, reason);
        } else if (sscanf(reason, "needs %" SCNu32 ", cap of %63[^:]: %" SCNu32 " of %" SCNu32, &slots, name, &used, &cap) == 4) {
                q = named(v, name, reason);
                COUNT(reason_room);
                if (slots != v->slots || used != world_used(q, -1) || cap != w.setup[q].slots || used + slots <= cap || slots > cap)
                        untrue(v, reason);
        } else if (sscanf(reason, "needs %" SCNu32 ", cap of %63s is %" SCNu32, &slots, name, &cap) == 3) {
                q = named(v, name, reason);
                COUNT(reason_wide);
                if (slots != v->slots || cap != w.setup[q].slots || slots <= cap)
                        untrue(v, reason);
        } else if (sscanf(reason, "needs %" SCNu32 ", cap is %" SCNu32, &slots, &cap) == 2) {
                COUNT(reason_wide);
                if (slots != v->slots || cap != w.setup[v->queue].slots || slots <= cap)
                        untrue(v, reason);
        } else if (sscanf(reason, "cap of %63[^:]: %" SCNu32 " of %" SCNu32, name, &used, &cap) == 3) {
                q = named(v, name, reason);
                COUNT(reason_cap);
                if (v->slots != 1 || used != world_used(q, -1) || cap != w.setup[q].slots || used < cap)
                        untrue(v, reason);
        } else if (sscanf(reason, "%" SCNu32 " others are being started", &used) == 1) {
                COUNT(reason_starting);
                if (used != w.m.model->n_starting || used < w.m.model->starting_max)
                        untrue(v, reason);
        } else if (sscanf(reason, "an earlier job needs the room in %63[^:]:", name) == 1) {
                q = named(v, name, reason);
                COUNT(reason_behind);
                if (!is_behind(v, q, now))
                        untrue(v, reason);
        } else
                check_shut_reason(v, reason, now);
}

/* It has no reason to wait but others that come first. */
static void check_could_start(const View *v, const Now *now) {
        if (w.m.model->dispatch_blocked || w.m.model->n_starting >= w.m.model->starting_max || !is_open(v->queue, -1, now) ||
            is_too_wide(v) || lacks_at(v) >= 0)
                return;
        COUNT(could_start);
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (is_behind(v, (unsigned) p, now))
                        return;
        fail("job %" PRIu64 " of %s could start, and waits", v->id, queue_names[v->queue]);
}

static void check_waiting(const View *v, const Job *j, const char *reason, const Now *now) {
        bool early = v->not_before != USEC_INFINITY && v->not_before > (v->delayed ? now->steady : now->realtime);
        uint32_t next, max;

        if (v->blockers > 0)
                return;
        if (!early)
                fail("the time of job %" PRIu64 " has come, and it waits: %s", v->id, reason);
        if (!w.m.storage_failed && (!w.due.on || w.due.at > v->not_before))
                fail("job %" PRIu64 " waits for its time, and nothing wakes it", v->id);
        if (sscanf(reason, "attempt %" SCNu32 " of %" SCNu32, &next, &max) == 2) {
                COUNT(reason_retry);
                if (next != v->attempt + 1 || max != j->max_attempts || next > max)
                        untrue(v, reason);
        } else if (startswith(reason, "waits for its time"))
                COUNT(waits_for_time);
        else
                fail("job %" PRIu64 " waits because of \"%s\"", v->id, reason);
}

static void check_job(const View *v, bool reasons) {
        _cleanup_(job_freep) Job *j = NULL;
        _cleanup_free_ char *reason = NULL;
        const Now *now = &w.m.now;
        const Queue *q = model_queue_at(v->queue);

        if (!job_state_is_queued(v->state))
                return;
        if (v->attempt == 0 && v->deadline != USEC_INFINITY && !w.m.storage_failed) {
                COUNT(deadline_ahead);
                if (v->deadline <= now->realtime || !w.due.on || w.due.at > v->deadline)
                        fail("job %" PRIu64 " has a deadline, and nothing wakes it", v->id);
        }
        if (v->state == JOB_READY) {
                if (v->blockers > 0)
                        fail("job %" PRIu64 " is ready, and waits for %" PRIu32, v->id, v->blockers);
                if (v->fair != w.setup[v->queue].fair || v->rank != rank_in(v, v->queue))
                        fail("the rank of job %" PRIu64 " is %" PRIi64 ", it should be %" PRIi64, v->id, v->rank, rank_in(v, v->queue));
                check_could_start(v, now);
        }
        if (!reasons || v->state == JOB_HELD)
                return;
        if (store_load_job(w.m.store, v->id, &j) < 0)
                fail("job %" PRIu64 " cannot be read", v->id);
        reason = schedule_reason(w.m.model, j, q, now);
        if (v->state == JOB_READY)
                check_ready_reason(v, reason, now);
        else
                check_waiting(v, j, reason, now);
}

void check_rest(void) {
        bool reasons = chance(40);

        if (model_has_changes(w.m.model))
                fail("something is left to be stored");
        look_at_rows();
        check_counters();
        check_slot_numbers();
        if (chance(30))
                check_rows();
        if (chance(1))
                check_store_itself();
        if (w.sync)
                return;
        for (const View *v = views; v < views + n_views; v++)
                check_job(v, reasons);
}
