/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kinds of values. What an option or a verb takes stands in its table as a word that people read
 * ("QUEUE"); the same word leads here. Every word in use must stand in the table below (a test asks for each
 * of them), with nothing to offer if there is nothing. What lives in the daemon is asked for only if it
 * runs. */

#include "api/protocol.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/bulk.h"
#include "ctl/complete.h"
#include "ctl/job-dict.h"
#include "ctl/list-columns.h"
#include "ctl/option-values.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "ctl/set.h"
#include "ctl/schedule-dict.h"
#include "ctl/type-dict.h"
#include "queue/unit-property.h"
#include <pwd.h>
#include <signal.h>
#include <systemd/sd-login.h>

#define NEWEST_MAX 100U /* jobs to choose from */
#define DESCRIPTION_MAX 60

void complete_candidate(Completion *c, const char *value, const char *description) {
        if (!startswith(value, c->word) || strv_contains(c->taken, value) || strv_contains(c->told, value))
                return;
        if (strv_extend(&c->told, value) < 0)
                return;
        printf("%.*s%s\t%s\n", c->before_length, c->before, value, strempty(description));
}

void complete_foreign(Completion *c, const char *value, const char *description) {
        /* bash would insert it unquoted. */
        if (string_is_clean(value) && !strpbrk(value, " \"'\\$`!&|;<>()[]{}*?#~"))
                complete_candidate(c, value,
                                   description && string_is_clean(description) ? description : NULL);
}

static void words(Completion *c, const char *const *list) {
        for (; *list; list++)
                complete_candidate(c, *list, NULL);
}

static void complete_states(Completion *c) {
        words(c, job_states);
}

static void complete_results(Completion *c) {
        words(c, job_results);
}

static void complete_events(Completion *c) {
        words(c, callback_event_words);
}

static void complete_groups(Completion *c) {
        words(c, report_groups);
}

static void complete_columns(Completion *c) {
        const char *name;

        for (ListColumn i = 0; (name = list_column_name(i)); i++)
                complete_candidate(c, name, list_column_help(i));
}

static void complete_booleans(Completion *c) {
        words(c, (const char *const[]){ "yes", "no", NULL });
}

static void complete_signals(Completion *c) {
        for (int s = 1; s < SIGRTMIN; s++) {
                const char *name = signal_to_string(s);

                if (name)
                        complete_candidate(c, name, strsignal(s));
        }
}

static void complete_users(Completion *c) {
        const struct passwd *p;

        setpwent();
        while ((p = getpwent()))
                complete_foreign(c, p->pw_name, p->pw_gecos);
        endpwent();
}

static void complete_machines(Completion *c) {
        char **names = NULL;

        if (sd_get_machine_names(&names) > 0)
                STRV_FOREACH (name, names)
                        complete_foreign(c, *name, NULL);
        strv_free(names);
}

static void complete_variables(Completion *c) {
        STRV_FOREACH (e, environ) {
                _cleanup_free_ char *name = strndup(*e, strcspn(*e, "="));

                if (name)
                        complete_foreign(c, name, NULL);
        }
}

/* "MemoryMax=", and behind it what is known of the value. */
static void complete_properties(Completion *c) {
        const char *e = strchr(c->word, '=');
        size_t n;
        const UnitProperty *table = unit_property_table(&n);

        for (const UnitProperty *p = table; p < table + n; p++) {
                char text[96];

                if (p->class == PROPERTY_OURS)
                        continue;
                snprintf(text, sizeof(text), "%s=", p->name);
                if (!e)
                        complete_candidate(c, text, p->hint);
                else if (p->type == UNIT_VALUE_BOOL && startswith(c->word, text)) {
                        c->before_length += strlen(text);
                        c->word += strlen(text);
                        complete_booleans(c);
                        return;
                }
        }
}

