/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job, or one attempt of it, as the daemon describes it: one table of keys for list, show, wait and JSON.
 */

#include "ctl/ctl.h"
#include "ctl/dict.h"

typedef struct JobInfo {
        DictKeys present;
        uint64_t id;
        char *name, *queue, *type, *type_version, *owner_name, *state, *result, *reason, *cwd, *unit, *invocation_id, *executor,
                        *status, *output_file, *error_file, *output, *verify, *verdict, *unique_key, *unique_scope,
                        *backoff, *callback_url, *engine;
        uint64_t array;
        char **array_states, **flow_states; /* state, how many of its array, … */
        uint32_t array_index, array_size, array_max_running;
        uint32_t owner, attempt, max_attempts, slots;
        int32_t priority, exit_status, exit_signal;
        U32List slot_numbers;
        uint64_t flow, worker;
        char **argv, **properties, **tags, **io, **after, **retry_on, **causes, **type_rules, **callback_events, **on_success, **on_failure, **credentials; /* tags, io: key, value, …; after: "17:success" */
        double progress, backoff_jitter, memory_growth;
        uint32_t umask;
        uint64_t submitted_usec, not_before_usec, deadline_usec, created_usec, started_usec, finished_usec;
        uint64_t keep_usec, unique_until_usec, backoff_base_usec, backoff_max_usec;
        uint64_t wait_usec, runtime_usec, timeout_usec, stop_timeout_usec, cpu_usec;
        uint64_t memory_peak, memory_max, io_read_bytes, io_write_bytes, tasks_peak, frozen_usec;
        bool memory_peak_sampled, dead, frozen, success, freezable, requeue_lost;
} JobInfo;

/* Numbers that did not come are UINT64_MAX, an exit status -1. A struct that is read into again is emptied
 * first. */
#define JOB_INFO_INIT                                                                                       \
        (JobInfo) {                                                                                         \
        }
int job_info_read(sd_bus_message *m, JobInfo *j); /* 1; 0: end of the array */
void job_info_done(JobInfo *j);
struct json_object *job_info_to_json(const JobInfo *j);
struct json_object *attempt_info_to_json(const JobInfo *j);

int job_info_keys(char ***ret); /* what JSON has of a job */

bool job_info_is_done(const JobInfo *j);
/* "success", "exit-code 7", "signal KILL"; of one that is not done its state. Returns buf. */
char *job_info_outcome(const JobInfo *j, char *buf, size_t n);
const char *job_info_color(const JobInfo *j);
/* "3 running, 12 waiting" of its whole array or flow. Returns buf. */
#define JOB_STATES_MAX 128
char *job_info_states(const JobInfo *j, char buf[static JOB_STATES_MAX]);
/* The job's name, or its command line. NULL: neither is known, or out of memory. */
char *job_info_title(const JobInfo *j);
/* The exit status of a tool that waited for it. */
int job_exit_status(const char *result, int exit_status, int exit_signal);

/* GetJobInfo, ListAttempts. */
int job_info_get(sd_bus *bus, uint64_t id, JobInfo *ret);
int job_attempts_get(sd_bus *bus, uint64_t id, JobInfo **ret, size_t *ret_n);
void job_info_array_free(JobInfo *jobs, size_t n);

/* One page of ListJobs. cursor: "" for the first one; ret_next: NULL behind the last one. fields: NULL for
 * all. */
int job_list_page(sd_bus *bus,
                  const Filter *filter,
                  char *const *fields,
                  const char *cursor,
                  uint32_t limit,
                  JobInfo **ret,
                  size_t *ret_n,
                  char **ret_next);
