/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Room for what a user has stored. All: 0, and it is his with the commit of this turn; or negative with *error: it would be more than
 * StoredBytesPerUserMax=. */

#include "api/submit.h"

int requests_take_room(const Call *c, Request *l, size_t n, Together together, sd_bus_error *error);
/* After all these are not stored. */
void requests_leave_room(const Call *c, const Request *l, size_t n);
/* The job that spec is from now on; payload and environment of it only where they are among fields. */
int room_for_update(const Call *c, const Job *j, const JobSpec *spec, uint64_t fields, uint64_t *ret, sd_bus_error *error);
void room_leave(const Call *c, uint32_t owner, uint64_t n); /* after all that is not stored */
int room_for_attempt(const Call *c, const Job *j, sd_bus_error *error);
/* t: what it was; NULL: it is new. */
int room_for_timer(const Call *c, const Timer *t, uint32_t owner, const TimerPolicy *p, sd_bus_error *error);
