/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The words of edges. Documents of flows and the store have two of them, everywhere else they are one: "failure:ignore". */

#include "queue/after.h"

#include "base/string-table.h"

static const char *const after_condition_table[_AFTER_CONDITION_MAX] = {
        [AFTER_SUCCESS] = "success",
        [AFTER_FAILURE] = "failure",
        [AFTER_END] = "end",
};
DEFINE_STRING_TABLE_LOOKUP(after_condition, AfterCondition);

static const char *const after_otherwise_table[_AFTER_OTHERWISE_MAX] = {
        [OTHERWISE_FAIL] = "fail",
        [OTHERWISE_IGNORE] = "ignore",
        [OTHERWISE_CONTINUE] = "continue",
};
DEFINE_STRING_TABLE_LOOKUP(after_otherwise, AfterOtherwise);

static const char *const words[_AFTER_CONDITION_MAX][_AFTER_OTHERWISE_MAX] = {
        [AFTER_SUCCESS] = { "success", "success:ignore", "success:continue" },
        [AFTER_FAILURE] = { "failure", "failure:ignore", "failure:continue" },
        [AFTER_END] = { "end", "end:ignore", "end:continue" },
};

const char *after_word(AfterCondition c, AfterOtherwise o) {
        return words[c][o];
}

int after_parse(const char *word, After *a) {
        const char *colon = strchrnul(word, ':');
        _cleanup_free_ char *on = strndup(word, colon - word);
        AfterCondition c;
        AfterOtherwise o;

        if (!on)
                return -ENOMEM;
        c = after_condition_from_string(on);
        o = *colon ? after_otherwise_from_string(colon + 1) : OTHERWISE_FAIL;
        if (c < 0 || o < 0)
                return -EINVAL;
        a->condition = c;
        a->otherwise = o;
        return 0;
}
