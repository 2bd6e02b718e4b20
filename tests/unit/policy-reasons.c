/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Why each job waits: the small model says what must be in the way, in the order of docs/states.md, and in which words; and that nothing is
 * in the way of nobody who waits. */

#include "policy-view.h"

#include "api/dict.h"

void reason_is(const View *v, const char *reason, const char *format, ...) {
        char text[256];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (!streq(reason, text))
                fail("job %" PRIu64 " of %s waits because of \"%s\", it should be \"%s\"", v->id, queue_names[v->queue], reason, text);
}

/* "1 h 2 min": rounded up to a second, and then no more than two units of it. */
static void is_span(const View *v, const char *reason, const char *before, usec_t left) {
        static const struct { const char *name; uint64_t seconds; } units[] = { { "d", 86400 }, { "h", 3600 }, { "min", 60 }, { "s", 1 } };
        uint64_t total = 0, wanted = MAX(left / SEC + (left % SEC > 0), UINT64_C(1)), last = 0;
        const char *p = startswith(reason, before);

        while (p && *p) {
                char name[8];
                uint64_t n;
                int k = 0;

                last = 0;
                if (sscanf(p, " %" SCNu64 " %7s%n", &n, name, &k) == 2)
                        for (unsigned i = 0; i < ELEMENTSOF(units); i++)
                                if (streq(units[i].name, name))
                                        total += n * (last = units[i].seconds);
                if (last == 0)
                        break;
                p += k;
        }
        if (last == 0 || total > wanted || wanted - total >= last * (last == 1 ? 1 : 60))
                fail("job %" PRIu64 " waits because of \"%s\", it should be \"%s %" PRIu64 " s\"", v->id, reason, before, wanted);
}

/* ---- ready ---- */

static usec_t next_of_rate(unsigned q) {
        return w.starts[q].l[w.starts[q].n - w.setup[q].rate.n].at + w.setup[q].rate.span;
}

/* What holds for all jobs of one level; false: nothing. */
static bool check_level(const View *v, unsigned p, const char *reason, const Now *now) {
        const Queue *q = model_queue_at(p);
        char before[96];

        if (w.setup[p].gate && !w.gate_open) {
                COUNT(reason_gate);
                reason_is(v, reason, "gate gate.service is inactive");
        } else if (q->pressure_shut) {
                uint32_t sample = w.m.model->pressure[PRESSURE_CPU].permyriad;

                COUNT(reason_pressure);
                reason_is(v, reason, "cpu pressure of %.2f%%: %s starts at %.2f%%", sample / 100.0, q->name, w.setup[p].pressure * 0.8);
                if (w.setup[p].pressure == 0 || sample <= w.setup[p].pressure * 80 || !w.pressure_timer.on)
                        fail("job %" PRIu64 " waits because of \"%s\", which is not true", v->id, reason);
        } else if (is_ramped(p)) {
                COUNT(reason_ramp);
                (void) snprintf(before, sizeof(before), "pressure of %s has eased: %" PRIu32 " started, it is read again in", q->name, q->ramp_step);
                is_span(v, reason, before, usec_sub(w.pressure_timer.at, now->monotonic));
                if (w.setup[p].pressure == 0 || !w.pressure_timer.on)
                        fail("job %" PRIu64 " waits because of \"%s\", which is not true", v->id, reason);
        } else if (is_rated(p, now)) {
                COUNT(reason_rate);
                (void) snprintf(before, sizeof(before), p == v->queue ? "rate: next in" : "rate of %s: next in", q->name);
                is_span(v, reason, before, usec_sub(next_of_rate(p), now->steady));
                if (!w.due.on || w.due.at > q->rate_next)
                        fail("job %" PRIu64 " waits for a rate, and nothing wakes it", v->id);
        } else if (q->refusal) {
                COUNT(reason_backstop);
                reason_is(v, reason, "systemd takes no more units of %s: no room", q->name);
                if (!w.due.on || w.due.at > q->refused_until)
                        fail("job %" PRIu64 " waits for systemd to have room, and nothing wakes it", v->id);
        } else
                return false;
        return true;
}

