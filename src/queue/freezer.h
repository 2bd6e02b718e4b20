/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

typedef struct Attempt Attempt;
typedef struct Job Job;
typedef struct Model Model;
typedef struct Now Now;

/* Whether its processes stand still. The two that are asked for are stored before the manager is asked, so that whoever comes
 * after a crash asks again. */
typedef enum Freezer {
        FREEZER_THAWED,
        FREEZER_FREEZING, /* wanted by a user, not seen yet */
        FREEZER_FROZEN,   /* seen, whoever did it */
        FREEZER_THAWING,  /* wanted by a user, not seen yet */
        _FREEZER_MAX,
        _FREEZER_INVALID = -EINVAL,
} Freezer;

const char *freezer_to_string(Freezer f);
Freezer freezer_from_string(const char *s);

/* Asked for again: 0. -EALREADY done; -EBUSY: not running; -ETIME: its unit has a clock that would go on; -EOPNOTSUPP: it has no unit. */
int model_freeze(Model *m, Job *j, const Now *now);
int model_thaw(Model *m, Job *j, const Now *now);
void model_attempt_seen_frozen(Model *m, Attempt *a, bool frozen, const Now *now); /* what its unit shows, or was answered */
/* The manager cannot: what was wanted is given up, and the job says why. */
void model_attempt_freeze_failed(Model *m, Attempt *a, const char *error);
