/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of jobs no more is asked for than stands on the screen and above it, section by section, each in the daemon's own order; only an order by what
 * jobs use, and a search, need to look at more. So it is as quick with a million that wait as with ten. */

#include "ctl/top-view.h"
#include "api/protocol.h"
#include "base/strv.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

#define LOOKED_AT_MAX 20000U
#define QUEUE_LINES_MIN 3U

static const char *const order_names[_TOP_ORDER_MAX] = { "turn", "CPU time", "memory", "run time" };

const char *top_order_name(TopOrder o) {
        return order_names[o];
}

int top_view_new(TopView *v) {
        static const char *const fields[] = { "queue", "name", "argv", "owner_name", "cpu_usec", "memory_peak", "started_usec", NULL };
        int r;

        r = list_columns_parse(arg_columns, "top", &v->list);
        if (r < 0)
                return r;
        STRV_FOREACH (f, (char **) fields)
                if (!strv_contains(v->list.fields, *f) && strv_extend(&v->list.fields, *f) < 0)
                        return ctl_oom();
        v->columns = new0(Column, v->list.n + 1);
        if (!v->columns)
                return ctl_oom();
        v->columns[0] = (Column) { "", TABLE_KEEP_WHOLE, 0, false };
        memcpy(v->columns + 1, v->list.columns, v->list.n * sizeof(Column));
        return 0;
}

void top_view_done(TopView *v) {
        list_columns_done(&v->list);
        free(v->columns);
        statistics_done(&v->statistics);
        queue_info_array_free(v->queues, v->n_queues);
        job_info_array_free(v->jobs, v->n_jobs);
        free(v->search);
        free(v->queue);
        free(v->message);
}

/* ---- what is shown ---- */

static size_t queue_lines(const TopView *v) {
        size_t height = terminal_height();

        return height < 12 ? 0 : MIN(v->n_queues, MAX((height - 8) / 3, (size_t) QUEUE_LINES_MIN));
}

size_t top_view_rows(const TopView *v) {
        size_t queues = queue_lines(v), used = 4 + !!v->statistics.dispatch; /* heading, empty line, header, last line */

        used += queues > 0 ? queues + 2 : 0; /* header, empty line */
        return terminal_height() > used ? terminal_height() - used : 1;
}

static size_t index_of_job(const TopView *v) {
        for (size_t i = 0; i < v->n_jobs; i++)
                if (v->jobs[i].id == v->selected)
                        return i;
        return SIZE_MAX;
}

static size_t index_of_queue(const TopView *v) {
        for (size_t i = 0; v->queue && i < v->n_queues; i++)
                if (streq(v->queues[i].name, v->queue))
                        return i;
        return SIZE_MAX;
}

const JobInfo *top_view_job(const TopView *v) {
        size_t i = index_of_job(v);

        return i == SIZE_MAX ? NULL : v->jobs + i;
}

const QueueInfo *top_view_queue(const TopView *v) {
        const JobInfo *j = v->queue ? NULL : top_view_job(v);
        const char *name = j ? j->queue : v->queue;

        for (size_t i = 0; name && i < v->n_queues; i++)
                if (streq(v->queues[i].name, name))
                        return v->queues + i;
        return NULL;
}

static void select_job(TopView *v, size_t i) {
        size_t rows = top_view_rows(v);

        v->selected = i < v->n_jobs ? v->jobs[i].id : 0;
        v->first = MIN(v->first, i);
        if (i >= v->first + rows)
                v->first = i - rows + 1;
}

static size_t moved(size_t from, ssize_t by, size_t n) {
        if (from == SIZE_MAX)
                from = 0;
        if (by < 0)
                return from - MIN(from, -(size_t) by);
        return n == 0 ? 0 : MIN(from + MIN((size_t) by, n), n - 1);
}

void top_view_move(TopView *v, ssize_t by) {
        if (v->queue && v->n_queues > 0)
                (void) free_and_strdup(&v->queue, v->queues[moved(index_of_queue(v), by, v->n_queues)].name);
        else if (!v->queue)
                select_job(v, moved(index_of_job(v), by, v->n_jobs));
}

/* ---- asking ---- */

