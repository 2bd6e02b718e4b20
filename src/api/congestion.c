/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs that call and do not read the answers. dbus-daemon keeps these for them, and what it keeps counts as ours: with 127 MiB of
 * it (one connection, that any user may have) it does not read from us any more, and then nobody has answers.
 *
 *   more is to be sent than the socket takes     calls wait, so that no more answers pile up
 *   and the bus does not answer either, nor
 *   takes half of it, in CONGESTION_MAX          the connection is given up and made again: the old one's debts are gone with it.
 *                                                Calls under way fail, as in a restart of the bus; jobs and the connection to
 *                                                the manager have nothing to do with it
 *
 * The one who does not read gets no more answers then, as dbus-daemon has no more room for him. */

#include "api/long-calls.h"

#include "base/log.h"

#define QUEUED_MAX 64U
#define CONGESTION_MAX (5 * USEC_PER_SEC)

static uint64_t queued(const Api *a) {
        uint64_t n;

        return a->bus && sd_bus_get_n_queued_write(a->bus, &n) >= 0 ? n : 0;
}

bool api_is_congested(const Api *a) {
        return queued(a) > QUEUED_MAX;
}

static int on_pong(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Api *a = userdata;

        a->ping_slot = sd_bus_slot_unref(a->ping_slot);
        /* A burst of signals may take a busy bus longer; then it is asked again. */
        if (!sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) || queued(a) <= a->ping_queued / 2)
                return 0;
        a->stuck = true; /* sd-bus is at work on it just now */
        return 0;
}

void api_watch_congestion(Api *a) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (a->stuck) {
                log_warning("The bus takes nothing from us: somebody does not read his answers. Connecting again.");
                api_reconnect_later(a);
        }
        if (a->ping_slot || queued(a) == 0)
                return;
        /* Its policy does not let everybody call Ping(). */
        r = sd_bus_message_new_method_call(a->bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                           "GetId");
        if (r >= 0)
                r = sd_bus_call_async(a->bus, &a->ping_slot, m, on_pong, a, CONGESTION_MAX);
        a->ping_queued = queued(a);
        if (r < 0)
                log_debug_errno(r, "Failed to ask whether the bus listens, ignoring: %m");
}
