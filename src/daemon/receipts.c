/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Forgetting receipts when their day is over: a few a turn, so that no transaction is long, and not for each one that comes of
 * age, so that the daemon sleeps meanwhile. */

#include "daemon/manager.h"

#include "base/log.h"

#define EXPIRE_PER_TURN 500U
#define EXPIRE_SLACK (10 * 60 * USEC_PER_SEC)
#define EXPIRE_RETRY (60 * USEC_PER_SEC)

void manager_expire_receipts(Manager *m) {
        usec_t now = m->now.realtime, oldest;
        int r;

        if (m->storage_failed || now < m->next_expiry)
                return;
        r = store_expire_receipts(m->store, usec_sub(now, RECEIPT_KEEP_USEC), usec_add(now, RECEIPT_KEEP_USEC), EXPIRE_PER_TURN,
                                  &oldest);
        if (r < 0) {
                log_warning_errno(r, "Failed to forget old request ids, trying again later: %s", store_error(m->store));
                m->next_expiry = usec_add(now, EXPIRE_RETRY);
        } else if (oldest < usec_sub(now, RECEIPT_KEEP_USEC))
                m->next_expiry = now; /* more of them, with the next turn */
        else
                m->next_expiry = oldest == USEC_INFINITY ? USEC_INFINITY :
                                                           MIN(oldest, now) + RECEIPT_KEEP_USEC + EXPIRE_SLACK;
}
