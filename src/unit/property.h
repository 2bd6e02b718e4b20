/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Parsed unit properties into messages to PID 1. */

#include <systemd/sd-bus.h>

#include "queue/unit-property.h"

/* Append one (sv), or all of them, to an open a(sv). 0 or what sd-bus says. */
int property_append(sd_bus_message *m, const UnitValue *v);
int property_append_list(sd_bus_message *m, const UnitPropertyList *l);
