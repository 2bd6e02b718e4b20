/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All options in one table: which verbs take one, how its value is read, where it goes, what the help says.
 * Before the verb only the global ones are known, behind it those of the verb too; a letter may mean
 * different things to different verbs. */

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include <getopt.h>

bool arg_help, arg_version;
bool arg_user, arg_system, arg_quiet, arg_legend = true, arg_ask_password = true, arg_pager = true;
char *arg_host, *arg_machine;
JsonMode arg_json;
Filter arg_filter = { .since = USEC_INFINITY, .until = USEC_INFINITY };
SubmitArgs arg_submit = {
        .slots = UINT32_MAX,
        .uid = UINT32_MAX,
        .at = USEC_INFINITY,
        .in = USEC_INFINITY,
        .timeout = USEC_INFINITY,
        .stop_timeout = USEC_INFINITY,
};
char **arg_columns;
uint32_t arg_lines = UINT32_MAX;
bool arg_follow, arg_wait;
usec_t arg_timeout = USEC_INFINITY;
int arg_signal;

static int option_true(const char *value, void *target) {
        *(bool *) target = true;
        return 0;
}

static int option_false(const char *value, void *target) {
        *(bool *) target = false;
        return 0;
}

static int option_boolean(const char *value, void *target) {
        int r = parse_boolean(value);

        if (r >= 0)
                *(bool *) target = r;
        return r;
}

static int option_string(const char *value, void *target) {
        return free_and_strdup(target, value);
}

static int option_append(const char *value, void *target) {
        return strv_extend(target, value);
}

static int option_tag(const char *value, void *target) {
        const char *e = strchr(value, '=');

        return e && e != value ? strv_extend(target, value) : -EINVAL;
}

static int option_words(const char *value, void *target) {
        char **words = strv_split(value, ",");
        int r = words ? 0 : -ENOMEM;

        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = strv_extend(target, *w);
        if (words && !words[0])
                r = -EINVAL;
        strv_free(words);
        return r;
}

static int option_i32(const char *value, void *target) {
        return parse_i32(value, target);
}

static int option_u32(const char *value, void *target) {
        uint32_t u;
        int r = parse_u32(value, &u);

        if (r >= 0 && u == UINT32_MAX)
                r = -ERANGE;
        if (r >= 0)
                *(uint32_t *) target = u;
        return r;
}

static int option_span(const char *value, void *target) {
        return parse_span(value, target);
}

static int option_time(const char *value, void *target) {
        return parse_timestamp(value, now_usec(CLOCK_REALTIME), target);
}

static int option_signal(const char *value, void *target) {
        int s = signal_from_string(value);

        if (s > 0)
                *(int *) target = s;
        return s > 0 ? 0 : -EINVAL;
}

static int option_order(const char *value, void *target) {
        if (!streq(value, "newest") && !streq(value, "oldest") && !streq(value, "rank") &&
            !streq(value, "finished"))
                return -EINVAL;
        return free_and_strdup(target, value);
}

static int option_oldest(const char *value, void *target) {
        return free_and_strdup(target, "oldest");
}

static int option_user(const char *value, void *target) {
        return uid_from_user(value, target);
}

static int option_users(const char *value, void *target) {
        UidList *l = target;
        char **words = strv_split(value, ",");
        int r = words && words[0] ? 0 : -EINVAL;

        STRV_FOREACH(w, words) {
                uint32_t *more = reallocarray(l->uids, l->n + 1, sizeof(uint32_t));

                if (!more) {
                        r = -ENOMEM;
                        break;
                }
                l->uids = more;
                r = uid_from_user(*w, l->uids + l->n);
                if (r < 0)
                        break;
                l->n++;
        }
        strv_free(words);
        return r;
}

static int option_json(const char *value, void *target) {
        JsonMode *mode = target;

        if (!value)
                *mode = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
        else if (streq(value, "short"))
                *mode = JSON_SHORT;
        else if (streq(value, "pretty"))
                *mode = JSON_PRETTY;
        else if (streq(value, "off"))
                *mode = JSON_OFF;
        else
                return -EINVAL;
        return 0;
}