/* The same of a queue: keys of [Queue], properties of its slice, and of each job. */
static void complete_queue_settings(Completion *c) {
        static const char *const keys[] = {
                "AgeingSec", "AllowGroups", "AllowUsers", "Backoff", "BackoffBaseSec", "BackoffJitter", "BackoffMaxSec", "Backstop", "CPUPressureMax", "CallbackEvents", "CallbackURL",
                "Executor", "Fair", "GateUnit", "IOPressureMax", "Keep", "KeepMax", "MaxAttempts", "MaxQueued", "MaxQueuedPerUser", "MemoryGrowth",
                "MemoryPressureMax", "OnFailure", "OnSuccess", "Override", "Paused", "RateLimit", "RequeueLost", "RetryOn", "SlotVariable", "Slots", "SpoolMax",
                "Stdout", "StopTimeoutSec", "TimeoutSec", "Verify", "WorkerUnit", "WorkerUsers",
        };
        const char *service = startswith(c->word, "Service.");
        size_t n;
        const UnitProperty *table = unit_property_table(&n);

        FOREACH_ELEMENT (k, keys) {
                char text[32];

                snprintf(text, sizeof(text), "%s=", *k);
                complete_candidate(c, text, NULL);
        }
        if (!service)
                complete_candidate(c, "Service.", "A property of each job's own unit");
        for (const UnitProperty *p = table; p < table + n; p++) {
                char text[96];

                if (p->class == PROPERTY_OURS ||
                    !(p->flags & (service ? UNIT_PROPERTY_SERVICE : UNIT_PROPERTY_SLICE)))
                        continue;
                snprintf(text, sizeof(text), "%s%s=", service ? "Service." : "", p->name);
                complete_candidate(c, text, p->hint);
        }
}

static void complete_schedule_settings(Completion *c) {
        static const char *const keys[] = { "AccuracySec", "OnCalendar", "OnUnitActiveSec", "Overlap", "Persistent", "RandomizedDelaySec" };
        static const char *const overlaps[] = { "skip", "queue", "replace", NULL };
        bool persistent = startswith(c->word, "Persistent=");

        if (persistent || startswith(c->word, "Overlap=")) {
                c->before_length += strcspn(c->word, "=") + 1;
                c->word += strcspn(c->word, "=") + 1;
                words(c, persistent ? (const char *const[]){ "yes", "no", NULL } : overlaps);
                return;
        }
        FOREACH_ELEMENT (k, keys) {
                char text[32];

                snprintf(text, sizeof(text), "%s=", *k);
                complete_candidate(c, text, NULL);
        }
}

/* Only if the daemon runs: completion starts nothing. */
static sd_bus *open_if_there(void) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        fflush(stdout); /* the time limit must not lose what is known */
        r = bus_open_quietly(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "GetNameOwner", NULL, NULL, "s",
                                       JOBMILL_BUS_NAME);
        return r < 0 ? NULL : TAKE_PTR(bus);
}

static void complete_queues(Completion *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = open_if_there();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name, *path;

        if (!bus || sd_bus_call_method(bus, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER,
                                       "ListQueues", NULL, &reply, "") < 0)
                return;
        if (sd_bus_message_enter_container(reply, 'a', "(so)") < 0)
                return;
        while (sd_bus_message_read(reply, "(so)", &name, &path) > 0)
                complete_foreign(c, name, NULL);
}

static void complete_types(Completion *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = open_if_there();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        if (!bus || sd_bus_call_method(bus, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER,
                                       "ListTypes", NULL, &reply, "") < 0)
                return;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0) {
                TypeInfo t = {};

                r = type_info_read(reply, &t);
                if (r > 0)
                        complete_foreign(c, t.name, t.description);
                type_info_done(&t);
                if (r == 0)
                        return;
        }
}

static void complete_schedules(Completion *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = open_if_there();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        if (!bus || sd_bus_call_method(bus, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER,
                                       "ListSchedules", NULL, &reply, "") < 0)
                return;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0) {
                ScheduleInfo s = {};

                r = schedule_info_read(reply, &s);
                if (r > 0)
                        complete_foreign(c, s.name, s.paused ? "paused" : NULL);
                schedule_info_done(&s);
                if (r == 0)
                        return;
        }
}

static void complete_workers(Completion *c) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = open_if_there();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        if (!bus || sd_bus_call_method(bus, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER,
                                       "ListWorkers", NULL, &reply, "") < 0)
                return;
        if (sd_bus_message_enter_container(reply, 'a', "a{sv}") < 0)
                return;
        while (sd_bus_message_enter_container(reply, 'a', "{sv}") > 0) {
                char text[24];
                uint64_t id;

                /* It comes first. */
                if (sd_bus_message_enter_container(reply, 'e', "sv") <= 0 || sd_bus_message_skip(reply, "s") < 0 ||
                    sd_bus_message_read(reply, "v", "t", &id) < 0 || sd_bus_message_exit_container(reply) < 0)
                        return;
                (void) snprintf(text, sizeof(text), "%" PRIu64, id);
                complete_foreign(c, text, NULL);
                while (sd_bus_message_skip(reply, "{sv}") > 0)
                        ;
                if (sd_bus_message_exit_container(reply) < 0)
                        return;
        }
}

