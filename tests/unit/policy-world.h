/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The world of test-policy-random.c: the daemon's turn, model and store as they are; PID 1, what else sends it events, and all clocks are
 * here. Below the queues and jobs of the test are described as they were asked for, which is all that policy-check.c judges by. */

#include "daemon/manager.h"

#include <limits.h>
#include <systemd/sd-bus.h>

#define SEC USEC_PER_SEC
#define N_QUEUES 8U
#define N_OWNERS 3U
#define JOBS_MAX 600U
#define ATTEMPTS_MAX 24U
#define LEASES_MAX 128U
#define STARTS_MAX 64U
#define PEERS_MAX 24U
#define STARTERS_MAX (1U + N_QUEUES * N_OWNERS)

struct sd_event_source {
        bool on;
        usec_t at;
};

/* What a queue's file says; or what is in force of that. */
typedef struct Setup {
        bool configured, broken; /* in force: there is a file; it is bad, and none was good before */
        uint32_t slots;
        bool fair, gate;
        usec_t ageing;
        RateLimit rate;
        unsigned pressure;       /* percent; 0: no limit */
        uint64_t keep_max, queued_max, queued_per_user_max;
        bool by_workers, trusts; /* Executor=worker, which is fair in any case; WorkerUsers=: those of the first owner have jobs of all */
        bool pool, unit;         /* … or Executor=pool; WorkerUnit=w.service */
} Setup;

/* The process of a worker. */
typedef struct Peer {
        bool there, known;       /* it has registered; and was told so */
        bool connected, draining, drain_stored;
        bool gone, gone_told;    /* its process is; the daemon knows */
        bool is_main;            /* of a service: what is left there takes slots */
        uint64_t id;
        uint32_t owner, slots;
        int runner;              /* of this queue; -1: it is none */
        bool in_unit;            /* that of WorkerUnit= */
        unsigned queues;         /* bit mask */
        unsigned connection;     /* the number of it */
} Peer;

/* A unit that jobs want to be started (policy-servers.c). */
typedef struct Starter {
        bool used;
        int queue;               /* of a runner; -1: that of WorkerUnit= */
        uint32_t owner;
        bool known, wanted, asking, refused; /* the daemon knows of it, is about to ask, has asked; was told that it cannot be started */
        unsigned asked;          /* so often in a row */
        usec_t again;            /* steady: not before this */
        bool sent, runs;         /* the manager is to answer; its process is to come */
} Starter;

/* Of a job in the foreground: the process that asked for it, which waits for its turn, and then runs the command. */
typedef struct Fore {
        bool there, connected;
        bool gone, gone_told;
        bool may_go, need_not;   /* it was told that */
} Fore;

/* From the decision to start an attempt until its unit is gone. */
typedef struct Lease {
        bool there;
        enum { DECIDED, COMMITTED, ASKED, RUNNING, OVER } is;
        bool told, released, refused; /* to end; that it may go; it never was one */
        bool stray, vanished;    /* no row knows it; the machine was restarted */
        int said;                /* by its verdict: 0, 1, or -1: nothing */
        JobResult expected;      /* what it must be recorded as; NONE: not known yet */
        uint64_t id;
        uint32_t number, slots, owner;
        unsigned queue;
        uint32_t numbers[8];
        sd_id128_t token;
        bool scope;              /* around a process that was there */
        uint64_t worker;         /* it is in the process of this one; 0: a unit of its own */
        unsigned given;          /* over which connection of it; 0: not yet */
        bool given_back;         /* its slots are free, as it said how it ended … */
        bool stored;             /* … that it is over is */
        bool in_service, left;   /* its worker, which is gone, was the main process of one; something is left there */
        Outcome outcome;
        usec_t started;
} Lease;

typedef struct Start {
        usec_t at;               /* steady */
        bool committed;
} Start;

