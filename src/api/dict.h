/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"

/* Counts in row->n_after, which may be many. */
int dict_append_job(sd_bus_message *m, const Api *a, JobRow *row, bool is_private, char *const *fields);
/* with_verdict: also what it said and wrote, which may be so long: dict_verdict_size(). */
int dict_append_attempt(sd_bus_message *m, const Attempt *at, bool is_private, bool with_verdict);
size_t dict_verdict_size(const Attempt *at);
/* Is it read from the spec, which costs more than the rest? */
static inline bool dict_is_of_spec(const SpecField *f) {
        return !(f->flags & SPEC_NOT_STORED);
}
int dict_append(sd_bus_message *m, const char *key, const char *type, ...);
