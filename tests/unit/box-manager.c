/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon in the box takes for PID 1, its journal and its cgroups. Calls are seen in the order in which they were sent; what
 * is done about them is drawn by lot, but what is said of units is the truth. */

#include "box-bus.h"

#include "base/strv.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"
#include "unit/cgroup.h"
#include "unit/journal.h"
#include "unit/pool.h"
#include "unit/unit-read.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- journal, cgroups, files ---- */

Unit *find_unit(const char *name, unsigned *ret_id, unsigned *ret_number) {
        uint64_t id;
        uint32_t number;

        if (!attempt_unit_name_parse(name, &id, &number) || id >= NJ || number >= NA)
                naive_fail("a unit that nobody made: %s", name);
        if (ret_id)
                *ret_id = id;
        if (ret_number)
                *ret_number = number;
        return &box.units[id][number];
}

void journal_write_mark(sd_id128_t mark, const char *unit) {
}

JournalAnswer journal_unit_seen(bool user, const char *unit, usec_t since, sd_id128_t mark, sd_id128_t *ret) {
        const Unit *u = find_unit(unit, NULL, NULL);

        if (box.naive.journal == JOURNAL_IS_SHORT)
                return JOURNAL_UNKNOWN;
        if (u->starts > 0) {
                *ret = (sd_id128_t) { .qwords = { 1, 3 } };
                return JOURNAL_SEEN;
        }
        return box.naive.journal == JOURNAL_IS_LATE || sd_id128_is_null(mark) ? JOURNAL_BEHIND : JOURNAL_SILENT;
}

JournalAnswer journal_unit_outcome(bool user, const char *unit, sd_id128_t invocation, Outcome *ret) {
        static const JobResult as_result[_END_MAX] = { JOB_RESULT_NONE, JOB_SUCCESS, JOB_EXIT_CODE, JOB_SIGNAL, JOB_CORE_DUMP,
                                                       JOB_WATCHDOG, JOB_OOM_KILL, JOB_EXEC, JOB_TIMEOUT, JOB_EXIT_CODE, JOB_EXIT_CODE,
                                                       JOB_LOST };
        const Unit *u = find_unit(unit, NULL, NULL);

        if (box.naive.journal == JOURNAL_IS_SHORT || (u->last_end == END_NOT && !u->last_stopped))
                return JOURNAL_UNKNOWN;
        ret->result = u->last_stopped ? JOB_CANCELLED : as_result[u->last_end];
        ret->exit_status = u->last_end == END_AGAIN ? 75 : u->last_end == END_NEVER ? 100 : -1;
        return JOURNAL_SEEN;
}

char *cgroup_unit_path(const char *root, const char *slice, const char *unit) {
        return strdup(unit);
}
/* Asked when the unit is gone: the slots are free with this answer. */
bool cgroup_is_populated(const char *path) {
        unsigned id, number;
        const Unit *u = find_unit(path, &id, &number);

        if (u->populated)
                return true;
        if (u->there && u->ours && box.naive.attempts[id][number].epoch == box.naive.epoch)
                naive_fail("the slots of %s are given back while it is there", path);
        naive_gone(&box.naive, id, number);
        return false;
}
bool cgroup_is_frozen(const char *path) {
        return find_unit(path, NULL, NULL)->frozen;
}
int cgroup_set_frozen(const char *path, bool frozen) {
        return -EIO;
}
uint64_t cgroup_read_u64(const char *path, const char *attribute) {
        return UINT64_MAX;
}
uint64_t cgroup_read_cpu(const char *path) {
        return UINT64_MAX;
}
bool cgroup_read_io(const char *path, uint64_t *ret_read, uint64_t *ret_written) {
        return false;
}
int attempt_files_write(const char *run_path, const Attempt *a, const JobSpec *s, char **ret_env_file) {
        *ret_env_file = NULL;
        return 0;
}
void attempt_files_started(const char *run_path, const Attempt *a) {
}
void attempt_files_remove(const char *run_path, const Attempt *a) {
}
int spool_open(const char *run_path, const Attempt *a, uint32_t owner, int ret[static _SPOOL_STREAM_MAX]) {
        ret[SPOOL_STDOUT] = ret[SPOOL_STDERR] = -EBADF;
        return 0;
}
int spool_capture(const char *run_path, const Attempt *a, size_t tail_max, Outcome *o) {
        o->success = (int8_t) naive_says(a->job_id, a->number);
        return 0;
}
void spool_remove(const char *run_path, const Attempt *a) {
}
void spool_sweep(const char *run_path, const Model *m) {
}
bool units_spool_was_full(Units *u, const Attempt *a) {
        return false;
}

