/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All options in one table: which verbs take one, how its value is read (option-values.c), where it goes, what the help says.
 * Before the verb only the global ones are known, behind it those of the verb too; a letter may mean
 * different things to different verbs. */

#include "base/strv.h"
#include "ctl/foreground.h"
#include "ctl/option-values.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include "queue/spec.h"
#include "queue/unit-property.h"
#include <getopt.h>

bool arg_help, arg_version;
bool arg_user, arg_system, arg_quiet, arg_legend = true, arg_ask_password = true, arg_pager = true;
char *arg_host, *arg_machine;
JsonMode arg_json;
Filter arg_filter = { .since = USEC_INFINITY, .until = USEC_INFINITY };
#define SUBMIT_ARGS_DEFAULT                                                                                  \
        {                                                                                                    \
                .backoff = BACKOFF_NONE, .priority = INT32_MIN, .slots = UINT32_MAX, .uid = UINT32_MAX, .at = USEC_INFINITY, .in = USEC_INFINITY, .deadline = USEC_INFINITY,            \
                .timeout = USEC_INFINITY, .stop_timeout = USEC_INFINITY, .keep = USEC_INFINITY,              \
        }
SubmitArgs arg_submit = SUBMIT_ARGS_DEFAULT;
RetryArgs arg_retry = { .in = USEC_INFINITY };
RunArgs arg_run = { .max_wait = USEC_INFINITY };
LogArgs arg_log;
char **arg_columns, **arg_by;
uint32_t arg_lines = UINT32_MAX;
bool arg_follow, arg_wait, arg_yes, arg_tree, arg_csv;
int arg_words_behind;
usec_t arg_timeout = USEC_INFINITY;
int arg_signal;

/* What is allowed. Numbers are the spec's; a test holds them together. */
#define QUEUE_NAME "a-z 0-9 _ joined by -, at most 64 characters"
#define TYPE_NAME "a-z 0-9 _ -, at most 64 characters"
#define SPANS "90, 5min, 1h 30min, 2days, …"
#define TIMES "18:30, tomorrow 6:00, 2026-11-21 18:30, +2h, @1790000000, …"
#define RETRY_RESULTS "exit-code, signal, core-dump, timeout, watchdog, oom-kill, verdict, unverified, exec, lost"
#define JOB_FILE "a path, in which %j is the job's id and %% a percent sign"

#define S OPTIONS_SUBMIT
#define R OPTIONS_RUN
#define F OPTIONS_FILTER

