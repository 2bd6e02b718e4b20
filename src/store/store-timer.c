/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules, and what came of each time that one was fired: the last ones of each. All are loaded, since each one has a unit. */

#include "base/strv.h"
#include "store/store-internal.h"

static int forget_firings(Store *s, const char *timer, uint64_t up_to) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_FIRING_TRIM);

        stmt_bind_text(s, stmt, 1, timer);
        stmt_bind_i64(s, stmt, 2, (int64_t) MIN(up_to, (uint64_t) INT64_MAX));
        return stmt_exec(s, stmt);
}

static void bind_policy(Store *s, sqlite3_stmt *stmt, const TimerPolicy *p, const char *calendar) {
        stmt_bind_text(s, stmt, 11, calendar);
        stmt_bind_u64(s, stmt, 12, p->every);
        stmt_bind_u64(s, stmt, 13, p->random_delay);
        stmt_bind_u64(s, stmt, 14, p->accuracy);
        stmt_bind_i64(s, stmt, 15, p->persistent);
        stmt_bind_text(s, stmt, 16, overlap_to_string(p->overlap));
        stmt_bind_text(s, stmt, 17, p->job);
}

static int record_timer(Store *s, const Timer *t) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_ROOM_OF_TIMER);
        _cleanup_free_ char *calendar = NULL;
        int r;

        stmt_bind_text(s, stmt, 1, t->name);
        r = store_room_take_away(s, stmt);
        if (r >= 0 && !t->removed)
                r = store_room_add(s, t->owner, store_room_of_timer(&t->policy));
        if (r < 0)
                return r;
        stmt = store_stmt(s, t->removed ? STMT_TIMER_DELETE : STMT_TIMER_UPSERT);
        stmt_bind_text(s, stmt, 1, t->name);
        if (!t->removed) {
                calendar = strv_join(t->policy.calendar, "\n");
                if (!calendar)
                        return -ENOMEM;
                stmt_bind_u64(s, stmt, 2, t->owner);
                stmt_bind_text(s, stmt, 3, t->owner_name);
                stmt_bind_i64(s, stmt, 4, t->of_file);
                stmt_bind_i64(s, stmt, 5, t->paused);
                stmt_bind_u64(s, stmt, 6, t->set);
                stmt_bind_u64(s, stmt, 7, t->elapsed);
                stmt_bind_u64(s, stmt, 8, timer_next(t));
                stmt_bind_u64(s, stmt, 9, t->last_job);
                stmt_bind_u64(s, stmt, 10, t->n_firings);
                bind_policy(s, stmt, &t->policy, calendar);
                stmt_bind_u64(s, stmt, 18, t->mark);
        }
        r = stmt_exec(s, stmt);
        return r < 0 || (!t->removed && !t->is_new) ? r : forget_firings(s, t->name, INT64_MAX);
}

static int record_firing(Store *s, const Firing *f, uint64_t kept_max) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_FIRING_INSERT);
        int r;

        stmt_bind_text(s, stmt, 1, f->timer);
        stmt_bind_u64(s, stmt, 2, f->number);
        stmt_bind_text(s, stmt, 3, cause_to_string(f->cause));
        stmt_bind_u64(s, stmt, 4, f->due);
        stmt_bind_u64(s, stmt, 5, f->fired);
        if (f->job > 0)
                stmt_bind_u64(s, stmt, 6, f->job);
        stmt_bind_text(s, stmt, 7, f->note);
        r = stmt_exec(s, stmt);
        return r < 0 || f->number <= kept_max ? r : forget_firings(s, f->timer, f->number - kept_max);
}

int store_record_timers(Store *s, const Model *m) {
        const Firing *f;
        const Timer *t;
        int r;

        TAILQ_FOREACH(t, &m->timers.changed, changed_entry) {
                r = record_timer(s, t);
                if (r < 0)
                        return r;
        }
        TAILQ_FOREACH(f, &m->timers.firings, entry) {
                const Timer *of = model_timer(m, f->timer);

                r = of ? record_firing(s, f, m->timers.kept_max) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int policy_from_row(sqlite3_stmt *stmt, TimerPolicy *p) {
        const char *calendar = stmt_text(stmt, 10);

        p->calendar = strv_split(strempty(calendar), "\n");
        if (!p->calendar)
                return -ENOMEM;
        p->every = stmt_u64(stmt, 11);
        p->random_delay = stmt_u64(stmt, 12);
        p->accuracy = stmt_u64(stmt, 13);
        p->persistent = sqlite3_column_int(stmt, 14);
        p->overlap = overlap_from_string(stmt_text(stmt, 15));
        return stmt_strdup(stmt, 16, &p->job);
}

static int timer_from_row(Store *s, sqlite3_stmt *stmt, Timer **ret) {
        _cleanup_(timer_freep) Timer *t = timer_new(strempty(stmt_text(stmt, 0)));
        int r;

        if (!t)
                return -ENOMEM;
        t->owner = stmt_u64(stmt, 1);
        t->of_file = sqlite3_column_int(stmt, 3);
        t->paused = sqlite3_column_int(stmt, 4);
        t->set = stmt_u64(stmt, 5);
        t->elapsed = stmt_u64(stmt, 6);
        t->next = stmt_u64(stmt, 7);
        t->last_job = stmt_u64(stmt, 8);
        t->n_firings = stmt_u64(stmt, 9);
        t->mark = stmt_u64(stmt, 17);
        r = stmt_strdup(stmt, 2, &t->owner_name);
        if (r >= 0)
                r = policy_from_row(stmt, &t->policy);
        if (r < 0)
                return r;
        t->configured = !t->of_file;
        if (t->policy.overlap < 0 || !t->policy.job)
                return store_set_error(s, -EUCLEAN, "The schedule %s cannot be understood", t->name);
        *ret = TAKE_PTR(t);
        return 0;
}

int store_load_timers(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_TIMER_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                Timer *t = NULL;

                r = timer_from_row(s, stmt, &t);
                if (r < 0)
                        return r;
                model_timer_add(m, t);
        }
        return r;
}

int store_unfinished_firings(Store *s, const char *timer, uint64_t *ids, size_t n, size_t *ret_n) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_FIRING_UNFINISHED);
        size_t k = 0;
        int r;

        stmt_bind_text(s, stmt, 1, timer);
        stmt_bind_u64(s, stmt, 2, n);
        while ((r = stmt_step(s, stmt)) > 0)
                ids[k++] = sqlite3_column_int64(stmt, 0);
        *ret_n = k;
        return r;
}

int store_list_firings(Store *s, const char *timer, uint64_t n, firing_row_t callback, void *userdata) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_FIRING_LIST);
        int r;

        stmt_bind_text(s, stmt, 1, timer);
        stmt_bind_i64(s, stmt, 2, (int64_t) MIN(n, (uint64_t) INT64_MAX));
        while ((r = stmt_step(s, stmt)) > 0) {
                Firing f = { .timer = (char *) timer,
                             .number = stmt_u64(stmt, 1),
                             .cause = cause_from_string(stmt_text(stmt, 2)),
                             .due = stmt_u64(stmt, 3),
                             .fired = stmt_u64(stmt, 4),
                             .job = sqlite3_column_int64(stmt, 5),
                             .note = (char *) stmt_text(stmt, 6) };

                r = callback(userdata, &f);
                if (r < 0)
                        return r;
        }
        return r;
}
