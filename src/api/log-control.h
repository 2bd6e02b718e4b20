/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* org.freedesktop.LogControl1(5): level and target of the log at run time (systemctl service-log-level). */
int log_control_add(sd_bus *bus);
