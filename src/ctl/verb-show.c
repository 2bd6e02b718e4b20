/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show: all about a job, as `systemctl status` shows a unit, and where to look further. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include <langinfo.h>

/* " Submitted: …": only what is known, and safe for a terminal. */
static void print_row(const char *label, const char *format, ...) _printf_(2, 3);
static void print_row(const char *label, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *safe = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        safe = n >= 0 ? escape_controls(text, n) : NULL;
        if (safe)
                printf("%12s%c %s\n", label, *label ? ':' : ' ', safe);
        if (n < 0)
                text = NULL;
}

static void print_time(const char *label, usec_t t, usec_t now, const char *note, usec_t span) {
        char stamp[TIMESTAMP_MAX], ago[SPAN_MAX + 8], s[SPAN_MAX];

        if (t == USEC_INFINITY)
                return;
        format_timestamp(stamp, sizeof(stamp), t);
        human_ago(ago, sizeof(ago), t, now);
        if (span == USEC_INFINITY)
                print_row(label, "%s; %s", stamp, ago);
        else
                print_row(label, "%s; %s; %s %s", stamp, ago, note, human_span(s, sizeof(s), span));
}

static const char *dot(const JobInfo *j) {
        if (!streq(nl_langinfo(CODESET), "UTF-8"))
                return "*";
        if (!job_info_is_done(j))
                return streq_ptr(j->state, "running") || streq_ptr(j->state, "starting") ||
                                                       streq_ptr(j->state, "stopping")
                                       ? "●"
                                       : "○";
        return streq_ptr(j->result, "success") ? "✓" : "×";
}

static char *slot_numbers(const U32List *l) {
        _cleanup_strv_free_ char **words = NULL;

        for (size_t i = 0; i < l->n; i++)
                if (strv_extendf(&words, "%" PRIu32, l->values[i]) < 0)
                        return NULL;
        return strv_join(words, ",");
}

static void print_state(const JobInfo *j) {
        const char *signal = j->exit_signal > 0 ? signal_to_string(j->exit_signal) : NULL;
        const char *state = j->state ?: "unknown";

        if (!job_info_is_done(j))
                printf("%12s: %s%s%s\n", "State", color(job_info_color(j)), state, color(COLOR_OFF));
        else if (signal)
                printf("%12s: %s%s%s (killed by SIG%s)%s\n", "Result", color(job_info_color(j)),
                       strempty(j->result), color(COLOR_OFF), signal, j->dead ? ", dead" : "");
        else if (j->exit_status > 0)
                printf("%12s: %s%s%s (exited with status %" PRIi32 ")%s\n", "Result",
                       color(job_info_color(j)), strempty(j->result), color(COLOR_OFF), j->exit_status,
                       j->dead ? ", dead" : "");
        else
                printf("%12s: %s%s%s%s\n", "Result", color(job_info_color(j)), strempty(j->result),
                       color(COLOR_OFF), j->dead ? ", dead" : "");
        if (j->reason)
                print_row("Reason", "%s", j->reason);
        if (j->status)
                print_row("Status", "%s", j->status);
}

static void print_what(const JobInfo *j) {
        _cleanup_free_ char *command = j->argv ? quote_words(j->argv) : NULL, *numbers = NULL;

        if (j->queue)
                print_row("Queue", "%s", j->queue);
        if (j->owner_name)
                print_row("Owner", "%s (%" PRIu32 ")", j->owner_name, j->owner);
        else
                print_row("Owner", "%" PRIu32, j->owner);
        if (command)
                print_row("Command", "%s", command);
        if (j->cwd)
                print_row("Directory", "%s", j->cwd);
        if (j->priority != 0)
                print_row("Priority", "%" PRIi32, j->priority);
        if (j->slot_numbers.n > 0 && (numbers = slot_numbers(&j->slot_numbers)))
                print_row("Slots", "%" PRIu32 " (%s)", j->slots, numbers);
        else if (j->slots > 1)
                print_row("Slots", "%" PRIu32, j->slots);
        STRV_FOREACH_PAIR(key, value, j->tags)
                print_row("Tag", "%s=%s", *key, *value);
}

static void print_times(const JobInfo *j, usec_t now) {
        char span[SPAN_MAX];

        print_time("Submitted", j->submitted_usec, now, NULL, USEC_INFINITY);
        if (j->started_usec == USEC_INFINITY && j->not_before_usec != USEC_INFINITY && !job_info_is_done(j))
                print_time("Not before", j->not_before_usec, now, NULL, USEC_INFINITY);
        print_time("Started", j->started_usec, now, "waited", j->wait_usec);
        print_time("Finished", j->finished_usec, now, "ran", j->runtime_usec);
        if (j->timeout_usec != USEC_INFINITY)
                print_row("Time-out", "%s", human_span(span, sizeof(span), j->timeout_usec));
}

