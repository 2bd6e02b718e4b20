/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* schedule list, show, set, remove, pause, resume, fire. */

#include "base/bus-util.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/schedule-dict.h"
#include "ctl/submit.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/text.h"
#include <time.h>

#define HISTORY_SHOWN 10U

static const Column columns[] = {
        { "NAME", 100, 8, false }, { "NEXT", 95, 0, false },  { "LAST", 60, 0, false },  { "WHEN", 80, 8, false },
        { "JOB", 70, 0, true },    { "OVERLAP", 40, 0, false }, { "STATE", 90, 0, false }, { "REASON", 50, 12, false },
};
#define COLUMN_REASON 7

typedef struct ScheduleView {
        sd_bus *bus;
        Table *table;  /* NULL: one after the other, with what came of it */
        JsonArray array;
        size_t n;
        bool reasons;
} ScheduleView;

static const char *state_of(const ScheduleInfo *s) {
        return s->paused ? "paused" : s->reason ? "failed" : "active";
}

/* "Mon *-*-* 03:00", "every 5min" */
static char *when_text(const ScheduleInfo *s) {
        _cleanup_free_ char *all = NULL;
        char span[SPAN_MAX], *text;

        if (s->every == UINT64_MAX || s->every == 0) {
                all = strv_join(s->calendar, "; ");
                return all ? text_safe(all) : NULL;
        }
        return asprintf(&text, "every %s", format_span(span, sizeof(span), s->every, 1)) < 0 ? NULL : text;
}

static int add_line(Table *t, const ScheduleInfo *s, usec_t now) {
        char next[SPAN_MAX + 8], last[SPAN_MAX + 8], job[DECIMAL_MAX];
        _cleanup_free_ char *when = when_text(s);
        int r;

        snprintf(job, sizeof(job), "%" PRIu64, s->last_job);
        r = table_add(t, s->name, NULL);
        if (r >= 0)
                r = table_add(t, s->next == 0 ? NULL : human_ago(next, sizeof(next), s->next, now), NULL);
        if (r >= 0)
                r = table_add(t, s->elapsed == 0 ? NULL : human_ago(last, sizeof(last), s->elapsed, now), NULL);
        if (r >= 0)
                r = table_add(t, when, NULL);
        if (r >= 0)
                r = table_add(t, s->last_job == 0 ? NULL : job, NULL);
        if (r >= 0)
                r = table_add(t, s->overlap, NULL);
        if (r >= 0)
                r = table_add(t, state_of(s), s->reason ? COLOR_RED : s->paused ? COLOR_YELLOW : NULL);
        return r < 0 ? r : table_add(t, s->reason, NULL);
}

static void print_text(const char *title, const char *text) {
        _cleanup_free_ char *safe = text ? text_safe(text) : NULL;

        if (safe)
                printf("%10s: %s\n", title, safe);
}

static void print_time(const char *title, usec_t t) {
        char text[TIMESTAMP_MAX];

        if (t > 0)
                print_text(title, format_timestamp(text, sizeof(text), t));
}

static void print_span(const char *title, usec_t t) {
        char text[SPAN_MAX];

        if (t > 0 && t != UINT64_MAX)
                print_text(title, format_span(text, sizeof(text), t, 1));
}

static void print_firing(const FiringInfo *f, bool first) {
        _cleanup_free_ char *reason = f->reason ? text_safe(f->reason) : NULL;
        char text[TIMESTAMP_MAX], job[DECIMAL_MAX + 4];

        snprintf(job, sizeof(job), "job %" PRIu64, f->job);
        printf("%10s%c %s  %s  %s\n", first ? "History" : "", first ? ':' : ' ', format_timestamp(text, sizeof(text), f->fired),
               strempty(f->cause), f->job > 0 ? job : reason ?: "no job");
}

