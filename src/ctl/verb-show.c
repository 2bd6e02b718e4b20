/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show: all about a job, as `systemctl status` shows a unit, why it waits, and where to look further. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/show-tree.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

#define VERDICT_SHOWN 1000 /* bytes; JSON has all of it */

/* " Submitted: …": only what is known, and safe for a terminal. */
static void print_row(const char *label, const char *format, ...) _printf_(2, 3);
static void print_row(const char *label, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *safe = NULL;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        safe = text ? text_safe(text) : NULL;
        if (safe)
                printf("%12s%c %s\n", label, *label ? ':' : ' ', safe);
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

static bool is_live(const JobInfo *j) {
        return streq_ptr(j->state, "running") || streq_ptr(j->state, "starting") ||
               streq_ptr(j->state, "stopping");
}

static const char *dot(const JobInfo *j) {
        if (!job_info_is_done(j))
                return glyph(is_live(j) ? GLYPH_LIVE : GLYPH_IDLE);
        return glyph(streq_ptr(j->result, "success") ? GLYPH_SUCCESS : GLYPH_FAILURE);
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
                printf("%12s: %s%s%s%s\n", "State", color(job_info_color(j)), state, color(COLOR_OFF),
                       j->frozen ? ", frozen" : "");
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
        if (j->reason && !(j->frozen && streq(j->reason, "frozen")))
                print_row("Reason", "%s", j->reason);
        if (j->status)
                print_row("Status", "%s", j->status);
        if (j->verdict)
                print_row("Verdict", "%.*s%s", VERDICT_SHOWN, j->verdict, strlen(j->verdict) > VERDICT_SHOWN ? " …" : "");
}

/* A job may come after very many. */
#define AFTER_SHOWN 10U

static void print_after(const JobInfo *j) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *text = NULL;
        size_t n = strv_length(j->after);

        for (size_t i = 0; i < MIN(n, (size_t) AFTER_SHOWN); i++) {
                const char *on = endswith(j->after[i], ":success");

                if (strv_extendf(&words, "%.*s", on ? (int) (on - j->after[i]) : (int) strlen(j->after[i]), j->after[i]) < 0)
                        return;
        }
        if (n > AFTER_SHOWN && strv_extendf(&words, "and %zu more", n - AFTER_SHOWN) < 0)
                return;
        text = n > 0 ? strv_join(words, " ") : NULL;
        if (text)
                print_row("After", "%s", text);
}

static void print_what(const JobInfo *j) {
        _cleanup_free_ char *command = j->argv ? quote_words(j->argv) : NULL, *numbers = NULL;

        if (j->queue)
                print_row("Queue", "%s", j->queue);
        if (j->type)
                print_row("Type", j->type_version ? "%s (%s)" : "%s", j->type, strempty(j->type_version));
        if (j->owner_name)
                print_row("Owner", "%s (%" PRIu32 ")", j->owner_name, j->owner);
        else
                print_row("Owner", "%" PRIu32, j->owner);
        if (command)
                print_row("Command", "%s", command);
        if (j->cwd)
                print_row("Directory", "%s", j->cwd);
        if (j->flow > 0)
                print_row("Flow", "%" PRIu64, j->flow);
        print_after(j);
        if (j->priority != 0)
                print_row("Priority", "%" PRIi32, j->priority);
        if (j->slot_numbers.n > 0 && (numbers = slot_numbers(&j->slot_numbers)))
                print_row("Slots", "%" PRIu32 " (%s)", j->slots, numbers);
        else if (j->slots > 1)
                print_row("Slots", "%" PRIu32, j->slots);
        STRV_FOREACH (p, j->properties)
                print_row(p == j->properties ? "Properties" : "", "%s", *p);
        if (j->output_file)
                print_row("Output", "%s", j->output_file);
        if (j->error_file)
                print_row("Errors", "%s", j->error_file);
        if (j->array > 0 && j->array_max_running > 0)
                print_row("Array", "%" PRIu64 ", index %" PRIu32 " of %" PRIu32 ", %" PRIu32 " at a time", j->array, j->array_index,
                          j->array_size, j->array_max_running);
        else if (j->array > 0)
                print_row("Array", "%" PRIu64 ", index %" PRIu32 " of %" PRIu32, j->array, j->array_index, j->array_size);
        if (j->unique_key)
                print_row("Unique key", "%s (%s)", j->unique_key, strempty(j->unique_scope));
        if (streq_ptr(j->verify, "verdict"))
                print_row("Verified by", "its verdict");
        STRV_FOREACH_PAIR (key, value, j->tags)
                print_row("Tag", "%s=%s", *key, *value);
}

