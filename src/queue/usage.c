/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/usage.h"

#include "base/string-table.h"
#include "queue/model.h"

static const char *const usage_value_table[_USAGE_MAX] = {
        [USAGE_SUBMITTED] = "submitted",
        [USAGE_JOBS] = "jobs",
        [USAGE_FAILED] = "failed",
        [USAGE_CANCELLED] = "cancelled",
        [USAGE_ATTEMPTS] = "attempts",
        [USAGE_STARTED] = "started",
        [USAGE_WAIT_USEC] = "wait_usec",
        [USAGE_RUNTIME_USEC] = "runtime_usec",
        [USAGE_SLOT_USEC] = "slot_usec",
        [USAGE_MEASURED] = "measured",
        [USAGE_CPU_USEC] = "cpu_usec",
};

const char *usage_value_to_string(UsageValue v) {
        return usage_value_table[v];
}

static const char *type_of(const Job *j) {
        return strempty(j->type);
}

/* NULL: out of memory. Then it does not count; what became of the job is no worse for it. */
static Usage *usage_of(Model *m, const Job *j, usec_t at) {
        struct UsageKey key;
        Usage *u;

        memset(&key, 0, sizeof(key)); /* what lies between the members is part of the key */
        key.minute = at - at % USAGE_MINUTE;
        key.owner = j->owner;
        strncpy(key.queue, j->queue_name, QUEUE_NAME_MAX);
        strncpy(key.type, type_of(j), USAGE_TYPE_MAX);
        HASH_FIND(hh, m->usage, &key, sizeof(key), u);
        if (u)
                return u;
        u = new0(Usage, 1);
        if (!u)
                return NULL;
        memcpy(&u->key, &key, sizeof(key));
        HASH_ADD(hh, m->usage, key, sizeof(u->key), u);
        return u;
}

static void add(Usage *u, UsageValue v, uint64_t n) {
        u->values[v] = MIN(usec_add(u->values[v], n), (uint64_t) INT64_MAX);
}

void usage_submitted(Model *m, const Job *j) {
        Usage *u = usage_of(m, j, j->submitted_usec);

        if (u)
                add(u, USAGE_SUBMITTED, 1);
}

void usage_attempt_ended(Model *m, const Job *j, uint32_t slots, const Outcome *o, const Now *now) {
        Usage *u = usage_of(m, j, o->finished_usec != USEC_INFINITY ? o->finished_usec : now->realtime);
        uint64_t n;

        if (!u)
                return;
        add(u, USAGE_ATTEMPTS, 1);
        if (j->wait_usec != USEC_INFINITY) {
                add(u, USAGE_STARTED, 1);
                add(u, USAGE_WAIT_USEC, j->wait_usec);
                histogram_add(&u->wait, histogram_job_bounds, j->wait_usec);
        }
        if (o->runtime_usec != USEC_INFINITY) {
                add(u, USAGE_RUNTIME_USEC, o->runtime_usec);
                if (!__builtin_mul_overflow(o->runtime_usec, (uint64_t) slots, &n))
                        add(u, USAGE_SLOT_USEC, n);
                histogram_add(&u->run, histogram_job_bounds, o->runtime_usec);
        }
        if (o->cpu_usec != UINT64_MAX) {
                add(u, USAGE_MEASURED, 1);
                add(u, USAGE_CPU_USEC, o->cpu_usec);
        }
}

void usage_done(Model *m, const Job *j) {
        Usage *u = usage_of(m, j, j->finished_usec);

        if (!u)
                return;
        add(u, USAGE_JOBS, 1);
        u->results[j->result]++;
        if (j->result == JOB_CANCELLED)
                add(u, USAGE_CANCELLED, 1);
        else if (j->result != JOB_SUCCESS)
                add(u, USAGE_FAILED, 1);
}

void usage_free_all(Usage **l) {
        Usage *u, *t;

        HASH_ITER(hh, *l, u, t) {
                HASH_DEL(*l, u);
                free(u);
        }
}
