/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A full disk: the ballast is given up for the outcomes of running jobs. Until there is room for it again, and as much
 * beside it, no jobs are taken and none are started, so that they do not use up what was kept for those that run. */

#include "daemon/manager.h"

#include "base/log.h"

#define BALLAST_RETRY (3 * USEC_PER_SEC)

void manager_make_ballast(Manager *m) {
        bool full;
        int r;

        if (m->storage == STORAGE_VOLATILE)
                return;
        r = store_ballast_make(m->store);
        full = r == -ENOSPC || r == -EDQUOT;
        if (full && !m->api->storage_full)
                log_error("Less than %u MiB are free for the store: no jobs are taken or started until there are.",
                          STORE_BALLAST_ROOM >> 20);
        else if (r < 0 && !full)
                log_warning_errno(r, "There is nothing to give up when the disk is full: %s", store_error(m->store));
        else if (!full && m->api->storage_full)
                log_notice("There is room for the store again.");
        m->api->storage_full = full;
        m->ballast_next = usec_add(m->now.monotonic, BALLAST_RETRY);
}

bool manager_give_ballast(Manager *m, int error) {
        if (error != -ENOSPC || m->storage == STORAGE_VOLATILE || !m->model->attempts)
                return false;
        m->api->storage_full = true;
        m->ballast_next = usec_add(m->now.monotonic, BALLAST_RETRY);
        if (!store_ballast_give(m->store))
                return false;
        log_warning("The disk is full: gave up the ballast to record what becomes of running jobs.");
        return true;
}
