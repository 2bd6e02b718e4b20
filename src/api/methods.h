/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"

/* Handlers (call_handler_t) and the vtable functions in front of them, by file. */
#define DECLARE_METHOD(name) int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error)
#define DEFINE_METHOD(name)                                                                                  \
        int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error) {                          \
                return call_dispatch(userdata, m, handle_##name);                                            \
        }                                                                                                    \
        struct _semicolon_

/* What the socket has, too. */
#define DECLARE_HANDLER(name) int handle_##name(Call *c, sd_bus_error *error)
DECLARE_HANDLER(submit);
DECLARE_HANDLER(submit_many);
DECLARE_HANDLER(submit_flow);
DECLARE_HANDLER(wait_job);
DECLARE_HANDLER(get_job_info);
DECLARE_HANDLER(list_jobs);
DECLARE_HANDLER(get_statistics); /* bus-statistics.c */
DECLARE_HANDLER(get_metrics);
DECLARE_HANDLER(get_report); /* bus-report.c */
DECLARE_HANDLER(list_types);
DECLARE_HANDLER(list_schedules); /* timer-list.c */
DECLARE_HANDLER(get_schedule);
DECLARE_HANDLER(list_firings);
DECLARE_HANDLER(events); /* events.c */
DECLARE_HANDLER(register); /* worker.c */
DECLARE_HANDLER(complete);
DECLARE_HANDLER(progress);
DECLARE_HANDLER(keep);
DECLARE_HANDLER(drain);
DECLARE_HANDLER(run); /* run.c */
DECLARE_HANDLER(exited);
DECLARE_HANDLER(list_workers); /* worker-list.c */
DECLARE_METHOD(list_workers);
DECLARE_METHOD(drain_worker);
DECLARE_HANDLER(cancel_job);
DECLARE_HANDLER(hold_job);
DECLARE_HANDLER(release_job);
DECLARE_HANDLER(retry_job);

DECLARE_METHOD(submit); /* bus-submit.c */
DECLARE_METHOD(submit_many);
DECLARE_METHOD(submit_flow);
DECLARE_METHOD(preview_unit);
DECLARE_METHOD(wait_job); /* bus-read.c */
DECLARE_METHOD(get_job);
DECLARE_METHOD(get_job_info);
DECLARE_METHOD(list_jobs);
DECLARE_METHOD(list_attempts);
DECLARE_METHOD(list_queues);
DECLARE_METHOD(get_statistics); /* bus-statistics.c */
DECLARE_METHOD(get_metrics);
DECLARE_METHOD(get_report); /* bus-report.c */
DECLARE_METHOD(list_types); /* type.c */
DECLARE_METHOD(set_schedule); /* timer.c */
DECLARE_METHOD(remove_schedule);
DECLARE_METHOD(pause_schedule);
DECLARE_METHOD(resume_schedule);
DECLARE_METHOD(fire_schedule);
DECLARE_METHOD(list_schedules); /* timer-list.c */
DECLARE_METHOD(get_schedule);
DECLARE_METHOD(list_firings);
DECLARE_METHOD(cancel_job); /* bus-control.c */
DECLARE_METHOD(kill_job);
DECLARE_METHOD(hold_job);
DECLARE_METHOD(release_job);
DECLARE_METHOD(freeze_job);
DECLARE_METHOD(thaw_job);
DECLARE_METHOD(retry_job);
DECLARE_METHOD(update_job); /* bus-update.c */
DECLARE_METHOD(move_job);
DECLARE_METHOD(count_jobs); /* bus-bulk.c */
DECLARE_METHOD(cancel_jobs);
DECLARE_METHOD(hold_jobs);
DECLARE_METHOD(release_jobs);
DECLARE_METHOD(retry_jobs);
DECLARE_METHOD(purge_jobs);
DECLARE_METHOD(update_jobs);
DECLARE_METHOD(pause_queue);
DECLARE_METHOD(resume_queue);
DECLARE_METHOD(drain_queue);
DECLARE_METHOD(open_log); /* log-stream.c */
DECLARE_METHOD(reload);
DECLARE_METHOD(backup); /* bus-backup.c */
DECLARE_METHOD(check_integrity);
DECLARE_METHOD(repair);
DECLARE_METHOD(accept_store); /* bus-check.c */
DECLARE_METHOD(set_queue); /* bus-set-queue.c */
DECLARE_METHOD(remove_queue);

/* bus-set-queue.c: a value as lines of a file. */
int call_read_setting(Call *c, const char *word, char ***ret, sd_bus_error *error);

/* What one job and many have in common. 1; 0: not there yet, as call_authorize(); negative with *error. */
/* after.c: it is about to be retried, and waits again for what it came after and has not ended. 0 or negative. */
int control_reopen_edges(Call *c, Job *j, sd_bus_error *error);
/* Is the outcome of a done job still needed by one that comes after it? 1, 0 or negative. */
int control_is_needed(Call *c, const Job *j, sd_bus_error *error);

/* Update of jobs, as UpdateJob is given them. */
typedef struct Update {
        JobSpec *spec;
        uint64_t fields; /* of spec, see queue/spec-change.h */
        char *queue;     /* where to; NULL: it stays */
} Update;
void update_done(Update *up);
/* The options of RetryJob, as fields of up->spec. What one job and many have in common: 1; 0: not there yet, as
 * call_authorize(); negative with *error. */
int control_read_retry(Call *c, Update *ret, sd_bus_error *error);
int control_retry(Call *c, Job *j, const Update *up, sd_bus_error *error);
int update_read(Call *c, Update *ret, sd_bus_error *error);
/* To a job that the caller may act on. */
int update_apply(Call *c, const Update *up, Job *j, sd_bus_error *error);
