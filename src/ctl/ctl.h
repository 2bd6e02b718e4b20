/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command-line tool: what was asked for on the command line, and the helpers that every verb uses. Verbs
 * say themselves what went wrong (once, by ctl_error()) and return a negative errno, or the exit status. */

#include "base/macro.h"
#include "ctl/backoff.h"
#include <systemd/sd-bus.h>

/* Exit statuses of what waits for jobs, besides those of the jobs; everything else ends in EXIT_FAILURE. */
#define EXIT_TIMED_OUT 124
#define EXIT_OTHER_FAILURE 125
#define EXIT_NOT_STARTED 127

/* Which verbs take an option. */
enum {
        OPTIONS_GLOBAL = 1 << 0,
        OPTIONS_SUBMIT = 1 << 1,
        OPTIONS_FILTER = 1 << 2,
        OPTIONS_LIST = 1 << 3,
        OPTIONS_LOGS = 1 << 4,
        OPTIONS_WAIT = 1 << 5,
        OPTIONS_KILL = 1 << 6,
        OPTIONS_QUEUE_SET = 1 << 7,
        OPTIONS_BULK = 1 << 8,
        OPTIONS_CHECK = 1 << 9,
        OPTIONS_RETRY = 1 << 10,
        OPTIONS_SHOW = 1 << 11,
        OPTIONS_HISTORY = 1 << 12,
        OPTIONS_REPORT = 1 << 13,
        OPTIONS_RUN = 1 << 14,
        OPTIONS_TOP = 1 << 15,
};

typedef struct Verb {
        const char *name;                  /* "queue list": two words */
        int min, max;                      /* words behind it; max -1: any number */
        unsigned options;                  /* OPTIONS_…, the global ones always */
        bool stops_at_word;                /* options end at the first other word: the rest is a command */
        int (*run)(int argc, char **argv); /* argv[0] is the first word behind the verb */
        const char *arguments;             /* for the help */
        const char *help;
        const char *more; /* what only the verb's own help says, or NULL */
} Verb;

typedef enum JsonMode {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
} JsonMode;

typedef struct UidList {
        uint32_t *uids;
        size_t n;
} UidList;

typedef struct Filter {
        char **queues, **types, **states, **results, **tags; /* tags: KEY=VALUE */
        UidList owners;
        char *name;
        bool dead, collapse;
        usec_t since, until;
        uint64_t flow, array; /* 0: any */
        char *order; /* of lists; NULL: newest first */
} Filter;

typedef struct SubmitArgs {
        char *queue, *type, *name, *directory, *payload, *env, *script, *file, *flow, *output, *error, *request_id,
                        *unique, *unique_policy, *unique_scope, *callback;
        const char *verify, *to; /* words of the spec's "verify" and "stdout"; NULL: not given */
        char **set, **properties, **tags, **after, **credentials; /* the last: NAME=FILE */
        int32_t priority; /* INT32_MIN: not given */
        uint32_t slots; /* UINT32_MAX: not given */
        usec_t at, in, deadline, timeout, stop_timeout, keep; /* USEC_INFINITY: not given */
        struct ArrayArg { uint32_t n, max_running; } array; /* 0: not given */
        uint32_t uid; /* UINT32_MAX: not given */
        uint32_t attempts;    /* 0: not given */
        Backoff backoff;
        char **retry_on, **callback_events, **on_success, **on_failure;
        bool requeue_lost;
        double memory_growth; /* 0: not given */
        bool hold, freezable, dry_run;
} SubmitArgs;

typedef struct RetryArgs {
        uint32_t attempts; /* 0: not given */
        usec_t in;         /* USEC_INFINITY: not given */
} RetryArgs;

typedef struct LogArgs {
        char *format;     /* NULL: cat */
        uint32_t attempt; /* 0: all */
} LogArgs;

extern bool arg_help, arg_version;
extern bool arg_user, arg_system, arg_quiet, arg_legend, arg_ask_password, arg_pager;
extern char *arg_host, *arg_machine;
extern JsonMode arg_json;
extern Filter arg_filter;
extern SubmitArgs arg_submit;
extern RetryArgs arg_retry;
extern LogArgs arg_log;
extern char **arg_columns, **arg_by;
extern uint32_t arg_lines; /* UINT32_MAX: all */
extern bool arg_follow, arg_wait, arg_yes, arg_csv;
extern int arg_words_behind; /* "--" */
extern usec_t arg_timeout;
extern bool arg_runtime, arg_tree, arg_accept, arg_repair;
extern int arg_signal;

/* options.c. options_parse() works on argv behind argv[0] and gives the index of the first other word; where
 * stops_at_word is not set, words and options may be mixed. */
int options_parse(const char *verb, unsigned mask, bool stops_at_word, int argc, char **argv);
/* For options that come from elsewhere and count less: forget those of submit, parse them, then once more what was parsed
 * before that. */
void options_reset_submit(void);
bool options_submit_given(void); /* any of them */
int options_parse_again(void);
/* Of which verbs an option is, for a message; NULL: of none. main.c has the table. */
extern const char *(*options_name_verbs)(unsigned mask);
void options_print_help(unsigned mask);
void options_done(void);