static void print_schedule(const ScheduleInfo *s) {
        _cleanup_free_ char *when = when_text(s);
        char owner[DECIMAL_MAX];

        snprintf(owner, sizeof(owner), "%" PRIu32, s->owner);
        printf("%s%s%s - %s\n", color(COLOR_BOLD), s->name, color(COLOR_OFF), state_of(s));
        print_text("Reason", s->reason);
        print_text("When", when);
        print_time("Next", s->next);
        print_time("Last", s->elapsed);
        print_span("Random", s->random_delay);
        print_span("Accuracy", s->accuracy);
        print_text("Persistent", s->persistent ? "yes" : "no");
        print_text("Overlap", s->overlap);
        print_text("Owner", owner);
        print_text("Unit", s->unit);
        print_text("File", s->file);
        print_text("Hides", s->hides);
        print_text("Job", s->job);
}

/* What came of it, the latest first; array: instead of printing. */
static int read_history(sd_bus *bus, const char *name, uint32_t limit, struct json_object *array) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        bool more = true;
        int r;

        r = bus_call_simple(bus, &reply, "ListFirings", name, "su", name, limit);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        for (bool first = true; r >= 0 && more; first = false) {
                FiringInfo f = {};

                r = firing_info_read(reply, &f);
                more = r > 0;
                if (more && array)
                        json_object_array_add(array, firing_info_to_json(&f));
                else if (more)
                        print_firing(&f, first);
                firing_info_done(&f);
        }
        return r < 0 ? ctl_error(r, "Cannot read what came of schedule %s: %m", name) : 0;
}

static int show_json(ScheduleView *v, const ScheduleInfo *s) {
        struct json_object *o = schedule_info_to_json(s), *history = NULL;
        int r;

        if (!o)
                return ctl_oom();
        if (!v->table) {
                history = json_object_new_array();
                r = history ? read_history(v->bus, s->name, 0, history) : ctl_oom();
                if (r < 0) {
                        json_object_put(history);
                        json_object_put(o);
                        return r;
                }
                json_object_object_add(o, "history", history);
        }
        return json_array_add(&v->array, o);
}

static int show_schedule(ScheduleView *v, const ScheduleInfo *s) {
        if (!v->table || arg_json != JSON_OFF)
                pager_open();
        if (arg_json != JSON_OFF)
                return show_json(v, s);
        v->reasons = v->reasons || s->reason;
        if (v->table)
                return add_line(v->table, s, now_usec(CLOCK_REALTIME)) < 0 ? ctl_oom() : 0;
        if (v->n++ > 0)
                putchar('\n');
        print_schedule(s);
        return read_history(v->bus, s->name, HISTORY_SHOWN, NULL);
}

static int show_schedules(ScheduleView *v) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        bool more = true;
        int r, worst = 0;

        r = bus_call_simple(v->bus, &reply, "ListSchedules", NULL, "");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0 && more) {
                ScheduleInfo s = {};

                r = schedule_info_read(reply, &s);
                more = r > 0;
                if (more && worst == 0)
                        worst = show_schedule(v, &s);
                schedule_info_done(&s);
        }
        return r < 0 ? ctl_error(r, "Cannot read the daemon's list of schedules: %m") : worst;
}

int verb_schedule_list(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_table_ Table *t = table_new(columns, ELEMENTSOF(columns));
        ScheduleView v = { .table = t };
        int r;

        if (!t)
                return ctl_oom();
        r = bus_open(&bus);
        v.bus = bus;
        if (r >= 0)
                r = show_schedules(&v);
        if (r < 0)
                return r;
        if (!v.reasons)
                table_hide(t, COLUMN_REASON);
        return table_print_list(t, &v.array);
}

static int show_one(ScheduleView *v, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        ScheduleInfo s = {};
        int r;

        r = bus_call_simple(v->bus, &reply, "GetSchedule", name, "s", name);
        if (r < 0)
                return r;
        r = schedule_info_read(reply, &s);
        r = r < 0 ? ctl_error(r, "Cannot read the daemon's answer: %m") : show_schedule(v, &s);
        schedule_info_done(&s);
        return r;
}

int verb_schedule_show(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        ScheduleView v = {};
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        v.bus = bus;
        for (int i = 0; i < argc; i++) {
                r = show_one(&v, argv[i]);
                worst = r < 0 ? r : worst;
        }
        if (arg_json != JSON_OFF)
                json_array_end(&v.array);
        return worst;
}

