/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receipts of requests: written with the jobs that they tell of, found by caller and request id, forgotten in small pieces,
 * oldest first. How many each caller has is counted by triggers (schema.c), so that the limit costs no counting. */

#include "base/crash-point.h"
#include "store/store-internal.h"

/* "17 19 20"; NULL: out of memory. */
static char *ids_to_text(const Receipt *r) {
        char *text = malloc(r->n_jobs * 21 + 1), *p = text;

        if (!text)
                return NULL;
        *p = 0;
        for (uint32_t i = 0; i < r->n_jobs; i++)
                p += sprintf(p, "%s%" PRIu64, i > 0 ? " " : "", r->ids[i]);
        return text;
}

static int ids_from_text(Store *s, const char *text, Receipt *r) {
        char *end = (char *) text;

        r->ids = new0(uint64_t, r->n_jobs);
        if (!r->ids)
                return -ENOMEM;
        for (uint32_t i = 0; i < r->n_jobs; i++) {
                r->ids[i] = strtoull(end, &end, 10);
                if (r->ids[i] == 0)
                        return store_set_error(s, -EUCLEAN, "What request %s was answered cannot be understood", r->request_id);
        }
        return 0;
}

int store_record_receipt(Store *s, const Receipt *r) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_INSERT);
        _cleanup_free_ char *ids = NULL;
        int rc;

        if (r->ids) {
                ids = ids_to_text(r);
                if (!ids)
                        return -ENOMEM;
        }

        stmt_bind_u64(s, stmt, 1, r->first_id);
        stmt_bind_u64(s, stmt, 2, r->n_jobs);
        stmt_bind_u64(s, stmt, 3, r->caller);
        stmt_bind_text(s, stmt, 4, r->request_id);
        stmt_bind_i64(s, stmt, 5, (int64_t) r->digest);
        stmt_bind_u64(s, stmt, 6, r->created_usec);
        stmt_bind_text(s, stmt, 7, ids);
        rc = stmt_exec(s, stmt);
        return rc < 0 ? rc : store_room_add(s, r->caller, ROOM_RECEIPT + strlen(r->request_id) + strlen(strempty(ids)));
}

int store_load_receipt(Store *s, uint32_t caller, const char *request_id, Receipt **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_GET);
        _cleanup_(receipt_freep) Receipt *receipt = NULL;
        const char *text;
        int r;

        stmt_bind_u64(s, stmt, 1, caller);
        stmt_bind_text(s, stmt, 2, request_id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        receipt = receipt_new(caller, request_id);
        if (!receipt)
                return -ENOMEM;
        receipt->n_jobs = stmt_u64(stmt, 1);
        text = stmt_text(stmt, 4);
        if (!text && stmt_no_memory(stmt))
                r = -ENOMEM;
        else if (text)
                r = ids_from_text(s, text, receipt);
        if (r < 0)
                return r;
        receipt->first_id = stmt_u64(stmt, 0);
        receipt->digest = (uint64_t) sqlite3_column_int64(stmt, 2);
        receipt->created_usec = stmt_u64(stmt, 3);
        *ret = TAKE_PTR(receipt);
        return 0;
}

int store_count_receipts(Store *s, uint32_t caller, uint64_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_COUNT);
        int r;

        stmt_bind_u64(s, stmt, 1, caller);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        *ret = r > 0 ? stmt_u64(stmt, 0) : 0;
        return 0;
}

static int oldest_receipt(Store *s, usec_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_OLDEST);
        int r;

        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        *ret = r > 0 ? stmt_u64(stmt, 0) : USEC_INFINITY;
        return 0;
}

int store_expire_receipts(Store *s, usec_t before, usec_t after, size_t n, usec_t *ret_oldest) {
        sqlite3_stmt *stmt;
        int r;

        /* Those that come back after a power cut are forgotten again. */
        r = store_begin(s, /* relaxed = */ true);
        if (r < 0)
                return r;
        CRASH_POINT("expire-begun");
        stmt = store_stmt(s, STMT_RECEIPT_EXPIRE);
        stmt_bind_u64(s, stmt, 1, n);
        stmt_bind_u64(s, stmt, 2, before);
        stmt_bind_u64(s, stmt, 3, after);
        r = store_room_take_away(s, stmt);
        if (r >= 0)
                r = store_rooms_flush(s);
        if (r >= 0)
                r = store_commit(s);
        store_rooms_ended(s, r >= 0);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        CRASH_POINT("expire-after");
        return oldest_receipt(s, ret_oldest);
}
