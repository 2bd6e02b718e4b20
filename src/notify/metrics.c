/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "notify/metrics.h"

#include "base/strv.h"

#include <sys/resource.h>
#include <unistd.h>

/* Since the daemon started, also of a queue that was removed and made again. */
struct QueueMetrics {
        char name[QUEUE_NAME_MAX + 1];
        uint64_t submitted, attempts, cpu_usec;
        uint64_t results[_JOB_RESULT_MAX];
        Histogram wait, run;
        UT_hash_handle hh;
};

void metrics_done(Metrics *m) {
        QueueMetrics *q, *t;

        HASH_ITER(hh, m->queues, q, t) {
                HASH_DEL(m->queues, q);
                free(q);
        }
}

static QueueMetrics *queue_metrics(Metrics *m, const char *name) {
        QueueMetrics *q;

        HASH_FIND_STR(m->queues, name, q);
        if (q)
                return q;
        q = new0(QueueMetrics, 1);
        if (!q)
                return NULL;
        (void) snprintf(q->name, sizeof(q->name), "%s", name);
        HASH_ADD_STR(m->queues, name, q);
        return q;
}

void metrics_count(Metrics *m, const Usage *list) {
        for (const Usage *u = list; u; u = u->hh.next) {
                QueueMetrics *q = queue_metrics(m, u->key.queue);

                if (!q) /* out of memory: what counts is recorded */
                        continue;
                q->submitted += u->values[USAGE_SUBMITTED];
                q->attempts += u->values[USAGE_ATTEMPTS];
                q->cpu_usec += u->values[USAGE_CPU_USEC];
                for (JobResult r = 0; r < _JOB_RESULT_MAX; r++)
                        q->results[r] += u->results[r];
                histogram_merge(&q->wait, &u->wait);
                histogram_merge(&q->run, &u->run);
        }
}

/* ---- the text ---- */

static void head(FILE *f, const char *name, const char *type, const char *help) {
        fprintf(f, "# HELP jobmill_%s %s\n# TYPE jobmill_%s %s\n", name, help, name, type);
}

/* Not by printf(): that goes by the locale. */
static void seconds(FILE *f, usec_t t) {
        fprintf(f, "%" PRIu64 ".%06" PRIu64 "\n", t / USEC_PER_SEC, t % USEC_PER_SEC);
}

static void number(FILE *f, const char *name, const char *type, const char *help, uint64_t value) {
        head(f, name, type, help);
        fprintf(f, "jobmill_%s %" PRIu64 "\n", name, value);
}

/* label: "queue=\"a\"", or "". */
static void histogram(FILE *f, const char *name, const char *label, const Histogram *h, const usec_t *bounds) {
        const char *comma = *label ? "," : "", *open = *label ? "{" : "", *close = *label ? "}" : "";
        uint64_t n = 0;

        for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
                n += h->count[i];
                fprintf(f, "jobmill_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma, (double) bounds[i] / USEC_PER_SEC, n);
        }
        n += h->count[HISTOGRAM_BOUNDS];
        fprintf(f, "jobmill_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\njobmill_%s_count%s%s%s %" PRIu64 "\njobmill_%s_sum%s%s%s ", name, label,
                comma, n, name, open, label, close, n, name, open, label, close);
        seconds(f, h->sum);
}

/* One family after the other, as the format wants it. */
#define FOREACH_QUEUE(q, l) for (Queue *const *q = (l)->queues; q < (l)->queues + (l)->n; q++)

typedef struct List {
        Queue **queues; /* by name */
        size_t n;
        const Metrics *metrics;
} List;

static int compare_queues(const void *a, const void *b) {
        return strcmp((*(Queue *const *) a)->name, (*(Queue *const *) b)->name);
}

static int list_queues(const Model *model, List *l) {
        size_t n = HASH_COUNT(model->queues);

        l->queues = new0(Queue *, n);
        if (!l->queues)
                return -ENOMEM;
        for (Queue *q = model->queues; q; q = q->hh.next)
                l->queues[l->n++] = q;
        qsort(l->queues, l->n, sizeof(Queue *), compare_queues);
        l->n = MIN(l->n, (size_t) METRICS_QUEUES_MAX);
        return 0;
}

