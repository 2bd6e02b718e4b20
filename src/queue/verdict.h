/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verdict: the JSON object that a job may write at the end of its standard output, and what it means for the result
 * (docs/states.md, "Verdict"). Pure: the end of the stream is given as bytes. */

#include "queue/job.h"

#define VERDICT_MAX ((size_t) 64 * 1024) /* it is looked for in so much of the end */

typedef struct Verdict {
        size_t at, size;
        int success; /* its member "success": 0, 1, or -1: there is none, or it is not a boolean */
} Verdict;

/* data: the end of the stream, up to VERDICT_MAX bytes; line_start: its first byte begins a line. Trailing white space aside, the
 * longest suffix that begins at a line start with '{' and is exactly one JSON object (RFC 8259, strictly: what is recorded must be
 * readable for everybody). false: there is none. The time is linear in n, whatever is in there. */
bool verdict_find(const char *data, size_t n, bool line_start, Verdict *ret);

/* What it makes of the result: o holds the one that PID 1 measured, and what was found. Only an exit status of 0 can become something
 * else by it. */
void verdict_judge(Outcome *o, VerifyMode mode);

/* What a job's "stdout" and "verify" are in the end: its own, else its queue's (NULL: says nothing), else the daemon's, else "journal"
 * and "exit". said: what this request asks for as "stdout". -EINVAL, with *ret_error: that does not go together. */
int verdict_resolve(JobSpec *s, OutputMode said, const JobSpec *queue, const JobSpec *daemon, char **ret_error);

/* The last max bytes of data, or less, as text: it begins with a whole character, and what is not UTF-8, or NUL, is U+FFFD. NULL: out of
 * memory. */
char *verdict_tail(const char *data, size_t n, size_t max);