/* bus.c */
static inline bool bus_is_elsewhere(void) {
        return arg_host || arg_machine;
}
/* How one would call this tool with the same bus: "jobmill --user". NULL: out of memory. */
char *tool_command(void);
int bus_open(sd_bus **ret);
int bus_open_quietly(sd_bus **ret);
int bus_new_call(sd_bus *bus, sd_bus_message **ret, const char *member);
/* Send it and wait for the answer; polkit may ask for a password. Says nothing but that it takes long. ret may be
 * NULL. A negative errno, and then e. */
int bus_send(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret, sd_bus_error *e);
int bus_send_within(sd_bus *bus, sd_bus_message *call, usec_t timeout, sd_bus_message **ret, sd_bus_error *e);
/* The same. On failure it says "WHAT: why" and returns the errno. ret may be NULL. */
int bus_call(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret, const char *what, ...) _printf_(4, 5);
/* The same for arguments of simple types. */
int bus_call_simple(sd_bus *bus, sd_bus_message **ret, const char *member, const char *what, const char *types, ...);
/* What to tell people about a failed call. Valid as long as e. */
const char *bus_error_text(const sd_bus_error *e, int r);
/* The daemon or the bus went away; asking again later makes sense. */
int bus_error_tell(const sd_bus_error *e, int r, const char *what, ...) _printf_(3, 4); /* returns it */
bool bus_error_is_transient(const sd_bus_error *e, int r);
/* For each word, on a connection of its own; the last error, if any failed. */
int bus_call_each(int argc, char **argv, const char *member);
int bus_append_string(sd_bus_message *m, const char *key, const char *value);
int bus_append_strv(sd_bus_message *m, const char *key, char *const *value);
int bus_append_tags(sd_bus_message *m, const char *key, char *const *assignments);
int bus_append_u32(sd_bus_message *m, const char *key, uint32_t value);
int bus_append_u64(sd_bus_message *m, const char *key, uint64_t value);
int bus_append_boolean(sd_bus_message *m, const char *key, bool value);

/* "42" or "@last": the caller's newest job. Both say what is wrong. */
int job_id_resolve(sd_bus *bus, const char *word, uint64_t *ret);
int job_ids_resolve(sd_bus *bus, int argc, char **argv, uint64_t **ret);

/* verb-queue-set.c: which files a queue has, and what they set */
void queue_print_files(sd_bus *bus, const char *path, char *const *files);

/* filter.c */
bool filter_is_empty(const Filter *f);
int filter_append(sd_bus_message *m, const Filter *f); /* the entries of an open a{sv} */
/* The daemon's words, NULL behind the last one; a test compares. */
extern const char *const job_states[], *const job_results[], *const report_groups[];
int uid_from_user(const char *user, uint32_t *ret);    /* name or number */
extern bool user_names_were_used;                      /* this machine's, which mean nothing on another */

/* Verbs */
int verb_overview(int argc, char **argv), verb_top(int argc, char **argv);
int verb_submit(int argc, char **argv), verb_run(int argc, char **argv);
int verb_list(int argc, char **argv), verb_history(int argc, char **argv), verb_report(int argc, char **argv);
int verb_show(int argc, char **argv), verb_logs(int argc, char **argv), verb_wait(int argc, char **argv);
int verb_cancel(int argc, char **argv), verb_kill(int argc, char **argv);
int verb_hold(int argc, char **argv);
int verb_release(int argc, char **argv);
int verb_freeze(int argc, char **argv);
int verb_thaw(int argc, char **argv);
int verb_retry(int argc, char **argv);
int verb_purge(int argc, char **argv);
int verb_set(int argc, char **argv);
int verb_move(int argc, char **argv);
int verb_type_list(int argc, char **argv), verb_type_show(int argc, char **argv);
int verb_schedule_list(int argc, char **argv), verb_schedule_show(int argc, char **argv);
int verb_schedule_set(int argc, char **argv), verb_schedule_remove(int argc, char **argv), verb_schedule_fire(int argc, char **argv);
int verb_schedule_pause(int argc, char **argv), verb_schedule_resume(int argc, char **argv);
int verb_queue_list(int argc, char **argv);
int verb_queue_show(int argc, char **argv);
int verb_queue_set(int argc, char **argv);
int verb_queue_remove(int argc, char **argv);
int verb_queue_pause(int argc, char **argv), verb_queue_resume(int argc, char **argv);
int verb_queue_drain(int argc, char **argv), verb_worker_list(int argc, char **argv), verb_worker_drain(int argc, char **argv);
int verb_stats(int argc, char **argv), verb_metrics(int argc, char **argv);
int verb_verify(int argc, char **argv);
int verb_check(int argc, char **argv), verb_backup(int argc, char **argv);

/* Wait until all are done; the exit status. print: a line for each job as it ends. */
int wait_for_jobs(const uint64_t *ids, size_t n, usec_t timeout, bool print);
