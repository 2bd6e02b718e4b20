/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A queue, and what the daemon counts, as it describes them: for the verbs about them, the overview and
 * JSON. */

#include "ctl/dict.h"

typedef struct QueueInfo {
        DictKeys present;
        char *name, *reason, *slice;
        uint32_t slots, slots_used; /* slots UINT32_MAX: no cap */
        uint64_t held, waiting, ready, starting, running, stopping, dead;
        bool paused, draining;
        char **files; /* none: it has no file (any more) */
} QueueInfo;

#define QUEUE_INFO_INIT                                                                                     \
        (QueueInfo) {                                                                                       \
                .slots = UINT32_MAX                                                                         \
        }
int queue_info_get(sd_bus *bus, const char *name, const char *path, QueueInfo *ret);
void queue_info_done(QueueInfo *q);
struct json_object *queue_info_to_json(const QueueInfo *q);
uint64_t queue_info_live(const QueueInfo *q); /* jobs that hold slots */
/* Without a file and without anything to do: a name, and finished jobs at most. */
bool queue_info_is_past(const QueueInfo *q);
const char *queue_info_state(const QueueInfo *q);
const char *queue_info_reason(const QueueInfo *q);
const char *queue_info_color(const QueueInfo *q);

/* All of them, by name. */
int queues_get(sd_bus *bus, QueueInfo **ret, size_t *ret_n);
void queue_info_array_free(QueueInfo *queues, size_t n);

typedef struct Statistics {
        DictKeys present;
        char *version, *systemd, *storage, *dispatch; /* dispatch: why nothing is started; NULL: things are */
        uint64_t held, waiting, ready, starting, running, stopping, done, dead, store_bytes;
        uint32_t queues, attempts, strays;
        uint64_t store_log_bytes, commits, commit_usec, commit_errors, turns, turn_usec, turn_usec_max, systemd_calls, systemd_errors, last_event;
        uint32_t systemd_in_flight, jobs_in_memory, workers, clients, connections, subscribers, calls_waiting, answers_held, waits;
        uint64_t user_bytes, user_bytes_max; /* of whom asks */
} Statistics;

int statistics_get(sd_bus *bus, Statistics *ret);
void statistics_done(Statistics *s);
struct json_object *statistics_to_json(const Statistics *s);
