/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* check: whether the store is the one that it should be. */

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/queue-dict.h"

bool arg_accept;

int verb_check(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(statistics_done) Statistics s = {};
        int r;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        if (arg_accept)
                return bus_call_simple(bus, NULL, "AcceptStore", "check", "");
        r = statistics_get(bus, &s);
        if (r < 0)
                return r;
        if (!streq_ptr(s.dispatch, "store restored"))
                return 0;
        printf("An old copy of the store was put back, so nothing is started: jobs that ended since then are in it as they were.\n"
               "Look at what is queued (jobmill list), cancel what is not to be run again, then: jobmill check --accept\n");
        return EXIT_FAILURE;
}
