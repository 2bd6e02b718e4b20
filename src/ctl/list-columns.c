/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The columns of `list`, in one table: how long each stays on a narrow terminal, and what fills it. */

#include "ctl/list-columns.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include <strings.h>

#define CELL_MAX JOB_STATES_MAX
/* A terminal cuts earlier; a pipe would not, and every line would be as wide as the widest. */
#define TEXT_MAX 200U

static const struct {
        Column column;
        const char *fields[6];
        const char *help;
} known[_LIST_COLUMN_MAX] = {
        [LIST_ID] = { { "ID", 100, 0, true, 7 }, { "id" }, "The job's id" },
        [LIST_NAME] = { { "NAME", 90, 14, false, 20 }, { "name", "argv" }, "Its name, or its command" },
        [LIST_QUEUE] = { { "QUEUE", 50, 7, false, 8 }, { "queue" }, "Its queue" },
        [LIST_OWNER] = { { "OWNER", 40, 5, false, 8 },
                         { "owner", "owner_name" },
                         "The user that it runs as" },
        [LIST_STATE] = { { "STATE", 95, 0, false, 12 },
                         { "exit_status", "exit_signal", "array", "array_states", "flow", "flow_states" },
                         "Its state, or how it ended" },
        [LIST_RUN] = { { "RUN", 60, 0, true, 9 },
                       { "started_usec", "runtime_usec" },
                       "How long it has been running, or ran" },
        [LIST_CPU] = { { "CPU", 20, 0, true, 9 }, { "cpu_usec" }, "CPU time" },
        [LIST_MEMORY] = { { "MEMORY", 30, 0, true, 6 }, { "memory_peak" }, "Peak of its memory" },
        [LIST_REASON] = { { "REASON", 55, 24, false, 30 },
                          { "reason", "not_before_usec" },
                          "Why it waits, or more about its end" },
        [LIST_AGE] = { { "AGE", 10, 0, true, 8 }, { "submitted_usec" }, "How long ago it was submitted" },
        [LIST_ATTEMPT] = { { "ATTEMPT", 10, 0, true }, { "attempt" }, "How many times it was tried" },
        [LIST_CAUSES] = { { "CAUSES", 50, 9, false, 12 }, { "causes" }, "How each of its attempts ended" },
        [LIST_COMMAND] = { { "COMMAND", 80, 12, false, 30 }, { "argv" }, "Its command" },
        [LIST_DIRECTORY] = { { "DIRECTORY", 10, 8, false, 20 }, { "cwd" }, "Where it runs" },
        [LIST_EXIT] = { { "EXIT", 10, 0, true },
                        { "exit_status", "exit_signal" },
                        "Exit status, or signal that killed it" },
        [LIST_FINISHED] = { { "FINISHED", 10, 0, false }, { "finished_usec" }, "When it ended" },
        [LIST_INVOCATION] = { { "INVOCATION", 10, 0, false },
                              { "invocation_id" },
                              "Invocation id of its unit" },
        [LIST_NOT_BEFORE] = { { "NOT-BEFORE", 10, 0, false },
                              { "not_before_usec" },
                              "The time that it waits for" },
        [LIST_PRIORITY] = { { "PRIORITY", 10, 0, true, 8 }, { "priority" }, "Its priority" },
        [LIST_FLOW] = { { "FLOW", 10, 0, true, 7 }, { "flow" }, "Its flow" },
        [LIST_AFTER] = { { "AFTER", 20, 8, false }, { "after" }, "Jobs that it waits for, or came after" },
        [LIST_ARRAY] = { { "ARRAY", 10, 0, false, 10 }, { "array", "array_index", "array_size" }, "Its array, and its place in that" },
        [LIST_READ] = { { "READ", 10, 0, true, 6 }, { "io_read_bytes" }, "What it read from disks" },
        [LIST_RESULT] = { { "RESULT", 10, 0, false, 9 }, { "result" }, "Its result, once it is done" },
        [LIST_SLOTS] = { { "SLOTS", 10, 0, true }, { "slots" }, "How many slots it takes" },
        [LIST_STARTED] = { { "STARTED", 10, 0, false }, { "started_usec" }, "When it started" },
        [LIST_STATUS] = { { "STATUS", 10, 12, false, 20 }, { "status" }, "What it says of itself" },
        [LIST_SUBMITTED] = { { "SUBMITTED", 10, 0, false }, { "submitted_usec" }, "When it was submitted" },
        [LIST_TAGS] = { { "TAGS", 10, 8, false, 16 }, { "tags" }, "Its tags" },
        [LIST_TASKS] = { { "TASKS", 10, 0, true, 5 }, { "tasks_peak" }, "Peak of its tasks" },
        [LIST_TIMEOUT] = { { "TIMEOUT", 10, 0, true, 8 }, { "timeout_usec" }, "Its time-out" },
        [LIST_TYPE] = { { "TYPE", 10, 6, false, 12 }, { "type" }, "Its job type" },
        [LIST_UNIT] = { { "UNIT", 10, 0, false, 28 }, { "unit" }, "The unit of its last attempt" },
        [LIST_WAITED] = { { "WAITED", 10, 0, true, 9 },
                          { "wait_usec" },
                          "How long it waited for its start" },
        [LIST_WRITTEN] = { { "WRITTEN", 10, 0, true, 7 }, { "io_write_bytes" }, "What it wrote to disks" },
};