static const QueueMetrics *metrics_of(const List *l, const Queue *q) {
        static const QueueMetrics none;
        const QueueMetrics *found;

        HASH_FIND_STR(l->metrics->queues, q->name, found);
        return found ?: &none;
}

static void write_states(FILE *f, const List *l) {
        head(f, "jobs", "gauge", "Jobs by queue and state.");
        FOREACH_QUEUE(q, l)
                for (JobState s = 0; s < _JOB_STATE_MAX; s++)
                        fprintf(f, "jobmill_jobs{queue=\"%s\",state=\"%s\"} %" PRIu64 "\n", (*q)->name, job_state_to_string(s), (*q)->count[s]);
        head(f, "dead_jobs", "gauge", "Jobs that are done, not with success, and are kept until they are retried or purged.");
        FOREACH_QUEUE(q, l)
                fprintf(f, "jobmill_dead_jobs{queue=\"%s\"} %" PRIu64 "\n", (*q)->name, (*q)->dead);
        head(f, "queue_slots", "gauge", "Slots of a queue that has a cap.");
        FOREACH_QUEUE(q, l)
                if ((*q)->policy.slots != UINT32_MAX)
                        fprintf(f, "jobmill_queue_slots{queue=\"%s\"} %" PRIu32 "\n", (*q)->name, (*q)->policy.slots);
        head(f, "queue_slots_used", "gauge", "Slots that are taken, also by queues below it.");
        FOREACH_QUEUE(q, l)
                fprintf(f, "jobmill_queue_slots_used{queue=\"%s\"} %" PRIu64 "\n", (*q)->name, (uint64_t) (*q)->slots_used);
        head(f, "queue_paused", "gauge", "1: a pause keeps its jobs from starting.");
        FOREACH_QUEUE(q, l)
                fprintf(f, "jobmill_queue_paused{queue=\"%s\"} %d\n", (*q)->name, (*q)->paused);
}

static void write_counts(FILE *f, const List *l) {
        head(f, "jobs_submitted_total", "counter", "Jobs that were submitted.");
        FOREACH_QUEUE(q, l)
                fprintf(f, "jobmill_jobs_submitted_total{queue=\"%s\"} %" PRIu64 "\n", (*q)->name, metrics_of(l, *q)->submitted);
        head(f, "jobs_finished_total", "counter", "Jobs that were done, by result.");
        FOREACH_QUEUE(q, l)
                for (JobResult r = JOB_SUCCESS; r < _JOB_RESULT_MAX; r++)
                        fprintf(f, "jobmill_jobs_finished_total{queue=\"%s\",result=\"%s\"} %" PRIu64 "\n", (*q)->name, job_result_to_string(r),
                                metrics_of(l, *q)->results[r]);
        head(f, "attempts_total", "counter", "Attempts that ended.");
        FOREACH_QUEUE(q, l)
                fprintf(f, "jobmill_attempts_total{queue=\"%s\"} %" PRIu64 "\n", (*q)->name, metrics_of(l, *q)->attempts);
        head(f, "job_cpu_seconds_total", "counter", "CPU time of attempts that ended, where systemd could tell.");
        FOREACH_QUEUE(q, l) {
                fprintf(f, "jobmill_job_cpu_seconds_total{queue=\"%s\"} ", (*q)->name);
                seconds(f, metrics_of(l, *q)->cpu_usec);
        }
}

static void write_spans(FILE *f, const List *l, bool run) {
        const char *name = run ? "job_run_seconds" : "job_wait_seconds";
        char label[QUEUE_NAME_MAX + 16];

        head(f, name, "histogram", run ? "How long attempts ran." : "How long attempts that ended had waited for their start.");
        FOREACH_QUEUE(q, l) {
                const QueueMetrics *m = metrics_of(l, *q);

                snprintf(label, sizeof(label), "queue=\"%s\"", (*q)->name);
                histogram(f, name, label, run ? &m->run : &m->wait, histogram_job_bounds);
        }
}

/* As a label. */
static void text(FILE *f, const char *s) {
        for (; *s; s++)
                if (*s == '"' || *s == '\\')
                        fprintf(f, "\\%c", *s);
                else if ((unsigned char) *s >= ' ')
                        fputc(*s, f);
}