static void print_times(const JobInfo *j, usec_t now) {
        char span[SPAN_MAX];

        print_time("Submitted", j->submitted_usec, now, NULL, USEC_INFINITY);
        if (j->started_usec == USEC_INFINITY && j->not_before_usec != USEC_INFINITY && !job_info_is_done(j))
                print_time("Not before", j->not_before_usec, now, NULL, USEC_INFINITY);
        if (j->attempt == 0 && j->deadline_usec != USEC_INFINITY)
                print_time("Start by", j->deadline_usec, now, NULL, USEC_INFINITY);
        print_time("Started", j->started_usec, now, "waited", j->wait_usec);
        print_time("Finished", j->finished_usec, now, "ran", j->runtime_usec);
        if (j->timeout_usec != USEC_INFINITY)
                print_row("Time-out", "%s", human_span(span, sizeof(span), j->timeout_usec));
        if (j->stop_timeout_usec != USEC_INFINITY)
                print_row("To stop", "%s", human_span(span, sizeof(span), j->stop_timeout_usec));
        if (j->keep_usec != USEC_INFINITY)
                print_row("Kept", "%s once it is done", human_span(span, sizeof(span), j->keep_usec));
}

/* How it is tried again, in the words of submit's options. */
static void print_retry(const JobInfo *j) {
        char text[BACKOFF_TEXT_MAX];
        Backoff b = { .base = j->backoff_base_usec, .max = j->backoff_max_usec, .jitter = j->backoff_jitter };

        if (j->max_attempts > 1 && j->attempt == 0)
                print_row("Attempts", "at most %" PRIu32, j->max_attempts);
        else if (j->max_attempts > 1)
                print_row("Attempt", "%" PRIu32 " of %" PRIu32, j->attempt, j->max_attempts);
        if (j->backoff)
                b.mode = MAX(spec_field_word(spec_field_find("backoff"), j->backoff), 0);
        if (*backoff_to_text(text, &b))
                print_row("Backoff", "%s", text);
        if (j->retry_on) {
                _cleanup_free_ char *results = strv_join(j->retry_on, ", ");

                print_row("Retry on", "%s", strempty(results));
        }
        if (j->requeue_lost)
                print_row("If lost", "tried again");
        if (j->memory_growth > 0)
                print_row("If too large", "MemoryMax= × %g", j->memory_growth);
}

static void print_credentials(const JobInfo *j) {
        _cleanup_free_ char *names = j->credentials ? strv_join(j->credentials, ", ") : NULL;

        if (names)
                print_row("Credentials", "%s", names);
}