/* Colours, and whether a time still runs, follow from these. */
static const char *const always[] = { "id", "state", "result", "frozen" };

#define DEFAULT_MAX LIST_REASON

static int unknown_column(const char *verb, const char *word) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_free_ char *list = NULL;

        FOREACH_ELEMENT (k, known)
                if (strv_extend(&names, k->column.name) < 0)
                        return ctl_oom();
        list = strv_join(names, ", ");
        return ctl_error(-EINVAL, "%s: --columns: there is no column %s, only %s", verb, word, strempty(list));
}

static int add_column(ListColumns *l, ListColumn c) {
        int r;

        for (size_t i = 0; i < l->n; i++)
                if (l->which[i] == c)
                        return 0;
        for (size_t i = 0; i < ELEMENTSOF(known[c].fields) && known[c].fields[i]; i++)
                if (!strv_contains(l->fields, known[c].fields[i])) {
                        r = strv_extend(&l->fields, known[c].fields[i]);
                        if (r < 0)
                                return ctl_oom();
                }
        l->which[l->n] = c;
        l->columns[l->n++] = known[c].column;
        return 0;
}

static int add_word(ListColumns *l, const char *verb, const char *word) {
        for (ListColumn c = 0; c < _LIST_COLUMN_MAX; c++)
                if (strcasecmp(known[c].column.name, word) == 0)
                        return add_column(l, c);
        return unknown_column(verb, word);
}

static const ListColumn of_history[] = { LIST_ID, LIST_NAME, LIST_QUEUE, LIST_OWNER, LIST_STATE, LIST_FINISHED, LIST_WAITED, LIST_RUN, LIST_CPU, LIST_CAUSES };

static int add_default(ListColumns *l, bool history) {
        size_t n = history ? ELEMENTSOF(of_history) : DEFAULT_MAX + 1;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_column(l, history ? of_history[i] : (ListColumn) i);
        return r;
}

static int add_all(ListColumns *l, char *const *words, const char *verb) {
        bool more = words && words[0][0] == '+';
        int r = 0;

        FOREACH_ELEMENT (f, always)
                if (strv_extend(&l->fields, *f) < 0)
                        return ctl_oom();
        if (!words || more)
                r = add_default(l, streq(verb, "history"));
        STRV_FOREACH (w, words)
                if (r >= 0)
                        r = add_word(l, verb, *w + (more && w == (char **) words));
        return r;
}

