/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket as a program in C speaks to it: messages ended by a NUL, as many on their way as one likes. */

#include "base/macro.h"

#include <json-c/json.h>

typedef struct VarlinkClient {
        int fd;
        char *data; /* what was received and not yet taken */
        size_t size, start, end;
} VarlinkClient;

int varlink_connect(VarlinkClient *c, const char *path);
void varlink_done(VarlinkClient *c);

int varlink_send(VarlinkClient *c, const char *text, size_t size);

/* Waits for more of it; 0: the other side has closed. */
int varlink_receive_some(VarlinkClient *c);

/* The next message that is there as a whole, ended by its NUL, or NULL. It is there until more is received. */
char *varlink_next(VarlinkClient *c, size_t *ret_size);

/* A call of SubmitMany with its NUL, for so many jobs of /bin/true. */
char *submit_many_text(const char *queue, bool hold, unsigned n, size_t *ret_size);

double monotonic_seconds(void);