/* The jobs that a verb can do something with. */
static char **states_for(const char *verb) {
        static const char *const unfinished[] = { "held",    "waiting",  "ready", "starting",
                                                  "running", "stopping", NULL };
        const Bulk *b = verb ? bulk_find(verb) : NULL;

        if (streq_ptr(verb, "wait") || streq_ptr(verb, "cancel"))
                return (char **) unfinished;
        return b ? (char **) b->states : NULL;
}

/* The newest jobs: the caller's own, root's anybody's. The daemon is asked for one page of all that there
 * are, which costs the same however many; to search millions of others' for a few of one's own does not. */
static size_t newest_jobs(char **states, const char *const *fields, JobInfo **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = open_if_there();
        _cleanup_free_ char *next = NULL;
        bool all = getuid() == 0 || bus_is_elsewhere(), done = states && streq(states[0], "done");
        Filter filter = { .states = done ? NULL : states, .since = USEC_INFINITY, .until = USEC_INFINITY };
        size_t n, kept = 0;
        JobInfo *jobs;

        if (!bus ||
            job_list_page(bus, &filter, (char *const *) fields, "", JOBMILL_LIST_MAX, &jobs, &n, &next) < 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                if (kept < NEWEST_MAX && (all || jobs[i].owner == getuid()) &&
                    (!done || streq_ptr(jobs[i].state, "done"))) {
                        JobInfo j = jobs[kept];

                        jobs[kept++] = jobs[i];
                        jobs[i] = j;
                }
        }
        for (size_t i = kept; i < n; i++)
                job_info_done(jobs + i);
        *ret = jobs;
        return kept;
}

static void complete_ids(Completion *c) {
        static const char *const fields[] = { "id",     "name",        "argv",        "owner", "state",
                                              "result", "exit_status", "exit_signal", NULL };
        JobInfo *jobs = NULL;
        size_t n = newest_jobs(states_for(c->verb), fields, &jobs);

        if (n > 0)
                complete_candidate(c, "@last", "your newest job");
        for (size_t i = 0; i < n; i++) {
                char id[DECIMAL_MAX], outcome[64], description[256];
                _cleanup_free_ char *title = job_info_title(jobs + i);
                _cleanup_free_ char *safe =
                                title ? escape_controls(title, strnlen(title, DESCRIPTION_MAX)) : NULL;

                for (char *p = safe; p && (p = strchr(p, '\t'));)
                        *p = ' '; /* ends the candidate */
                snprintf(id, sizeof(id), "%" PRIu64, jobs[i].id);
                snprintf(description, sizeof(description), "%s  %s",
                         job_info_outcome(jobs + i, outcome, sizeof(outcome)), strempty(safe));
                complete_candidate(c, id, description);
        }
        job_info_array_free(jobs, n);
}

static void complete_names(Completion *c) {
        JobInfo *jobs = NULL;
        size_t n = newest_jobs(NULL, (const char *const[]){ "name", "owner", NULL }, &jobs);

        for (size_t i = 0; i < n; i++)
                if (jobs[i].name)
                        complete_foreign(c, jobs[i].name, NULL);
        job_info_array_free(jobs, n);
}

static void complete_tags(Completion *c) {
        JobInfo *jobs = NULL;
        size_t n = newest_jobs(NULL, (const char *const[]){ "tags", "owner", NULL }, &jobs);

        for (size_t i = 0; i < n; i++)
                STRV_FOREACH_PAIR (key, value, jobs[i].tags) {
                        _cleanup_free_ char *text = NULL;

                        if (asprintf(&text, "%s=%s", *key, *value) < 0)
                                text = NULL;
                        else
                                complete_foreign(c, text, NULL);
                }
        job_info_array_free(jobs, n);
}

/* "priority=", "MemoryMax=", and behind it what is known of the value. */
static void complete_settings(Completion *c) {
        static const struct {
                const char *key;
                void (*complete)(Completion *c);
        } values[] = { { "queue=", complete_queues },
                       { "tag=", complete_tags },
                       { "property=", complete_properties } };
        const char *key, *help;

        if (streq_ptr(c->verb, "schedule set")) {
                complete_schedule_settings(c);
                return;
        }
        if (!streq_ptr(c->verb, "set")) {
                complete_queue_settings(c);
                return;
        }
        FOREACH_ELEMENT (v, values)
                if (startswith(c->word, v->key)) {
                        c->before_length += strlen(v->key);
                        c->word += strlen(v->key);
                        v->complete(c);
                        return;
                }
        for (size_t i = 0; (key = settings_key(i, &help)); i++) {
                char text[32];

                snprintf(text, sizeof(text), "%s=", key);
                complete_candidate(c, text, help);
        }
        complete_properties(c);
}

