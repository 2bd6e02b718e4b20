/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading what is recorded: lists of jobs by filter, order and cursor, and attempts. For api/, which answers reads from here
 * and never from memory: so nobody sees what is not durable yet. */

#include "store/store.h"

typedef enum JobOrder {
        JOB_ORDER_NEWEST,    /* id, falling; the default */
        JOB_ORDER_OLDEST,    /* id, rising */
        JOB_ORDER_RANK,      /* (rank, id), rising; only ready ones: in each queue that is not fair as they will start */
        JOB_ORDER_FINISHED,  /* (finished_usec, id), falling; only done ones */
        _JOB_ORDER_MAX,
        _JOB_ORDER_INVALID = -EINVAL,
} JobOrder;

const char *job_order_to_string(JobOrder o);
JobOrder job_order_from_string(const char *s);

/* All conditions must hold; lists: any of. */
typedef struct JobFilter {
        uint64_t *ids;
        size_t n_ids;
        char **queues;            /* exactly these */
        unsigned states;          /* bit mask of 1 << JobState; 0: all */
        unsigned results;         /* bit mask of 1 << JobResult; 0: all */
        uint32_t *owners;
        size_t n_owners;
        char *name;
        char **types;
        char **tags;              /* pairs; all must match */
        uint64_t array;           /* 0: any */
        bool collapse;            /* lists: of an array or a flow only the first one, in the order of the list, of those that match */
        int dead;                 /* -1: either */
        usec_t since_usec;        /* submitted: since ≤ submitted < until; USEC_INFINITY: any */
        usec_t until_usec;
        uint64_t flow;            /* jobs of this flow, or this job and all that come after it; 0: any */
} JobFilter;

#define JOB_FILTER_INIT                                                                                      \
        (JobFilter) {                                                                                        \
                .dead = -1, .since_usec = USEC_INFINITY, .until_usec = USEC_INFINITY                         \
        }
void job_filter_done(JobFilter *f);
bool job_filter_is_empty(const JobFilter *f);

/* A row of a list: the job, its newest attempt (NULL: none yet), and its spec without payload and environment where asked. */
typedef struct JobRow {
        Job *job;
        Attempt *attempt;
        JobSpec *spec;
        bool collapsed; /* it stands for all of its flow */
        size_t n_after; /* jobs that it came after, as they were told */
} JobRow;
void job_row_done(JobRow *r);

/* Calls back for each row, in order, at most limit; the row is the callback's only during the call (it may take members
 * out). cursor: "" for the start, else what *ret_next gave; *ret_next: "" when there is no more (malloc'd). The callback
 * returns 0 to go on, positive to end the page with this row; what is negative ends it and is returned. -EINVAL: not a cursor of this order. Does not hold a statement open
 * between calls. A page costs the same wherever it lies and however large the store is: where no index serves the filter (other than
 * ids, flow, states, dead, results without success, none), a page ends when so many rows were looked at, and may be empty though there is a next one. */
typedef int (*job_row_t)(void *userdata, JobRow *row);
int history_list(Store *s, const JobFilter *f, JobOrder order, const char *cursor, uint32_t limit, bool with_spec,
                 job_row_t callback, void *userdata, char **ret_next);

/* One row. -ENOENT. */
int history_get(Store *s, uint64_t id, bool with_spec, JobRow *ret);

/* All attempts of a job, oldest first, or newest first. A callback that returns other than 0 ends it. */
typedef int (*attempt_row_t)(void *userdata, const Attempt *a);
int history_attempts(Store *s, uint64_t job, attempt_row_t callback, void *userdata);
int history_attempts_newest(Store *s, uint64_t job, attempt_row_t callback, void *userdata);

/* For work on many jobs in small pieces: what matches among the ids after < id <= until. The ids, rising, at most n; or their
 * number. Costs what a walk through so many ids costs, at most. */
int history_ids(Store *s, const JobFilter *f, uint64_t after, uint64_t until, uint64_t *ids, size_t n, size_t *ret_n);
int history_count(Store *s, const JobFilter *f, uint64_t after, uint64_t until, uint64_t *ret);

/* Sums of the accounts (queue/usage.h) by what they are grouped by, a mask of 1 << ReportGroup; 0: all together. Of the filter queues, owners
 * and times count: those at which something was, by the minute, the hour or the day, as far as that is still known. -E2BIG: more than max rows. */
typedef enum ReportGroup {
        REPORT_QUEUE,
        REPORT_TYPE,
        REPORT_OWNER,
        REPORT_DAY,  /* the local one */
        REPORT_HOUR,
        REPORT_MINUTE,
        _REPORT_GROUP_MAX,
        _REPORT_GROUP_INVALID = -EINVAL,
} ReportGroup;

const char *report_group_to_string(ReportGroup g);
ReportGroup report_group_from_string(const char *s);

typedef struct ReportRow {
        const char *queue, *type, *day;
        uint32_t owner;
        usec_t hour, minute;
        uint64_t values[_USAGE_MAX];
} ReportRow;
typedef int (*report_row_t)(void *userdata, const ReportRow *row);
int history_report(Store *s, const JobFilter *f, unsigned groups, size_t max, report_row_t callback, void *userdata);
