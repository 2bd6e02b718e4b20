/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of queues/NAME.queue and of its drop-ins. */

#include "base/conf-file.h"
#include "queue/queue.h"

typedef struct QueueFile {
        QueuePolicy policy;
        bool paused; /* a new queue begins so */
        char *const *directories; /* in which adapters are looked for; NULL: there are none */
} QueueFile;

void queue_file_init(QueueFile *f, char *const *directories); /* queue_policy_done() of the policy frees what it holds */
/* A conf_assign_t; userdata is the QueueFile. */
int queue_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                      ConfError *error);
/* After all files, the last of which is named in the error: what no line says by itself. */
int queue_file_check(QueueFile *f, char *const *files, ConfError *error);
/* And then: what none of them set. */
void queue_file_complete(QueueFile *f, usec_t timeout, usec_t stop_timeout);
bool queue_file_has_key(const char *key);                       /* of [Queue] */
bool queue_file_is_privileged(const char *section, const char *key); /* who manages queues may not set it by that alone */
bool queue_file_is_list(const char *section, const char *key);  /* several lines of it add up */
