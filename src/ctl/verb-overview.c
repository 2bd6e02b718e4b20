/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a bare `jobmill` shows: how things stand, on one screen. Queues, what runs, what comes next and why
 * it does not run yet, what failed lately; of each as much as there is room for. */

#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/linger.h"
#include "ctl/output.h"
#include "ctl/overview.h"
#include "ctl/share.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

#define JOBS_MAX 20U /* of each section */
#define OTHER_LINES 5U /* heading, empty line, hint with one before it, and the shell's prompt */
#define SECTION_LINES 2U

typedef enum Section {
        SECTION_QUEUES,
        SECTION_RUNNING,
        SECTION_NEXT,
        SECTION_FAILED,
        _SECTION_MAX,
} Section;

typedef struct JobArray {
        JobInfo *jobs;
        size_t n;
} JobArray;

typedef struct Overview {
        Statistics statistics;
        QueueInfo *queues;
        size_t n_queues;
        JobArray sections[_SECTION_MAX]; /* of jobs */
} Overview;

static void overview_done(Overview *o) {
        statistics_done(&o->statistics);
        queue_info_array_free(o->queues, o->n_queues);
        for (Section i = SECTION_RUNNING; i < _SECTION_MAX; i++)
                job_info_array_free(o->sections[i].jobs, o->sections[i].n);
}

static int get_jobs(sd_bus *bus, char **states, bool dead, const char *order, JobArray *ret) {
        Filter f = { .states = states,
                     .dead = dead,
                     .order = (char *) order,
                     .since = USEC_INFINITY,
                     .until = USEC_INFINITY };
        _cleanup_free_ char *cursor = NULL;

        return job_list_page(bus, &f, NULL, "", JOBS_MAX, &ret->jobs, &ret->n, &cursor);
}

static int overview_get(sd_bus *bus, Overview *o) {
        static const char *const live[] = { "starting", "running", "stopping", NULL }, *const ready[] = {
                "ready", NULL
        };
        int r;

        r = statistics_get(bus, &o->statistics);
        if (r >= 0)
                r = queues_get(bus, &o->queues, &o->n_queues);
        if (r >= 0)
                r = get_jobs(bus, (char **) live, false, "oldest", o->sections + SECTION_RUNNING);
        if (r >= 0)
                r = get_jobs(bus, (char **) ready, false, "rank", o->sections + SECTION_NEXT);
        if (r >= 0)
                r = get_jobs(bus, NULL, true, "newest", o->sections + SECTION_FAILED);
        return r;
}

/* ---- JSON ---- */

static struct json_object *jobs_to_json(const JobArray *l) {
        struct json_object *array = json_object_new_array();

        for (size_t i = 0; i < l->n; i++)
                json_object_array_add(array, job_info_to_json(l->jobs + i));
        return array;
}

static struct json_object *overview_to_json(const Overview *o) {
        struct json_object *json = json_object_new_object(), *queues = json_object_new_array();

        for (size_t i = 0; i < o->n_queues; i++)
                json_object_array_add(queues, queue_info_to_json(o->queues + i));
        json_object_object_add(json, "statistics", statistics_to_json(&o->statistics));
        json_object_object_add(json, "queues", queues);
        json_object_object_add(json, "running", jobs_to_json(o->sections + SECTION_RUNNING));
        json_object_object_add(json, "next", jobs_to_json(o->sections + SECTION_NEXT));
        json_object_object_add(json, "failed", jobs_to_json(o->sections + SECTION_FAILED));
        return json;
}

/* ---- for people ---- */

static void print_grey(const char *text) {
        fputs(color(COLOR_GREY), stdout);
        putchar('\n');
        print_cut(text);
        fputs(color(COLOR_OFF), stdout);
}

static const Column job_columns[] = {
        { "", TABLE_KEEP_WHOLE, 0, true },
        { "", 90, 12, false },
        { "", 50, 7, false },
        { "", 40, 5, false },
        { "", 80, 0, true },
        { "", 60, 14, false },
};

static int add_job(Table *t, Section section, const JobInfo *j, usec_t now) {
        char id[DECIMAL_MAX], uid[DECIMAL_MAX], when[SPAN_MAX + 8], outcome[64];
        _cleanup_free_ char *title = job_info_title(j);
        const char *about = j->status ?: j->reason, *colour = NULL;
        int r;

        snprintf(id, sizeof(id), "%" PRIu64, j->id);
        snprintf(uid, sizeof(uid), "%" PRIu32, j->owner);
        if (section == SECTION_FAILED) {
                human_ago(when, sizeof(when), j->finished_usec, now);
                about = job_info_outcome(j, outcome, sizeof(outcome));
                colour = job_info_color(j);
        } else if (section == SECTION_RUNNING)
                human_span(when, sizeof(when), usec_sub(now, j->started_usec));
        else
                human_span(when, sizeof(when), usec_sub(now, j->submitted_usec));
        if (section == SECTION_RUNNING && !streq_ptr(j->state, "running")) {
                about = j->state;
                colour = job_info_color(j);
        }
        r = table_add(t, id, NULL);
        if (r >= 0)
                r = table_add(t, title, NULL);
        if (r >= 0)
                r = table_add(t, j->queue, NULL);
        if (r >= 0)
                r = table_add(t, j->owner_name ?: uid, NULL);
        if (r >= 0)
                r = table_add(t, when, NULL);
        return r < 0 ? r : table_add(t, strempty(about), colour);
}

