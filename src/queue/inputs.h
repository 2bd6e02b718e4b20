/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a job is given of those that it came after: the file $JOBMILL_INPUTS (docs/flows.md). */

#include "queue/outcome.h"

/* Verdicts that are more together are left out: the file lies in memory, one for each attempt that runs. */
#define INPUTS_VERDICTS_MAX ((size_t) 1024 * 1024)

typedef struct Input {
        uint64_t id;
        const char *name;    /* NULL: it has none */
        JobResult result;    /* NONE: it is not known any more */
        int32_t exit_status; /* -1: did not exit */
        int32_t exit_signal; /* 0: none */
        int success;         /* what its verdict says; -1: nothing */
        const char *verdict; /* NULL: none; else one JSON value, which is not looked at again */
} Input;

typedef struct InputsWriter InputsWriter;
InputsWriter *inputs_new(void);
InputsWriter *inputs_free(InputsWriter *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(InputsWriter *, inputs_free);
int inputs_add(InputsWriter *w, const Input *in);
char *inputs_to_json(InputsWriter *w); /* Once, at the end. NULL: out of memory */