static void print_usage(const JobInfo *j) {
        char a[SPAN_MAX], b[SPAN_MAX];

        if (j->cpu_usec != UINT64_MAX)
                print_row("CPU", "%s", human_span(a, sizeof(a), j->cpu_usec));
        if (j->memory_peak != UINT64_MAX)
                print_row("Memory", "%s peak%s", human_size(a, sizeof(a), j->memory_peak),
                          j->memory_peak_sampled ? " (sampled: at least)" : "");
        if (j->io_read_bytes != UINT64_MAX || j->io_write_bytes != UINT64_MAX)
                print_row("IO", "%s read, %s written", human_size(a, sizeof(a), j->io_read_bytes),
                          human_size(b, sizeof(b), j->io_write_bytes));
        if (j->tasks_peak != UINT64_MAX)
                print_row("Tasks", "%" PRIu64 " peak", j->tasks_peak);
}

static void print_attempts(const JobInfo *j, const JobInfo *attempts, size_t n) {
        if (j->attempt > 0 && j->max_attempts > 1)
                print_row("Attempt", "%" PRIu32 " of %" PRIu32, j->attempt, j->max_attempts);
        for (size_t i = 0; i < n && n > 1; i++) {
                char outcome[64], stamp[TIMESTAMP_MAX], run[SPAN_MAX];
                const JobInfo *a = attempts + i;

                print_row(i == 0 ? "Attempts" : "", "#%" PRIu32 " %s; %s; ran %s%s%s", a->attempt,
                          format_timestamp(stamp, sizeof(stamp), a->started_usec),
                          a->result ? job_info_outcome(a, outcome, sizeof(outcome)) : "not ended",
                          human_span(run, sizeof(run), a->runtime_usec), a->reason ? "; " : "",
                          strempty(a->reason));
        }
}

/* The unit is there only while the job lives; its lines in the journal stay. */
static void print_further(const JobInfo *j) {
        if (j->unit)
                print_row("Unit", "%s", j->unit);
        if (!arg_legend || j->attempt == 0)
                return;
        fputs(color(COLOR_GREY), stdout);
        if (j->unit && !job_info_is_done(j))
                print_row("Look further", "systemctl%s status %s", arg_user ? " --user" : "", j->unit);
        if (!arg_user)
                print_row("Look further", "journalctl JOBMILL_JOB_ID=%" PRIu64, j->id);
        else if (j->invocation_id)
                print_row("Look further", "journalctl --user _SYSTEMD_INVOCATION_ID=%s", j->invocation_id);
        fputs(color(COLOR_OFF), stdout);
}

static void print_job(const JobInfo *j, const JobInfo *attempts, size_t n) {
        _cleanup_free_ char *title = job_info_title(j),
                            *safe = title ? escape_controls(title, strlen(title)) : NULL;
        usec_t now = now_usec(CLOCK_REALTIME);

        printf("%s%s%s %" PRIu64 "%s%s\n", color(job_info_color(j)), dot(j),
               color(job_info_color(j) ? COLOR_OFF : NULL), j->id, safe ? " - " : "", strempty(safe));
        print_state(j);
        print_what(j);
        print_times(j, now);
        print_usage(j);
        print_attempts(j, attempts, n);
        print_further(j);
}

static int show_job(sd_bus *bus, uint64_t id, bool first, JsonArray *array) {
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        JobInfo *attempts = NULL;
        size_t n = 0;
        int r;

        r = job_info_get(bus, id, &j);
        if (r >= 0)
                r = job_attempts_get(bus, id, &attempts, &n);
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF) {
                struct json_object *o = job_info_to_json(&j), *l = json_object_new_array();

                for (size_t i = 0; i < n; i++)
                        json_object_array_add(l, attempt_info_to_json(attempts + i));
                json_object_object_add(o, "attempts", l);
                r = json_array_add(array, o);
        } else {
                if (!first)
                        putchar('\n');
                print_job(&j, attempts, n);
        }
        job_info_array_free(attempts, n);
        return r;
}

int verb_show(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        JsonArray array = {};
        int r, worst = 0, shown = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < MAX(argc, 1); i++) {
                uint64_t id;

                r = job_id_resolve(bus, argc > 0 ? argv[i] : "@last", &id);
                if (r >= 0)
                        r = show_job(bus, id, shown == 0, &array);
                if (r < 0)
                        worst = r;
                else
                        shown++;
        }
        if (arg_json != JSON_OFF && shown > 0)
                json_array_end(&array);
        return worst;
}
