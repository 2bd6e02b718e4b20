/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Spans and time stamps in systemd.time(7)'s notation. Reading the clock is for daemon/ and ctl/ only. */

#include "base/macro.h"
#include <time.h>

usec_t now_usec(clockid_t clock);

/* "5min 20s", "2h", "300ms", "90" (seconds), "infinity"; default_unit in µs is for a bare number. */
int parse_span_full(const char *s, usec_t default_unit, usec_t *ret);
int parse_span(const char *s, usec_t *ret); /* a bare number is seconds */

/* "2026-11-21 18:30[:15]", "18:30", "today", "tomorrow 6:00", "now", "+2h", "-1d", "@1790000000", a weekday in front,
 * "UTC" behind. now is what "now" means. Local time zone. */
int parse_timestamp(const char *s, usec_t now, usec_t *ret);

#define SPAN_MAX 64
#define TIMESTAMP_MAX 64
/* "2min 3s"; accuracy cuts what is smaller (USEC_PER_SEC: whole seconds), but never all of it. "infinity" for USEC_INFINITY, "0" for 0. */
char *format_span(char *buf, size_t n, usec_t t, usec_t accuracy);
/* "Sat 2026-11-21 18:30:15 CET"; "n/a" for USEC_INFINITY. */
char *format_timestamp(char *buf, size_t n, usec_t t);
