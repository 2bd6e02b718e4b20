/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* metrics: as Prometheus reads them; the daemon writes the text. */

#include "ctl/ctl.h"
#include "ctl/output.h"

int verb_metrics(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        int r;

        if (arg_json != JSON_OFF)
                return ctl_error(-EINVAL, "metrics: they are no JSON; `jobmill stats --json` is");
        r = bus_open(&bus);
        if (r >= 0)
                r = bus_call_simple(bus, &reply, "GetMetrics", NULL, "");
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(reply, 's', &text);
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        fputs(text, stdout);
        return 0;
}