static const struct {
        const char *word;
        void (*complete)(Completion *c); /* NULL: nothing can be offered */
        const char *shell;               /* what the shell knows better */
} kinds[] = {
        { "BACKOFF", NULL, NULL },
        { "BOOL", complete_booleans, NULL },
        { "COLUMN", complete_columns, NULL },
        { "DIRECTORY", NULL, "directories" },
        { "FACTOR", NULL, NULL },
        { "FILE", NULL, "files" },
        { "FILTER", NULL, NULL },
        { "GROUP", complete_groups, NULL },
        { "ID", complete_ids, NULL },
        { "ID[:on]", complete_ids, NULL },
        { "KEY=VALUE", complete_tags, NULL },
        { "N", NULL, NULL },
        { "NAME", complete_names, NULL },
        { "NAME=FILE", NULL, NULL },
        { "PROPERTY=VALUE", complete_properties, NULL },
        { "QUEUE", complete_queues, NULL },
        { "RESULT", complete_results, NULL },
        { "SCHEDULE", complete_schedules, NULL },
        { "EVENT", complete_events, NULL },
        { "UNIT", NULL, NULL },
        { "URL", NULL, NULL },
        { "SETTING=VALUE", complete_settings, NULL },
        { "SIGNAL", complete_signals, NULL },
        { "SPAN", NULL, NULL },
        { "STATE", complete_states, NULL },
        { "TIME", NULL, NULL },
        { "KEY", NULL, NULL },
        { "N[%M]", NULL, NULL },
        { "TOKEN", NULL, NULL },
        { "TYPE", complete_types, NULL },
        { "USER", complete_users, NULL },
        { "VARIABLE", complete_variables, NULL },
        { "WORKER", complete_workers, NULL },
        { "VARIABLE[=VALUE]", complete_variables, NULL },
        { "[USER@]HOST", NULL, "hosts" },
        { "[USER@]MACHINE", complete_machines, NULL },
};

/* One of the alternatives of an argument, without its dots. -1: unknown. */
static int find_kind(const char *text, int length) {
        FOREACH_ELEMENT (k, kinds)
                if ((int) strlen(k->word) == length && strncmp(k->word, text, length) == 0)
                        return k - kinds;
        return -1;
}

/* "all", "-", "short": a word to type, not a kind. */
static bool is_literal(const char *text, int length) {
        for (int i = 0; i < length; i++)
                if (text[i] >= 'A' && text[i] <= 'Z')
                        return false;
        return length > 0;
}

/* The next alternative; *ret_list: several of them, with commas between. */
static int next_alternative(const char **text, const char *end, bool *ret_list) {
        const char *bar = memchr(*text, '|', end - *text);
        int length = (bar ?: end) - *text;

        *ret_list = false;
        if (length > 3 && memcmp(*text + length - 3, "…", 3) == 0)
                length -= 3;
        if (length > 1 && (*text)[length - 1] == ',') {
                *ret_list = true;
                length--;
        }
        return length;
}

static void complete_alternative(Completion *c, const char *text, int length, bool list) {
        const char *comma = list ? strrchr(c->word, ',') : NULL;
        int kind = find_kind(text, length);
        Completion whole = *c;

        if (comma) {
                c->before_length += comma + 1 - c->word;
                c->word = comma + 1;
        }
        if (is_literal(text, length)) {
                _cleanup_free_ char *literal = strndup(text, length);

                if (literal && !comma)
                        complete_candidate(c, literal, NULL);
        } else if (kind < 0) {
                c->unknown = text;
                c->unknown_length = length;
        } else if (kinds[kind].complete)
                kinds[kind].complete(c);
        c->before_length = whole.before_length;
        c->word = whole.word;
}

void complete_value(Completion *c, const char *argument, int length) {
        const char *equals = strncmp(argument, "NAME=FILE", length) == 0 ? strchr(c->word, '=') : NULL, *end, *shell = NULL;
        bool list;

        if (equals) { /* the name is the user's, the file the shell's */
                c->before_length += equals + 1 - c->word;
                c->word = equals + 1;
                argument += strlen("NAME=");
                length -= strlen("NAME=");
        }
        end = argument + length;

        for (const char *t = argument; t < end; t += strcspn(t, "|") + 1) {
                int kind = find_kind(t, next_alternative(&t, end, &list));

                if (kind >= 0 && kinds[kind].shell)
                        shell = kinds[kind].shell;
        }
        if (!c->begun && shell)
                printf("%s\t%.*s\n", shell, c->before_length, c->before);
        else if (!c->begun)
                puts("words");
        c->begun = true;
        for (const char *t = argument; t < end; t += strcspn(t, "|") + 1) {
                int n = next_alternative(&t, end, &list);

                complete_alternative(c, t, n, list);
        }
}
