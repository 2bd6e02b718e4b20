/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The daemon in a box, for test-model-naive.c: src/queue, settle.c and adopt.c of src/daemon, and all of src/unit that decides run
 * as they are; libsystemd, PID 1, journal, cgroups (box-bus.c, box-manager.c), store and bus interface (box-store.c) are arrays. Each thing that the
 * daemon gets to know, and each thing that it does, goes by the small model (naive.h) first. */

#include "daemon/manager.h"
#include "naive.h"

#include <systemd/sd-bus.h>

/* A call to the manager on its way: seen in the order in which they were sent. */
typedef struct FakeCall {
        enum { CALL_NONE, CALL_MANAGER, CALL_LIST, CALL_LOOK, CALL_GATE, CALL_START, CALL_KILL, CALL_STOP, CALL_RESET, CALL_FREEZE, CALL_THAW } what;
        bool silent;              /* the manager has it and will not answer */
        unsigned id, number;
        int sig;
        unsigned serial;
        sd_id128_t token;
        bool net;
        unsigned slots, queue;
        unsigned caps[NQ];        /* when it was sent */
        sd_bus_message_handler_t callback;
        void *userdata;
        struct sd_bus_slot *slot; /* NULL: nobody waits for the answer */
} FakeCall;

#define CALLS_MAX 256U

/* A row of the store. */
typedef struct Row {
        bool there;
        JobState state;
        JobResult result, intent;
        bool dead, freezable, delayed, fair;
        int32_t priority;
        usec_t keep, ended;
        int64_t rank, age;
        uint32_t owner;
        unsigned queue;
        uint32_t slots, attempt, max_attempts, blockers, failures, grown, poison;
        unsigned retry_on;
        bool requeue_lost, exponential, spool, verify;
        usec_t backoff;
        unsigned array;
        uint32_t index;
        bool waits;
        unsigned key;
        bool held, lent;
        UniqueScope scope;
        usec_t until, submitted, not_before, deadline, ready, started, finished, wait, timeout, stop_timeout;
} Row;

typedef struct AttemptRow {
        bool there;
        Epoch epoch;
        sd_id128_t token, invocation;
        uint32_t slots, numbers[4];
        usec_t created, freezer_usec, frozen_usec;
        Freezer freezer;
        JobResult result;
        Executor executor;
        unsigned worker;
        usec_t sent;
} AttemptRow;

/* The process of a worker. */
typedef struct Peer {
        bool alive, connected;
        unsigned owner, slots, queues;
        int runner;               /* of this queue; -1: it is none */
} Peer;

typedef struct Box {
        Manager m;
        Api api;
        Now now;
        int64_t step;             /* the clock was set by so much, and the daemon has not seen it */
        Naive naive, stored;
        Row rows[NJ];
        AttemptRow attempts[NJ][NA];
        Edge edges[NJ][NJ];       /* job 0: none */
        bool ended[NJ];
        struct { bool there, paused, draining; uint64_t count[_JOB_STATE_MAX], dead; RateWindow starts; bool fair, reranking; usec_t ageing; } queues[NQ];
        uint64_t next_id;
        struct { unsigned n, max; } arrays[NJ];
        unsigned fail_commits;    /* so many from now on */
        uint64_t told, commits;
        unsigned told_results[NJ][NA];

        Peer peers[NW];
        bool given[NJ][NA];       /* to its worker */
        bool left[NJ][NA];        /* something of it is, by a runner that is gone */
        unsigned next_worker;     /* as it is stored */
        Unit units[NJ][NA];
        unsigned epoch, boot, invocations, tokens;
        FakeCall calls[CALLS_MAX];
        unsigned n_calls;
        bool kind;                /* the manager does what it is asked */
        bool deaf;                /* signals are lost */
        bool system_stops, drop_in;
        bool gate_active;         /* the unit that some queues wait for */
        unsigned pressure;        /* on the CPU, percent */
        bool pressure_wanted;     /* as it was last */
        uint64_t user_signals;    /* bit for each job that one was asked for */
        bool tick_armed, reconnect_armed, disconnected;
        uint64_t dice;
        bool verbose;
} Box;

extern Box box;
extern const char *const queue_names[NQ];

unsigned any(unsigned n);
bool chance(unsigned percent);

#define say(...)                                                                                                           \
        do {                                                                                                               \
                if (box.verbose)                                                                                           \
                        printf(__VA_ARGS__);                                                                               \
        } while (false)

/* box-bus.c, box-manager.c */
void box_bus_begin(void);
void box_bus_end(void);
bool box_deliver(void);      /* what is on its way, in order; false: nothing was */
void box_time_out_calls(void); /* those that will not be answered */
void box_drop_calls(void);   /* the connection is closed */
void box_tick(void);
void box_reconnect(void);
void box_disconnect(void);
void box_reloading(void);
void box_new_manager(void);
void box_shutdown(bool stopping);
void box_gate(bool active);
void unit_runs(Unit *u);
void unit_ends(Unit *u, End end);
void unit_is_stopped(Unit *u);
void unit_is_restarted(Unit *u);
void unit_goes(Unit *u);
void unit_empties(Unit *u);

/* box-store.c */
void box_fetch(unsigned id, Job **ret);
void box_load(void);
void box_apply_file(Queue *q, unsigned i); /* as daemon/config.c does */
unsigned queue_index(const char *name);

/* box-worker.c */
void box_worker_event(unsigned kind);
void box_tell_workers(void);
void box_load_workers(Model *m);
void box_workers_end(void);
