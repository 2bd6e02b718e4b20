/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receipts of requests: written with the jobs that they tell of, found by caller and request id, forgotten in small pieces,
 * oldest first. How many each caller has is counted by triggers (schema.c), so that the limit costs no counting. */

#include "base/crash-point.h"
#include "store/store-internal.h"

int store_record_receipt(Store *s, const Receipt *r) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_INSERT);

        stmt_bind_u64(s, stmt, 1, r->first_id);
        stmt_bind_u64(s, stmt, 2, r->n_jobs);
        stmt_bind_u64(s, stmt, 3, r->caller);
        stmt_bind_text(s, stmt, 4, r->request_id);
        stmt_bind_i64(s, stmt, 5, (int64_t) r->digest);
        stmt_bind_u64(s, stmt, 6, r->created_usec);
        return stmt_exec(s, stmt);
}

int store_load_receipt(Store *s, uint32_t caller, const char *request_id, Receipt **ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_RECEIPT_GET);
        Receipt *receipt;
        int r;

        stmt_bind_u64(s, stmt, 1, caller);
        stmt_bind_text(s, stmt, 2, request_id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        receipt = receipt_new(caller, request_id);
        if (!receipt)
                return -ENOMEM;
        receipt->first_id = stmt_u64(stmt, 0);
        receipt->n_jobs = stmt_u64(stmt, 1);
        receipt->digest = (uint64_t) sqlite3_column_int64(stmt, 2);
        receipt->created_usec = stmt_u64(stmt, 3);
        *ret = receipt;
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
        r = stmt_exec(s, stmt);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        CRASH_POINT("expire-after");
        return oldest_receipt(s, ret_oldest);
}