typedef struct Fetch {
        sd_bus *bus;
        const TopView *view;
        size_t need;
        JobInfo *jobs;
        size_t n, looked_at;
        bool more;
} Fetch;

/* Of an id the beginning. */
static bool is_searched(const TopView *v, const JobInfo *j) {
        _cleanup_free_ char *title = job_info_title(j);
        char id[DECIMAL_MAX];

        if (!v->search)
                return true;
        snprintf(id, sizeof(id), "%" PRIu64, j->id);
        return startswith(id, v->search) || (title && strcasestr(title, v->search)) || strcasestr(strempty(j->queue), v->search) ||
               strcasestr(strempty(j->owner_name), v->search);
}

static int take_page(Fetch *f, JobInfo *jobs, size_t n) {
        JobInfo *more = reallocarray(f->jobs, f->n + n + 1, sizeof(JobInfo));

        if (!more) {
                job_info_array_free(jobs, n);
                return ctl_oom();
        }
        f->jobs = more;
        for (size_t i = 0; i < n; i++)
                if (is_searched(f->view, jobs + i))
                        f->jobs[f->n++] = jobs[i];
                else
                        job_info_done(jobs + i);
        free(jobs);
        f->looked_at += n;
        return 0;
}

static bool needs_more(const Fetch *f, bool all) {
        return f->looked_at < LOOKED_AT_MAX && (all || f->n < f->need);
}

/* Those of some states; all: also more than are shown, since they are put into another order. */
static int fetch_states(Fetch *f, char *const *states, const char *order, bool all) {
        _cleanup_strv_free_ char **wanted = NULL;
        _cleanup_free_ char *cursor = NULL;
        Filter filter = arg_filter;
        int r;

        STRV_FOREACH (s, states)
                if (!arg_filter.states || strv_contains(arg_filter.states, *s))
                        if (strv_extend(&wanted, *s) < 0)
                                return ctl_oom();
        if (!wanted)
                return 0;
        filter.states = wanted;
        filter.order = (char *) order;
        do {
                size_t n, limit = all || f->view->search ? JOBMILL_LIST_MAX : f->need - MIN(f->need, f->n) + 1;
                JobInfo *jobs;

                r = job_list_page(f->bus, &filter, f->view->list.fields, strempty(cursor), MIN(limit, (size_t) JOBMILL_LIST_MAX), &jobs, &n, &cursor);
                if (r >= 0)
                        r = take_page(f, jobs, n);
                if (r < 0)
                        return r;
        } while (cursor && needs_more(f, all));
        f->more = f->more || cursor;
        return 0;
}

static const TopView *sorted; /* qsort() has no place for it */

static uint64_t value_of(const JobInfo *j) {
        switch (sorted->order) {
        case TOP_CPU:
                return j->cpu_usec;
        case TOP_MEMORY:
                return j->memory_peak;
        default:
                return j->started_usec == UINT64_MAX ? UINT64_MAX : UINT64_MAX - 1 - j->started_usec;
        }
}

/* What most has, first; what is not known, last. */
static int compare_jobs(const void *a, const void *b) {
        const JobInfo *x = a, *y = b;
        uint64_t p = value_of(x), q = value_of(y);

        if (p == q)
                return x->id < y->id ? -1 : x->id > y->id;
        if (p == UINT64_MAX || q == UINT64_MAX)
                return p == UINT64_MAX ? 1 : -1;
        return (p > q) == sorted->reverse ? 1 : -1;
}

static int fetch_jobs(Fetch *f) {
        static const struct {
                const char *states[4], *order;
        } sections[] = {
                { { "starting", "running", "stopping", NULL }, "oldest" },
                { { "ready", NULL }, "rank" },
                { { "waiting", NULL }, "oldest" },
                { { "held", NULL }, "oldest" },
        };
        const TopView *v = f->view;
        int r = 0;

        FOREACH_ELEMENT (s, sections) {
                bool all = s == sections && v->order != TOP_TURN;

                if (f->n >= f->need) {
                        f->more = true;
                        break;
                }
                r = fetch_states(f, (char **) s->states, s->order, all);
                if (r < 0)
                        return r;
                sorted = v;
                if (all && f->n > 0)
                        qsort(f->jobs, f->n, sizeof(JobInfo), compare_jobs);
        }
        if (f->n < f->need && (arg_filter.dead || arg_filter.results || strv_contains(arg_filter.states, "done"))) {
                char *done[] = { (char *) "done", NULL };

                r = fetch_states(f, done, "newest", false);
        }
        return r;
}

