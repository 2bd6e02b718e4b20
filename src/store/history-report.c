/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports: sums of the accounts, for each value of what they are grouped by. What is read is the table of accounts alone, which stays
 * small (store-usage.c). A row of it counts where some of its minute, hour or day lies within what is asked for. */

#include "base/parse.h"
#include "base/string-table.h"
#include "queue/spec-check.h"
#include "store/history.h"
#include "store/store-internal.h"

static const char *const report_group_table[_REPORT_GROUP_MAX] = {
        [REPORT_QUEUE] = "queue",
        [REPORT_TYPE] = "type",
        [REPORT_OWNER] = "owner",
        [REPORT_DAY] = "day",
        [REPORT_HOUR] = "hour",
        [REPORT_MINUTE] = "minute",
};
DEFINE_STRING_TABLE_LOOKUP(report_group, ReportGroup);

static const char *const columns[_REPORT_GROUP_MAX] = {
        [REPORT_QUEUE] = "queue",
        [REPORT_TYPE] = "type",
        [REPORT_OWNER] = "owner",
        [REPORT_DAY] = "date(begin_usec / 1000000, 'unixepoch', 'localtime')",
        [REPORT_HOUR] = "begin_usec - begin_usec % 3600000000",
        [REPORT_MINUTE] = "begin_usec",
};

static char *report_text(const JobFilter *f, unsigned groups) {
        _cleanup_free_ char *text = NULL;
        const char *between = "";
        size_t size;
        FILE *out;

        out = open_memstream(&text, &size);
        if (!out)
                return NULL;
        fputs("SELECT 0", out);
        for (ReportGroup g = 0; g < _REPORT_GROUP_MAX; g++)
                fprintf(out, ", %s", groups & (1U << g) ? columns[g] : "NULL");
        /* Beyond what a number of SQLite's holds total() is still near it, where sum() would fail. */
        for (UsageValue v = 0; v < _USAGE_MAX; v++)
                fprintf(out, ", CAST(total(%s) AS INTEGER)", usage_value_to_string(v));
        fputs(" FROM usage WHERE ((span = 'minute' AND begin_usec >= ?1) OR (span = 'hour' AND begin_usec >= ?2) OR"
              " (span = 'day' AND begin_usec >= ?3)) AND begin_usec < ?4", out);
        if (f->queues)
                fputs(" AND queue IN (SELECT value FROM json_each(?5))", out);
        if (f->types)
                fputs(" AND type IN (SELECT value FROM json_each(?8))", out);
        if (f->n_owners > 0)
                fputs(" AND owner IN (SELECT value FROM json_each(?6))", out);
        for (ReportGroup g = 0; g < _REPORT_GROUP_MAX; g++)
                if (groups & (1U << g)) {
                        fprintf(out, "%s%d", *between ? between : " GROUP BY ", (int) g + 2);
                        between = ", ";
                }
        between = "";
        for (ReportGroup g = _REPORT_GROUP_MAX; g-- > 0;) /* time first */
                if (groups & (1U << g)) {
                        fprintf(out, "%s%d", *between ? between : " ORDER BY ", (int) g + 2);
                        between = ", ";
                }
        fputs(" LIMIT ?7", out);
        return fclose(out) == 0 ? TAKE_PTR(text) : NULL;
}

static int bind_filter(Store *s, sqlite3_stmt *stmt, const JobFilter *f, size_t max, char **ret_queues, char **ret_types, char **ret_owners) {
        usec_t since = f->since_usec == USEC_INFINITY ? 0 : f->since_usec;

        for (UsageSpan span = 0; span < _USAGE_SPAN_MAX; span++)
                stmt_bind_i64(s, stmt, 1 + (int) span, (int64_t) MIN(usage_begin(span, since), (usec_t) INT64_MAX));
        stmt_bind_i64(s, stmt, 4, (int64_t) MIN(f->until_usec, (usec_t) INT64_MAX));
        stmt_bind_i64(s, stmt, 7, (int64_t) max + 1);
        if (f->queues) {
                *ret_queues = history_names_to_json(f->queues, queue_name_is_valid);
                if (!*ret_queues)
                        return -ENOMEM;
                stmt_bind_text(s, stmt, 5, *ret_queues);
        }
        if (f->types) {
                *ret_types = history_names_to_json(f->types, type_name_is_valid);
                if (!*ret_types)
                        return -ENOMEM;
                stmt_bind_text(s, stmt, 8, *ret_types);
        }
        if (f->n_owners > 0) {
                *ret_owners = history_numbers_to_json(NULL, f->owners, f->n_owners);
                if (!*ret_owners)
                        return -ENOMEM;
                stmt_bind_text(s, stmt, 6, *ret_owners);
        }
        return 0;
}

static int read_row(sqlite3_stmt *stmt, ReportRow *ret) {
        *ret = (ReportRow) {
                .queue = stmt_text(stmt, 1 + REPORT_QUEUE),
                .type = stmt_text(stmt, 1 + REPORT_TYPE),
                .owner = stmt_u64(stmt, 1 + REPORT_OWNER),
                .day = stmt_text(stmt, 1 + REPORT_DAY),
                .hour = stmt_u64(stmt, 1 + REPORT_HOUR),
                .minute = stmt_u64(stmt, 1 + REPORT_MINUTE),
        };
        for (UsageValue v = 0; v < _USAGE_MAX; v++)
                ret->values[v] = stmt_u64(stmt, 1 + _REPORT_GROUP_MAX + (int) v);
        return stmt_no_memory(stmt) ? -ENOMEM : 0;
}

static int read_rows(Store *s, sqlite3_stmt *stmt, size_t max, report_row_t callback, void *userdata) {
        size_t n = 0;
        ReportRow row;
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                if (n++ == max)
                        return -E2BIG;
                r = read_row(stmt, &row);
                if (r >= 0)
                        r = callback(userdata, &row);
                if (r < 0)
                        return r;
        }
        return r;
}

int history_report(Store *s, const JobFilter *f, unsigned groups, size_t max, report_row_t callback, void *userdata) {
        _cleanup_free_ char *text = report_text(f, groups), *queues = NULL, *types = NULL, *owners = NULL;
        sqlite3_stmt *stmt;
        int r, rc;

        if (!text)
                return -ENOMEM;
        rc = sqlite3_prepare_v2(s->db, text, -1, &stmt, NULL);
        if (rc != SQLITE_OK)
                return store_sqlite_error(s, rc);
        r = bind_filter(s, stmt, f, max, &queues, &types, &owners);
        if (r >= 0)
                r = read_rows(s, stmt, max, callback, userdata);
        sqlite3_finalize(stmt);
        return r;
}