static const Option options[] = {
        { "help", 'h', NULL, OPTIONS_GLOBAL, option_true, &arg_help,
          "Show what there is, or a verb's options" },
        { "version", 0, NULL, OPTIONS_GLOBAL, option_true, &arg_version, "Show the version" },
        { "user", 0, NULL, OPTIONS_GLOBAL, option_true, &arg_user,
          "Talk to your own jobmilld on the session bus" },
        { "system", 0, NULL, OPTIONS_GLOBAL, option_true, &arg_system,
          "Talk to the system's jobmilld (default)" },
        { "host", 'H', "[USER@]HOST", OPTIONS_GLOBAL, option_string, &arg_host,
          "Operate on another host, over ssh" },
        { "machine", 'M', "[USER@]MACHINE", OPTIONS_GLOBAL, option_string, &arg_machine,
          "Operate on a local container" },
        { "json", 0, "short|pretty|off", OPTIONS_GLOBAL, option_json, &arg_json, "Print JSON" },
        { NULL, 'j', NULL, OPTIONS_GLOBAL, option_json, &arg_json,
          "JSON: pretty on a terminal, else short" },
        { "quiet", 0, NULL, OPTIONS_GLOBAL, option_true, &arg_quiet, "Say less" },
        { "no-legend", 0, NULL, OPTIONS_GLOBAL, option_false, &arg_legend, "No column headers and hints" },
        { "legend", 0, "BOOL", OPTIONS_GLOBAL, option_boolean, &arg_legend, NULL, "yes, no" },
        { "no-pager", 0, NULL, OPTIONS_GLOBAL, option_false, &arg_pager, "Do not pipe output into a pager" },
        { "no-ask-password", 0, NULL, OPTIONS_GLOBAL, option_false, &arg_ask_password,
          "Do not let polkit ask" },

        { "queue", 'q', "QUEUE", S | R, option_queue, &arg_submit.queue, "The queue (default: default)", QUEUE_NAME },
        { "type", 't', "TYPE", S, option_type, &arg_submit.type, "A job of this type; the words are added to its command", TYPE_NAME },
        { "name", 'n', "NAME", S | R, option_name, &arg_submit.name, "A name for people",
          "1 to 128 bytes of UTF-8 without control characters" },
        { "priority", 0, "N", S | R, option_priority, &arg_submit.priority, "-1000 to 1000, higher first",
          "-1000…1000" },
        { "slots", 0, "N", S | R, option_slots, &arg_submit.slots, "Slots it takes of the queue (default: 1)",
          "1…65536" },
        { "after", 0, "ID[:on]", S | R, option_after, &arg_submit.after,
          "When this job has ended: with success, on :failure, or on :end in any way; several: all of them",
          "the id of a job or @last, and :success, :failure or :end, which :ignore or :continue may follow" },
        { "at", 0, "TIME", S, option_time, &arg_submit.at, "Not before this time", TIMES },
        { "in", 0, "SPAN", S, option_span, &arg_submit.in, "Not before this much time has passed", SPANS },
        { "deadline", 0, "TIME", S, option_time, &arg_submit.deadline, "Start it by this time, or never", TIMES },
        { "timeout", 0, "SPAN", S | R, option_timeout, &arg_submit.timeout, "End it when it runs longer",
          "1ms or longer: 90s, 2h 30min, infinity, …" },
        { "stop-timeout", 0, "SPAN", S | R, option_stop_timeout, &arg_submit.stop_timeout, "From SIGTERM to SIGKILL",
          "1ms…1day: 10s, 5min, …" },
        { "keep", 0, "SPAN", S | R, option_keep, &arg_submit.keep,
          "How long it stays listed once it is done (default: as its queue says)", "0, 1h, 7days, …" },
        { "env", 0, "all|none|VARIABLE,…", S, option_environment, &arg_submit.env,
          "What of your environment it gets (default: all but what belongs to the session)",
          "all, none, or names of variables; -E adds to them" },
        { NULL, 'E', "VARIABLE[=VALUE]", S, option_variable, &arg_submit.set, "Set a variable, or pass yours",
          "NAME or NAME=VALUE, in UTF-8" },
        { NULL, 'C', "DIRECTORY", S, option_file, &arg_submit.directory, "Run there instead of here",
          "the path of a directory" },
        { "script", 0, "FILE|-", S, option_file, &arg_submit.script,
          "Run the text of this file, as it is now; the words behind are its arguments", "the path of a file, or -" },
        { "payload", 0, "FILE|-", S, option_file, &arg_submit.payload, "Its standard input",
          "the path of a file, or -" },
        { "credential", 0, "NAME=FILE", S, option_credential, &arg_submit.credentials,
          "A secret, as a file of this name in its $CREDENTIALS_DIRECTORY", "NAME of A-Z a-z 0-9 _ . -, FILE the path of a file, or -" },
        { "output", 'o', "FILE", S, option_job_file, &arg_submit.output,
          "Write its standard output to this file; %j is its id", JOB_FILE },
        { "error", 'e', "FILE", S, option_job_file, &arg_submit.error,
          "Write its standard error to this file; %j is its id", JOB_FILE },
        { "attempts", 0, "N", S, option_attempts, &arg_submit.attempts, "Try it so often until it succeeds (default: once)",
          "1…10000" },
        { "backoff", 0, "BACKOFF", S, option_backoff, &arg_submit.backoff,
          "How long it waits in between: 30s, exponential:10s..1h, …~20% by lot less (default: 1s)", BACKOFF_WORDS },
        { "retry-on", 0, "RESULT,…", S, option_results, &arg_submit.retry_on,
          "Try it again after these results only (default: all failures)", RETRY_RESULTS },
        { "requeue-lost", 0, NULL, S, option_true, &arg_submit.requeue_lost,
          "An attempt that is lost, as by a reboot, does not count: try it again" },
        { "memory-growth", 0, "FACTOR", S, option_memory_growth, &arg_submit.memory_growth,
          "After it ran out of memory its MemoryMax= is so many times as large", "1…100" },
        { "verify", 0, "exit|verdict", S, option_verify, &arg_submit.verify,
          "When it is a success: exit status 0, or also a verdict that says so" },
        { "stdout", 0, "journal|spool", S, option_stdout, &arg_submit.to,
          "Where its output goes; in a spool a verdict is looked for" },
        { "callback", 0, "URL", S, option_callback, &arg_submit.callback,
          "Tell this web server what becomes of it", "an http or https URL, in which what is no part of one is written as %XX" },
        { "callback-on", 0, "EVENT,…", S, option_callback_events, &arg_submit.callback_events,
          "… of these events (default: success,dead)", "started, success, failure, dead" },
        { "on-success", 0, "UNIT,…", S, option_units, &arg_submit.on_success,
          "Start these units when it is done, with success", "names of units; the id of the job is the instance of a template" },
        { "on-failure", 0, "UNIT,…", S, option_units, &arg_submit.on_failure,
          "… and without", "names of units; the id of the job is the instance of a template" },
        { "file", 0, "FILE|-", S, option_file, &arg_submit.file,
          "Many jobs, a JSON object a line; the options hold where a line says nothing", "the path of a file, or -" },
        { "flow", 0, "FILE|-", S, option_file, &arg_submit.flow,
          "Jobs that wait for one another, as a JSON document; prints the flow's id", "the path of a file, or -" },
        { "property", 'p', "PROPERTY=VALUE", S | R, option_property, &arg_submit.properties,
          "A unit property, such as MemoryMax=2G" },
        { "tag", 0, "KEY=VALUE", S | R, option_new_tag, &arg_submit.tags, "A tag to find it by",
          "KEY=VALUE, KEY of 1 to 64 of A-Z a-z 0-9 _ . -, VALUE of at most 256 bytes" },
        { "unique", 0, "KEY", S | R, option_unique, &arg_submit.unique, "Not while another of your jobs in the queue has this key",
          "1 to 256 bytes of UTF-8 without control characters" },
        { "unique-policy", 0, "reject|return|replace", S, option_unique_policy, &arg_submit.unique_policy,
          "What if there is one: an error, its id, or its place (default: reject)" },
        { "unique-scope", 0, "queued|live|SPAN", S | R, option_unique_scope, &arg_submit.unique_scope,
          "How long it has the key: until it starts, until it is done, for a SPAN too (default: live)", "queued, live, or a span: 10min, …" },
        { "array", 0, "N[%M]", S, option_array, &arg_submit.array, "So many of it, told apart by $JOBMILL_ARRAY_INDEX; at most M at a time",
          "1…1000000, and after a % how many at a time" },
        { "uid", 0, "USER", S, option_user, &arg_submit.uid, "Run it as another user, inheriting nothing" },
        { "hold", 0, NULL, S, option_true, &arg_submit.hold, "Start it only after `jobmill release`" },
        { "freezable", 0, NULL, S, option_true, &arg_submit.freezable,
          "Allow `jobmill freeze` in spite of a time-out" },
        { "request-id", 0, "TOKEN", S, option_request_id, &arg_submit.request_id,
          "The same id again gives the same jobs again, not new ones (default: random)",
          "1 to 128 bytes of UTF-8 without control characters" },
        { "dry-run", 0, NULL, S, option_true, &arg_submit.dry_run,
          "Check all, submit nothing, and print the unit (with --json: the job)" },
        { "wait", 0, NULL, S, option_true, &arg_wait, "Wait for its end, and exit with its status" },

        { "no-wait", 0, NULL, R, option_true, &arg_run.no_wait, "Fail where it cannot start at once" },
        { "max-wait", 0, "SPAN", R, option_span, &arg_run.max_wait, "Give up when it has not started by then", SPANS },

        { "queue", 'q', "QUEUE,…", F | OPTIONS_REPORT, option_queues, &arg_filter.queues, "Jobs in these queues", QUEUE_NAME },
        { "type", 0, "TYPE,…", F | OPTIONS_REPORT, option_types, &arg_filter.types, "Jobs of these types", TYPE_NAME },
        { "state", 0, "STATE,…", F, option_states, &arg_filter.states,
          "held, waiting, ready, starting, running, stopping, done",
          "held, waiting, ready, starting, running, stopping, done" },
        { "result", 0, "RESULT,…", F, option_results, &arg_filter.results,
          "success, exit-code, signal, timeout, lost, …",
          "success, exit-code, signal, core-dump, timeout, watchdog, oom-kill, verdict, unverified, exec, cancelled, dependency, "
          "expired, lost" },
        { "dead", 0, NULL, F, option_true, &arg_filter.dead, "Jobs that are done, but not with success" },
        { "owner", 0, "USER,…", F | OPTIONS_REPORT, option_users, &arg_filter.owners, "Jobs of these users" },
        { "array", 0, "ID", F, option_id, &arg_filter.array, "Jobs of this array: the id of its first one", "the id of a job" },
        { "tag", 0, "KEY=VALUE", F, option_tag, &arg_filter.tags,
          "Jobs with this tag; several: with all of them" },
        { "flow", 0, "ID", F, option_id, &arg_filter.flow,
          "Jobs of this flow; of a job's id: it and all that comes after it", "the id of a flow or a job" },
        { "name", 0, "NAME", F, option_string, &arg_filter.name, "Jobs of this name" },
        { "since", 0, "TIME", F, option_time, &arg_filter.since, "Submitted at this time or later",
          TIMES },
        { "until", 0, "TIME", F, option_time, &arg_filter.until, "Submitted at this time or earlier",
          TIMES },

        { "by", 0, "GROUP,…", OPTIONS_REPORT, option_groups, &arg_by,
          "A line for each queue, type, owner, day, hour or minute; total: one line (default: queue)",
          "queue, type, owner, day, hour, minute, or total" },
        { "since", 0, "TIME", OPTIONS_REPORT, option_time, &arg_filter.since, "What was at this time or later", TIMES },
        { "until", 0, "TIME", OPTIONS_REPORT, option_time, &arg_filter.until, "What was before this time", TIMES },
        { "csv", 0, NULL, OPTIONS_REPORT | OPTIONS_HISTORY, option_true, &arg_csv, "Print comma-separated values" },

        { "lines", 'n', "N", OPTIONS_LIST | OPTIONS_HISTORY, option_from_one, &arg_lines, "Only the first N",
          "1…4294967294" },
        { "collapse", 0, NULL, OPTIONS_LIST, option_true, &arg_filter.collapse, "One line for each array, and each flow" },
        { "columns", 'o', "COLUMN,…", OPTIONS_LIST | OPTIONS_HISTORY | OPTIONS_TOP, option_words, &arg_columns,
          "These columns; +COLUMN: more of them; help: which there are" },
        { "order", 0, "newest|oldest|rank|finished", OPTIONS_LIST, option_order, &arg_filter.order,
          "rank: in each queue as they will start; finished: the latest first" },
        { "reverse", 'r', NULL, OPTIONS_LIST, option_oldest, &arg_filter.order, "Oldest first" },
        { "lines", 'n', "N", OPTIONS_LOGS, option_u32, &arg_lines, "Only the last N lines",
          "0…4294967294" },
        { "tree", 0, NULL, OPTIONS_SHOW, option_true, &arg_tree,
          "What waits for what: of a flow, or of a job and all that comes after it" },
        { "follow", 'f', NULL, OPTIONS_LOGS, option_true, &arg_follow, "Go on until the job is done" },
        { "attempt", 0, "N", OPTIONS_LOGS, option_from_one, &arg_log.attempt, "Of this attempt only",
          "1…4294967294" },
        { "output", 'o', "cat|short|short-iso|json|export", OPTIONS_LOGS, option_log_format, &arg_log.format,
          "How to print lines, as journalctl does (default: cat)" },
        { "timeout", 0, "SPAN", OPTIONS_WAIT, option_span, &arg_timeout, "Give up then, with status 124", SPANS },
        { "accept", 0, NULL, OPTIONS_CHECK, option_true, &arg_accept, "Let jobs start from an old copy of the store" },
        { "repair", 0, NULL, OPTIONS_CHECK, option_true, &arg_repair, "Mend what can be mended without losing anything" },
        { "runtime", 0, NULL, OPTIONS_QUEUE_SET, option_true, &arg_runtime, "Until the next boot only" },
        { "attempts", 0, "N", OPTIONS_RETRY, option_attempts, &arg_retry.attempts, "So many more attempts (default: 1)",
          "1…10000" },
        { "in", 0, "SPAN", OPTIONS_RETRY, option_span, &arg_retry.in, "The first of them after this much time", SPANS },
        { "yes", 'y', NULL, OPTIONS_BULK, option_true, &arg_yes, "Do not ask" },
        { "signal", 's', "SIGNAL", OPTIONS_KILL, option_signal, &arg_signal, "Which one (default: TERM)",
          "TERM, SIGKILL, RTMIN+3, 15, …" },
};

