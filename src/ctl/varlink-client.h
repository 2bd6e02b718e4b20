/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon's socket, from the other side: one message at a time. */

#include "base/macro.h"
#include <json-c/json.h>
#include <signal.h>

typedef struct VarlinkClient {
        int fd; /* -EBADF: not connected */
        char *in;
        size_t n_in;
} VarlinkClient;

#define VARLINK_CLIENT_NONE                                                                                  \
        (VarlinkClient) {                                                                                    \
                .fd = -EBADF                                                                                 \
        }

void varlink_client_done(VarlinkClient *c);
/* All three: -EINTR: a signal came, of those that mask lets through; -ECONNRESET: the other side is gone; -ETIMEDOUT. */
int varlink_client_connect(VarlinkClient *c, usec_t timeout, const sigset_t *mask);
/* parameters are consumed. After an error what was sent may be incomplete. */
int varlink_client_send(VarlinkClient *c, const char *method, bool more, json_object *parameters, usec_t timeout, const sigset_t *mask);
/* The next message. */
int varlink_client_read(VarlinkClient *c, usec_t timeout, const sigset_t *mask, json_object **ret);
/* Of an answer: NULL and its parameters, or the short name of the error and why. Valid as long as it is. */
const char *varlink_error(json_object *answer, const char **ret_message);
