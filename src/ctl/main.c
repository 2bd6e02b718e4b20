/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill, the command-line tool: global options, a verb, the verb's options and words. The table of verbs
 * is also the help. Errors go to standard error, one line and no help; what is printed on standard output is
 * the answer and nothing else. */

#include "base/strv.h"
#include "ctl/complete.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/set.h"
#include "ctl/terminal.h"
#include <locale.h>
#include <signal.h>

#define F OPTIONS_FILTER
#define B (OPTIONS_FILTER | OPTIONS_BULK)

static int verb_help(int argc, char **argv);

static const Verb verbs[] = {
        { "submit", 0, -1, OPTIONS_SUBMIT, true, verb_submit, "[OPTION…] [--] COMMAND [ARGUMENT…]",
          "Queue a command, a script or many jobs; prints the id of each" },
        { "run", 1, -1, OPTIONS_RUN, true, verb_run, "[OPTION…] [--] COMMAND [ARGUMENT…]",
          "Wait for a place in a queue, then run a command here; its exit status" },
        { "list", 0, 0, F | OPTIONS_LIST, false, verb_list, "[FILTER…]", "List jobs, newest first" },
        { "top", 0, 0, F | OPTIONS_TOP, false, verb_top, "[FILTER…]", "Watch jobs and queues, and act on them by keys",
          "Keys: arrows move, s sorts, / searches, c cancels, h holds or releases, p pauses or resumes a queue, Tab goes to\n"
          "the queues, ? shows all keys, q quits. It follows the daemon's signals." },
        { "show", 0, -1, OPTIONS_SHOW, false, verb_show, "[--tree] [ID…]", "Show all about jobs (default: your newest)" },
        { "history", 0, 0, F | OPTIONS_HISTORY, false, verb_history, "[FILTER…]", "List what is done, the latest first, and how each attempt ended" },
        { "report", 0, 0, OPTIONS_REPORT, false, verb_report, "[--by=GROUP,…]",
          "Show how many jobs there were, how they ended, and what they took",
          "What was counted stays counted when jobs are purged: by the minute at first, later by the hour and by the\n"
          "day. WAIT is the mean of attempts, RUN, SLOT-TIME (run time for each slot) and CPU are sums." },
        { "logs", 1, 1, OPTIONS_LOGS, false, verb_logs, "[-f] ID", "Print what a job wrote" },
        { "wait", 0, -1, F | OPTIONS_WAIT, false, verb_wait, "ID…|FILTER…",
          "Wait until jobs (of a filter: unfinished ones) are done; the first failure's exit status" },
        { "cancel", 0, -1, B, false, verb_cancel, "ID…|FILTER…", "Take jobs out of the queue, or end them" },
        { "kill", 0, -1, B | OPTIONS_KILL, false, verb_kill, "[-s SIGNAL] ID…|FILTER…",
          "Send a signal to running jobs" },
        { "hold", 0, -1, B, false, verb_hold, "ID…|FILTER…", "Keep jobs from starting" },
        { "release", 0, -1, B, false, verb_release, "ID…|FILTER…", "Let held jobs start" },
        { "freeze", 0, -1, B, false, verb_freeze, "ID…|FILTER…", "Let running jobs stand still; they keep their slots" },
        { "thaw", 0, -1, B, false, verb_thaw, "ID…|FILTER…", "Let frozen jobs run on" },
        { "retry", 0, -1, B | OPTIONS_RETRY, false, verb_retry, "[--attempts=N] [--in=SPAN] ID…|FILTER…",
          "Run finished jobs once more; of a filter: those that failed" },
        { "set", 1, -1, B, false, verb_set, "ID…|FILTER… SETTING=VALUE… [-- COMMAND…]", "Change jobs that have not started" },
        { "move", 1, -1, B, false, verb_move, "ID…|FILTER… QUEUE", "Put jobs that have not started into another queue" },
        { "purge", 0, -1, B, false, verb_purge, "ID…|FILTER…", "Forget finished jobs" },
        { "queue", 0, 0, 0, false, verb_queue_list, NULL, NULL },
        { "queue list", 0, 0, 0, false, verb_queue_list, "", "List queues" },
        { "queue show", 1, -1, 0, false, verb_queue_show, "QUEUE…", "Show all about queues" },
        { "queue set", 1, -1, OPTIONS_QUEUE_SET, false, verb_queue_set, "[--runtime] QUEUE SETTING=VALUE…",
          "Change a queue, or make one",
          "Settings are those of queue files: of [Queue] as they are (Slots, AllowUsers, TimeoutSec, …), unit\n"
          "properties for all jobs of the queue together (MemoryMax, CPUWeight, …), and after \"Service.\" for each\n"
          "of them (Service.MemoryMax). Given more than once, they are the lines of a list. Without a value a\n"
          "setting goes back to its default. They hold at once and for good; nothing that runs is ended." },
        { "queue remove", 1, -1, 0, false, verb_queue_remove, "QUEUE…",
          "Delete the files of queues that have no jobs to do" },
        { "queue pause", 1, -1, 0, false, verb_queue_pause, "QUEUE…", "Start no more jobs of queues" },
        { "queue resume", 1, -1, 0, false, verb_queue_resume, "QUEUE…", "End a pause, or draining" },
        { "queue drain", 1, -1, 0, false, verb_queue_drain, "QUEUE…", "Take no more jobs into queues" },
        { "worker", 0, 0, 0, false, verb_worker_list, NULL, NULL },
        { "worker list", 0, 0, 0, false, verb_worker_list, "", "List the processes that are given jobs" },
        { "worker drain", 1, -1, 0, false, verb_worker_drain, "WORKER…", "Give workers no more jobs" },
        { "type", 0, 0, 0, false, verb_type_list, NULL, NULL },
        { "type list", 0, 0, 0, false, verb_type_list, "", "List job types" },
        { "type show", 1, -1, 0, false, verb_type_show, "TYPE…", "Show all about job types" },
        { "schedule", 0, 0, 0, false, verb_schedule_list, NULL, NULL },
        { "schedule list", 0, 0, 0, false, verb_schedule_list, "", "List schedules" },
        { "schedule show", 1, -1, 0, false, verb_schedule_show, "SCHEDULE…", "Show all about schedules, and what came of them" },
        { "schedule set", 1, -1, OPTIONS_SUBMIT, false, verb_schedule_set, "[OPTION…] SCHEDULE SETTING=VALUE… [-- COMMAND…]",
          "Submit a job by the calendar, or every so often",
          "Settings are OnCalendar (as in systemd.time(7)) or OnUnitActiveSec, Persistent, RandomizedDelaySec,\n"
          "AccuracySec, and Overlap=skip|queue|replace: what if the last job is not done. What is not given stays\n"
          "what it was. The job is a command behind --, or --type; it gets nothing of this shell's environment and\n"
          "directory but what -E, --env and -C say." },
        { "schedule remove", 1, -1, 0, false, verb_schedule_remove, "SCHEDULE…", "Forget schedules; their jobs go on" },
        { "schedule pause", 1, -1, 0, false, verb_schedule_pause, "SCHEDULE…", "Let schedules submit nothing" },
        { "schedule resume", 1, -1, 0, false, verb_schedule_resume, "SCHEDULE…", "End a pause; what fell into it is not made up for" },
        { "schedule fire", 1, -1, 0, false, verb_schedule_fire, "SCHEDULE…", "Submit the job of schedules now; prints the id of each" },
        { "stats", 0, 0, 0, false, verb_stats, "", "Show what the daemon counts" },
        { "metrics", 0, 0, 0, false, verb_metrics, "", "Print metrics, as Prometheus reads them" },
        { "backup", 1, 1, 0, false, verb_backup, "FILE|-", "Copy the database, while everything runs" },
        { "check", 0, 0, OPTIONS_CHECK, false, verb_check, "[--repair|--accept]", "Look for leftovers and for what is not in order in the store" },
        { "verify", 0, -1, 0, false, verb_verify, "[FILE…]", "Check configuration files; no daemon is needed" },
        { "help", 0, 2, 0, false, verb_help, "[VERB]", "Show this, or a verb's options" },
};