const Option *options_table(size_t *ret_n) {
        *ret_n = ELEMENTSOF(options);
        return options;
}

#define LONG_BASE 0x100

/* As it is called: with the verb in front. */
static const char *option_title(char buf[static 96], const char *verb, const Option *o) {
        snprintf(buf, 96, "%s%s%.*s", verb, o->name ? "--" : "-", o->name ? (int) strlen(o->name) : 1,
                 o->name ?: &o->letter);
        return buf;
}

static int check_property(const char *title, const char *value) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};
        _cleanup_free_ char *error = NULL;
        int r;

        r = unit_property_parse_assignment(value, true, UNIT_PROPERTY_SERVICE, &l, &error);
        if (r == -ENOMEM)
                return ctl_oom();
        return r < 0 ? ctl_error(r, "%s: %s", title, strempty(error)) : 0;
}

static int parse_one(const char *verb, const Option *o, const char *value) {
        char title[96], q[SPEC_QUOTE_MAX];
        int r;

        option_title(title, verb, o);
        if (o->parse == option_property) {
                r = check_property(title, value);
                if (r < 0)
                        return r;
        }
        r = o->parse(value, o->target);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM)
                return ctl_oom();
        spec_quote(q, value, strlen(value));
        if (o->parse == option_user || o->parse == option_users)
                return ctl_error(r, "%s: there is no user %s", title, q);
        return ctl_error(r, "%s: '%s' is not allowed (%s)", title, q, o->allowed ?: o->argument);
}

