/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* stats: what the daemon counts, as it is. */

#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"

typedef struct Statistics {
        uint64_t present;
        char *version, *systemd, *dispatch;
        uint64_t held, waiting, ready, starting, running, stopping, done, dead, store_bytes;
        uint32_t queues, attempts, strays;
} Statistics;

#define FIELD(name, signature)                                                                              \
        { #name, signature, offsetof(Statistics, name), 0 }

static const DictField fields[] = {
        FIELD(version, "s"), FIELD(systemd, "s"),  FIELD(held, "t"),        FIELD(waiting, "t"),
        FIELD(ready, "t"),   FIELD(starting, "t"), FIELD(running, "t"),     FIELD(stopping, "t"),
        FIELD(done, "t"),    FIELD(dead, "t"),     FIELD(queues, "u"),      FIELD(attempts, "u"),
        FIELD(strays, "u"),  FIELD(dispatch, "s"), FIELD(store_bytes, "t"),
};

static void statistics_done(Statistics *s) {
        dict_done(fields, ELEMENTSOF(fields), s);
}

int verb_stats(int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(statistics_done) Statistics s = {};
        char size[SPAN_MAX];
        int r;

        r = bus_open(&bus);
        if (r >= 0)
                r = bus_call_simple(bus, &reply, "GetStatistics", NULL, "");
        if (r < 0)
                return r;
        r = dict_read(reply, fields, ELEMENTSOF(fields), &s);
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        if (arg_json != JSON_OFF)
                return json_print(dict_to_json(fields, ELEMENTSOF(fields), 0, &s));
        printf(" Version: jobmilld %s, systemd %s\n", s.version ?: "?", s.systemd ?: "?");
        if (s.dispatch)
                printf("%sDispatch: %s%s\n", color(COLOR_YELLOW), s.dispatch, color(COLOR_OFF));
        else
                printf("Dispatch: jobs are started as there is room\n");
        printf("    Jobs: %" PRIu64 " held, %" PRIu64 " waiting, %" PRIu64 " ready, %" PRIu64
               " starting, %" PRIu64 " running, %" PRIu64 " stopping, %" PRIu64 " done, %" PRIu64 " dead\n",
               s.held, s.waiting, s.ready, s.starting, s.running, s.stopping, s.done, s.dead);
        printf("  Queues: %" PRIu32 "\n", s.queues);
        printf("   Units: %" PRIu32 " of jobs, %" PRIu32 " strays\n", s.attempts, s.strays);
        printf("   Store: %s\n", human_size(size, sizeof(size), s.store_bytes));
        return 0;
}
