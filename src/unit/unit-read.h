/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Properties of a unit, an a{sv} that m stands at. Only what is there is set. Reading is what an end costs most, so no more than matters
 * is read. Negative: not an a{sv} of PID 1's. */

#include "unit/unit-state.h"

#include <systemd/sd-bus.h>

/* All of them. */
int unit_state_read(sd_bus_message *m, UnitState *ret);
/* Those of org.freedesktop.systemd1.Service, up to JOBMILL_ATTEMPT_ID= of Environment=: what tells how it ended, and its usage, come before that
 * in 252, 257 and 262; limits, capabilities and mounts, most of all, come behind. */
int unit_state_read_service(sd_bus_message *m, UnitState *ret);
/* Of PropertiesChanged, which begins with ActiveState: where that is all that matters, the rest is not read. */
int unit_state_read_signal(sd_bus_message *m, bool active_only, UnitState *ret);