#define S OPTIONS_SUBMIT
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
        { "legend", 0, "BOOL", OPTIONS_GLOBAL, option_boolean, &arg_legend, NULL },
        { "no-pager", 0, NULL, OPTIONS_GLOBAL, option_false, &arg_pager, "Do not pipe output into a pager" },
        { "no-ask-password", 0, NULL, OPTIONS_GLOBAL, option_false, &arg_ask_password,
          "Do not let polkit ask" },

        { "queue", 'q', "QUEUE", S, option_string, &arg_submit.queue, "The queue (default: default)" },
        { "name", 'n', "NAME", S, option_string, &arg_submit.name, "A name for people" },
        { "priority", 0, "N", S, option_i32, &arg_submit.priority, "-1000 to 1000, higher first" },
        { "slots", 0, "N", S, option_u32, &arg_submit.slots, "Slots it takes of the queue (default: 1)" },
        { "at", 0, "TIME", S, option_time, &arg_submit.at, "Not before this time" },
        { "in", 0, "SPAN", S, option_span, &arg_submit.in, "Not before this much time has passed" },
        { "timeout", 0, "SPAN", S, option_span, &arg_submit.timeout, "End it when it runs longer" },
        { "stop-timeout", 0, "SPAN", S, option_span, &arg_submit.stop_timeout, "From SIGTERM to SIGKILL" },
        { "env", 0, "all|none|VARIABLE,…", S, option_string, &arg_submit.env,
          "What of your environment it gets" },
        { NULL, 'E', "VARIABLE[=VALUE]", S, option_append, &arg_submit.set, "Set or pass one variable" },
        { NULL, 'C', "DIRECTORY", S, option_string, &arg_submit.directory, "Run there instead of here" },
        { "property", 'p', "PROPERTY=VALUE", S, option_append, &arg_submit.properties,
          "A unit property, such as MemoryMax=2G" },
        { "payload", 0, "FILE|-", S, option_string, &arg_submit.payload, "Its standard input" },
        { "tag", 0, "KEY=VALUE", S, option_tag, &arg_submit.tags, "A tag to find it by" },
        { "uid", 0, "USER", S, option_user, &arg_submit.uid, "Run it as another user, inheriting nothing" },
        { "hold", 0, NULL, S, option_true, &arg_submit.hold, "Start it only after `jobmill release`" },
        { "wait", 0, NULL, S, option_true, &arg_wait, "Wait for its end, and exit with its status" },

        { "queue", 'q', "QUEUE,…", F, option_words, &arg_filter.queues, "Jobs in these queues" },
        { "state", 0, "STATE,…", F, option_words, &arg_filter.states,
          "held, waiting, ready, starting, running, stopping, done" },
        { "result", 0, "RESULT,…", F, option_words, &arg_filter.results,
          "success, exit-code, signal, timeout, lost, …" },
        { "dead", 0, NULL, F, option_true, &arg_filter.dead, "Jobs that failed for good" },
        { "owner", 0, "USER,…", F, option_users, &arg_filter.owners, "Jobs of these users" },
        { "tag", 0, "KEY=VALUE", F, option_tag, &arg_filter.tags,
          "Jobs with this tag; several: with all of them" },
        { "name", 0, "NAME", F, option_string, &arg_filter.name, "Jobs of this name" },
        { "since", 0, "TIME", F, option_time, &arg_filter.since, "Submitted at this time or later" },
        { "until", 0, "TIME", F, option_time, &arg_filter.until, "Submitted at this time or earlier" },

        { "lines", 'n', "N", OPTIONS_LIST, option_u32, &arg_lines, "Only the first N" },
        { "columns", 'o', "COLUMN,…", OPTIONS_LIST, option_words, &arg_columns,
          "These columns; +COLUMN: more of them; help: which there are" },
        { "order", 0, "newest|oldest|rank|finished", OPTIONS_LIST, option_order, &arg_filter.order,
          "rank: as they will start; finished: the latest first" },
        { "reverse", 'r', NULL, OPTIONS_LIST, option_oldest, &arg_filter.order, "Oldest first" },
        { "lines", 'n', "N", OPTIONS_LOGS, option_u32, &arg_lines, "Only the last N lines" },
        { "follow", 'f', NULL, OPTIONS_LOGS, option_true, &arg_follow, "Go on until the job is done" },
        { "timeout", 0, "SPAN", OPTIONS_WAIT, option_span, &arg_timeout, "Give up then, with status 124" },
        { "runtime", 0, NULL, OPTIONS_QUEUE_SET, option_true, &arg_runtime, "Until the next boot only" },
        { "signal", 's', "SIGNAL", OPTIONS_KILL, option_signal, &arg_signal, "Which one (default: TERM)" },
};

const Option *options_table(size_t *ret_n) {
        *ret_n = ELEMENTSOF(options);
        return options;
}

#define LONG_BASE 0x100

static int parse_one(const char *verb, const Option *o, const char *value) {
        int r;

        r = o->parse(value, o->target);
        if (r >= 0)
                return 0;
        if (r == -ENOMEM)
                return ctl_oom();
        if (o->parse == option_user || o->parse == option_users)
                return ctl_error(r, "%s--%s: there is no user %s", verb, o->name, value);
        return ctl_error(r, "%s%s%s: cannot make sense of '%s' (wanted: %s)", verb, o->name ? "--" : "-",
                         o->name ?: (char[]){ o->letter, 0 }, value, o->argument);
}

int options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv) {
        struct option longs[ELEMENTSOF(options) + 1] = {};
        char shorts[2 * ELEMENTSOF(options) + 3], prefix[64] = "", *p = shorts;
        size_t n = 0;
        int c, r;

        if (verb)
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

        optind = 0; /* glibc: start afresh */
        opterr = 0;
        while ((c = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
                const Option *found = c >= LONG_BASE ? options + (c - LONG_BASE) : NULL;

                if (c == ':')
                        return ctl_error(-EINVAL, "%s%s needs a value", prefix, argv[optind - 1]);
                if (c == '?')
                        return optopt > 0 && optopt < LONG_BASE
                                               ? ctl_error(-EINVAL, "%sunknown option -%c", prefix, optopt)
                                               : ctl_error(-EINVAL, "%sunknown option %s", prefix,
                                                           argv[optind - 1]);
                FOREACH_ELEMENT(o, options)
                        if (!found && (o->verbs & mask) && o->letter == c)
                                found = o;
                r = parse_one(prefix, found, optarg);
                if (r < 0)
                        return r;
        }
        return optind;
}

/* Characters, not bytes. */
static size_t text_width(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += ((unsigned char) *s & 0xc0) != 0x80;
        return n;
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
                printf("  %s%*s %s\n", left, (int) (30 - MIN(text_width(left), (size_t) 30)), "", o->help);
        }
}

void options_done(void) {
        FOREACH_ELEMENT(o, options)
                if (o->parse == option_string || o->parse == option_order || o->parse == option_oldest)
                        *(char **) o->target = mfree(*(char **) o->target);
                else if (o->parse == option_append || o->parse == option_tag || o->parse == option_words)
                        *(char ***) o->target = strv_free(*(char ***) o->target);
                else if (o->parse == option_users) {
                        UidList *l = o->target;

                        l->uids = mfree(l->uids);
                        l->n = 0;
                }
}
