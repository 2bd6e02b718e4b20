/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writing queue files for SetQueue() and RemoveQueue(). Nothing here knows the model: daemon/queue-edit.c loads the files again.
 *
 * Returns: 0; -EINVAL: a key or value is not allowed; -EBADMSG: other files are in the way; -EPERM: part of what is installed;
 * -ENOENT: no such queue; -ENOSPC, -EIO: could not be written; -ENOMEM. *ret_error is set with all but the last. */

#include "queue/queue-setting.h"

#include <sys/types.h>

/* Where the settings of this instance are written; both are among the directories that are read. */
typedef struct QueuePlaces {
        char **directories;  /* those that are read, first wins; the first takes what is to last */
        const char *runtime; /* takes what is to be gone after a reboot */
} QueuePlaces;

#define QUEUE_FILE_SIZE_MAX (1024U * 1024U)

/* Says for each setting what it is (section, key, privileged), and whether its values are good. Reads no file. */
int queue_edit_check(QueueEdit *e, char **ret_error);
/* A checked edit into a file, all of it or nothing: a drop-in, or the main file of a new queue. -EBADMSG also where it would have
 * no effect, because a file that is read later says otherwise. */
int queue_file_set(const QueuePlaces *p, const QueueEdit *e, char **ret_error);
/* Away with all files of a queue that SetQueue() or an administrator made. */
int queue_file_remove(const QueuePlaces *p, const char *name, char **ret_error);

/* At start, before the files are read: a crash in the middle of these leaves no half of a queue, and no file of ours. */
void queue_files_recover(const QueuePlaces *p);

void remove_below(int parent, const char *name); /* a file, or a folder with files in it */
int mkdir_p(const char *path, mode_t mode); /* mode is for the last one */

/* ---- between the files of this header: queue-check.c, queue-write.c, queue-remove.c ---- */

#define QUEUE_TEMPORARY ".jobmill-set.tmp"
char *queue_of_hidden(const char *file); /* of which queue a file is that was renamed to be removed; NULL: of none */
#define QUEUE_SECTIONS 3
extern const char *const queue_sections[QUEUE_SECTIONS];
int queue_refuse_errno(char **ret_error, int r, const char *what, const char *path); /* what the disk said */
/* A directory below another one, made where there is none. Everybody may read it, whatever our umask is. */
int directory_open_below(int parent, const char *name, bool make);
int queue_directory_open(const char *root, bool make);
