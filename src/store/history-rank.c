/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store/history-rank.h"

#include "base/strv.h"
#include "queue/heap.h"
#include "store/store-internal.h"

#include <sys/queue.h>

typedef struct Head {
        HeapNode node; /* first member */
        char *queue;
        int64_t rank, id;
        SLIST_ENTRY(Head) entry;
} Head;

struct RankWalk {
        Store *store;
        SLIST_HEAD(, Head) heads;
        HeapNode *first;
};

static bool head_before(const HeapNode *x, const HeapNode *y, const void *unused) {
        const Head *a = (const Head *) x, *b = (const Head *) y;

        return a->rank != b->rank ? a->rank < b->rank : a->id < b->id;
}

static int read_head(Store *s, StatementId which, Head *h) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, which);
        int r;

        stmt_bind_text(s, stmt, 1, h->queue);
        stmt_bind_i64(s, stmt, 2, h->rank);
        if (which == STMT_RANK_EQUAL)
                stmt_bind_i64(s, stmt, 3, h->id);
        r = stmt_step(s, stmt);
        if (r > 0) {
                h->rank = sqlite3_column_int64(stmt, 0);
                h->id = sqlite3_column_int64(stmt, 1);
        }
        return r;
}

/* Two looks, as SQLite does not use an index for both halves of a comparison of pairs where one of them is the primary key. */
static int put_next(RankWalk *w, Head *h) {
        int r;

        r = read_head(w->store, STMT_RANK_EQUAL, h);
        if (r == 0)
                r = read_head(w->store, STMT_RANK_ABOVE, h);
        if (r > 0)
                heap_put(&w->first, &h->node, head_before, NULL);
        return r;
}

static int add_queue(RankWalk *w, const char *queue, int64_t rank, int64_t id) {
        Head *h = new0(Head, 1);

        if (!h)
                return -ENOMEM;
        SLIST_INSERT_HEAD(&w->heads, h, entry);
        h->queue = strdup(queue);
        h->rank = rank;
        h->id = id;
        return h->queue ? put_next(w, h) : -ENOMEM;
}

int rank_walk_new(Store *s, char *const *queues, int64_t rank, uint64_t id, RankWalk **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RANK_QUEUES);
        _cleanup_(rank_walk_freep) RankWalk *w = new0(RankWalk, 1);
        int r;

        if (!w)
                return -ENOMEM;
        w->store = s;
        SLIST_INIT(&w->heads);
        while ((r = stmt_step(s, stmt)) > 0) {
                const char *queue = strempty(stmt_text(stmt, 0));

                if (strv_length(queues) > 0 && !strv_contains(queues, queue))
                        continue;
                r = add_queue(w, queue, rank, (int64_t) MIN(id, (uint64_t) INT64_MAX));
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

RankWalk *rank_walk_free(RankWalk *w) {
        Head *h;

        if (!w)
                return NULL;
        while ((h = SLIST_FIRST(&w->heads))) {
                SLIST_REMOVE_HEAD(&w->heads, entry);
                free(h->queue);
                free(h);
        }
        return mfree(w);
}

int rank_walk_next(RankWalk *w, int64_t *ret_rank, int64_t *ret_id) {
        Head *h = (Head *) w->first;
        int r;

        if (!h)
                return 0;
        *ret_rank = h->rank;
        *ret_id = h->id;
        heap_take(&w->first, &h->node, head_before, NULL);
        r = put_next(w, h);
        return r < 0 ? r : 1;
}