/* Its queue, or one that it lies in, starts nothing. */
static bool check_shut(const View *v, const char *reason, const Now *now) {
        if (w.m.model->dispatch_blocked)
                return reason_is(v, reason, "%s", w.m.model->dispatch_blocked), true;
        if (!w.setup[v->queue].configured && !w.setup[v->queue].broken)
                return COUNT(reason_no_file), reason_is(v, reason, "its queue has no file"), true;
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (w.setup[p].broken)
                        return COUNT(reason_bad_file), reason_is(v, reason, "the file of queue %s is bad", queue_names[p]), true;
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (model_queue_at((unsigned) p)->paused)
                        return COUNT(reason_paused), reason_is(v, reason, "queue %s is paused", queue_names[p]), true;
        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (check_level(v, (unsigned) p, reason, now))
                        return true;
        return false;
}

/* Slots are missing. */
static bool check_room(const View *v, const char *reason) {
        int at = lacks_at(v);

        for (int p = (int) v->queue; p >= 0; p = above[p])
                if (v->slots > w.setup[p].slots) {
                        COUNT(reason_wide);
                        if (p == (int) v->queue)
                                reason_is(v, reason, "needs %" PRIu32 ", cap is %" PRIu32, v->slots, w.setup[p].slots);
                        else
                                reason_is(v, reason, "needs %" PRIu32 ", cap of %s is %" PRIu32, v->slots, queue_names[p], w.setup[p].slots);
                        return true;
                }
        if (at < 0)
                return false;
        if (v->slots == 1) {
                COUNT(reason_cap);
                reason_is(v, reason, "cap of %s: %" PRIu32 " of %" PRIu32, queue_names[at], world_used((unsigned) at, -1), w.setup[at].slots);
        } else {
                COUNT(reason_room);
                reason_is(v, reason, "needs %" PRIu32 ", cap of %s: %" PRIu32 " of %" PRIu32, v->slots, queue_names[at], world_used((unsigned) at, -1),
                   w.setup[at].slots);
        }
        return true;
}

/* Nobody has room for it, … */
static bool check_room_of_workers(const View *v, const char *reason) {
        uint32_t used = 0, all = 0, most = 0;
        bool away = false, draining = false;
        const char *queue = queue_names[v->queue];

        if (peer_choose(v->queue, v->owner, v->slots))
                return false;
        for (const Peer *p = w.peers; p < w.peers + PEERS_MAX; p++) {
                if (!peer_serves(p, v->queue, v->owner))
                        continue;
                draining = draining || p->draining;
                away = away || (!p->connected && !p->draining);
                if (p->draining || !p->connected)
                        continue;
                used += p->slots - peer_room(p);
                all += p->slots;
                most = MAX(most, p->slots);
        }
        if (all == 0 && away)
                COUNT(reason_away), reason_is(v, reason, "the workers of queue %s are not connected", queue);
        else if (all == 0 && draining)
                COUNT(reason_draining), reason_is(v, reason, "the workers of queue %s take no more jobs", queue);
        else if (all == 0)
                server_check(v, reason);
        else if (most < v->slots)
                COUNT(reason_narrow), reason_is(v, reason, "needs %" PRIu32 ", no worker has more than %" PRIu32, v->slots, most);
        else if (v->slots == 1)
                COUNT(reason_busy), reason_is(v, reason, "workers are busy: %" PRIu32 " of %" PRIu32, used, all);
        else
                COUNT(reason_busy), reason_is(v, reason, "needs %" PRIu32 ", workers are busy: %" PRIu32 " of %" PRIu32, v->slots, used, all);
        return true;
}

/* … or for one before it of its user. */
static bool check_workers(const View *v, const char *reason) {
        uint64_t first = w.skipped[v->queue][v->owner - 1000] ? w.skipped_for[v->queue][v->owner - 1000] : 0;
        const View *before = view_of(first);
        char text[64];

        if (!w.fore[v->id].there && check_room_of_workers(v, reason))
                return true;
        if (first == 0)
                return false;
        (void) snprintf(text, sizeof(text), "job %" PRIu64 " is before it: ", first);
        if (first == v->id || !before || !startswith(reason, text))
                fail("job %" PRIu64 " waits because of \"%s\", it should be \"%s…\"", v->id, reason, text);
        COUNT(reason_first);
        if (!check_room_of_workers(before, reason + strlen(text)))
                fail("job %" PRIu64 " waits because of \"%s\", which is not true", v->id, reason);
        return true;
}

