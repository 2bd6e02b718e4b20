/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rules of edges, and their words. */

#include "queue/edge.h"

EdgeOutcome edge_decide(AfterCondition condition, AfterOtherwise otherwise, JobResult result) {
        if (condition == AFTER_END || (condition == AFTER_SUCCESS) == (result == JOB_SUCCESS))
                return EDGE_MET;
        switch (otherwise) {
        case OTHERWISE_IGNORE:
                return EDGE_MET;
        case OTHERWISE_CONTINUE:
                return EDGE_CONTINUES;
        default:
                return EDGE_FAILED;
        }
}

char *edge_reason(AfterCondition condition, uint64_t before, const char *name, JobResult result) {
        char *s;

        if (asprintf(&s, "job %" PRIu64 "%s%s%s ended as %s%s", before, name ? " (" : "", strempty(name), name ? ")" : "",
                     job_result_to_string(result), condition == AFTER_FAILURE ? ", not as a failure" : "") < 0)
                return NULL;
        return s;
}

char *edge_waits(const uint64_t *ids, uint64_t n) {
        char *s;
        int r;

        if (n == 0)
                r = asprintf(&s, "after other jobs");
        else if (n == 1)
                r = asprintf(&s, "after %" PRIu64, ids[0]);
        else if (n == 2)
                r = asprintf(&s, "after %" PRIu64 " and %" PRIu64, ids[0], ids[1]);
        else
                r = asprintf(&s, "after %" PRIu64 ", %" PRIu64 " and %" PRIu64 " more", ids[0], ids[1], n - 2);
        return r < 0 ? NULL : s;
}