void units_forget_slices(Units *u) {
}

void units_trim_spools(Units *u) {
}
int units_watch_spools(Units *u) {
        return 0;
}
void attempt_files_sweep(const char *run_path, const Model *m) {
}

/* ---- properties of a unit ---- */

static void fill_state(const Unit *u, UnitState *s) {
        static const struct { int code, status; UnitResult result; } ends[_END_MAX] = {
                [END_SUCCESS] = { CLD_EXITED, 0, UNIT_RESULT_SUCCESS },
                [END_STATUS] = { CLD_EXITED, 3, UNIT_RESULT_EXIT_CODE },
                [END_AGAIN] = { CLD_EXITED, 75, UNIT_RESULT_EXIT_CODE },
                [END_NEVER] = { CLD_EXITED, 100, UNIT_RESULT_EXIT_CODE },
                [END_SIGNAL] = { CLD_KILLED, SIGTERM, UNIT_RESULT_SUCCESS },
                [END_CORE] = { CLD_DUMPED, SIGSEGV, UNIT_RESULT_CORE_DUMP },
                [END_WATCHDOG] = { CLD_KILLED, SIGABRT, UNIT_RESULT_WATCHDOG },
                [END_OOM] = { CLD_KILLED, SIGKILL, UNIT_RESULT_OOM_KILL },
                [END_EXEC] = { CLD_EXITED, 203, UNIT_RESULT_EXIT_CODE },
                [END_TIMEOUT] = { CLD_KILLED, SIGTERM, UNIT_RESULT_TIMEOUT },
        };

        *s = (UnitState) {
                .loaded = true,
                .active = u->is == PENDING ? UNIT_ACTIVATING : u->is == LEAVING ? UNIT_DEACTIVATING :
                          u->is == OVER && u->end != END_SUCCESS ? UNIT_FAILED : UNIT_ACTIVE,
                .exited = u->is == OVER && u->end == END_SUCCESS,
                .unit_job = u->is == PENDING || u->is == LEAVING,
                .invocation_id = { .qwords = { u->invocation, u->invocation > 0 ? 3 : 0 } },
                .token = u->token,
                .result = ends[u->end].result, .code = ends[u->end].code, .status = ends[u->end].status,
                .started_realtime = 1, .started_monotonic = u->started,
                .active_realtime = u->is == PENDING || u->end == END_EXEC ? 0 : 1,
                .active_monotonic = u->is == PENDING || u->end == END_EXEC ? 0 : u->started,
                .inactivated_monotonic = u->halted ? 1 : 0, .ended_monotonic = u->is == OVER ? MAX(2U, u->started) : 0,
                .handoff_monotonic = USEC_INFINITY,
                .freezer = u->is == OVER ? u->stuck : u->frozen ? FREEZER_FROZEN : FREEZER_THAWED,
                .runtime_max = u->net ? 1 : USEC_INFINITY,
                .cpu_nsec = UINT64_MAX, .memory_peak = UINT64_MAX, .io_read_bytes = UINT64_MAX, .io_write_bytes = UINT64_MAX,
                .kill_signal = SIGTERM,
                .type_exec = true, .restart_no = !u->odd, .remain_after_exit = true, .kill_control_group = true, .start_limit_one = true,
        };
}

int unit_state_read(sd_bus_message *m, UnitState *s) {
        if (m->subject_is_shutdown) {
                s->unit_job = box.system_stops;
                return 0;
        }
        fill_state(m->source, s);
        /* Read by adopt.c only. */
        s->slice = queue_slice_name(queue_names[m->source->queue]);
        s->slots = strndup("0,1,2,3", 2 * m->source->slots - 1);
        return s->slice && s->slots ? 0 : -ENOMEM;
}
int unit_state_read_service(sd_bus_message *m, UnitState *s) {
        fill_state(m->source, s);
        s->loaded = s->exited = s->unit_job = false;
        s->active = UNIT_INACTIVE;
        s->freezer = FREEZER_THAWED;
        s->invocation_id = SD_ID128_NULL;
        s->active_realtime = s->active_monotonic = s->inactivated_monotonic = 0;
        s->kill_control_group = s->start_limit_one = false; /* behind what is read, and of all units */
        return 0;
}
int unit_state_read_signal(sd_bus_message *m, bool active_only, UnitState *s) {
        fill_state(m->source, s);
        return 0;
}
int runner_unit_append(sd_bus_message *m, const Units *u, const Server *s, const RunnerCommand *c) {
        return -EOPNOTSUPP;
}

