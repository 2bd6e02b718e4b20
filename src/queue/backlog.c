/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The counts behind MaxQueued= and MaxQueuedPerUser=. One who submits is refused; what is queued already is never touched, so
 * a limit may be lowered below what there is, and retry and release are not limited. */

#include "queue/backlog.h"

#include "queue/model.h"

/* Most queues are used by few: the table of uthash would be ten times what is kept of a user. It grows. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS 2U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 1U

void backlog_init(Backlog *b) {
        *b = (Backlog) {};
        TAILQ_INIT(&b->changed);
}

void backlog_done(Backlog *b) {
        UserBacklog *u, *t;

        HASH_ITER(hh, b->users, u, t) {
                HASH_DEL(b->users, u);
                free(u);
        }
        b->n = 0;
}

static UserBacklog *find(const Backlog *b, uint32_t owner) {
        UserBacklog *u;

        HASH_FIND(hh, b->users, &owner, sizeof(owner), u);
        return u;
}

/* A count that is missing for want of memory must not become a huge one. */
static uint64_t add(uint64_t count, int64_t n) {
        return n < 0 && count < (uint64_t) -n ? 0 : count + n;
}

static void add_to(Backlog *b, uint32_t owner, int64_t n, bool exactly) {
        UserBacklog *u = find(b, owner);

        if (!u) {
                u = new0(UserBacklog, 1);
                if (!u)
                        return;
                u->owner = owner;
                HASH_ADD(hh, b->users, owner, sizeof(u->owner), u);
        }
        b->n = add(b->n, n);
        u->all = add(u->all, n);
        if (exactly) {
                u->own = add(u->own, n);
                if (!u->changed)
                        TAILQ_INSERT_TAIL(&b->changed, u, changed_entry);
                u->changed = true;
        } else if (u->all == 0 && u->own == 0 && !u->changed) {
                HASH_DEL(b->users, u);
                free(u);
        }
}

void backlog_add(Model *m, Queue *q, uint32_t owner, int64_t n) {
        if (n == 0)
                return;
        for (Queue *p = q; p; p = p->parent)
                add_to(&p->backlog, owner, n, p == q);
        add_to(&m->backlog, owner, n, false);
}

void backlog_recorded(Queue *q) {
        UserBacklog *u;

        while ((u = TAILQ_FIRST(&q->backlog.changed))) {
                TAILQ_REMOVE(&q->backlog.changed, u, changed_entry);
                u->changed = false;
                if (u->all == 0) {
                        HASH_DEL(q->backlog.users, u);
                        free(u);
                }
        }
}

static bool is_room(uint64_t there, uint64_t n, uint64_t max) {
        return there < max && n <= max - there;
}

/* queue: its name; NULL: all together. */
static int check(const Backlog *b, uint64_t max, uint64_t per_user_max, const char *queue, uint32_t owner, uint64_t n,
                 char **ret_error) {
        const UserBacklog *u = find(b, owner);
        uint64_t of_user = u ? u->all : 0, there = b->n, limit = max;
        const char *key = "MaxQueued=", *whose = "";
        char room[64] = "full";
        int r;

        if (is_room(b->n, n, max)) {
                if (owner == 0 || is_room(of_user, n, per_user_max))
                        return 0;
                there = of_user;
                limit = per_user_max;
                key = "MaxQueuedPerUser=";
                whose = " of this user";
        }
        if (n > 1)
                (void) snprintf(room, sizeof(room), "too full for %" PRIu64 " more", n);
        r = asprintf(ret_error, "%s%s%s%s: %" PRIu64 " jobs%s are queued, at most %" PRIu64 " may be (%s)",
                     queue ? "Queue '" : "", queue ?: "All queues", queue ? "' is " : " together are ", room, there, whose,
                     limit, key);
        if (r < 0) {
                *ret_error = NULL;
                return -ENOMEM;
        }
        return -EXFULL;
}

int backlog_check(const Model *m, const Queue *q, uint32_t owner, uint64_t n, char **ret_error) {
        int r = 0;

        for (; r >= 0 && q; q = q->parent)
                r = check(&q->backlog, q->policy.queued_max, q->policy.queued_per_user_max, q->name, owner, n, ret_error);
        return r < 0 ? r : check(&m->backlog, m->queued_max, m->queued_per_user_max, NULL, owner, n, ret_error);
}