static uint64_t resident_bytes(void) {
        FILE *f = fopen("/proc/self/statm", "re");
        unsigned long all, pages = 0;

        if (f && fscanf(f, "%lu %lu", &all, &pages) != 2)
                pages = 0;
        if (f)
                fclose(f);
        return (uint64_t) pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static void write_process(FILE *f, const Metrics *m) {
        struct rusage u = {};

        (void) getrusage(RUSAGE_SELF, &u);
        head(f, "daemon_cpu_seconds_total", "counter", "CPU time of jobmilld.");
        fputs("jobmill_daemon_cpu_seconds_total ", f);
        seconds(f, (usec_t) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC + (usec_t) (u.ru_utime.tv_usec + u.ru_stime.tv_usec));
        number(f, "daemon_resident_memory_bytes", "gauge", "Memory of jobmilld.", resident_bytes());
        head(f, "daemon_start_time_seconds", "gauge", "When jobmilld was started: counters begin at 0 then.");
        fputs("jobmill_daemon_start_time_seconds ", f);
        seconds(f, m->started);
}

static void write_daemon(FILE *f, const Metrics *m, const Model *model, const Diagnostics *d) {
        head(f, "build_info", "gauge", "Versions of jobmilld and of the service manager.");
        fputs("jobmill_build_info{version=\"", f);
        text(f, d->version);
        fputs("\",systemd=\"", f);
        text(f, d->systemd);
        fputs("\"} 1\n", f);
        number(f, "queues", "gauge", "Queues, also those that are left out here as they are too many.", HASH_COUNT(model->queues));
        number(f, "dispatch_blocked", "gauge", "1: nothing at all is started; GetStatistics tells why.", model->dispatch_blocked != NULL);
        number(f, "units", "gauge", "Attempts that hold slots.", HASH_COUNT(model->attempts));
        number(f, "strays", "gauge", "Units of jobs that no record knows.", model->n_strays);
        number(f, "workers", "gauge", "Registered workers.", d->workers);
        number(f, "store_bytes", "gauge", "Size of the database.", d->store_bytes);
        number(f, "store_log_bytes", "gauge", "What stands in its write-ahead log.", d->store_log_bytes);
        number(f, "store_commit_errors_total", "counter", "Commits that failed.", m->commit_errors);
        head(f, "store_commit_seconds", "histogram", "How long commits took.");
        histogram(f, "store_commit_seconds", "", &m->commits, histogram_latency_bounds);
        head(f, "loop_turn_seconds", "histogram", "How long turns of the event loop took, commits among that.");
        histogram(f, "loop_turn_seconds", "", &m->turns, histogram_latency_bounds);
        number(f, "systemd_calls_total", "counter", "Starts and stops that the service manager answered.", d->systemd_calls);
        number(f, "systemd_errors_total", "counter", "Of these, those that it answered with an error.", d->systemd_errors);
        number(f, "systemd_calls_in_flight", "gauge", "Starts and stops that it has not answered.", d->systemd_in_flight);
        number(f, "bus_clients", "gauge", "Callers on the bus.", d->clients);
        number(f, "socket_connections", "gauge", "Connections to the socket.", d->connections);
        number(f, "calls_waiting", "gauge", "Calls that wait for an authorization, a look-up or room.", d->calls_waiting);
        number(f, "last_event", "gauge", "Number of the last event.", d->last_event);
}

int metrics_write(const Metrics *m, const Model *model, const Diagnostics *d, char **ret) {
        List l = { .metrics = m };
        char *result = NULL;
        size_t size;
        FILE *f;
        int r;

        r = list_queues(model, &l);
        if (r < 0)
                return r;
        f = open_memstream(&result, &size);
        if (f) {
                write_states(f, &l);
                write_counts(f, &l);
                write_spans(f, &l, false);
                write_spans(f, &l, true);
                write_daemon(f, m, model, d);
                write_process(f, m);
        }
        free(l.queues);
        if (!f || ferror(f) || fclose(f) != 0) {
                free(result);
                return -ENOMEM;
        }
        *ret = result;
        return 0;
}