int job_unit_append(sd_bus_message *m, const Units *u, Attempt *a, const char *env_file, const int *spool, char **ret_error) {
        a->has_net = a->job->timeout_usec != USEC_INFINITY && !a->job->spec->freezable;
        box.naive.attempts[a->job_id][a->number].net = a->has_net;
        m->call.token = a->token;
        m->call.net = a->has_net;
        m->call.slots = a->slots;
        m->call.queue = queue_index(a->queue->name);
        for (unsigned p = 0; p < NQ; p++)
                m->call.caps[p] = box.naive.files[p].slots;
        return 0;
}

/* ---- signals ---- */

static void signal_changed(unsigned id, unsigned number) {
        char path[128];
        sd_bus_message *m;

        if (box.deaf || !subject->bus)
                return;
        snprintf(path, sizeof(path), UNIT_PREFIX "jobmill-job-%u-%u.service", id, number);
        m = message();
        m->path = path;
        m->source = &box.units[id][number];
        naive_signal(&box.naive, id, number, m->source);
        send_signal_message(ON_CHANGED, m);
        m->path = NULL;
}

void signal_removed(unsigned id, unsigned number) {
        sd_bus_message *m;

        if (box.deaf || !subject->bus || subject->reloading)
                return;
        m = message();
        snprintf(m->unit, sizeof(m->unit), "jobmill-job-%u-%u.service", id, number);
        send_signal_message(ON_REMOVED, m);
}

static void index_of(const Unit *u, unsigned *id, unsigned *number) {
        *id = (u - &box.units[0][0]) / NA;
        *number = (u - &box.units[0][0]) % NA;
}

/* ---- what units do ---- */

void unit_runs(Unit *u) {
        unsigned id, number;

        index_of(u, &id, &number);
        u->is = ACTIVE;
        u->started = box.now.monotonic;
        signal_changed(id, number);
}

void unit_ends(Unit *u, End end) {
        unsigned id, number;

        index_of(u, &id, &number);
        if (u->is == PENDING && end != END_EXEC)
                u->started = box.now.monotonic;
        u->is = OVER;
        u->end = u->last_end = end;
        u->frozen = false;
        u->stuck = box.kind || chance(90) ? FREEZER_THAWED : any(_FREEZER_MAX);
        u->populated = !box.kind && chance(10);
        signal_changed(id, number);
}

void unit_goes(Unit *u) {
        unsigned id, number;

        index_of(u, &id, &number);
        u->there = u->frozen = false;
        signal_removed(id, number);
}

void unit_is_stopped(Unit *u) {
        unsigned id, number;

        index_of(u, &id, &number);
        u->is = LEAVING;
        u->last_stopped = true;
        u->frozen = false;
        signal_changed(id, number);
        if (chance(30)) { /* it has a status of its own even so, and stays */
                u->halted = true;
                unit_ends(u, END_STATUS);
                return;
        }
        u->populated = !box.kind && chance(10);
        u->goes = true;
        unit_empties(u);
}

/* A unit stays for as long as its cgroup has processes. */
void unit_empties(Unit *u) {
        if (u->there && u->goes && !u->populated)
                unit_goes(u);
}

void unit_is_restarted(Unit *u) {
        u->invocation = ++box.invocations;
        unit_runs(u);
}

/* ---- what the manager does with a call ---- */

/* Of ours that have processes: of a stranger's unit nobody can know before the next look. */
static unsigned slots_there(int q) {
        unsigned n = 0;

        for (unsigned i = 0; i < NJ * NA; i++) {
                const Unit *u = &box.units[i / NA][i % NA];

                for (int p = (int) u->queue; u->ours && u->populated && p >= 0; p = above[p])
                        n += p == q ? u->slots : 0;
        }
        return n;
}

