/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From the words that people write to numbers, as systemd reads them (systemd.unit(5), systemd.resource-control(5)).
 * All give 0, or -EINVAL for what cannot be read, or -ERANGE for what does not fit. Nothing is stored on error.
 * White space around a number is an error. */

#include "base/macro.h"

int parse_boolean(const char *s); /* 1, 0; yes/no, true/false, on/off, y/n, t/f, 1/0, any case */
int parse_u64(const char *s, uint64_t *ret);
int parse_u32(const char *s, uint32_t *ret);
int parse_i64(const char *s, int64_t *ret);
int parse_i32(const char *s, int32_t *ret);
int parse_uid(const char *s, uint32_t *ret); /* (uid_t) -1 and 65535 are no users */
/* A number with at most this many decimals at *s, moved behind it: "1.5", 3 gives 1 and 500. */
int parse_decimal(const char **s, unsigned decimals, uint64_t *ret_whole, uint64_t *ret_fraction);
int parse_double(const char *s, double *ret); /* digits and a point, no exponent, nothing negative */
int parse_size(const char *s, uint64_t base, uint64_t *ret); /* K M G T P E, base 1024 or 1000; "1.5G" too */
int parse_permyriad(const char *s, uint32_t *ret);  /* "12.34%" -> 1234; at most 100 % */
int parse_percent_unbounded(const char *s, uint32_t *ret); /* "250%" -> 250 */
int parse_mode(const char *s, uint32_t *ret);       /* octal, ≤ 07777 */
int parse_cpu_set(const char *s, uint8_t **ret, size_t *ret_size); /* "0-3,7 9" -> bit mask, lowest first; CPUs < 8192 */
int signal_from_string(const char *s);              /* TERM, SIGTERM, 15, RTMIN+3 -> number; -EINVAL */
const char *signal_to_string(int sig);              /* "TERM"; "RTMIN+3"; NULL for no signal. Static storage. */

/* Bytes of the character at s, of which n are there; 0: it is not UTF-8. */
size_t utf8_character_length(const char *s, size_t n) _pure_;
/* Valid UTF-8 (no surrogates, no over-long forms)? */
bool utf8_is_valid(const char *s, size_t n) _pure_;
/* Valid UTF-8 without control characters (C0, DEL, C1)? For all that becomes a unit property or a line of a table. */
bool string_is_clean(const char *s) _pure_;
/* A queue's name: [a-z0-9_]+ joined by '-', at most 64 (design: "Words"). */
bool queue_name_is_valid(const char *s) _pure_;
