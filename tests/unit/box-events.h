/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What may happen to the daemon in the box, and how often of all that does. */

#include "box.h"

#define SEC USEC_PER_SEC

#define EVENTS(X)                                                                                                       \
        X(submit, 16) X(cancel, 5) X(hold, 3) X(release, 4) X(retry, 5) X(purge, 2) X(update, 5) X(kill, 2) X(freeze, 4) \
        X(thaw, 3) X(pause, 2) X(drain, 1) X(caps, 3) X(order, 3) X(file, 1) X(shut, 4) X(executor, 2) X(time, 8) X(clock_step, 1) X(tick, 6) X(runs, 8)       \
        X(ends, 12) X(stopped_outside, 2) X(restarted_outside, 1) X(frozen_outside, 1) X(processes_go, 3) X(foreign, 4) \
        X(deaf, 2) X(hears, 1) X(look, 4) X(deliver, 3) X(calls_time_out, 3) X(journal, 2) X(reloading, 2) X(new_manager, 1) \
        X(disconnect, 1) X(reconnect, 2) X(shutdown, 1) X(commit_fails, 2) X(storage_timer, 2) X(crash, 4) X(reboot, 1) \
        X(store_restored, 1) X(accept, 3) X(drop_in, 1) X(full, 1) X(gate, 3) X(pressure, 6) X(overflow, 2) \
        X(comes, 9) X(away, 1) X(back, 3) X(drains, 2) X(killed, 1) X(completes, 8) X(returns, 6) X(left_goes, 1)

enum {
#define X(name, weight) EVENT_##name,
        EVENTS(X)
#undef X
        _EVENT_MAX,
};
/* Does it, with what it needs drawn from box.dice. */
void do_event(unsigned kind);
void begin_daemon(void);
void end_daemon(void);
/* Everybody does what he is asked, until all is over. turn: the daemon's, with all that it leads to. */
void wind_up(void (*turn)(bool deliver));
