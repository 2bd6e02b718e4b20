/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The timer units of schedules (queue/timer.h): see timer.c; timer-call.c has what is said to the manager. */

#include "queue/timer.h"

#include <sys/queue.h>
#include <systemd/sd-bus.h>

typedef struct Units Units;

#define UNITS_TIMERS_IN_FLIGHT 8U
#define TIMER_UNIT_PREFIX "jobmill-schedule-"
#define TIMER_UNIT_MAX 96U
TAILQ_HEAD(TimerCallList, TimerCall);

/* Of which something is to be asked. */
void units_act_timers(Units *u);
void units_tick_timers(Units *u);
/* The list of all units: before it is read, a row of it (true: of a timer), and when it was. */
void units_timers_begin(Units *u);
bool units_heed_timer_row(Units *u, const char *unit);
void units_timers_end(Units *u, const Now *now);
/* Without running jobs nothing else has the units looked at: is it time, for timers? And look when it is. */
bool units_timers_want_round(const Units *u);
void units_timers_arm(Units *u);
/* Signals: one changed, one was removed. */
void units_heed_timer(Units *u, const char *unit);
void units_timer_removed(Units *u, const char *unit);
/* Another connection, another manager, or another model. */
void units_forget_timers(Units *u);

/* calendar.c: does the manager understand it? error: NULL: yes; else why not, or (invalid not set) why it did not say. Called once. */
typedef void (*units_calendar_t)(void *userdata, uint64_t number, bool invalid, const char *error);
int units_check_calendar(Units *u, const char *calendar, uint64_t number, units_calendar_t told, void *userdata);

/* ---- timer-call.c ---- */

/* What its unit shows. */
typedef struct TimerState {
        bool loaded, active;
        bool running;    /* it has elapsed just now: its service starts, and then it knows when it will next */
        uint64_t digest; /* 0: it is none of ours */
        usec_t elapsed, mark; /* mark: by the monotonic clock; 0: never */
        usec_t next;     /* USEC_INFINITY: that is not known */
} TimerState;

void timer_unit_name(const char *name, const char *suffix, char ret[static TIMER_UNIT_MAX]);
const char *timer_name_of_unit(const char *unit, char ret[static TIMER_UNIT_MAX]); /* NULL: it is none */
int timer_new_look(Units *u, const Timer *t, sd_bus_message **ret);
int timer_new_start(Units *u, const Timer *t, const Now *now, sd_bus_message **ret);
int timer_new_stop(Units *u, const char *unit, sd_bus_message **ret);
int timer_append_calendar(sd_bus_message *m, char *const *calendar); /* a property */
int timer_state_read(sd_bus_message *m, const Now *now, TimerState *ret);