static void check_ready(const View *v, const char *reason, const Now *now) {
        char name[64];
        int at;

        if (check_shut(v, reason, now) || check_room(v, reason))
                return;
        if (w.m.model->n_starting >= w.m.model->starting_max) {
                COUNT(reason_starting);
                reason_is(v, reason, "%u others are being started", w.m.model->n_starting);
                return;
        }
        if (w.setup[v->queue].by_workers && check_workers(v, reason))
                return;
        if (w.fore[v->id].there && !w.fore[v->id].connected) {
                COUNT(reason_not_connected);
                reason_is(v, reason, "its process is not connected");
                return;
        }
        COUNT(could_start);
        at = behind_at(v, now);
        if (at < 0)
                fail("job %" PRIu64 " of %s could start, and waits: %s", v->id, queue_names[v->queue], reason);
        /* It may be true of several levels. */
        if (sscanf(reason, "an earlier job needs the room in %63[^:]:", name) == 1) {
                const View *best;

                at = (int) queue_index(name);
                best = best_of(at, now);
                if (!is_below(v->queue, (unsigned) at) || !best || best == v || has_room((unsigned) at, best->slots))
                        fail("job %" PRIu64 " waits because of \"%s\", which is not true", v->id, reason);
        }
        if (!could_start(best_of(at, now)))
                fail("job %" PRIu64 " waits for %" PRIu64 ", which could not start in any case", v->id, best_of(at, now)->id);
        COUNT(reason_behind);
        reason_is(v, reason, "an earlier job needs the room in %s: %" PRIu32 " of %" PRIu32, queue_names[at], world_used((unsigned) at, -1), w.setup[at].slots);
}

/* ---- waiting ---- */

/* true: it waits for other jobs, none of which has ended. */
static bool check_after(const View *v, const char *reason) {
        sqlite3_stmt *s = check_prepare("SELECT e.before, b.state = 'done' FROM edge e JOIN job b ON b.id = e.before WHERE e.job = ?1 AND e.met = 0"
                                        " ORDER BY 1");
        uint64_t ids[2] = {};
        unsigned n = 0;

        sqlite3_bind_int64(s, 1, (sqlite3_int64) v->id);
        for (; sqlite3_step(s) == SQLITE_ROW; n++) {
                if (n < 2)
                        ids[n] = (uint64_t) sqlite3_column_int64(s, 0);
                if (sqlite3_column_int(s, 1) && !w.m.storage_failed)
                        fail("job %" PRIu64 " waits for %" PRIi64 ", which is done", v->id, (int64_t) sqlite3_column_int64(s, 0));
        }
        sqlite3_reset(s);
        if (n == 1)
                COUNT(reason_after), reason_is(v, reason, "after %" PRIu64, ids[0]);
        else if (n == 2)
                COUNT(reason_after_two), reason_is(v, reason, "after %" PRIu64 " and %" PRIu64, ids[0], ids[1]);
        else if (n > 2)
                COUNT(reason_after_more), reason_is(v, reason, "after %" PRIu64 ", %" PRIu64 " and %u more", ids[0], ids[1], n - 2);
        return n > 0;
}

/* true: it waits for a place, and there is none. */
static bool check_place(const View *v, const char *reason) {
        sqlite3_stmt *s = check_prepare("SELECT max_running, (SELECT count(*) FROM job o WHERE o.array = a.id AND o.array_waits = 0 AND"
                                        " o.state NOT IN ('held', 'done')) FROM array a JOIN job j ON j.array = a.id"
                                        " WHERE j.id = ?1 AND j.array_waits = 1");
        uint32_t max, used;
        bool waits;

        sqlite3_bind_int64(s, 1, (sqlite3_int64) v->id);
        waits = sqlite3_step(s) == SQLITE_ROW;
        max = waits ? (uint32_t) sqlite3_column_int(s, 0) : 0;
        used = waits ? (uint32_t) sqlite3_column_int(s, 1) : 0;
        sqlite3_reset(s);
        if (!waits)
                return false;
        COUNT(reason_array);
        reason_is(v, reason, "array %" PRIu64 ": %" PRIu32 " of %" PRIu32, v->array, used, max);
        if (!w.m.storage_failed && (max == 0 || used < max))
                fail("job %" PRIu64 " waits because of \"%s\", and there is a place", v->id, reason);
        return true;
}