static const Verb overview = { "", 0, 0, 0, false, verb_overview, "", "" };

/* The longest name that the words begin with. */
static const Verb *verb_find(int argc, char **argv, int *ret_words) {
        const Verb *found = NULL;

        FOREACH_ELEMENT(v, verbs) {
                const char *space = strchr(v->name, ' ');
                size_t n = space ? (size_t) (space - v->name) : strlen(v->name);

                if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], v->name, n) != 0)
                        continue;
                if (space && (argc < 2 || !streq(argv[1], space + 1)))
                        continue;
                found = v;
                *ret_words = space ? 2 : 1;
        }
        return found;
}

/* Those that begin with the word, or all. */
static void print_verbs(const char *word) {
        size_t l = strlen(word);

        help_printf("%sVerbs:%s\n", color(COLOR_BOLD), color(COLOR_OFF));
        FOREACH_ELEMENT(v, verbs)
                if (v->help && strncmp(v->name, word, l) == 0)
                        help_printf("  %-16s %s\n", v->name, v->help);
}

static void print_help(void) {
        pager_open();
        help_printf("jobmill [OPTION…] [VERB …]\n\nA job queue that runs each job as a systemd unit. Without a "
               "verb: an overview.\n\n");
        print_verbs("");
        help_printf("\n%sOptions:%s\n", color(COLOR_BOLD), color(COLOR_OFF));
        options_print_help(OPTIONS_GLOBAL);
        help_printf("\nAn ID may be @last: your newest job. See also: jobmill help VERB, jobmill(1)\n");
}

