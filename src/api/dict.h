/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"
#include "api/reply.h"

/* With the key that they have on the socket, NULL in an array. Counts in row->n_after, which may be many. */
int dict_append_job(Reply *d, const char *key, const Api *a, JobRow *row, bool is_private, char *const *fields);
/* with_verdict: also what it said and wrote, which may be so long: dict_verdict_size(). NULL: an empty one. */
int dict_append_attempt(Reply *d, const char *key, const Attempt *at, bool is_private, bool with_verdict);
size_t dict_verdict_size(const Attempt *at);
/* Why it is not done yet; "": it runs. */
int dict_reason(const Api *a, const Job *j, char **ret);
/* Is it read from the spec, which costs more than the rest? */
static inline bool dict_is_of_spec(const SpecField *f) {
        return !(f->flags & SPEC_NOT_STORED);
}
