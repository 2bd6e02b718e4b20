/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How long something still takes, as reasons say it: "4 s", "2 min 5 s", "3 h 10 min". Never less than it is, and never "0 s". */

#include "base/macro.h"

#define SPAN_TEXT_MAX 64

void reason_span(char buf[SPAN_TEXT_MAX], usec_t t);
