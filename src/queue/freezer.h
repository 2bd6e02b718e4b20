/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

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
