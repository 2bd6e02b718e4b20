/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Freezing. A user's wish is stored first (FREEZING, THAWING), then the manager is asked, then what it answers or what the unit
 * shows makes it FROZEN or THAWED; so a crash at any step leaves something that is simply asked again. Others may freeze and
 * thaw units too: what is seen counts, whoever did it.
 *
 * The attempt's clock stands still from the wish on, not from its fulfilment. frozen_usec counts what is known to have been
 * frozen up to freezer_usec; while a wish is open each look moves that on, so that time for which nobody can know (the daemon
 * was away in the middle) is counted as what it was seen to be afterwards. */

#include "base/string-table.h"
#include "queue/model-internal.h"

static const char *const freezer_table[_FREEZER_MAX] = {
        [FREEZER_THAWED] = "",
        [FREEZER_FREEZING] = "freezing",
        [FREEZER_FROZEN] = "frozen",
        [FREEZER_THAWING] = "thawing",
};
DEFINE_STRING_TABLE_LOOKUP(freezer, Freezer);

static void freezer_count(Attempt *a, const Now *now) {
        if (a->freezer_usec != USEC_INFINITY)
                a->frozen_usec = usec_add(a->frozen_usec, usec_sub(now->monotonic, a->freezer_usec));
}

static void freezer_set(Model *m, Attempt *a, Freezer freezer, usec_t since) {
        if (a->freezer != freezer) {
                a->job->was_edited = true;
                model_job_changed(m, a->job);
        }
        a->freezer = freezer;
        a->freezer_usec = since;
        attempt_arm(m, a);
        model_attempt_changed(m, a);
}

static int freezer_check(const Job *j) {
        return j->state == JOB_DONE ? -EALREADY : j->state != JOB_RUNNING ? -EBUSY : !attempt_has_unit(j->live) ? -EOPNOTSUPP : 0;
}

int model_freeze(Model *m, Job *j, const Now *now) {
        Attempt *a = j->live;
        int r;

        r = freezer_check(j);
        if (r < 0)
                return r;
        if (a->freezer == FREEZER_FROZEN || a->freezer == FREEZER_FREEZING)
                return 0;
        if (a->has_net)
                return -ETIME;
        (void) free_and_strdup(&j->reason, NULL);
        freezer_set(m, a, FREEZER_FREEZING, now->monotonic);
        model_attempt_act(m, a);
        return 0;
}

int model_thaw(Model *m, Job *j, const Now *now) {
        Attempt *a = j->live;
        int r;

        r = freezer_check(j);
        if (r < 0 || a->freezer == FREEZER_THAWING)
                return r;
        if (a->freezer == FREEZER_FROZEN)
                freezer_count(a, now);
        /* Also where it does not seem to be frozen: somebody may just have done that. */
        freezer_set(m, a, FREEZER_THAWING, now->monotonic);
        model_attempt_act(m, a);
        return 0;
}

void model_attempt_seen_frozen(Model *m, Attempt *a, bool frozen, const Now *now) {
        if (a->phase != ATTEMPT_RUNNING || !a->job)
                return;

        switch (a->freezer) {
        case FREEZER_THAWED:
                if (frozen)
                        freezer_set(m, a, FREEZER_FROZEN, now->monotonic);
                break;
        case FREEZER_FREEZING:
                freezer_set(m, a, frozen ? FREEZER_FROZEN : FREEZER_FREEZING, frozen ? a->freezer_usec : now->monotonic);
                break;
        case FREEZER_FROZEN:
                if (frozen)
                        break;
                freezer_count(a, now);
                freezer_set(m, a, FREEZER_THAWED, USEC_INFINITY);
                break;
        case FREEZER_THAWING:
                if (frozen)
                        freezer_count(a, now);
                freezer_set(m, a, frozen ? FREEZER_THAWING : FREEZER_THAWED, frozen ? now->monotonic : USEC_INFINITY);
                break;
        default:
                break;
        }
}

void model_attempt_freeze_failed(Model *m, Attempt *a, const char *error) {
        if (a->freezer != FREEZER_FREEZING)
                return;
        freezer_set(m, a, FREEZER_THAWED, USEC_INFINITY);
        if (a->job->state != JOB_RUNNING)
                return;
        a->job->reason = mfree(a->job->reason);
        if (asprintf(&a->job->reason, "cannot be frozen: %s", error) < 0)
                a->job->reason = NULL;
}

void attempt_thaw_ended(const Model *m, Attempt *a, const Now *now) {
        /* Of another boot it is not known until when. */
        if (a->freezer == FREEZER_FROZEN && epoch_equal(&a->epoch, &m->epoch))
                freezer_count(a, now);
        a->freezer = FREEZER_THAWED;
        a->freezer_usec = USEC_INFINITY;
}
