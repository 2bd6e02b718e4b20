/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an administrator asks about the store. */

#include "api/methods.h"

#include "base/log.h"

static int handle_accept_store(Call *c, sd_bus_error *error) {
        Api *a = c->api;
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        if (a->restored) {
                r = store_starts_accept(a->store);
                if (r < 0)
                        return api_error_store(a, error, r);
                a->restored = false;
                log_notice("The restored store was accepted by uid %" PRIu32 ", jobs start from it.", c->client->uid);
        }
        return sd_bus_reply_method_return(c->message, NULL);
}
DEFINE_METHOD(accept_store);
