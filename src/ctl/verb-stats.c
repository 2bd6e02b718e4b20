/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* stats: what the daemon counts, as it is. */

#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/queue-dict.h"
#include "ctl/text.h"

int verb_stats(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(statistics_done) Statistics s = {};
        _cleanup_free_ char *dispatch = NULL;
        char size[SPAN_MAX];
        int r;

        r = bus_open(&bus);
        if (r >= 0)
                r = statistics_get(bus, &s);
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF)
                return json_print(statistics_to_json(&s));
        dispatch = text_safe(s.dispatch ?: "jobs are started as there is room");
        printf(" Version: jobmilld %s, systemd %s\n", s.version ?: "?", s.systemd ?: "?");
        printf("Dispatch: %s%s%s\n", color(s.dispatch ? COLOR_YELLOW : NULL), strempty(dispatch),
               color(COLOR_OFF));
        printf("    Jobs: %" PRIu64 " held, %" PRIu64 " waiting, %" PRIu64 " ready\n", s.held, s.waiting,
               s.ready);
        printf("          %" PRIu64 " starting, %" PRIu64 " running, %" PRIu64 " stopping\n", s.starting,
               s.running, s.stopping);
        printf("          %" PRIu64 " done, %s%" PRIu64 " of them dead%s\n", s.done,
               color(s.dead > 0 ? COLOR_RED : NULL), s.dead, color(s.dead > 0 ? COLOR_OFF : NULL));
        printf("  Queues: %" PRIu32 "\n", s.queues);
        printf("   Units: %" PRIu32 " of jobs, %" PRIu32 " strays\n", s.attempts, s.strays);
        printf("   Store: %s%s%s\n", human_size(size, sizeof(size), s.store_bytes), s.storage ? ", " : "", strempty(s.storage));
        printf("          %" PRIu64 " commits, %s each; %" PRIu64 " failed\n", s.commits,
               human_span(size, sizeof(size), s.commits > 0 ? s.commit_usec / s.commits : UINT64_MAX), s.commit_errors);
        printf("    Mine: %s", human_size(size, sizeof(size), s.user_bytes));
        if (s.user_bytes_max > 0)
                printf(" of at most %s", human_size(size, sizeof(size), s.user_bytes_max));
        printf(" are stored\n");
        printf("    Loop: %" PRIu64 " turns, %s each", s.turns, human_span(size, sizeof(size), s.turns > 0 ? s.turn_usec / s.turns : UINT64_MAX));
        printf(", %s at most\n", human_span(size, sizeof(size), s.turn_usec_max));
        printf(" Systemd: %" PRIu64 " starts and stops, %" PRIu64 " refused\n", s.systemd_calls, s.systemd_errors);
        printf(" Callers: %" PRIu32 " on the bus, %" PRIu32 " on the socket, %" PRIu32 " jobs are waited for\n", s.clients, s.connections, s.waits);
        return 0;
}
