/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What must hold whatever happens, judged from the rows of the store, from what queues were set to, and from the units that there are; by
 * nothing that schedule.c, level.c, reason.c or admission.c know. */

#include "policy-view.h"

#include "base/strv.h"

#include "store/store-internal.h"

uint64_t seen[_SEEN_MAX];
static const char *const seen_names[_SEEN_MAX] = {
#define X(name) #name,
        SEEN(X)
#undef X
};
bool check_counts(bool print) {
        bool good = true;

        for (unsigned i = 0; print && i < _SEEN_MAX; i++)
                printf("%10" PRIu64 " %s\n", seen[i], seen_names[i]);
        for (unsigned i = 0; i < _SEEN_MAX; i++)
                if (seen[i] == 0)
                        good = false, printf("never came to: %s\n", seen_names[i]);
        return good;
}

View views[JOBS_MAX];
unsigned n_views;

/* To read them again each time would take as long as all the rest. */
static struct { const char *sql; sqlite3_stmt *s; } statements[32];

sqlite3_stmt *check_prepare(const char *sql) {
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
        bounds_begin();
        s->next_id = 0;
        s->counted = false;
        for (sqlite3_stmt *t = check_prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
             sqlite3_step(t) == SQLITE_ROW || (sqlite3_reset(t), false);) {
                snprintf(sql, sizeof(sql), "DELETE FROM main.\"%s\"", sqlite3_column_text(t, 0));
                run(sql);
        }
        run("INSERT INTO meta SELECT * FROM at_first");
        return s;
}

/* The first number that it gives; 0: no row. */
static int64_t ask(const char *sql) {
        sqlite3_stmt *s = check_prepare(sql);
        int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;

        sqlite3_reset(s);
        return n;
}

static usec_t time_of(sqlite3_stmt *s, int i) {
        return sqlite3_column_type(s, i) == SQLITE_NULL ? USEC_INFINITY : (usec_t) sqlite3_column_int64(s, i);
}

View *view_of(uint64_t id) {
        for (unsigned i = 0; i < n_views; i++)
                if (views[i].id == id)
                        return views + i;
        return NULL;
}

