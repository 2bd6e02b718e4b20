/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/retry.h"

#include "base/strv.h"
#include "queue/reason.h"
#include "queue/unit-property-internal.h"

bool retry_is_wanted(const JobSpec *spec, const Outcome *o) {
        switch (o->result) {
        case JOB_RESULT_NONE:
        case JOB_SUCCESS:
        case JOB_CANCELLED:
        case JOB_DEPENDENCY:
        case JOB_EXPIRED:
                return false;
        case JOB_EXIT_CODE:
                if (o->exit_status == RETRY_STATUS_AGAIN)
                        return true;
                if (o->exit_status == RETRY_STATUS_NEVER)
                        return false;
                break;
        default:
                break;
        }
        return !spec->retry_on || !*spec->retry_on || strv_contains(spec->retry_on, job_result_to_string(o->result));
}

bool retry_is_poison(const Outcome *o) {
        return o->result == JOB_OOM_KILL || (o->result == JOB_LOST && !o->shutdown);
}

usec_t retry_delay(const JobSpec *spec, uint32_t failures, uint64_t random) {
        usec_t base = spec->backoff_base_usec != USEC_INFINITY ? spec->backoff_base_usec : RETRY_BASE_DEFAULT;
        usec_t max = spec->backoff_max_usec != USEC_INFINITY ? spec->backoff_max_usec : MAX(base, RETRY_MAX_DEFAULT);
        usec_t delay = MIN(base, max);
        double lot = (double) (random >> 11) / (double) (UINT64_C(1) << 53); /* 0 ≤ lot < 1 */

        if (spec->backoff == BACKOFF_EXPONENTIAL)
                for (uint32_t i = 1; i < failures && delay > 0 && delay < max; i++)
                        delay = delay > max / 2 ? max : 2 * delay;
        if (spec->backoff_jitter > 0)
                delay -= (usec_t) ((double) delay * spec->backoff_jitter * lot);
        return delay;
}

char *retry_reason(const Model *m, const Job *j, const Now *now) {
        usec_t left = j->not_before_usec == USEC_INFINITY ? 0 : usec_sub(j->not_before_usec, j->delayed ? now->steady : now->realtime);
        bool cleaning = model_is_cleaning_up(m, j) &&
                        left <= CLEANING_LOOK << MIN(model_last_attempt(m, j)->looks, CLEANING_DOUBLED_MAX);
        char span[SPAN_TEXT_MAX], *s;

        reason_span(span, left);
        if (asprintf(&s, "attempt %" PRIu32 " of %" PRIu32 " %s%s", j->attempt + 1, j->max_attempts,
                     cleaning  ? "when what is left of the last one is gone" :
                     left == 0 ? "is due" :
                                 "in ",
                     cleaning || left == 0 ? "" : span) < 0)
                return NULL;
        return s;
}

/* "infinity" stays what it is, and nothing becomes it. */
static void grow(UnitValue *v, double factor) {
        uint64_t infinity = v->type == UNIT_VALUE_U32 ? UINT32_MAX : UINT64_MAX, now = v->type == UNIT_VALUE_U32 ? v->u32 : v->u64;
        double grown = (double) now * factor;

        if (now == infinity)
                return;
        if (v->type == UNIT_VALUE_U32) /* MemoryMaxScale, where the largest is all memory that there is */
                v->u32 = grown >= (double) UINT32_MAX ? UINT32_MAX : (uint32_t) grown;
        else
                v->u64 = grown >= (double) INT64_MAX ? (uint64_t) INT64_MAX : (uint64_t) grown;
}

static int inherit(UnitPropertyList *job, const UnitPropertyList *queue, const char *name) {
        const UnitValue *v = unit_property_list_find(queue, name);

        return v ? unit_property_list_copy(job, v) : 0;
}

int retry_grow_memory(UnitPropertyList *job, const UnitPropertyList *queue, double growth, uint32_t times) {
        static const char *const names[] = { "MemoryMax", "MemoryMaxScale" };
        double factor = 1;
        int r = 0;

        for (uint32_t i = 0; i < times && factor < 1e18; i++)
                factor *= growth;
        if (factor <= 1)
                return 0;
        if (!unit_property_list_find(job, names[0]) && !unit_property_list_find(job, names[1])) {
                FOREACH_ELEMENT(name, names)
                        if (r >= 0)
                                r = inherit(job, queue, *name);
                if (r < 0)
                        return r;
        }
        FOREACH_ELEMENT(name, names) {
                UnitValue *v = (UnitValue *) unit_property_list_find(job, *name);

                if (v)
                        grow(v, factor);
        }
        return 0;
}