static void print_settings(void) {
        const char *key, *help;

        help_printf("\n%sSettings:%s an empty value removes\n", color(COLOR_BOLD), color(COLOR_OFF));
        for (size_t i = 0; (key = settings_key(i, &help)); i++)
                help_printf("  %-14s %s\n", key, help);
        help_printf("  %-14s %s\n", "MemoryMax", "… and every other unit property by its name");
}

static void print_verb_help(const Verb *v) {
        pager_open();
        if (!v->help) { /* the first of several words */
                help_printf("jobmill %s [VERB …]\n\n", v->name);
                print_verbs(v->name);
                return;
        }
        help_printf("jobmill %s %s\n\n%s.\n", v->name, strempty(v->arguments), strempty(v->help));
        if (v->more)
                help_printf("\n%s\n", v->more);
        if (v->options & OPTIONS_FILTER)
                help_printf("\n%sFilter:%s\n", color(COLOR_BOLD), color(COLOR_OFF));
        options_print_help(v->options & OPTIONS_FILTER);
        if (v->options & ~OPTIONS_FILTER)
                help_printf("\n%sOptions:%s\n", color(COLOR_BOLD), color(COLOR_OFF));
        options_print_help(v->options & ~OPTIONS_FILTER);
        if (v->run == verb_set)
                print_settings();
}

static int verb_help(int argc, char **argv) {
        const Verb *v;
        int words;

        if (argc == 0) {
                print_help();
                return 0;
        }
        v = verb_find(argc, argv, &words);
        if (!v || words != argc)
                return ctl_error(-EINVAL, "There is no verb %s", argv[words == 1 && v ? 1 : 0]);
        print_verb_help(v);
        return 0;
}

/* "list, wait, purge" */
static const char *name_verbs(unsigned mask) {
        static char text[256];
        size_t n = 0;

        if (mask & OPTIONS_GLOBAL)
                return "jobmill itself";
        FOREACH_ELEMENT(v, verbs)
                if (v->help && (v->options & mask))
                        n = MIN(n + snprintf(text + n, sizeof(text) - n, "%s%s", n > 0 ? ", " : "", v->name),
                                sizeof(text) - 1);
        return text;
}

static int check_words(const Verb *v, int n, char **words) {
        if (n < v->min)
                return ctl_error(-EINVAL, "%s: something is missing: jobmill %s %s", v->name, v->name,
                                 v->arguments);
        if (!v->help && n > 0)
                return ctl_error(-EINVAL, "There is no verb %s %s (jobmill help %s shows them)", v->name, *words, v->name);
        if (v->max >= 0 && n > v->max)
                return ctl_error(-EINVAL, "%s: unexpected word: %s", *v->name ? v->name : "jobmill",
                                 words[v->max]);
        return 0;
}

static int run(int argc, char **argv) {
        const Verb *v = &overview;
        int first, words = 0, r;

        if (argc > 1 && streq(argv[1], "__complete"))
                return complete_line(verbs, ELEMENTSOF(verbs), argc - 2, argv + 2);
        first = options_parse(NULL, OPTIONS_GLOBAL, true, argc, argv);
        if (first < 0)
                return first;
        if (first < argc) {
                v = verb_find(argc - first, argv + first, &words);
                if (!v)
                        return ctl_error(-EINVAL, "There is no verb %s (jobmill help shows them)",
                                         argv[first]);
        }
        if (v->run == verb_wait || v->run == verb_run)
                arg_wait = true;
        if (words > 0) {
                /* Whatever stands before the first word counts as the program's name. */
                argc -= first + words - 1;
                argv += first + words - 1;
                first = options_parse(v->name, OPTIONS_GLOBAL | v->options, v->stops_at_word, argc, argv);
                if (first < 0)
                        return first;
        }
        if (arg_version) {
                printf("jobmill %s\n", JOBMILL_VERSION);
                return 0;
        }
        if (arg_help) {
                if (v == &overview)
                        print_help();
                else
                        print_verb_help(v);
                return 0;
        }
        if (arg_user && arg_system)
                return ctl_error(-EINVAL, "--user and --system cannot be combined");
        r = check_words(v, argc - first, argv + first);
        return r < 0 ? r : v->run(argc - first, argv + first);
}

int main(int argc, char **argv) {
        int r;

        terminal_claim_streams();
        (void) setlocale(LC_ALL, "");
        options_name_verbs = name_verbs;
        (void) signal(SIGPIPE, SIG_DFL); /* `jobmill list | head` ends quietly, whatever started us */
        r = run(argc, argv);
        options_done();
        pager_close();
        if (r == -EPIPE && pager_was_left())
                r = 0;
        if (output_flush() < 0)
                r = -EIO;
        if (r < 0)
                return arg_wait ? EXIT_OTHER_FAILURE : EXIT_FAILURE;
        return r;
}