void look_at_rows(void) {
        sqlite3_stmt *s = check_prepare("SELECT id, queue, owner, slots, attempt, blockers, state, priority, submission_key, rank, not_before_usec,"
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
void look_at_memory(void) {
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

bool is_below(unsigned q, unsigned top) {
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

bool is_rated(unsigned q, const Now *now) {
        return w.setup[q].rate.n > 0 && starts_within(q, now) >= w.setup[q].rate.n;
}

const Queue *model_queue_at(unsigned q) {
        return model_queue(w.m.model, queue_names[q]);
}

bool is_ramped(unsigned q) {
        return model_queue_at(q)->ramp_step > 0 && model_queue_at(q)->ramp_left == 0;
}

/* Of itself, whatever lies above. Pressure has a hysteresis: the daemon says whether it is in the way, and must not make that up. */
bool is_shut(unsigned q, const Now *now) {
        return w.setup[q].broken || model_queue_at(q)->paused || (w.setup[q].gate && !w.gate_open) || model_queue_at(q)->pressure_shut ||
               is_ramped(q) || model_queue_at(q)->refusal || is_rated(q, now);
}

/* The whole way up to `top`, or to the root: -1. */
bool is_open(unsigned q, int top, const Now *now) {
        if (!w.setup[q].configured)
                return false;
        for (int p = (int) q; p >= 0; p = above[p]) {
                if (is_shut((unsigned) p, now))
                        return false;
                if (p == top)
                        return true;
        }
        return true;
}

bool is_too_wide(const View *v) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (v->slots > w.setup[p].slots)
                        return true;
        return false;
}

bool has_room(unsigned q, uint32_t slots) {
        return w.setup[q].slots == UINT32_MAX || world_used(q, -1) + slots <= w.setup[q].slots;
}

/* The nearest level at which slots are missing; -1: none are. */
int lacks_at(const View *v) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (!has_room((unsigned) p, v->slots))
                        return p;
        return -1;
}

bool waits_in_line(const View *v) {
        return v->state == JOB_READY && w.setup[v->queue].configured && !is_too_wide(v) && !w.passed[v->id] && !w.skipped[v->queue][v->owner - 1000];
}

/* ---- a start ---- */

int64_t rank_by(const View *v, const Setup *s) {
        return s->fair || s->ageing == 0 ? -(int64_t) v->priority : v->key - v->priority * (int64_t) s->ageing;
}

/* By the order of a queue that both lie in; q -1: of the root. */
bool comes_before(const View *a, const View *b, int q) {
        static const Setup root;
        const Setup *s = q >= 0 ? w.setup + q : &root;
        int64_t x = rank_by(a, s), y = rank_by(b, s);
        uint32_t m, n;

        if (x != y)
                return x < y;
        if (!s->fair || a->owner == b->owner)
                return a->id < b->id;
        m = world_used((unsigned) q, a->owner);
        n = world_used((unsigned) q, b->owner);
        return m != n ? m < n : a->id < b->id;
}

/* What q may start; NULL: nothing, be it that its best lacks slots. */
static const View *offer_of(unsigned q, const Now *now) {
        const View *best = is_shut(q, now) ? NULL : best_of((int) q, now);

        return best && has_room(q, best->slots) ? best : NULL;
}

static const View *better(const View *a, const View *b, int q) {
        return !a || (b && comes_before(b, a, q)) ? b : a;
}

/* The best of its own and of what those below it offer, by its order; q -1: of all, by priority and id. */
const View *best_of(int q, const Now *now) {
        const View *best = NULL;

        for (const View *o = views; o < views + n_views; o++)
                if ((int) o->queue == q && waits_in_line(o))
                        best = better(best, o, q);
        for (unsigned p = 0; p < N_QUEUES; p++)
                if (above[p] == q)
                        best = better(best, offer_of(p, now), q);
        return best;
}

/* The nearest level at which one that comes before it lacks slots; -1: none. */
int behind_at(const View *v, const Now *now) {
        for (int p = (int) v->queue; p >= 0; p = above[p]) {
                const View *best = best_of(p, now);

                if (best && best != v && !has_room((unsigned) p, best->slots))
                        return p;
        }
        return -1;
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
        const View *v, *first;

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
                if (l->there && l->stray && is_below(l->queue, v->queue))
                        COUNT(stray_in_use);
        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++)
                if (l->there && l->id == j->id && !l->refused && !l->stray && !l->given_back && (l->worker == 0 || l->is != OVER || l->in_service))
                        fail("job %" PRIu64 " starts while attempt %" PRIu32 " is not gone", j->id, l->number);
        check_array(j);
        first = best_of(-1, now);
        if (first != v)
                fail("job %" PRIu64 " of %s starts, it is the turn of %" PRIu64 " of %s", v->id, queue_names[v->queue], first ? first->id : 0,
                     first ? queue_names[first->queue] : "none");
        bounds_started(v, now);
}

/* Whose turn it is in this queue, of this user. */
static const View *own_first(unsigned queue, uint32_t owner) {
        const View *first = NULL;

        for (const View *v = views; v < views + n_views; v++)
                if (v->queue == queue && v->owner == owner && waits_in_line(v) && (!first || comes_before(v, first, (int) queue)))
                        first = v;
        return first;
}

/* It is the first of a level at which it lacks slots. */
static bool is_first_lacking(const View *v, const Now *now) {
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (!has_room((unsigned) p, v->slots) && best_of(p, now) == v)
                        return true;
        return false;
}

/* Somebody is there to whom it can be given, or soon will be; or who would be told of its turn. */
bool could_start(const View *v) {
        if (w.fore[v->id].there && !w.fore[v->id].connected)
                return false;
        return w.fore[v->id].there || !w.setup[v->queue].by_workers || peer_could(v->queue, v->owner, v->slots) || server_comes_soon(v->queue, v->owner);
}

void check_pass(unsigned queue, uint32_t owner) {
        const Now *now = &w.m.now;
        const View *v;

        look_at_memory();
        v = own_first(queue, owner);
        if (!v || (v != best_of(-1, now) && !is_first_lacking(v, now)) || !w.fore[v->id].there || w.fore[v->id].connected)
                fail("a job of %" PRIu32 " in %s is passed over, and it is not its turn, or its process is there", owner, queue_names[queue]);
        w.passed[v->id] = true;
        COUNT(passed);
}

void check_skip(unsigned queue, uint32_t owner) {
        const Now *now = &w.m.now;
        const View *v;

        look_at_memory();
        v = own_first(queue, owner);
        if (!v || (v != best_of(-1, now) && !is_first_lacking(v, now)))
                fail("the jobs of %" PRIu32 " in %s are passed over, and it is not their turn", owner, queue_names[queue]);
        if (v == best_of(-1, now) ? !!peer_choose(queue, owner, v->slots) : peer_could(queue, owner, v->slots) || server_comes_soon(queue, owner))
                fail("job %" PRIu64 " is passed over, and a worker has room", v->id);
        COUNT(skipped);
        if (v != best_of(-1, now))
                COUNT(skipped_lacking);
        w.skipped_for[queue][owner - 1000] = v->id;
}

/* Its outcome is an input of those that come after it. */
void check_purge(uint64_t id) {
        sqlite3_stmt *s = check_prepare("SELECT job FROM edge WHERE before = ?1");

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
        NOTHING("two jobs hold one key", "SELECT min(id) FROM job WHERE unique_held = 1 GROUP BY queue, owner, unique_key"
                                           " HAVING count(DISTINCT ifnull(array, -id)) > 1");
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
        NOTHING("a process in the foreground is kept, and its job is done, or the other way round",
                "SELECT j.id FROM job j LEFT JOIN run r ON r.job = j.id WHERE foreground = 1 AND (state = 'done') <> (r.job IS NULL)");
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
                        for (uint32_t i = 0; a->there && b->there && !a->stray && !b->stray && !a->given_back && !b->given_back && a->queue == b->queue && i < a->slots * b->slots; i++)
                                if (a->numbers[i / b->slots] == b->numbers[i % b->slots])
                                        fail("%" PRIu64 " and %" PRIu64 " have the same slot number", a->id, b->id);
}

/* ---- requests ---- */

static unsigned queued_below(int q, int64_t owner, uint64_t leaves) {
        unsigned n = 0;

        for (const View *v = views; v < views + n_views; v++)
                n += job_state_is_queued(v->state) && v->id != leaves && (owner < 0 || v->owner == owner) && (q < 0 || is_below(v->queue, (unsigned) q));
        return n;
}

void check_backlog(unsigned queue, uint32_t owner, unsigned n, uint64_t leaves, bool refused) {
        bool full = false;

        look_at_memory();
        for (int p = (int) queue; p >= 0; p = above[p]) {
                bool all = queued_below(p, -1, leaves) + (uint64_t) n > w.setup[p].queued_max;
                bool of_user = queued_below(p, owner, leaves) + (uint64_t) n > w.setup[p].queued_per_user_max;

                if (all)
                        COUNT(full);
                else if (of_user)
                        COUNT(full_of_user);
                full = full || all || of_user;
        }
        full = full || queued_below(-1, -1, leaves) + n > w.m.model->queued_max;
        if (!full)
                COUNT(not_full);
        if (full != refused)
                fail("%u more in %s are %s, and it is %s", n, queue_names[queue], refused ? "refused" : "taken", full ? "full" : "not full");
}

void check_submit(unsigned queue, const JobSpec *s, int r) {
        bool draining = false, wide = false;

        for (int p = (int) queue; p >= 0; p = above[p]) {
                draining = draining || model_queue_at((unsigned) p)->draining;
                wide = wide || s->slots > w.setup[p].slots;
        }
        if (draining)
                COUNT(draining);
        if (draining != (r == -EDQUOT) || (!draining && wide && r != -ERANGE))
                fail("a submit to %s, which is %s, gives %i", queue_names[queue], draining ? "drained" : "not drained", r);
}

void check_remove(unsigned queue, int r) {
        unsigned n = 0;

        look_at_memory();
        for (const View *v = views; v < views + n_views; v++)
                n += v->state != JOB_DONE && is_below(v->queue, queue);
        if (r >= 0)
                COUNT(removed);
        if (n > 0)
                COUNT(not_removed);
        if ((r == -ENOTEMPTY) != (n > 0))
                fail("%s with %u jobs that are not done is removed: %i", queue_names[queue], n, r);
        if (r >= 0 && (w.setup[queue].configured || model_queue_at(queue)->paused || model_queue_at(queue)->draining))
                fail("%s is removed, and something of it is left", queue_names[queue]);
}

void check_ended(const Attempt *a, const Lease *l) {
        if (a->outcome.result != l->expected)
                fail("%s has ended as %s, it should be %s", a->unit, job_result_to_string(a->outcome.result), job_result_to_string(l->expected));
        if (l->expected == JOB_VERDICT)
                COUNT(end_verdict);
        else if (l->expected == JOB_UNVERIFIED)
                COUNT(end_unverified);
        else if (l->expected == JOB_LOST)
                COUNT(end_lost);
        if (l->scope && l->expected == JOB_LOST && !fore_is_gone(l))
                fail("%s is lost, and its process is there", a->unit);
        if (l->vanished)
                COUNT(end_after_reboot);
        if (l->told && l->expected != l->outcome.result)
                COUNT(end_intent);
}

/* ---- at rest ---- */

/* A start that was refused was no attempt. */
static void check_refused(void) {
        sqlite3_stmt *s = check_prepare("SELECT count(*) FROM attempt WHERE job = ?1 AND attempt = ?2");

        for (const Lease *l = w.leases; l < w.leases + LEASES_MAX; l++) {
                if (!l->there || !l->refused || l->expected != JOB_RESULT_NONE)
                        continue;
                COUNT(refused_row);
                sqlite3_bind_int64(s, 1, (sqlite3_int64) l->id);
                sqlite3_bind_int64(s, 2, l->number);
                if (sqlite3_step(s) != SQLITE_ROW || sqlite3_column_int(s, 0) != 0)
                        fail("the start %" PRIu64 "-%" PRIu32 " was refused, and is an attempt", l->id, l->number);
                sqlite3_reset(s);
        }
}

/* Who stands still runs, and does not run out of time. */
static void check_frozen(void) {
        for (const Attempt *a = w.m.model->attempts; a; a = a->hh.next) {
                if (a->freezer != FREEZER_FROZEN)
                        continue;
                COUNT(frozen);
                if (!a->job || !job_state_is_live(a->job->state) || (a->job->state == JOB_RUNNING && a->deadline != USEC_INFINITY))
                        fail("%s is frozen, and may run out of time", a->unit);
        }
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
        check_refused();
        check_frozen();
        bounds_look(&w.m.now);
        for (const View *v = views; v < views + n_views; v++)
                check_job(v, reasons), fore_check(v);
}