static void print_title(Section section, uint64_t total, size_t lines) {
        static const struct {
                const char *title, *hint;
        } texts[_SECTION_MAX] = {
                [SECTION_RUNNING] = { "Running", "jobmill list --state running" },
                [SECTION_NEXT] = { "Next", "jobmill list --order rank" },
                [SECTION_FAILED] = { "Failed lately", "jobmill list --dead" },
        };
        char hint[128] = "";

        if (total > lines)
                snprintf(hint, sizeof(hint), " (%zu of %" PRIu64 ": %s)", lines, total, texts[section].hint);
        if (terminal_is_output() && strlen(texts[section].title) + strlen(hint) > terminal_width())
                snprintf(hint, sizeof(hint), " (%zu of %" PRIu64 ")", lines, total);
        printf("\n%s%s%s%s%s%s\n", color(COLOR_BOLD), texts[section].title, color(COLOR_OFF),
               color(COLOR_GREY), hint, color(COLOR_OFF));
}

/* All sections are one table, so that their columns stand below each other. */
static int print_jobs(const Overview *o, const uint64_t *totals, const size_t *lines) {
        _cleanup_table_ Table *t = table_new(job_columns, ELEMENTSOF(job_columns));
        usec_t now = now_usec(CLOCK_REALTIME);
        int r = 0;

        if (!t)
                return -ENOMEM;
        table_without_header(t);
        table_set_indent(t, 2);
        for (Section s = SECTION_RUNNING; s < _SECTION_MAX; s++)
                for (size_t i = 0; i < lines[s] && r >= 0; i++)
                        r = add_job(t, s, o->sections[s].jobs + i, now);
        for (Section s = SECTION_RUNNING; s < _SECTION_MAX && r >= 0; s++)
                if (lines[s] > 0) {
                        print_title(s, totals[s], lines[s]);
                        r = table_print_lines(t, lines[s]);
                }
        return r;
}

static int print_first_steps(void) {
        static const struct {
                const char *verb, *what;
        } steps[] = {
                { "submit -- echo hello", "queue a command; prints its id" },
                { "list", "all jobs, newest first" },
                { "show", "all about your newest one" },
                { "logs @last", "what it wrote" },
                { "help", "everything else" },
        };
        _cleanup_free_ char *me = tool_command();

        if (!me)
                return -ENOMEM;
        printf("\nNo job yet. To begin:\n\n");
        FOREACH_ELEMENT (i, steps)
                printf("  %s%s %-*s%s   %s\n", color(COLOR_BOLD), me, (int) strlen(steps[0].verb), i->verb,
                       color(COLOR_OFF), i->what);
        return 0;
}

static int print_overview(const Overview *o) {
        const Statistics *s = &o->statistics;
        const char *hint = linger_hint();
        const uint64_t totals[_SECTION_MAX] = {
                [SECTION_QUEUES] = o->n_queues,
                [SECTION_RUNNING] = s->starting + s->running + s->stopping,
                [SECTION_NEXT] = s->ready,
                [SECTION_FAILED] = s->dead,
        };
        size_t wanted[_SECTION_MAX], lines[_SECTION_MAX],
                        height = terminal_is_output() ? terminal_height() : 24;
        size_t fixed = OTHER_LINES + !!s->dispatch + !!hint;
        int r;

        for (Section i = 0; i < _SECTION_MAX; i++) {
                wanted[i] = i == SECTION_QUEUES ? o->n_queues : o->sections[i].n;
                fixed += wanted[i] > 0 ? SECTION_LINES : 0;
        }
        share_lines(height - MIN(height, fixed), wanted, lines, _SECTION_MAX);
        overview_print_heading(s, hint);
        putchar('\n');
        r = overview_print_queues(o->queues, lines[SECTION_QUEUES], NULL);
        if (o->n_queues > lines[SECTION_QUEUES])
                printf("%s%zu more: jobmill queue list%s\n", color(COLOR_GREY), o->n_queues - lines[SECTION_QUEUES], color(COLOR_OFF));
        if (r >= 0)
                r = print_jobs(o, totals, lines);
        if (r < 0)
                return ctl_oom();
        if (s->held + s->waiting + s->ready + s->starting + s->running + s->stopping + s->done == 0)
                r = print_first_steps();
        else if (arg_legend && !arg_quiet)
                print_grey("Further: jobmill list, jobmill show ID, jobmill logs ID, jobmill help");
        return r < 0 ? ctl_oom() : 0;
}

int verb_overview(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(overview_done) Overview o = {};
        int r;

        r = bus_open(&bus);
        if (r >= 0)
                r = overview_get(bus, &o);
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF)
                return json_print(overview_to_json(&o));
        overview_sort_queues(o.queues, &o.n_queues);
        return print_overview(&o);
}
