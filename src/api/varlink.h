/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is said over the socket: https://varlink.org. org.jobmill.varlink is the interface. */

#include "api/api.h"

typedef struct VarlinkMethod {
        const char *name;       /* without the interface */
        const char *parameters; /* their names, a space before and after each */
        call_handler_t handler;
        bool changes;           /* it is answered after the commit */
} VarlinkMethod;

/* One message. 1: it was taken; 0: it only looks, and has to wait (holds) until those before it are recorded; -EBADMSG, -E2BIG and
 * *ret_error: it is none, and no other one can be read. hung_up: nobody is there to look. */
int varlink_receive(Client *cl, const char *text, size_t size, bool holds, bool hung_up, char **ret_error);
