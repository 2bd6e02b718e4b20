/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What moves when the clock of the wall is set: times in the store that are the ends of spans, and the ages of receipts and
 * of starts. They move by as much as the clock, so that as much of the span is left as before.
 *
 * By how much is known from the offset of the clock from that of the boot, which is kept here with the boot that it was
 * of: so a clock that is set while the daemon is away is noticed too. Over a reboot nothing is known of the time between but what
 * the clock says, and the clock is believed; unless it is behind what it has been, as on a machine without a battery, which
 * is told the time later: what is left of a span is then what was left at last, and not the years in between.
 *
 * Ages, by which ranks are made and ended jobs kept, do not move; they are times of a clock that is never set: the sum of all steps
 * (SHIFT) away from that of the wall. */

#include "base/parse.h"
#include "store/store-internal.h"

#define META_CLOCK "clock" /* BOOT-ID OFFSET NOW SHIFT */

int store_clock_get(Store *s, sd_id128_t *ret_boot_id, int64_t *ret_offset, usec_t *ret_last,
                    int64_t *ret_shift) {
        _cleanup_free_ char *text = NULL;
        char *space, *end;
        usec_t last = 0;
        int64_t shift = 0;
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
        if (errno != 0 || end == space + 1 || sd_id128_from_string(text, ret_boot_id) < 0)
                return -ENOENT;
        space = *end == '\0' ? NULL : strchr(end + 1, ' ');
        if (space) {
                *space = '\0';
                if (parse_i64(space + 1, &shift) < 0)
                        return -ENOENT;
        }
        if (*end != '\0' && parse_u64(end + 1, &last) < 0)
                return -ENOENT;
        *ret_last = last;
        *ret_shift = shift;
        return 0;
}

static int move_by(Store *s, StatementId id, int64_t step) {
        sqlite3_stmt *stmt = store_stmt(s, id);

        stmt_bind_i64(s, stmt, 1, step);
        return stmt_exec(s, stmt);
}

int store_clock_set(Store *s, sd_id128_t boot_id, int64_t offset, usec_t now, int64_t step, int64_t shift) {
        char text[SD_ID128_STRING_MAX + 64], id[SD_ID128_STRING_MAX];
        int r;

        (void) snprintf(text, sizeof(text), "%s %" PRIi64 " %" PRIu64 " %" PRIi64, sd_id128_to_string(boot_id, id), offset, now,
                        shift);
        r = store_begin(s, false);
        if (r < 0)
                return r;
        if (step != 0) {
                r = move_by(s, STMT_JOB_MOVE_DELAYS, step);
                if (r >= 0)
                        r = move_by(s, STMT_ATTEMPT_MOVE, step);
                if (r >= 0)
                        r = move_by(s, STMT_JOB_MOVE_UNIQUE, step);
                if (r >= 0)
                        r = move_by(s, STMT_RECEIPT_MOVE, step);
                if (r >= 0)
                        r = move_by(s, STMT_RATE_MOVE, step);
        }
        if (r >= 0)
                r = store_meta_write(s, META_CLOCK, text);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0)
                store_rollback(s);
        return r;
}