static void check_waiting(const View *v, const Job *j, const char *reason, const Now *now) {
        const Lease *last = world_lease(v->id, v->attempt);
        usec_t left = v->not_before == USEC_INFINITY ? 0 : usec_sub(v->not_before, v->delayed ? now->steady : now->realtime);
        char before[64];

        if (check_after(v, reason) || check_place(v, reason))
                return;
        if (v->blockers > 0)
                fail("job %" PRIu64 " waits for nothing, and is said to: %s", v->id, reason);
        if (left == 0)
                fail("the time of job %" PRIu64 " has come, and it waits: %s", v->id, reason);
        if (!w.m.storage_failed && (!w.due.on || w.due.at > v->not_before))
                fail("job %" PRIu64 " waits for its time, and nothing wakes it", v->id);
        if (v->attempt == 0) {
                COUNT(reason_time);
                is_span(v, reason, "waits for its time, in", left);
        } else if (last && !last->stray && (!last->refused || last->expected != JOB_RESULT_NONE) && endswith(reason, "when what is left of the last one is gone")) {
                COUNT(reason_cleaning);
                reason_is(v, reason, "attempt %" PRIu32 " of %" PRIu32 " when what is left of the last one is gone", v->attempt + 1, j->max_attempts);
        } else {
                COUNT(reason_retry);
                (void) snprintf(before, sizeof(before), "attempt %" PRIu32 " of %" PRIu32 " in", v->attempt + 1, j->max_attempts);
                is_span(v, reason, before, left);
        }
        if (v->attempt > 0 && v->attempt >= j->max_attempts)
                fail("job %" PRIu64 " waits because of \"%s\", and may not be tried again", v->id, reason);
}

/* ---- each ---- */

static void check_reason(const View *v, const Now *now) {
        _cleanup_(job_freep) Job *j = NULL;
        _cleanup_free_ char *reason = NULL;

        if (store_load_job(w.m.store, v->id, &j) < 0)
                fail("job %" PRIu64 " cannot be read", v->id);
        w.api.now = *now;
        if (dict_reason(&w.api, j, &reason) < 0)
                fail("the reason of job %" PRIu64 " cannot be read", v->id);
        if (v->state == JOB_READY)
                check_ready(v, reason, now);
        else if (v->state == JOB_WAITING)
                check_waiting(v, j, reason, now);
        else if (v->state == JOB_HELD)
                COUNT(reason_held), reason_is(v, reason, "held");
}

void check_job(const View *v, bool reasons) {
        const Now *now = &w.m.now;

        if (!job_state_is_queued(v->state))
                return;
        if (v->attempt == 0 && v->deadline != USEC_INFINITY && !w.m.storage_failed) {
                COUNT(deadline_ahead);
                if (v->deadline <= now->realtime || !w.due.on || w.due.at > v->deadline)
                        fail("job %" PRIu64 " has a deadline, and nothing wakes it", v->id);
        }
        if (v->state == JOB_READY && v->blockers > 0)
                fail("job %" PRIu64 " is ready, and waits for %" PRIu32, v->id, v->blockers);
        if (v->state == JOB_READY && w.setup[v->queue].configured &&
            (v->fair != w.setup[v->queue].fair || v->rank != rank_by(v, w.setup + v->queue)))
                fail("the rank of job %" PRIu64 " is %" PRIi64 ", it should be %" PRIi64, v->id, v->rank, rank_by(v, w.setup + v->queue));
        if (reasons)
                check_reason(v, now);
        else if (v->state == JOB_READY && waits_in_line(v) && !w.m.model->dispatch_blocked && is_open(v->queue, -1, now) && lacks_at(v) < 0 &&
                 w.m.model->n_starting < w.m.model->starting_max && behind_at(v, now) < 0)
                fail("job %" PRIu64 " of %s could start, and waits", v->id, queue_names[v->queue]);
}
