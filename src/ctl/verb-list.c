/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list: jobs that match a filter, newest first, page by page as they come. And what a bare `jobmill` shows:
 * the queues and the jobs that run. */

#include "ctl/verb-list.h"
#include "api/protocol.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"

enum { COLUMN_REASON = 8 };

static const Column columns[] = {
        { "ID", 1, SCOLS_FL_RIGHT },
        { "NAME", 0.2, SCOLS_FL_TRUNC },
        { "QUEUE", 1, 0 },
        { "OWNER", 1, 0 },
        { "STATE", 1, 0 },
        { "RUN", 1, SCOLS_FL_RIGHT },
        { "CPU", 1, SCOLS_FL_RIGHT },
        { "MEMORY", 1, SCOLS_FL_RIGHT },
        [COLUMN_REASON] = { "REASON", 0.3, SCOLS_FL_TRUNC },
};

static const char *const table_fields[] = {
        "id",       "name",         "argv",        "queue",       "owner",       "owner_name",
        "state",    "result",       "reason",      "exit_status", "exit_signal", "started_usec",
        "cpu_usec", "runtime_usec", "memory_peak", "dead",        NULL,
};

#define TITLE_MAX 200U /* bytes. A terminal cuts earlier; a pipe would not, and every line is as wide as the widest */

static void shorten(char *s) {
        size_t n = TITLE_MAX - strlen("…");

        if (!s || strlen(s) <= TITLE_MAX)
                return;
        while (n > 0 && ((unsigned char) s[n] & 0xc0) == 0x80) /* not in the midst of a character */
                n--;
        strcpy(s + n, "…");
}

static int add_line(struct libscols_table *t, const JobInfo *j, usec_t now) {
        char id[DECIMAL_MAX], uid[DECIMAL_MAX], outcome[64], run[SPAN_MAX], cpu[SPAN_MAX], memory[SPAN_MAX];
        _cleanup_free_ char *title = job_info_title(j);
        bool runs = j->runtime_usec == UINT64_MAX && j->started_usec != UINT64_MAX && !job_info_is_done(j);
        struct libscols_line *l;
        int r = 0;

        l = scols_table_new_line(t, NULL);
        if (!l)
                return -ENOMEM;
        snprintf(id, sizeof(id), "%" PRIu64, j->id);
        snprintf(uid, sizeof(uid), "%" PRIu32, j->owner);
        shorten(title);
        const struct {
                const char *value, *color;
        } cells[] = {
                { id, NULL },
                { title, NULL },
                { j->queue, NULL },
                { j->owner_name ?: uid, NULL },
                { job_info_outcome(j, outcome, sizeof(outcome)), job_info_color(j) },
                { human_span(run, sizeof(run), runs ? usec_sub(now, j->started_usec) : j->runtime_usec),
                  NULL },
                { human_span(cpu, sizeof(cpu), j->cpu_usec), NULL },
                { human_size(memory, sizeof(memory), j->memory_peak), NULL },
                { strempty(j->reason), NULL },
        };
        for (size_t i = 0; i < ELEMENTSOF(cells) && r >= 0; i++)
                r = table_set(l, i, cells[i].value, cells[i].color);
        return r;
}

static int print_table(const JobInfo *jobs, size_t n, bool header) {
        _cleanup_table_ struct libscols_table *t = table_new(columns, ELEMENTSOF(columns), header);
        usec_t now = now_usec(CLOCK_REALTIME);
        bool any_reason = false;

        if (!t)
                return ctl_oom();
        for (size_t i = 0; i < n; i++) {
                any_reason = any_reason || jobs[i].reason;
                if (add_line(t, jobs + i, now) < 0)
                        return ctl_oom();
        }
        if (!any_reason)
                scols_column_set_flags(scols_table_get_column(t, COLUMN_REASON), SCOLS_FL_HIDDEN);
        return scols_print_table(t) == 0 ? 0 : ctl_error(-EIO, "Cannot print the table: %m");
}

static int print_page(const JobInfo *jobs, size_t n, bool first, JsonArray *array) {
        int r;

        if (arg_json == JSON_OFF)
                return n == 0 ? 0 : print_table(jobs, n, first);
        for (size_t i = 0; i < n; i++) {
                r = json_array_add(array, job_info_to_json(jobs + i));
                if (r < 0)
                        return r;
        }
        return 0;
}

int list_jobs(sd_bus *bus, const Filter *filter, uint32_t limit, size_t *ret_n) {
        _cleanup_free_ char *cursor = NULL;
        JsonArray array = {};
        size_t total = 0;
        int r;

        do {
                JobInfo *jobs;
                size_t n;

                r = job_list_page(bus, filter, arg_json == JSON_OFF ? (char *const *) table_fields : NULL,
                                  strempty(cursor), MIN(limit - (uint32_t) total, JOBMILL_LIST_MAX), &jobs,
                                  &n, &cursor);
                if (r < 0)
                        return r;
                r = print_page(jobs, n, total == 0, &array);
                job_info_array_free(jobs, n);
                if (r < 0)
                        return r;
                total += n;
                fflush(stdout);
        } while (cursor && total < limit);
        if (arg_json != JSON_OFF)
                json_array_end(&array);
        *ret_n = total;
        return 0;
}

int verb_list(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        size_t n;
        int r;

        if (arg_lines == 0)
                return ctl_error(-EINVAL, "list: --lines: at least 1");
        r = bus_open(&bus);
        if (r >= 0)
                r = list_jobs(bus, &arg_filter, arg_lines, &n);
        if (r < 0)
                return r;
        if (n == 0 && arg_json == JSON_OFF && arg_legend && !arg_quiet)
                fprintf(stderr, "No job%s.\n", filter_is_empty(&arg_filter) ? "" : " matches");
        return 0;
}

int verb_overview(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        static const char *const live[] = { "starting", "running", "stopping", NULL };
        Filter filter = { .states = (char **) live, .since = USEC_INFINITY, .until = USEC_INFINITY };
        size_t n;
        int r;

        if (arg_json != JSON_OFF)
                return ctl_error(-EINVAL,
                                 "JSON of what? Try: jobmill list --json=…, jobmill queue list --json=…");
        r = bus_open(&bus);
        if (r >= 0)
                r = list_queues(bus);
        if (r < 0)
                return r;
        putchar('\n');
        r = list_jobs(bus, &filter, UINT32_MAX, &n);
        if (r < 0)
                return r;
        if (arg_legend && !arg_quiet)
                printf("%s%s%s\n", color(COLOR_GREY),
                       n == 0 ? "No job runs. jobmill help shows what can be done."
                              : "jobmill list shows all jobs, jobmill help what can be done.",
                       color(COLOR_OFF));
        return 0;
}
