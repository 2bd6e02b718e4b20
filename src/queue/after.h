/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a job waits for: that another one has ended, and how. */

#include "base/macro.h"

/* How another job must have ended. */
typedef enum AfterCondition {
        AFTER_SUCCESS,
        AFTER_FAILURE,
        AFTER_END,
        _AFTER_CONDITION_MAX,
        _AFTER_CONDITION_INVALID = -EINVAL,
} AfterCondition;

const char *after_condition_to_string(AfterCondition c);
AfterCondition after_condition_from_string(const char *s);

/* And what if it did not: the waiting job can never start; nothing; it waits for nothing else any more. */
typedef enum AfterOtherwise {
        OTHERWISE_FAIL,
        OTHERWISE_IGNORE,
        OTHERWISE_CONTINUE,
        _AFTER_OTHERWISE_MAX,
        _AFTER_OTHERWISE_INVALID = -EINVAL,
} AfterOtherwise;

const char *after_otherwise_to_string(AfterOtherwise o);
AfterOtherwise after_otherwise_from_string(const char *s);

typedef struct After {
        uint64_t id;
        AfterCondition condition;
        AfterOtherwise otherwise;
        bool met; /* of a new job: nothing is to be waited for */
        bool place; /* id is none of a job yet, but of a place in a flow (flow.h) */
} After;

/* Both as one word: "success", "failure:ignore"; "fail" is not said. -EINVAL: none, and a is as it was. */
const char *after_word(AfterCondition c, AfterOtherwise o);
int after_parse(const char *word, After *a);
#define AFTER_WORDS "success, failure, end, which :ignore or :continue may follow"
