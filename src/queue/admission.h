/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What shuts a queue, with all that lies below it, beside pause and cap: its rate, the pressure on the machine, a unit that must be
 * active, or that the service manager takes no more units of it. Nobody else is held back by it, and nothing that runs is touched.
 * Pure: units and pressure are told by unit/ and daemon/, "now" is a parameter. */

#include "base/macro.h"
#include "queue/gate.h"
#include "queue/rate.h"

typedef struct Now Now;

/* Of "some avg10" in /proc/pressure: how much of the last ten seconds somebody had to wait for it. */
typedef enum Pressure {
        PRESSURE_CPU,
        PRESSURE_MEMORY,
        PRESSURE_IO,
        _PRESSURE_MAX,
} Pressure;

#define PRESSURE_NO_LIMIT UINT32_MAX
#define PRESSURE_INTERVAL (2 * USEC_PER_SEC) /* so often it is read, which is how often the kernel makes it anew */
#define PRESSURE_FRESH (10 * USEC_PER_SEC) /* for so long it counts that a queue was shut before */

const char *pressure_to_string(Pressure p); /* "cpu", as the file is called */

typedef struct PressureSample {
        uint32_t permyriad;
        int error;                /* < 0: it could not be read, and why */
} PressureSample;

typedef enum Shut {
        SHUT_NOT,
        SHUT_GATE,
        SHUT_PRESSURE,
        SHUT_RAMP, /* after pressure, until it is read again */
        SHUT_RATE,
        SHUT_BACKSTOP,
} Shut;

/* Policies were read: who is regulated, by which units, and whom workers serve. -ENOMEM */
int admission_configure(Model *m);

/* Before who starts next is decided: who is shut. Sets model->next_admission. */
void admission_decide(Model *m, const Now *now);
/* One of q starts. */
void admission_started(Model *m, Queue *q, const Now *now);
/* The nearest of q and its ancestors that is shut; NULL: none. The hook of the scheduler; each level alone: q->shut. */
const Queue *queue_shut_at(const Queue *q);
/* Why nothing of queue "of" starts that lies in it, in words for people. As reason_say(). */
int queue_shut_reason(const Model *m, const Queue *shut, const Queue *of, const Now *now, char **ret);

/* Does a ready job of a queue with a limit wait, so that the pressure must be known? A look at all queues: where none did, only when
 * model->pressure_look says that it may be otherwise. */
bool admission_wants_pressure(const Model *m);
void admission_ready(Model *m, const Queue *q); /* a job of it is */
bool admission_limits_pressure(const Model *m, Pressure p); /* does any queue? */
void admission_pressure(Model *m, const PressureSample samples[_PRESSURE_MAX], const Now *now);

/* The clock of the wall was set. */
void admission_clock_set(Model *m, int64_t step);
/* The manager refused a unit in this queue's slice: nothing more of it for a moment. */
void admission_refused(Model *m, Queue *q, const char *error);
