/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one user may have of the daemon at a time. root, and in his own instance its user, may have all of it. */

#include "api/api.h"

/* Has the caller's user too many calls that wait, or are they too large? Then the handler returns -EUSERS. */
bool call_too_many_pending(Call *c);
bool call_too_many_aside(Call *c); /* the same, where it will not be for long: those that wait for the end of a job do not count */
const char *call_too_many_text(const Call *c, char buf[static 160]);
/* Of those that wait: it is one of them now, waits for something else, or is none any more. */
void call_share_moved(Call *c, CallWhere from, CallWhere to), call_share_freed(Call *c);

/* Work that his calls make in one turn: where it is more than his share, what else he asks for is done in the next one, after what
 * others have asked for. A call that may take milliseconds is all of it. */
#define SHARE_OF_TURN 128U
#define SHARE_JOBS 64U /* of a batch: so many are as much as another call */
void call_costs(Call *c, size_t work);
int call_begins_page(Call *c); /* that is all of a share, and more may follow in other turns; 0, -EUSERS */
bool call_has_share(const Call *c);

/* May systemd be asked about one more calendar event of his now? */
bool call_may_ask_calendar(const Call *c);
