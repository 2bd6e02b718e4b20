/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* What jobmill.conf says of requests. */
typedef struct ApiLimits {
        uint64_t submit_many_max;   /* jobs in one call */
        uint64_t array_max;         /* jobs of an array */
        uint64_t edges_max;         /* of the jobs of one call: each job that one of them waits for */
        uint64_t list_page_max;     /* rows */
        uint64_t request_ids_max;   /* of one user that are remembered */
        uint64_t pending_calls_max, pending_size_max; /* of one user that wait: for a job's end, or for polkit; bytes of them */
        uint64_t logs_max, logs_per_user_max; /* streams of OpenLog that are open */
        uint64_t payload_max, environment_max; /* bytes */
        uint64_t credentials_max, credential_max, credentials_per_user_max; /* of a job; bytes of one; bytes that all of one user take */
        uint64_t stored_per_user_max; /* bytes that the records of one user take */
        uint64_t callback_url_max, callback_body_max; /* bytes */
        uint64_t connections_max, connections_per_user_max; /* to the socket */
        uint64_t workers_max, workers_per_user_max;
        uint64_t io_tail_max; /* bytes of each stream of an attempt that are recorded */
        uint64_t timers_per_user_max, timer_job_max; /* schedules; bytes of the job of one */
        uint64_t socket_message_max, socket_buffers_max; /* bytes: of one message, and of all of one user that are not complete */
} ApiLimits;
