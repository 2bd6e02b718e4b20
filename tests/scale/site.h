/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The site of year.c: the daemon's own turn with model and store as they are; PID 1, the buses and all clocks are here. What must hold
 * at each step is checked here too, by books of its own that know nothing of the model. */

#include "daemon/manager.h"

#define SEC USEC_PER_SEC
#define HOUR (3600 * SEC)
#define DAY (24 * HOUR)
#define DEPARTMENTS 20U
#define CHILDREN 4U
#define SITE_QUEUES (DEPARTMENTS * (1 + CHILDREN)) /* of a department: its own, behind it those that lie in it */
#define BEGIN (UINT64_C(1767225600) * SEC)         /* a first of January */

struct sd_event_source {
        bool on;
        usec_t at;
};

/* How long something took, µs: steps of 2 percent. */
#define METER_STEPS 1024U
typedef struct Meter {
        uint64_t n[METER_STEPS], total, sum;
        double max;
} Meter;

void meter_add(Meter *m, double usec, uint64_t weight);
double meter_share(const Meter *m, double share); /* 0.5: the median */

/* What has become of a job, by what was asked for, done and told. */
typedef enum Fate {
        FATE_NONE,
        FATE_QUEUED,
        FATE_LIVE,
        FATE_DONE,
        FATE_FAILED, /* done, and kept until somebody purges it */
        FATE_PURGED,
} Fate;

/* A unit that PID 1 has. */
typedef struct Unit {
        usec_t ends;
        uint64_t id;
        uint32_t number;
        JobResult result;
} Unit;

/* What the turns of a month took. */
typedef struct Times {
        Meter dispatch; /* for each job that was started: the processor's time of its turn, but for the commit and what is old */
        Meter commit;   /* of the wall */
        Meter record;   /* the processor's, for each job that was started */
        uint64_t started, steps; /* so many jobs were, and what SQLite did for that: as dispatch, but the same on any machine */
        double chunk;   /* the longest look for what is old, with the commit of what it found */
        double turn;    /* the longest turn */
} Times;

typedef struct Site {
        Manager m;
        Api api;
        Units units;
        Now now;
        struct sd_event_source due, deadline, storage, status, again, expiry, stop, pressure;
        uint64_t dice;

        uint8_t *fates;          /* by id; shared memory, so that it does not count as the daemon's */
        uint64_t jobs_max;
        uint64_t submitted, ended, purged, attempts;
        uint32_t used[SITE_QUEUES], used_max[SITE_QUEUES];
        uint32_t slots[SITE_QUEUES];

        Unit *runs;              /* a heap, by when they end */
        size_t n_runs, runs_max, n_starting, n_killed;
        struct { uint64_t id; uint32_t number; } starting[STARTING_MAX], killed[STARTING_MAX];
        usec_t run_mean;

        Times times;
        uint64_t turns, steps;   /* of SQLite, in all */
} Site;

extern Site site;

void site_remove(void);                        /* the files of the store */
void fail(const char *format, ...) _printf_(1, 2) __attribute__((noreturn));
uint64_t any(uint64_t n);
bool chance(double share);
double exponential(void);                      /* of mean 1 */

unsigned site_queue(const char *name);         /* its index */
const char *site_queue_name(unsigned i);
bool site_is_short(uint64_t id);               /* one of a campaign: its run is */
Fate site_fate(uint64_t id);
void site_set_time(usec_t realtime);
void site_begin(uint64_t jobs_max, uint32_t slots_max, Store *s, Model *m);
void site_end(void);
void site_submitted(uint64_t id, uint32_t n, bool is_short);
void site_ends(void);                          /* of those whose time is over */
void site_turn(void);                          /* until the daemon rests */
uint64_t site_memory(void);                    /* bytes, of this process but for the books */
