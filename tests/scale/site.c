/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon of year.c takes for its surroundings, and the books about what it does. */

#include "site.h"

#include "api/run.h"
#include "api/timer.h"
#include "base/time-util.h"
#include "notify/event.h"
#include "store/store-internal.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"

#include <math.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>

Site site;

#define FATE_SHORT 0x80 /* beside the fate */
#define ROUNDS_MAX 1000000U

/* ---- by lot ---- */

uint64_t any(uint64_t n) {
        uint64_t z = (site.dice += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return ((z ^ (z >> 31)) >> 11) % n;
}

bool chance(double share) {
        return (double) any(1 << 24) < share * (1 << 24);
}

double exponential(void) {
        return -log((double) (1 + any(1 << 24)) / (1 << 24));
}

/* ---- meters ---- */

void meter_add(Meter *m, double usec, uint64_t weight) {
        double step = usec <= 0.01 ? 0 : 35 * log2(usec / 0.01);

        m->n[MIN((unsigned) step, METER_STEPS - 1)] += weight;
        m->total += weight;
        m->sum += (uint64_t) (usec * (double) weight);
        m->max = MAX(m->max, usec);
}

double meter_share(const Meter *m, double share) {
        uint64_t left = (uint64_t) ((double) m->total * share);

        for (unsigned i = 0; i < METER_STEPS; i++) {
                if (m->n[i] > left)
                        return 0.01 * exp2((i + 0.5) / 35);
                left -= m->n[i];
        }
        return m->max;
}

static double usec_of(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

/* Of this turn, in the processor's time. */
static struct {
        double record, old, purge_record;
        uint64_t started, other_steps; /* of the commit and of what is old */
} spent;

#define STEPS 16

static int count_steps(void *userdata) {
        site.steps += STEPS;
        return 0;
}

int __real_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m) {
        double began = usec_of(CLOCK_THREAD_CPUTIME_ID), took;
        bool only_old = m->n_purged > 0 && TAILQ_EMPTY(&m->changed) && TAILQ_EMPTY(&m->changed_attempts);
        uint64_t steps = site.steps;
        int r = __real_store_record(s, m);

        spent.other_steps += site.steps - steps;
        took = usec_of(CLOCK_THREAD_CPUTIME_ID) - began;
        if (r < 0)
                fail("the store: %s", store_error(s));
        spent.record += took;
        if (only_old)
                spent.purge_record = took;
        return r;
}

void manager_committed(Manager *m, usec_t began, bool good) {
        meter_add(&site.times.commit, (double) (now_usec(CLOCK_MONOTONIC) - began), 1);
}

static void old(void (*what)(Manager *m), Manager *m) {
        double began = usec_of(CLOCK_THREAD_CPUTIME_ID), took;
        uint64_t steps = site.steps;

        what(m);
        spent.other_steps += site.steps - steps;
        took = usec_of(CLOCK_THREAD_CPUTIME_ID) - began;
        spent.old += took;
        site.times.chunk = MAX(site.times.chunk, took + spent.purge_record);
}

void __real_manager_expire_jobs(Manager *m);
void __wrap_manager_expire_jobs(Manager *m);
void __wrap_manager_expire_jobs(Manager *m) {
        old(__real_manager_expire_jobs, m);
}

void __real_manager_expire_receipts(Manager *m);
void __wrap_manager_expire_receipts(Manager *m);
void __wrap_manager_expire_receipts(Manager *m) {
        old(__real_manager_expire_receipts, m);
}

void __real_manager_fold_usage(Manager *m);
void __wrap_manager_fold_usage(Manager *m);
void __wrap_manager_fold_usage(Manager *m) {
        old(__real_manager_fold_usage, m);
}

/* ---- the books ---- */

const char *site_queue_name(unsigned i) {
        static char name[16];

        if (i < DEPARTMENTS)
                snprintf(name, sizeof(name), "d%02u", i);
        else
                snprintf(name, sizeof(name), "d%02u-%c", (i - DEPARTMENTS) / CHILDREN, 'a' + (i - DEPARTMENTS) % CHILDREN);
        return name;
}

unsigned site_queue(const char *name) {
        unsigned department = 10U * (unsigned) (name[1] - '0') + (unsigned) (name[2] - '0');

        return name[3] ? DEPARTMENTS + department * CHILDREN + (unsigned) (name[4] - 'a') : department;
}

static uint32_t department_of(uint32_t queue) {
        return queue < DEPARTMENTS ? queue : (queue - DEPARTMENTS) / CHILDREN;
}

static void take_slots(uint32_t queue, uint32_t n) {
        uint32_t levels[] = { queue, department_of(queue) };

        for (unsigned i = 0; i < (queue < DEPARTMENTS ? 1 : 2); i++) {
                uint32_t *used = site.used + levels[i];

                *used += n;
                if (*used > site.slots[levels[i]])
                        fail("%u slots of %s are in use, it has %u", *used, site_queue_name(levels[i]), site.slots[levels[i]]);
                site.used_max[levels[i]] = MAX(site.used_max[levels[i]], *used);
        }
}

static void give_slots_back(uint32_t queue, uint32_t n) {
        site.used[queue] -= n;
        if (queue >= DEPARTMENTS)
                site.used[department_of(queue)] -= n;
}

Fate site_fate(uint64_t id) {
        if (id == 0 || id > site.jobs_max)
                fail("there is no job %" PRIu64, id);
        return site.fates[id] & ~FATE_SHORT;
}

static void set_fate(uint64_t id, Fate from, Fate to, const char *what) {
        if (site_fate(id) != from)
                fail("job %" PRIu64 " %s, and was %u", id, what, site_fate(id));
        site.fates[id] = (uint8_t) ((site.fates[id] & FATE_SHORT) | to);
}

bool site_is_short(uint64_t id) {
        return site.fates[id] & FATE_SHORT;
}

void site_submitted(uint64_t id, uint32_t n, bool is_short) {
        for (uint32_t i = 0; i < n; i++) {
                set_fate(id + i, FATE_NONE, FATE_QUEUED, "is submitted");
                site.fates[id + i] |= is_short ? FATE_SHORT : 0;
        }
        site.submitted += n;
}

void api_tell(Api *a, const Change *changes, size_t n, Queue *const *queues, size_t n_queues) {
        for (const Change *c = changes; c < changes + n; c++) {
                if (!c->state_changed || c->state != JOB_DONE)
                        continue;
                set_fate(c->id, FATE_QUEUED, c->result == JOB_SUCCESS || c->result == JOB_CANCELLED ? FATE_DONE : FATE_FAILED, "is done");
                site.ended++;
        }
}

int __real_model_purge(Model *m, Job *j);
int __wrap_model_purge(Model *m, Job *j);
int __wrap_model_purge(Model *m, Job *j) {
        uint64_t id = j->id;
        int r = __real_model_purge(m, j);

        if (r < 0)
                return r;
        set_fate(id, site_fate(id) == FATE_FAILED ? FATE_FAILED : FATE_DONE, FATE_PURGED, "is purged");
        site.purged++;
        return r;
}

/* ---- units ---- */

static void sift_up(size_t i) {
        for (Unit run = site.runs[i]; i > 0 && site.runs[(i - 1) / 2].ends > run.ends; i = (i - 1) / 2) {
                site.runs[i] = site.runs[(i - 1) / 2];
                site.runs[(i - 1) / 2] = run;
        }
}

static Unit pop_run(void) {
        Unit first = site.runs[0], run = site.runs[--site.n_runs];
        size_t i = 0, child;

        for (; (child = 2 * i + 1) < site.n_runs; i = child) {
                if (child + 1 < site.n_runs && site.runs[child + 1].ends < site.runs[child].ends)
                        child++;
                if (site.runs[child].ends >= run.ends)
                        break;
                site.runs[i] = site.runs[child];
        }
        site.runs[i] = run;
        return first;
}

static JobResult any_result(void) {
        return !chance(0.045) ? JOB_SUCCESS : chance(0.85) ? JOB_EXIT_CODE : chance(0.5) ? JOB_SIGNAL : JOB_OOM_KILL;
}

static void run(uint64_t id, uint32_t number) {
        static const sd_id128_t invocation = SD_ID128_ARRAY(ff, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 00);
        Attempt *a = attempt_find(site.m.model, id, number);
        double length = (double) site.run_mean * exponential() / (site_is_short(id) ? 10 : 1);

        if (!a || a->phase != ATTEMPT_STARTING)
                fail("nothing is known of job %" PRIu64 " that PID 1 has started", id);
        model_attempt_started(site.m.model, a, invocation, site.now.realtime, site.now.monotonic);
        if (a->deadline != USEC_INFINITY && chance(0.2)) /* it hangs, until its time is over */
                return;
        if (site.n_runs == site.runs_max)
                fail("more units run than there are slots");
        site.runs[site.n_runs++] = (Unit) { site.now.realtime + SEC + (usec_t) length, id, number, any_result() };
        sift_up(site.n_runs - 1);
}

static void ended(Attempt *a, JobResult result) {
        Outcome o = OUTCOME_INIT;

        o.result = result;
        o.exit_status = result == JOB_SUCCESS ? 0 : result == JOB_EXIT_CODE ? 1 : -1;
        o.exit_signal = result == JOB_SIGNAL || result == JOB_OOM_KILL ? 9 : 0;
        o.finished_usec = site.now.realtime;
        o.runtime_usec = site.now.monotonic - a->started_monotonic;
        o.cpu_usec = o.runtime_usec / 2;
        o.memory_peak = 4096 * (1 + any(1 << 18));
        o.tasks_peak = 1 + any(8);
        model_attempt_ended(site.m.model, a, &o, &site.now);
}

void site_ends(void) {
        while (site.n_runs > 0 && site.runs[0].ends <= site.now.realtime) {
                Unit run = pop_run();
                Attempt *a = attempt_find(site.m.model, run.id, run.number);

                if (a && a->phase == ATTEMPT_RUNNING) /* else it was killed */
                        ended(a, run.result);
        }
}

const char *units_blocked(const Units *u) {
        return NULL;
}

Attempt *units_next(Units *u) {
        Attempt *a = TAILQ_FIRST(&site.m.model->act);

        if (a) {
                TAILQ_REMOVE(&site.m.model->act, a, act_entry);
                a->acting = false;
        }
        return a;
}

bool units_is_to_start(const Attempt *a) {
        return a->phase == ATTEMPT_STARTING && !a->asked;
}

static void start_unit(Attempt *a) {
        if (a->changed || !a->job->spec || site.n_starting == ELEMENTSOF(site.starting))
                fail("%s is asked for before it is stored, or without its spec, or there are too many", a->unit);
        set_fate(a->job_id, FATE_QUEUED, FATE_LIVE, "is started");
        take_slots(site_queue(a->queue->name), a->slots);
        a->asked = true;
        a->job->spec = spec_free(a->job->spec);
        site.starting[site.n_starting].id = a->job_id;
        site.starting[site.n_starting++].number = a->number;
        site.attempts++;
        spent.started++;
}

void units_act(Units *u, Attempt *a) {
        if (a->phase == ATTEMPT_STARTING)
                start_unit(a);
        else if (a->phase == ATTEMPT_ENDED) {
                set_fate(a->job_id, FATE_LIVE, FATE_QUEUED, "has ended");
                give_slots_back(site_queue(a->queue->name), a->slots);
                model_attempt_gone(site.m.model, a);
        } else if (a->phase == ATTEMPT_RUNNING && a->job->state == JOB_STOPPING && site.n_killed < ELEMENTSOF(site.killed)) {
                site.killed[site.n_killed].id = a->job_id;
                site.killed[site.n_killed++].number = a->number;
        }
}

/* ---- turns ---- */

void site_set_time(usec_t realtime) {
        site.now = (Now) { .realtime = realtime, .monotonic = realtime - BEGIN + HOUR, .even = realtime, .steady = realtime };
        site.m.now = site.now;
}

static void settle(void) {
        double began = usec_of(CLOCK_THREAD_CPUTIME_ID), took;
        uint64_t steps = site.steps;

        spent.record = spent.old = spent.purge_record = 0;
        spent.started = spent.other_steps = 0;
        site.again.on = false;
        if (manager_settle(&site.m) < 0)
                fail("the daemon gave up");
        took = usec_of(CLOCK_THREAD_CPUTIME_ID) - began;
        site.times.turn = MAX(site.times.turn, took);
        site.turns++;
        if (spent.started == 0)
                return;
        meter_add(&site.times.dispatch, (took - spent.record - spent.old) / (double) spent.started, spent.started);
        site.times.started += spent.started;
        site.times.steps += site.steps - steps - spent.other_steps;
        meter_add(&site.times.record, spent.record / (double) spent.started, spent.started);
}

static bool timer_is_due(void) {
        return site.again.on || (site.due.on && site.due.at <= site.now.realtime) || (site.deadline.on && site.deadline.at <= site.now.monotonic) ||
               (site.expiry.on && site.expiry.at <= site.now.realtime);
}

void site_turn(void) {
        for (unsigned i = 0; i < ROUNDS_MAX; i++) {
                settle();
                if (site.n_starting == 0 && site.n_killed == 0 && !timer_is_due())
                        return;
                for (size_t k = 0; k < site.n_starting; k++)
                        run(site.starting[k].id, site.starting[k].number);
                for (size_t k = 0; k < site.n_killed; k++) {
                        Attempt *a = attempt_find(site.m.model, site.killed[k].id, site.killed[k].number);

                        if (a && a->phase == ATTEMPT_RUNNING)
                                ended(a, JOB_SIGNAL);
                }
                site.n_starting = site.n_killed = 0;
        }
        fail("it does not come to rest");
}

void site_begin(uint64_t jobs_max, uint32_t slots_max, Store *s, Model *m) {
        void *fates = mmap(NULL, jobs_max + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        site.jobs_max = jobs_max;
        site.fates = fates;
        site.runs_max = 4 * slots_max; /* of one that was killed it is forgotten when it would have ended */
        site.runs = new0(Unit, site.runs_max);
        if (fates == MAP_FAILED || !site.runs)
                fail("no memory");
        site.m = (Manager) {
                .user = true, .event = (sd_event *) &site, .api = &site.api, .store = s, .model = m, .units = &site.units, .pressure_next = USEC_INFINITY,
                .left_over_look = USEC_INFINITY, .due_timer = &site.due, .deadline_timer = &site.deadline, .storage_timer = &site.storage,
                .status_timer = &site.status, .again_source = &site.again, .expiry_timer = &site.expiry, .stop_timer = &site.stop,
                .pressure_timer = &site.pressure,
        };
        settings_init(&site.m.settings);
        site.api = (Api) { .ready = true, .store = s, .model = m };
        site.units = (Units) { .synced = true, .model = m };
        TAILQ_INIT(&site.units.unknown);
        sqlite3_progress_handler(s->db, STEPS, count_steps, NULL);
}

void site_end(void) {
        (void) munmap(site.fates, site.jobs_max + 1);
        free(site.runs);
        free(site.m.status);
        model_free(site.m.model);
}

uint64_t site_memory(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
        uint64_t kib, sum = 0;
        char line[128];

        while (f && fgets(line, sizeof(line), f))
                if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1 || sscanf(line, "RssFile: %" SCNu64, &kib) == 1)
                        sum += kib * 1024;
        return sum;
}

void fail(const char *format, ...) {
        va_list ap;

        fflush(stdout);
        va_start(ap, format);
        printf("WRONG: ");
        vprintf(format, ap);
        printf("\n");
        va_end(ap);
        fflush(stdout);
        site_remove();
        _exit(1);
}

/* ---- sd-event, sd-daemon; the rest of the daemon, of which nothing is wanted ---- */

int sd_event_now(sd_event *e, clockid_t clock, uint64_t *ret) {
        *ret = clock == CLOCK_REALTIME ? site.now.realtime : site.now.monotonic;
        return 0;
}
int sd_event_source_set_enabled(sd_event_source *s, int m) {
        s->on = m != SD_EVENT_OFF;
        return 0;
}
int sd_event_source_set_time(sd_event_source *s, uint64_t usec) {
        s->at = usec;
        return 0;
}
int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        s->at = site.now.monotonic + usec;
        return 0;
}
int sd_notify(int unset_environment, const char *state) {
        return 0;
}
int manager_follow_clock(Manager *m) {
        m->now.steady = m->now.even = m->now.realtime;
        return 0;
}
int manager_load_model(Manager *m) {
        fail("a commit has failed");
}