static void take_jobs(TopView *v, Fetch *f) {
        size_t at = index_of_job(v), line = at == SIZE_MAX ? 0 : at - MIN(at, v->first);
        size_t rows = top_view_rows(v);

        job_info_array_free(v->jobs, v->n_jobs);
        v->jobs = TAKE_PTR(f->jobs);
        v->n_jobs = f->n;
        f->n = 0;
        v->more = f->more;
        v->searched_some = f->looked_at >= LOOKED_AT_MAX;
        v->first = MIN(v->first, v->n_jobs - MIN(v->n_jobs, rows));
        at = index_of_job(v);
        if (v->to_end)
                at = v->n_jobs - MIN(v->n_jobs, (size_t) 1);
        v->to_end = false;
        /* One that has gone: whoever is in its line now. */
        select_job(v, at != SIZE_MAX ? at : MIN(v->first + line, v->n_jobs - MIN(v->n_jobs, (size_t) 1)));
}

int top_view_fetch(TopView *v, sd_bus *bus) {
        Fetch f = { .bus = bus, .view = v };
        Statistics s = {};
        QueueInfo *queues = NULL;
        size_t n = 0;
        int r;

        r = statistics_get(bus, &s);
        if (r >= 0)
                r = queues_get(bus, &queues, &n);
        if (r < 0) {
                statistics_done(&s);
                return r;
        }
        statistics_done(&v->statistics);
        v->statistics = s;
        queue_info_array_free(v->queues, v->n_queues);
        overview_sort_queues(queues, &n);
        v->queues = queues;
        v->n_queues = n;
        if (v->queue && index_of_queue(v) == SIZE_MAX)
                v->queue = mfree(v->queue);

        f.need = v->to_end ? LOOKED_AT_MAX : MIN(v->first + top_view_rows(v), (size_t) LOOKED_AT_MAX);
        r = fetch_jobs(&f);
        if (r >= 0)
                take_jobs(v, &f);
        job_info_array_free(f.jobs, f.n);
        return r;
}

/* ---- drawing ---- */

static int draw_queues(const TopView *v) {
        size_t lines = queue_lines(v), at = index_of_queue(v), first = at != SIZE_MAX && at >= lines ? at - lines + 1 : 0;
        int r;

        if (lines == 0)
                return 0;
        r = overview_print_queues(v->queues + first, lines, v->queue ?: "");
        putchar('\n');
        return r;
}

static int draw_jobs(const TopView *v) {
        _cleanup_table_ Table *t = table_new(v->columns, v->list.n + 1);
        size_t end = MIN(v->n_jobs, v->first + top_view_rows(v));
        usec_t now = now_usec(CLOCK_REALTIME);
        int r = 0;

        if (!t)
                return -ENOMEM;
        for (size_t i = v->first; i < end && r >= 0; i++) {
                r = table_add(t, !v->queue && v->jobs[i].id == v->selected ? ">" : "", NULL);
                if (r >= 0)
                        r = list_columns_add(t, &v->list, v->jobs + i, now);
        }
        if (v->n_jobs == 0)
                puts(v->search || !filter_is_empty(&arg_filter) ? "No job matches." : "Nothing to do.");
        return r < 0 ? r : table_print(t);
}

int top_view_draw(TopView *v, const char *last_line) {
        _cleanup_free_ char *safe = text_safe(last_line), *cut = safe ? text_cut(safe, terminal_width() - 1) : NULL;
        int r;

        if (!cut)
                return ctl_oom();
        overview_print_heading(&v->statistics, NULL);
        putchar('\n');
        r = draw_queues(v);
        if (r >= 0)
                r = draw_jobs(v);
        if (r < 0)
                return ctl_oom();
        printf("\033[%zu;1H%s%s%s", terminal_height(), color(v->ask || v->message ? COLOR_BOLD : COLOR_GREY), cut, color(COLOR_OFF));
        return 0;
}
