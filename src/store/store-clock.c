/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What moves when the clock of the wall is set: times in the store that are the ends of spans, and the ages of receipts. They
 * move by as much as the clock, so that as much of the span is left as before.
 *
 * By how much is known from the offset of the clock from that of the boot, which is kept here with the boot that it was
 * of: so a clock that is set while the daemon is away is noticed too. Over a reboot nothing is known of the time between but what
 * the clock says, and the clock is believed. */

#include "base/parse.h"
#include "store/store-internal.h"

#define META_CLOCK "clock" /* BOOT-ID OFFSET */

int store_clock_get(Store *s, sd_id128_t *ret_boot_id, int64_t *ret_offset) {
        _cleanup_free_ char *text = NULL;
        char *space, *end;
        int r;

        r = store_get_meta(s, META_CLOCK, &text);
        if (r < 0)
                return r;
        space = strchr(text, ' ');
        if (!space)
                return -ENOENT;
        *space = '\0';
        errno = 0;
        *ret_offset = strtoll(space + 1, &end, 10);
        return errno != 0 || end == space + 1 || *end != '\0' || sd_id128_from_string(text, ret_boot_id) < 0 ? -ENOENT : 0;
}

static int move_by(Store *s, StatementId id, int64_t step) {
        sqlite3_stmt *stmt = store_stmt(s, id);

        stmt_bind_i64(s, stmt, 1, step);
        return stmt_exec(s, stmt);
}

int store_clock_set(Store *s, sd_id128_t boot_id, int64_t offset, int64_t step) {
        char text[SD_ID128_STRING_MAX + 32], id[SD_ID128_STRING_MAX];
        int r;

        (void) snprintf(text, sizeof(text), "%s %" PRIi64, sd_id128_to_string(boot_id, id), offset);
        r = store_begin(s, false);
        if (r < 0)
                return r;
        if (step != 0) {
                r = move_by(s, STMT_JOB_MOVE_DELAYS, step);
                if (r >= 0)
                        r = move_by(s, STMT_RECEIPT_MOVE, step);
        }
        if (r >= 0)
                r = store_meta_write(s, META_CLOCK, text);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0)
                store_rollback(s);
        return r;
}