const char *(*options_name_verbs)(unsigned mask);

/* word: as it was typed, "--lines=4" or "-x". */
static int unknown_option(const char *prefix, const char *word) {
        size_t n = strcspn(word, "=");
        unsigned mask = 0;
        char q[SPEC_QUOTE_MAX];

        spec_quote(q, word, n);
        FOREACH_ELEMENT(o, options)
                if (n > 2 && o->name && strlen(o->name) == n - 2 && memcmp(o->name, word + 2, n - 2) == 0)
                        mask |= o->verbs;
        if (mask != 0 && options_name_verbs)
                return ctl_error(-EINVAL, "%s%s is an option of %s", prefix, q, options_name_verbs(mask));
        return ctl_error(-EINVAL, "%sunknown option %s", prefix, q);
}

static int bad_option(const char *prefix, int c, const char *word) {
        char letter[] = { '-', (char) optopt, 0 };

        if (c == ':')
                return ctl_error(-EINVAL, "%s%s needs a value", prefix, word);
        if (optopt >= LONG_BASE)
                return ctl_error(-EINVAL, "%s--%s takes no value", prefix, options[optopt - LONG_BASE].name);
        return unknown_option(prefix, optopt > 0 ? letter : word);
}

static struct {
        char verb[64];
        unsigned mask;
        bool stops_at_word;
        int argc;
        char **argv;
} last;

