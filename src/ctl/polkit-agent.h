/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* On a terminal and not root: let polkit ask there, until the program ends. Without polkit's agent nothing
 * happens, and the daemon's refusal stands. */
void polkit_agent_open(void);
bool polkit_agent_is_open(void);