/* Promise 4, by what truly runs. A cap may have been lowered since it was decided, but nothing was decided since that. */
static void make_unit(const FakeCall *c, Unit *u) {
        unsigned starts = u->starts;

        *u = (Unit) { .there = true, .ours = true, .is = PENDING, .token = c->token, .invocation = ++box.invocations, .slots = c->slots,
                      .queue = c->queue, .net = c->net, .odd = box.drop_in, .stubborn = chance(20), .starts = starts + 1, .populated = true, .started = box.now.monotonic };
        for (int p = (int) c->queue; p >= 0; p = above[p])
                if (box.naive.files[p].slots != UINT32_MAX && slots_there(p) > MAX(MAX(box.naive.files[p].slots, c->caps[p]), naive_slots_used(&box.naive, p)))
                        naive_fail("%u slots of %s are in use, %u there are", slots_there(p), queue_names[p], box.naive.files[p].slots);
}

static void do_start(FakeCall *c, Unit *u) {
        static const char *const passing[] = { SD_BUS_ERROR_LIMITS_EXCEEDED, SYSTEMD_NAME ".TransactionIsDestructive", "System.Error.ENOSPC" };
        unsigned lot = box.kind ? 99 : any(100);
        StartAnswer a = START_OK;
        const char *error = NULL;

        if (u->there) {
                a = START_EXISTS;
                error = SYSTEMD_NAME ".UnitExists";
        } else if (lot < 8) {
                a = START_REFUSED;
                error = SD_BUS_ERROR_INVALID_ARGS;
        } else if (lot < 14) {
                a = START_LATER;
                error = passing[any(ELEMENTSOF(passing))];
        } else if (lot >= 97 && !box.kind) {
                a = START_FULL;
                error = SYSTEMD_NAME ".ConcurrencyLimitReached";
        } else if (lot < 17)
                c->silent = true; /* it was never heard */
        else {
                make_unit(c, u);
                c->silent = lot < 20;
        }
        if (c->silent)
                return;
        if (c->slot)
                naive_start_answered(&box.naive, c->id, c->number, a);
        answer(c, error);
        if (a == START_OK && lot >= 40)
                unit_runs(u);
}

static void do_kill(FakeCall *c, Unit *u) {
        unsigned lot = box.kind ? 99 : any(100);

        if (lot < 8)
                c->silent = true;
        if (lot < 4)
                return;
        if (u->there && u->is != OVER && (c->sig == SIGKILL || (lot >= 50 && !u->stubborn)) && c->sig != SIGCONT && !(u->frozen && c->sig != SIGKILL))
                unit_ends(u, c->sig == SIGKILL || any(2) ? END_SIGNAL : END_SUCCESS);
        if (c->sig == SIGKILL) {
                u->populated = false;
                unit_empties(u);
        }
        if (!c->silent)
                answer(c, !u->there ? SYSTEMD_NAME ".NoSuchUnit" : lot < 12 ? SYSTEMD_NAME ".NoSuchProcess" : NULL);
}

static void do_release(FakeCall *c, Unit *u) {
        unsigned lot = box.kind ? 99 : any(100);

        c->silent = lot < 4;
        if (!u->there) {
                if (!c->silent)
                        answer(c, SYSTEMD_NAME ".NoSuchUnit");
                return;
        }
        if (c->what == CALL_STOP && u->is == OVER && u->stuck != FREEZER_THAWED) {
                if (!c->silent)
                        answer(c, NULL); /* and does not do it */
                return;
        }
        if (lot >= 2 && lot < 92) {
                u->populated = u->populated && lot < 30;
                u->goes = true;
                if (u->is != OVER)
                        u->is = LEAVING;
                unit_empties(u);
        }
        if (!c->silent)
                answer(c, lot >= 92 && lot < 96 ? SD_BUS_ERROR_NO_MEMORY : NULL);
        if (lot >= 96 && u->there) { /* it took its time */
                u->populated = false;
                u->goes = true;
                unit_empties(u);
        }
}

