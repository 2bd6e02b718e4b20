/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between call.c, which runs calls, and call-rights.c, for which some wait. */

#include "api/api.h"

/* Runs the handler. The call is freed unless the handler has put it aside to be run again. */
void call_run(Call *c);

bool call_polkit_has_room(const Call *c); /* may one more of its user ask now? */
void call_polkit_done(Call *c);           /* asks no more, answered or not */