static void print_callback(const JobInfo *j) {
        _cleanup_free_ char *events = NULL, *good = NULL, *bad = NULL;

        good = j->on_success ? strv_join(j->on_success, ", ") : NULL;
        bad = j->on_failure ? strv_join(j->on_failure, ", ") : NULL;
        if (good)
                print_row("On success", "%s", good);
        if (bad)
                print_row("On failure", "%s", bad);
        if (!j->callback_url)
                return;
        events = j->callback_events ? strv_join(j->callback_events, ", ") : NULL;
        print_row("Callback", "%s%s%s", j->callback_url, events ? " on " : "", strempty(events));
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

static const Column attempt_columns[] = {
        { "ATTEMPT", TABLE_KEEP_WHOLE, 0, true },
        { "STARTED", 60, 0, false },
        { "RUN", 80, 0, true },
        { "CPU", 30, 0, true },
        { "MEMORY", 40, 0, true },
        { "RESULT", 90, 0, false },
        { "REASON", 50, 12, false },
};

static int add_attempt(Table *t, const JobInfo *a) {
        char number[DECIMAL_MAX], outcome[64], stamp[TIMESTAMP_MAX], run[SPAN_MAX], cpu[SPAN_MAX],
                        memory[SPAN_MAX];
        const char *cells[] = {
                number,
                a->started_usec == USEC_INFINITY ? NULL
                                                 : format_timestamp(stamp, sizeof(stamp), a->started_usec),
                human_span(run, sizeof(run), a->runtime_usec),
                human_span(cpu, sizeof(cpu), a->cpu_usec),
                human_size(memory, sizeof(memory), a->memory_peak),
                a->result ? job_info_outcome(a, outcome, sizeof(outcome)) : "not ended",
                strempty(a->reason),
        };
        int r = 0;

        snprintf(number, sizeof(number), "%" PRIu32, a->attempt);
        for (size_t i = 0; i < ELEMENTSOF(cells) && r >= 0; i++)
                r = table_add(t, cells[i], i == 5 && a->result ? job_info_color(a) : NULL);
        return r;
}

/* One attempt is what the rest says. */
static int print_attempts(const JobInfo *attempts, size_t n) {
        _cleanup_table_ Table *t = table_new(attempt_columns, ELEMENTSOF(attempt_columns));
        int r = 0;

        if (n <= 1)
                return 0;
        if (!t)
                return -ENOMEM;
        table_set_indent(t, 2);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_attempt(t, attempts + i);
        putchar('\n');
        return r < 0 ? r : table_print(t);
}

static void print_command(const char *what, const char *format, ...) _printf_(2, 3);
static void print_command(const char *what, const char *format, ...) {
        char command[256];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(command, sizeof(command), format, ap);
        va_end(ap);
        printf("%s%12s: %s%s\n", color(COLOR_GREY), what, command, color(COLOR_OFF));
}

/* Only what works now: the unit is there only while the job lives; its lines in the journal stay. */
static void print_further(const JobInfo *j) {
        _cleanup_free_ char *me = tool_command();
        const char *user = arg_user ? " --user" : "";

        if (!me)
                return;
        putchar('\n');
        if (j->attempt > 0)
                print_command("Its output", "%s logs %" PRIu64, me, j->id);
        if (j->attempt > 0 && j->invocation_id && !bus_is_elsewhere())
                print_command("Its journal", "journalctl%s _SYSTEMD_INVOCATION_ID=%s", user,
                              j->invocation_id);
        if (j->unit && is_live(j) && !bus_is_elsewhere())
                print_command("Processes", "systemctl%s status %s", user, j->unit);
        if (j->frozen)
                print_command("Thaw it", "%s thaw %" PRIu64, me, j->id);
        if (streq_ptr(j->state, "held"))
                print_command("Let it start", "%s release %" PRIu64, me, j->id);
        if (!job_info_is_done(j))
                print_command("Cancel it", "%s cancel %" PRIu64, me, j->id);
        if (j->dead) {
                print_command("Run it again", "%s retry %" PRIu64, me, j->id);
                print_command("Forget it", "%s purge %" PRIu64, me, j->id);
        }
}

static int print_job(const JobInfo *j, const JobInfo *attempts, size_t n) {
        _cleanup_free_ char *title = job_info_title(j), *safe = title ? text_safe(title) : NULL;
        usec_t now = now_usec(CLOCK_REALTIME);

        printf("%s%s%s %" PRIu64 "%s%s\n", color(job_info_color(j)), dot(j),
               color(job_info_color(j) ? COLOR_OFF : NULL), j->id, safe ? " - " : "", strempty(safe));
        print_state(j);
        print_what(j);
        print_times(j, now);
        print_usage(j);
        if (j->unit)
                print_row("Unit", "%s", j->unit);
        print_retry(j);
        print_credentials(j);
        print_callback(j);
        if (print_attempts(attempts, n) < 0)
                return ctl_oom();
        if (arg_legend && !arg_quiet)
                print_further(j);
        return 0;
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
        pager_open();
        if (arg_json != JSON_OFF) {
                struct json_object *o = job_info_to_json(&j), *l = json_object_new_array();

                for (size_t i = 0; i < n; i++)
                        json_object_array_add(l, attempt_info_to_json(attempts + i));
                json_object_object_add(o, "attempts", l);
                r = json_array_add(array, o);
        } else {
                if (!first)
                        putchar('\n');
                r = print_job(&j, attempts, n);
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
        if (arg_tree)
                return show_trees(bus, argc, argv);
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