int options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv) {
        struct option longs[ELEMENTSOF(options) + 1] = {};
        char shorts[2 * ELEMENTSOF(options) + 3], prefix[128] = "", *p = shorts;
        size_t n = 0;
        int c, r;

        if (mask & OPTIONS_GLOBAL) {
                last.mask = mask;
                last.stops_at_word = stops_at_word;
                last.argc = argc;
                last.argv = argv;
                snprintf(last.verb, sizeof(last.verb), "%s", strempty(verb));
        }
        if (!isempty(verb))
                snprintf(prefix, sizeof(prefix), "%s: ", verb);
        if (stops_at_word)
                *p++ = '+';
        *p++ = ':';
        FOREACH_ELEMENT(o, options) {
                if (!(o->verbs & mask))
                        continue;
                if (o->letter) {
                        *p++ = o->letter;
                        if (o->argument)
                                *p++ = ':';
                }
                if (o->name)
                        longs[n++] = (struct option){ o->name, o->argument ? required_argument : no_argument,
                                                      NULL, LONG_BASE + (int) (o - options) };
        }
        *p = 0;

        arg_words_behind = 0;
        for (int i = 1; i < argc && arg_words_behind == 0; i++)
                if (streq(argv[i], "--"))
                        arg_words_behind = argc - i - 1;

        optind = 0; /* glibc: start afresh */
        opterr = 0;
        while ((c = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
                const Option *found = c >= LONG_BASE ? options + (c - LONG_BASE) : NULL;

                if (c == ':' || c == '?')
                        return bad_option(prefix, c, argv[optind - 1]);
                FOREACH_ELEMENT(o, options)
                        if (!found && (o->verbs & mask) && o->letter == c)
                                found = o;
                r = parse_one(prefix, found, optarg);
                if (r < 0)
                        return r;
        }
        if (optind < 1 || !streq(argv[optind - 1], "--")) /* it was the value of an option */
                arg_words_behind = 0;
        return optind;
}

void options_print_help(unsigned mask) {
        FOREACH_ELEMENT(o, options) {
                char left[64];

                if (!(o->verbs & mask) || !o->help)
                        continue;
                snprintf(left, sizeof(left), "%c%c%s%s%s%s%s", o->letter ? '-' : ' ', o->letter ?: ' ',
                         o->letter && o->name ? ","
                         : o->name            ? " "
                                              : "",
                         o->name ? " --" : "", o->name ?: "",
                         !o->argument ? ""
                         : o->name    ? "="
                                      : " ",
                         strempty(o->argument));
                _cleanup_free_ char *plain = text_plain(left);

                if (!plain)
                        continue;
                if (text_width(plain) > 30)
                        help_printf("  %s\n  %30s %s\n", plain, "", o->help);
                else
                        help_printf("  %s%*s %s\n", plain, (int) (30 - text_width(plain)), "", o->help);
        }
}

static bool is_string(const Option *o) {
        return o->parse == option_string || o->parse == option_queue || o->parse == option_type || o->parse == option_name || o->parse == option_file ||
               o->parse == option_job_file || o->parse == option_environment || o->parse == option_request_id ||
               o->parse == option_order || o->parse == option_unique || o->parse == option_unique_policy ||
               o->parse == option_unique_scope || o->parse == option_log_format || o->parse == option_oldest || o->parse == option_callback;
}

static bool is_list(const Option *o) {
        return o->parse == option_append || o->parse == option_after || o->parse == option_tag || o->parse == option_new_tag || o->parse == option_credential ||
               o->parse == option_variable || o->parse == option_property || o->parse == option_words ||
               o->parse == option_queues || o->parse == option_types || o->parse == option_groups || o->parse == option_states || o->parse == option_results ||
               o->parse == option_callback_events || o->parse == option_units;
}

static void free_target(const Option *o) {
        if (o->parse == option_users) {
                UidList *l = o->target;

                l->uids = mfree(l->uids);
                l->n = 0;
        } else if (is_string(o))
                *(char **) o->target = mfree(*(char **) o->target);
        else if (is_list(o))
                *(char ***) o->target = strv_free(*(char ***) o->target);
}

void options_done(void) {
        FOREACH_ELEMENT(o, options)
                free_target(o);
}

void options_reset_submit(void) {
        FOREACH_ELEMENT(o, options)
                if (o->verbs & OPTIONS_SUBMIT)
                        free_target(o);
        arg_submit = (SubmitArgs) SUBMIT_ARGS_DEFAULT;
        arg_wait = false;
}

bool options_submit_given(void) {
        static const SubmitArgs none = SUBMIT_ARGS_DEFAULT;

        return memcmp(&arg_submit, &none, sizeof(none)) != 0;
}

int options_parse_again(void) {
        return options_parse(last.verb, last.mask, last.stops_at_word, last.argc, last.argv);
}