static void do_freeze(FakeCall *c, Unit *u) {
        unsigned lot = box.kind ? 99 : any(100);
        bool freeze = c->what == CALL_FREEZE;

        if (u->there && u->is == OVER && u->end == END_SUCCESS) { /* its cgroup is empty */
                if (u->stuck == (freeze ? FREEZER_FREEZING : FREEZER_THAWING))
                        answer(c, SYSTEMD_NAME ".UnitBusy");
                else {
                        u->stuck = freeze ? FREEZER_FROZEN : FREEZER_THAWED;
                        if (c->slot)
                                naive_seen_frozen(&box.naive, c->id, c->number, freeze, &box.now);
                        answer(c, NULL);
                }
                return;
        }
        if (!u->there || u->is != ACTIVE) {
                answer(c, u->there ? SYSTEMD_NAME ".UnitInactive" : SYSTEMD_NAME ".NoSuchUnit");
                return;
        }
        c->silent = lot < 10;
        if (lot < 5)
                return;
        if (lot >= 10 && lot < 20) {
                if (freeze && c->slot)
                        naive_freeze_failed(&box.naive, c->id, c->number);
                answer(c, SD_BUS_ERROR_NOT_SUPPORTED);
                return;
        }
        u->frozen = freeze;
        if (c->silent)
                return;
        if (c->slot)
                naive_seen_frozen(&box.naive, c->id, c->number, freeze, &box.now);
        answer(c, NULL);
}

static void do_look(FakeCall *c, Unit *u) {
        const Attempt *a = NULL;
        char name[64];

        snprintf(name, sizeof(name), "jobmill-job-%u-%u.service", c->id, c->number);
        HASH_FIND_STR(box.m.model->attempts, name, a);
        if (c->slot && a)
                naive_seen(&box.naive, c->id, c->number, u->there ? u : NULL, u, &box.now);
        answer(c, u->there ? NULL : any(2) ? SYSTEMD_NAME ".NoSuchUnit" : SD_BUS_ERROR_UNKNOWN_OBJECT);
}

/* Units that no attempt has are adopted with the turn, as they were read. */
void __real_manager_adopt_unknown(Manager *m);
void __wrap_manager_adopt_unknown(Manager *m);
void __wrap_manager_adopt_unknown(Manager *m) {
        const UnknownUnit *x;

        TAILQ_FOREACH(x, &m->units->unknown, entry) {
                unsigned id, number;
                Unit u;

                u = *find_unit(x->name, &id, &number);
                u.is = x->state.exited || x->state.active == UNIT_FAILED ? OVER : ACTIVE;
                if (box.naive.attempts[id][number].there)
                        naive_seen(&box.naive, id, number, &u, &u, &box.now);
                else
                        naive_unknown(&box.naive, id, number, &u);
        }
        __real_manager_adopt_unknown(m);
}

static void do_list(FakeCall *c) {
        for (unsigned id = 1; c->slot && id < NJ; id++)
                for (unsigned i = 1; i < NA; i++)
                        if (!box.units[id][i].there)
                                naive_seen(&box.naive, id, i, NULL, &box.units[id][i], &box.now);
        answer(c, NULL);
}

static void do_gate(FakeCall *c) {
        unsigned lot = box.kind ? 99 : any(100);

        c->silent = lot < 5;
        if (c->silent)
                return;
        if (gate_waits(c)) {
                if (!box.naive.gate_open)
                        COVER(gate_unknown);
                box.naive.gate_open = lot >= 10 && box.gate_active;
        }
        answer(c, lot < 10 ? SD_BUS_ERROR_NO_MEMORY : NULL);
}

void manager_does(FakeCall *c) {
        Unit *u = &box.units[c->id][c->number];

        switch (c->what) {
        case CALL_MANAGER:
                if (c->slot) {
                        box.naive.epoch = box.epoch;
                        box.naive.shutting_down = box.system_stops;
                        box.naive.manager_answered = c->serial;
                }
                answer(c, NULL);
                break;
        case CALL_LIST:
                do_list(c);
                break;
        case CALL_LOOK:
                do_look(c, u);
                break;
        case CALL_GATE:
                do_gate(c);
                break;
        case CALL_START:
                do_start(c, u);
                break;
        case CALL_KILL:
                do_kill(c, u);
                break;
        case CALL_STOP:
        case CALL_RESET:
                do_release(c, u);
                break;
        default:
                do_freeze(c, u);
        }
}