/* ---- set ---- */

static int append_setting(sd_bus_message *m, char *const *words, int i, int n) {
        size_t length = strcspn(words[i], "=");
        _cleanup_free_ char *key = strndup(words[i], length);
        _cleanup_strv_free_ char **values = NULL;

        if (!key)
                return -ENOMEM;
        for (int k = 0; k < n; k++)
                if (strncmp(words[k], words[i], length + 1) == 0) {
                        if (k < i) /* it went with that one */
                                return 0;
                        if (strv_extend(&values, words[k] + length + 1) < 0)
                                return -ENOMEM;
                }
        return bus_append_strv(m, key, values);
}

static int append_job(sd_bus_message *m, const JobSpec *s) {
        int r;

        r = bus_open_value(m, 'e', "Job", "a{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = request_append_spec(m, s, submit_given(), true);
        if (r >= 0 && arg_submit.queue)
                r = bus_append_string(m, "queue", arg_submit.queue);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* Nothing of this shell's goes along but what options say: it is long gone when the job runs. NULL: the job stays what it is. */
static int make_job(char **command, JobSpec **ret) {
        _cleanup_(spec_freep) JobSpec *s = NULL;
        const SubmitArgs *a = &arg_submit;
        int r;

        if (a->script || a->file || a->flow || a->credentials || a->dry_run || arg_wait)
                return ctl_error(-EINVAL, "schedule set: takes no --script, --file, --flow, --credential, --dry-run or --wait");
        if (!*command && !a->type)
                return options_submit_given() ? ctl_error(-EINVAL, "schedule set: options of the job need all of it: a command behind --, or --type") : 0;
        r = submit_new_spec(a->uid, /* typed = */ true, &s);
        if (r == 0 && !(s->argv = strv_copy(command)))
                r = ctl_oom();
        if (r == 0 && a->payload) {
                r = submit_read_file("--payload", a->payload, (char **) &s->payload, &s->payload_size);
                s->has_payload = r == 0;
        }
        if (r == 0)
                r = submit_validate("schedule set", s);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int verb_schedule_set(int argc, char **argv) {
        int n_settings = argc - 1 - MIN(arg_words_behind, argc - 1), r;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(spec_freep) JobSpec *job = NULL;
        char **settings = argv + 1;

        for (int i = 0; i < n_settings; i++)
                if (!strchr(settings[i], '=') || settings[i][0] == '=')
                        return ctl_error(-EINVAL, "schedule set: not SETTING=VALUE: %s (a command stands behind --)", settings[i]);
        r = make_job(settings + n_settings, &job);
        if (r >= 0)
                r = bus_open(&bus);
        if (r >= 0)
                r = bus_new_call(bus, &call, "SetSchedule");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", *argv);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (int i = 0; r >= 0 && i < n_settings; i++)
                r = append_setting(call, settings, i, n_settings);
        if (r >= 0 && job)
                r = append_job(call, job);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return ctl_error(r, "Cannot create a message: %m");
        return bus_call(bus, call, NULL, "%s", *argv);
}

/* ---- the others ---- */

int verb_schedule_remove(int argc, char **argv) {
        return bus_call_each(argc, argv, "RemoveSchedule");
}

int verb_schedule_pause(int argc, char **argv) {
        return bus_call_each(argc, argv, "PauseSchedule");
}

int verb_schedule_resume(int argc, char **argv) {
        return bus_call_each(argc, argv, "ResumeSchedule");
}

int verb_schedule_fire(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                uint64_t job;

                r = bus_call_simple(bus, &reply, "FireSchedule", argv[i], "s", argv[i]);
                if (r >= 0) {
                        r = sd_bus_message_read(reply, "t", &job);
                        if (r < 0)
                                (void) ctl_error(r, "Cannot read the daemon's answer: %m");
                }
                if (r >= 0)
                        printf("%" PRIu64 "\n", job);
                else
                        worst = r;
        }
        return worst;
}
