/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list: jobs that match a filter, page by page as they come: never more than one page is in memory. */

#include "api/protocol.h"
#include "base/strv.h"
#include "ctl/csv.h"
#include "ctl/ctl.h"
#include "ctl/list-columns.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

static int fill_table(Table *t, const ListColumns *l, const JobInfo *jobs, size_t n) {
        usec_t now = now_usec(CLOCK_REALTIME);

        for (size_t i = 0; i < n; i++)
                if (list_columns_add(t, l, jobs + i, now) < 0)
                        return ctl_oom();
        return 0;
}

/* The column for reasons only where there is one. Of a list that goes on nobody knows yet. */
static void hide_reason(Table *t, const ListColumns *l, const JobInfo *jobs, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (list_has_reason(jobs + i))
                        return;
        for (size_t i = 0; i < l->n; i++)
                if (l->which[i] == LIST_REASON)
                        table_hide(t, i);
}

/* As JSON has them. */
static const char *const csv_keys[] = {
        "id", "name", "queue", "type", "owner", "state", "result", "causes", "exit_status", "exit_signal", "reason", "attempt", "priority", "slots",
        "submitted_usec", "started_usec", "finished_usec", "wait_usec", "runtime_usec", "cpu_usec", "memory_peak", "io_read_bytes",
        "io_write_bytes", NULL,
};

typedef struct Listing {
        ListColumns columns;
        Table *table;
        JsonArray array;
        size_t total;
        char **keys; /* of JSON; NULL: those that cost nothing */
        bool more; /* there are more than were asked for */
} Listing;

static void listing_done(Listing *l) {
        table_free(l->table);
        list_columns_done(&l->columns);
        strv_free(l->keys);
}

static int print_page(Listing *l, const JobInfo *jobs, size_t n, bool last) {
        int r;

        if (l->total == 0 && (n > 0 || arg_json != JSON_OFF))
                pager_open();
        if (arg_csv) {
                for (size_t i = 0; i < n; i++)
                        csv_print_row(csv_keys, job_info_to_json(jobs + i));
                return output_flush();
        }
        if (arg_json != JSON_OFF) {
                for (size_t i = 0; i < n; i++) {
                        r = json_array_add(&l->array, job_info_to_json(jobs + i));
                        if (r < 0)
                                return r;
                }
                return output_flush();
        }
        if (l->total == 0 && !last)
                table_expect_more(l->table);
        else if (l->total == 0 && !arg_columns)
                hide_reason(l->table, &l->columns, jobs, n);
        r = fill_table(l->table, &l->columns, jobs, n);
        if (r >= 0 && table_print(l->table) < 0)
                r = ctl_oom();
        return r < 0 ? r : output_flush();
}

/* NULL: all that JSON has, but for what costs more. */
static char *const *fields_wanted(const Listing *l) {
        if (arg_csv)
                return (char *const *) csv_keys;
        return arg_json == JSON_OFF ? l->columns.fields : l->keys;
}

static int list_pages(sd_bus *bus, Listing *l) {
        _cleanup_free_ char *cursor = NULL;
        int r;

        do {
                JobInfo *jobs;
                size_t n;

                r = job_list_page(bus, &arg_filter, fields_wanted(l),
                                  strempty(cursor), MIN(arg_lines - (uint32_t) l->total, JOBMILL_LIST_MAX),
                                  &jobs, &n, &cursor);
                if (r < 0)
                        return r;
                if (n == 0 && cursor) { /* it has only looked so far */
                        job_info_array_free(jobs, n);
                        continue;
                }
                r = print_page(l, jobs, n, !cursor || l->total + n >= arg_lines);
                job_info_array_free(jobs, n);
                if (r < 0)
                        return r;
                l->total += n;
        } while (cursor && l->total < arg_lines);
        l->more = cursor;
        if (arg_json != JSON_OFF)
                json_array_end(&l->array);
        return 0;
}

static void print_legend(const Listing *l) {
        if (arg_json != JSON_OFF || arg_csv || !arg_legend || arg_quiet)
                return;
        if (l->total == 0)
                fprintf(stderr, "No job%s.\n", filter_is_empty(&arg_filter) ? "" : " matches");
        else if (terminal_is_output())
                printf("\n%s%zu job%s listed%s.%s\n", color(COLOR_GREY), l->total, l->total == 1 ? "" : "s",
                       l->more ? "; there are more" : "", color(COLOR_OFF));
}

static int list(bool history) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(listing_done) Listing l = {};
        int r;

        if (arg_columns && streq(arg_columns[0], "help") && !arg_columns[1]) {
                list_columns_help();
                return 0;
        }
        r = list_columns_parse(arg_columns, history ? "history" : "list", &l.columns);
        if (r < 0)
                return r;
        if (history && job_info_keys(&l.keys) < 0)
                return ctl_oom();
        l.table = table_new(l.columns.columns, l.columns.n);
        if (!l.table)
                return ctl_oom();
        if (arg_columns)
                table_keep_all(l.table);
        r = bus_open(&bus);
        if (r < 0)
                return r;
        if (arg_csv)
                csv_print_header(csv_keys);
        r = list_pages(bus, &l);
        if (r < 0)
                return r;
        print_legend(&l);
        return 0;
}

int verb_list(int argc, char **argv) {
        return list(false);
}

int verb_history(int argc, char **argv) {
        if (arg_csv && arg_json != JSON_OFF)
                return ctl_error(-EINVAL, "--csv and --json cannot be combined");
        if (free_and_strdup(&arg_filter.order, "finished") < 0)
                return ctl_oom();
        return list(true);
}
