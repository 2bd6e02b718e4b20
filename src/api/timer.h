/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Schedules (queue/timer.h) as calls set them, and what one submits when it is time. */

#include "api/request.h"

/* timer-fire.c. Its job, as its owner would submit it over the socket: what needs polkit he cannot have in a schedule. Both need his user, and
 * perhaps another one, whom the data base does not know yet: this one; UINT32_MAX: it knows both. */
uint32_t timer_unknown_user(Api *a, uint32_t owner, const char *job);
/* Could it be submitted now? 1, or negative with *error. */
int timer_check_job(Api *a, uint32_t owner, const char *job, sd_bus_error *error);
/* 1, and f->job; 0, with f->note why there is none: the last job is not done; or negative with *error, or -EAGAIN: a user is not known. */
int timer_submit(Api *a, const Timer *t, Firing *f, sd_bus_error *error);
/* Top of the turn: those that have elapsed. */
void api_fire_timers(Api *a);

/* The answer to check_calendar(). */
void api_calendar_checked(Api *a, uint64_t number, bool invalid, const char *error);

/* The one that is named by the first argument. 0 or negative with *error. */
int timer_find(Call *c, const char *name, Timer **ret, sd_bus_error *error);
