/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What SetQueue() and RemoveQueue() ask for: settings of one queue as their caller wrote them. api/ reads and authorizes it,
 * daemon/ has the files and does it. */

#include "base/macro.h"

#define QUEUE_SETTINGS_MAX 256U           /* of one call */
#define QUEUE_SETTING_VALUES_MAX 1000U    /* of one setting */
/* Bytes of one value, and of all values of a call: they are read before it is known whether the caller may set them. */
#define QUEUE_SETTING_SIZE_MAX (16U * 1024U)

typedef struct QueueSetting {
        char *word;          /* as written: "Slots", "MemoryMax", "Service.MemoryMax" */
        const char *section; /* "Queue", "Slice", "Service" */
        const char *key;     /* in word, without the section */
        char **values;       /* the lines of its key; none: what is there is taken back */
        bool privileged;     /* a manager of queues alone may not set it */
} QueueSetting;

typedef struct QueueEdit {
        char *name;
        bool remove, runtime;
        QueueSetting *settings;
        size_t n_settings;
} QueueEdit;

QueueEdit *queue_edit_free(QueueEdit *e);
DEFINE_TRIVIAL_CLEANUP_FUNC(QueueEdit *, queue_edit_free);
/* A new setting at the end, with its word only; NULL: out of memory. */
QueueSetting *queue_edit_add(QueueEdit *e, const char *word);