int list_columns_parse(char *const *words, const char *verb, ListColumns *ret) {
        ListColumns l = {
                .which = new0(ListColumn, _LIST_COLUMN_MAX),
                .columns = new0(Column, _LIST_COLUMN_MAX),
        };
        int r;

        r = l.which && l.columns ? add_all(&l, words, verb) : ctl_oom();
        if (r < 0) {
                list_columns_done(&l);
                return r;
        }
        *ret = l;
        return 0;
}

void list_columns_done(ListColumns *l) {
        free(l->which);
        free(l->columns);
        strv_free(l->fields);
        *l = (ListColumns){};
}

const char *list_column_name(ListColumn c) {
        return (size_t) c < ELEMENTSOF(known) ? known[c].column.name : NULL;
}

const char *list_column_help(ListColumn c) {
        return (size_t) c < ELEMENTSOF(known) ? known[c].help : NULL;
}

void list_columns_help(void) {
        FOREACH_ELEMENT (k, known)
                printf("%-12s %s%s\n", k->column.name, k->help,
                       k <= known + DEFAULT_MAX ? " (shown by default)" : "");
}

/* Not in the midst of a character. */
static void shorten(char *s) {
        const char *dots = glyph(GLYPH_ELLIPSIS);
        size_t n = TEXT_MAX - strlen(dots);

        if (!s || strlen(s) <= TEXT_MAX)
                return;
        while (n > 0 && ((unsigned char) s[n] & 0xc0) == 0x80)
                n--;
        strcpy(s + n, dots);
}

static char *tags_text(const JobInfo *j) {
        _cleanup_strv_free_ char **words = NULL;

        STRV_FOREACH_PAIR (key, value, j->tags)
                if (strv_extendf(&words, "%s=%s", *key, *value) < 0)
                        return NULL;
        return words ? strv_join(words, " ") : strdup("");
}

bool list_has_reason(const JobInfo *j) {
        return j->reason && !streq_ptr(j->reason, j->state);
}

/* Nothing that STATE says already; and of one that waits for its time, when that is. */
static char *reason_text(const JobInfo *j, usec_t now) {
        char when[SPAN_MAX + 8], *s;

        if (!list_has_reason(j))
                return strdup("");
        if (!streq_ptr(j->state, "waiting") || j->not_before_usec == USEC_INFINITY)
                return strdup(j->reason);
        human_ago(when, sizeof(when), j->not_before_usec, now);
        return asprintf(&s, "due %s", when) < 0 ? NULL : s;
}

/* What others wrote, of any length. */
static int long_text(const JobInfo *j, ListColumn c, usec_t now, char **ret) {
        const char *plain = c == LIST_QUEUE       ? j->queue
                            : c == LIST_DIRECTORY ? j->cwd
                            : c == LIST_TYPE      ? j->type
                            : c == LIST_UNIT      ? j->unit
                            : c == LIST_RESULT    ? j->result
                                                  : NULL;
        char *s;

        switch (c) {
        case LIST_NAME:
                s = job_info_title(j);
                if (!s && !j->name && !j->argv) /* another's: private */
                        return 0;
                break;
        case LIST_COMMAND:
                if (!j->argv)
                        return 0;
                s = quote_words(j->argv);
                break;
        case LIST_TAGS:
                s = tags_text(j);
                break;
        case LIST_AFTER:
                s = j->after ? strv_join(j->after, " ") : strdup("");
                break;
        case LIST_CAUSES:
                s = j->causes ? strv_join(j->causes, " ") : strdup("");
                break;
        case LIST_REASON:
                s = reason_text(j, now);
                break;
        case LIST_STATUS:
                s = strdup(strempty(j->status));
                break;
        default:
                if (!plain)
                        return 0;
                s = strdup(plain);
        }
        if (!s)
                return -ENOMEM;
        shorten(s);
        *ret = s;
        return 0;
}

static const char *number(char *buf, uint64_t value, bool known_value) {
        if (!known_value)
                return NULL;
        snprintf(buf, CELL_MAX, "%" PRIu64, value);
        return buf;
}

