/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* logs: what a job wrote, of all its attempts in their order. Who may read the journal reads it (log-journal.c), others ask the
 * daemon for their job's lines (log-stream.c). What went to files is not there; where it is, is said. */

#include "api/protocol.h"
#include "base/strv.h"
#include "ctl/log.h"
#include "ctl/output.h"

#include <poll.h>

LogFormat log_format(void) {
        return arg_json != JSON_OFF ? LOG_FORMAT_JSON : arg_log.format ? log_format_from_string(arg_log.format) : LOG_FORMAT_CAT;
}

bool log_output_is_closed(void) {
        struct pollfd fd = { .fd = STDOUT_FILENO };

        return ferror(stdout) || (poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLNVAL)));
}

/* ---- where the job stands ---- */

int log_look(Log *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_(job_info_done) JobInfo a = JOB_INFO_INIT;
        const char *state;
        int r;

        if (!l->bus) {
                r = bus_open_quietly(&l->bus);
                if (r < 0)
                        return 0;
        }
        r = bus_new_call(l->bus, &call, "WaitJob");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "tt", l->id, UINT64_C(0));
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_call(l->bus, call, 0, &e, &reply);
        if (r < 0 && bus_error_is_transient(&e, r)) {
                l->bus = sd_bus_close_unref(l->bus);
                return 0;
        }
        if (sd_bus_error_has_name(&e, JOBMILL_ERROR_NO_SUCH_JOB)) { /* purged while we looked on */
                l->done = true;
                return 0;
        }
        if (r < 0)
                return ctl_error(r, "job %" PRIu64 ": %s", l->id, bus_error_text(&e, r));
        r = sd_bus_message_read(reply, "ss", &state, NULL);
        if (r >= 0)
                r = job_info_read(reply, &a);
        if (r >= 0 && l->found)
                r = l->found(l, &a);
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        l->separate = l->separate || a.attempt > 1;
        l->done = streq(state, "done");
        return 0;
}

/* ---- lines ---- */

bool log_wants(const LogEntry *e) {
        return arg_log.attempt == 0 || log_entry_attempt(e) == arg_log.attempt;
}

int log_show(Log *l, const LogEntry *e) {
        uint32_t attempt = log_entry_attempt(e);
        size_t n;

        if (!log_wants(e) || (l->format == LOG_FORMAT_CAT && !log_entry_get(e, "MESSAGE", &n)))
                return 0;
        if (attempt > 0 && attempt != l->attempt) {
                if (l->separate && arg_log.attempt == 0 && isatty(STDOUT_FILENO) && l->format <= LOG_FORMAT_SHORT_ISO)
                        printf("%s-- attempt %" PRIu32 " --%s\n", color(COLOR_GREY), attempt, color(COLOR_OFF));
                l->attempt = attempt;
        }
        l->printed = true;
        return log_entry_print(e, l->format);
}

/* ---- the verb ---- */

static void say_where_else(const JobInfo *j) {
        if (!arg_legend || arg_quiet)
                return;
        if (j->output_file)
                fprintf(stderr, "Its standard output is in %s%s\n", j->output_file,
                        j->cwd && j->output_file[0] != '/' ? ", as seen from its directory." : ".");
        if (j->error_file && !streq_ptr(j->error_file, j->output_file))
                fprintf(stderr, "Its standard error is in %s%s\n", j->error_file,
                        j->cwd && j->error_file[0] != '/' ? ", as seen from its directory." : ".");
}

static int check_attempt(const JobInfo *j) {
        if (arg_log.attempt <= j->attempt || arg_follow)
                return 0;
        return j->attempt == 0 ? ctl_error(-ENOENT, "logs: job %" PRIu64 " has not been started", j->id)
                               : ctl_error(-ENOENT, "logs: job %" PRIu64 " has only %" PRIu32 " attempt%s", j->id, j->attempt,
                                           j->attempt == 1 ? "" : "s");
}

int verb_logs(int argc, char **argv) {
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        Log l = { .format = log_format() };
        int r;

        if (arg_host)
                return arg_user ? bus_open(&l.bus) : log_run_there(argv[0]);
        r = bus_open(&l.bus);
        if (r >= 0)
                r = job_id_resolve(l.bus, argv[0], &l.id);
        if (r >= 0)
                r = job_info_get(l.bus, l.id, &j);
        if (r >= 0)
                r = check_attempt(&j);
        if (r >= 0 && streq_ptr(j.executor, "scope")) {
                sd_bus_flush_close_unref(l.bus);
                if (!arg_quiet)
                        fprintf(stderr, "It ran in a terminal (jobmill run), and what it wrote there was not kept.\n");
                return 0;
        }
        if (r >= 0) {
                l.separate = j.attempt > 1;
                l.owner = j.owner;
                say_where_else(&j);
                /* Of a user's units it is not so easy to find all lines: log-child.c. */
                if (!arg_machine && !arg_user && !streq_ptr(j.output, "spool") && log_journal_is_readable())
                        r = log_from_journal(&l);
                else
                        r = log_from_daemon(&l);
        }
        sd_bus_flush_close_unref(l.bus);
        if (r >= 0 && !l.printed && arg_legend && !arg_quiet && !j.output_file)
                fprintf(stderr, "%s\n", l.attempt == 0 && j.attempt == 0 && !arg_follow ? "It has not been started." :
                                                                                           "It wrote no line that you may read.");
        return r;
}
