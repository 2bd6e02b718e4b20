/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words of reasons. */

#include "base/macro.h"

#define SPAN_TEXT_MAX 64

/* How long something still takes: "4 s", "2 min 5 s", "3 h 10 min". Never less than it is, and never "0 s". */
void reason_span(char buf[SPAN_TEXT_MAX], usec_t t);

int reason_say(char **ret, const char *format, ...) _printf_(2, 3); /* 1: said; -ENOMEM */