static const char *stamp(char *buf, usec_t t) {
        return t == USEC_INFINITY ? NULL : format_timestamp(buf, CELL_MAX, t);
}

static const char *exit_text(const JobInfo *j, char *buf) {
        const char *name = j->exit_signal > 0 ? signal_to_string(j->exit_signal) : NULL;

        if (!job_info_is_done(j))
                return NULL;
        return name ?: number(buf, j->exit_status, j->exit_status >= 0);
}

static usec_t run_time(const JobInfo *j, usec_t now) {
        bool runs = j->runtime_usec == UINT64_MAX && j->started_usec != UINT64_MAX && !job_info_is_done(j);

        return runs ? usec_sub(now, j->started_usec) : j->runtime_usec;
}

/* A cell of few characters; NULL: unknown. buf: CELL_MAX. */
static const char *short_text(const JobInfo *j, ListColumn c, usec_t now, char *buf) {
        switch (c) {
        case LIST_ID:
                return number(buf, j->id, true);
        case LIST_OWNER:
                return j->owner_name ?: number(buf, j->owner, true);
        case LIST_STATE:
                return arg_filter.collapse && (j->array > 0 || j->flow > 0) ? job_info_states(j, buf) : job_info_outcome(j, buf, CELL_MAX);
        case LIST_RUN:
                return human_span(buf, CELL_MAX, run_time(j, now));
        case LIST_CPU:
                return human_span(buf, CELL_MAX, j->cpu_usec);
        case LIST_MEMORY:
                return human_size(buf, CELL_MAX, j->memory_peak);
        case LIST_AGE:
                return human_span(buf, CELL_MAX, usec_sub(now, j->submitted_usec));
        case LIST_ATTEMPT:
                return number(buf, j->attempt, true);
        case LIST_EXIT:
                return exit_text(j, buf);
        case LIST_FINISHED:
                return stamp(buf, j->finished_usec);
        case LIST_NOT_BEFORE:
                return stamp(buf, j->not_before_usec);
        case LIST_STARTED:
                return stamp(buf, j->started_usec);
        case LIST_SUBMITTED:
                return stamp(buf, j->submitted_usec);
        case LIST_INVOCATION:
                return j->invocation_id;
        case LIST_ARRAY:
                if (j->array == 0)
                        return NULL;
                if (arg_filter.collapse)
                        snprintf(buf, CELL_MAX, "%" PRIu64 "[%" PRIu32 "]", j->array, j->array_size);
                else
                        snprintf(buf, CELL_MAX, "%" PRIu64 "[%" PRIu32 "]", j->array, j->array_index);
                return buf;
        case LIST_FLOW:
                return number(buf, j->flow, j->flow > 0);
        case LIST_PRIORITY:
                snprintf(buf, CELL_MAX, "%" PRIi32, j->priority);
                return buf;
        case LIST_READ:
                return human_size(buf, CELL_MAX, j->io_read_bytes);
        case LIST_SLOTS:
                return number(buf, j->slots, true);
        case LIST_TASKS:
                return number(buf, j->tasks_peak, j->tasks_peak != UINT64_MAX);
        case LIST_TIMEOUT:
                return human_span(buf, CELL_MAX, j->timeout_usec);
        case LIST_WAITED:
                return human_span(buf, CELL_MAX, j->wait_usec);
        case LIST_WRITTEN:
                return human_size(buf, CELL_MAX, j->io_write_bytes);
        default:
                return NULL;
        }
}

int list_columns_add(Table *t, const ListColumns *l, const JobInfo *j, usec_t now) {
        int r = 0;

        for (size_t i = 0; i < l->n && r >= 0; i++) {
                ListColumn c = l->which[i];
                _cleanup_free_ char *text = NULL;
                char buf[CELL_MAX];

                r = long_text(j, c, now, &text);
                if (r >= 0)
                        r = table_add(t, text ?: short_text(j, c, now, buf),
                                      c == LIST_STATE ? job_info_color(j) : NULL);
        }
        return r;
}
