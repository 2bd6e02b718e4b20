/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* What standard error says when a signal (^C, or the terminal's end) ends the tool from now on, before the
 * signal ends it as ever. NULL: nothing any more. Not with --quiet. */
void interrupt_tell(const char *format, ...) _printf_(1, 2);