typedef struct World {
        Manager m;
        Api api;
        Units units;
        Now now;
        int64_t step;            /* the clock was set by so much, and the daemon has not seen it */
        int64_t shift;           /* … of all that it has seen */
        Setup setup[N_QUEUES], files[N_QUEUES];
        enum { FILE_GOOD, FILE_GONE, FILE_BAD } file_kinds[N_QUEUES];
        QueueEdit *edit;         /* RemoveQueue() */
        unsigned epoch;          /* of PID 1 */
        bool gate_open;
        unsigned pressure;
        Lease leases[LEASES_MAX];
        Peer peers[PEERS_MAX];
        Starter starters[STARTERS_MAX];
        Fore fore[JOBS_MAX];     /* by id */
        bool skipped[N_QUEUES][N_OWNERS]; /* in this turn: nobody has room for the first of its jobs, */
        uint64_t skipped_for[N_QUEUES][N_OWNERS]; /* … which is this one */
        bool passed[JOBS_MAX];   /* … its process is away */
        struct { Start l[STARTS_MAX]; unsigned n; } starts[N_QUEUES]; /* of those with a rate */
        unsigned fail_commits, dies_after; /* acts; UINT_MAX: it does not */
        bool dying, sync;        /* sync: PID 1 was not looked at yet */
        bool deaf;               /* signals of PID 1 get lost */
        struct sd_event_source due, deadline, storage, status, again, expiry, stop, pressure_timer;
        JobResult results[JOBS_MAX][ATTEMPTS_MAX];
        usec_t times[JOBS_MAX];  /* monotonic: when the span ends that somebody asked for; 0: none */
        bool undecided[JOBS_MAX]; /* … which is not stored yet */
        usec_t submitted[JOBS_MAX]; /* monotonic */
        uint64_t dice;
        bool verbose;
        unsigned kind;           /* of jobs end well; percent */
        unsigned busy;           /* the queue that most are submitted to: there they compete */
        void (*waiting)(void);   /* a call that goes on in the next turn */
        bool goes_on;            /* … and in the one after that */
        uint64_t *happened;      /* of each kind of event, and to some effect */
} World;

extern World w;
extern const char *const queue_names[N_QUEUES];
extern const int above[N_QUEUES];

unsigned any(unsigned n);
bool chance(unsigned percent);
void fail(const char *format, ...) _printf_(1, 2) __attribute__((noreturn));
#define say(...)                                                                                                                   \
        do {                                                                                                                       \
                if (w.verbose)                                                                                                     \
                        printf(__VA_ARGS__);                                                                                       \
        } while (false)

/* Somebody has asked for a span to pass, or for none. */
void world_note_time(const Job *j);
void world_begin(uint64_t dice);
void world_end(void);
void world_restart(void);                /* the daemon dies, and another one comes */
void world_reload(void);                 /* all files are read again */
void world_remove(unsigned queue);       /* RemoveQueue() */
void world_reboot(void);
bool world_stray(void);                  /* a unit that no row knows */
void world_turn(void);
bool world_passes(usec_t span);          /* time; false: nothing was armed before its end */
usec_t world_next_timer(void);           /* by realtime; USEC_INFINITY: none is armed */
void world_gate(bool open);
unsigned queue_index(const char *name);
uint32_t world_used(unsigned queue, int64_t owner); /* slots there and below; owner -1: by all */
Lease *world_lease(uint64_t id, uint32_t number);
void unit_runs(Lease *l);
void unit_ends(Lease *l, JobResult result, int status);
void unit_goes(Lease *l);
bool unit_is_refused(Lease *l);          /* systemd has no room for it */
Attempt *world_attempt(const Lease *l);   /* NULL: memory has none */
JobResult world_expected(const Attempt *a, const Outcome *o); /* what it must be recorded as */
void world_release(Attempt *a, Lease *l); /* its slots are free */
bool world_has_result(const Attempt *a); /* it has one, which is the only one; false: it was no attempt */
void world_look(void);                   /* what was not heard is seen */

/* policy-check.c: before an attempt starts; and when the daemon rests. */
void check_start(const Job *j);
void check_pass(unsigned queue, uint32_t owner); /* the process of the job whose turn it is is away */
void check_skip(unsigned queue, uint32_t owner); /* nobody has room for the first of its jobs, and it is its turn */
void check_purge(uint64_t id);
/* Is it right that MaxQueued= lets n more in, or does not? leaves: the job that is moved there; 0: none. */
void check_backlog(unsigned queue, uint32_t owner, unsigned n, uint64_t leaves, bool refused);
void check_submit(unsigned queue, const JobSpec *s, int r);
void check_remove(unsigned queue, int r);
void check_ended(const Attempt *a, const Lease *l);
void check_rest(void);
void check_store_itself(void);           /* as jobmill check does, which takes its time */
Store *check_store(void);                /* an empty one: what the last sequence left is deleted, which is faster than to open another */
extern uint64_t seen[];                  /* how often what was checked was not empty */
bool check_counts(bool print); /* true: everything was */
