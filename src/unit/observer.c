/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The connection to the manager, its signals, and when to read a unit.
 *
 * Order at connect: matches, then Subscribe(), then the full look (resync.c), so that nothing happens unseen between. A signal
 * is only a hint to look earlier: before an outcome is recorded the properties are read (promise 6); only "started" is taken
 * from the signal itself, which comes from PID 1 alone (bus-util.h). A lost connection is opened again with back-off, and everything is
 * looked at once more. */

#include "unit/scope.h"

#include "base/bus-util.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "base/strv.h"
#include "unit/cgroup.h"
#include "unit/spool.h"
#include "unit/unit-read.h"

#define CALL_TIMEOUT (120 * USEC_PER_SEC)
#define RECONNECT_MIN (100 * USEC_PER_MSEC)
#define RECONNECT_MAX (5 * USEC_PER_SEC)
#define SAMPLES_PER_TICK 1000U
#define MESSAGES_PER_DRAIN 64U /* what others want comes in between */

void units_now(const Units *u, Now *ret) {
        /* The loop's time: read once per iteration by sd-event. */
        if (sd_event_now(u->event, CLOCK_REALTIME, &ret->realtime) < 0 ||
            sd_event_now(u->event, CLOCK_MONOTONIC, &ret->monotonic) < 0 ||
            sd_event_now(u->event, CLOCK_BOOTTIME, &ret->even) < 0)
                *ret = (Now) {};
        ret->even += u->clock_even;
        ret->steady = ret->realtime;
}

/* ---- watches ---- */

UnitWatch *units_watch(Units *u, Attempt *a) {
        UnitWatch *w = a->watch;

        if (w || !attempt_has_unit(a)) /* what has the name of an attempt in a worker is nobody's */
                return w;
        w = new0(UnitWatch, 1);
        if (!w)
                return NULL;
        w->units = u;
        w->attempt = a;
        w->start_round = UINT32_MAX;
        a->watch = w;
        return w;
}

void units_forget(Attempt *a) {
        UnitWatch *w = a->watch;
        Units *u;

        if (!w)
                return;
        u = w->units;
        if (w->look_wanted)
                TAILQ_REMOVE(&w->units->looks, w, look_entry);
        if (w->look_slot) {
                sd_bus_slot_unref(w->look_slot);
                w->units->looks_in_flight--;
        }
        if (w->action_slot) {
                sd_bus_slot_unref(w->action_slot);
                w->units->in_flight--;
        }
        sd_bus_slot_unref(w->limit_slot);
        units_forget_freezer(w);
        a->watch = mfree(w);
        units_round_check(u);
}

/* ---- calls ---- */

int units_new_call(Units *u, sd_bus_message **ret, const char *path, const char *interface, const char *member) {
        int r;

        r = sd_bus_message_new_method_call(u->bus, ret, SYSTEMD_NAME, path, interface, member);
        return r < 0 ? r : sd_bus_message_set_auto_start(*ret, false);
}

int units_callv(Units *u, sd_bus_slot **slot, const char *interface, const char *member,
                sd_bus_message_handler_t callback, void *userdata, const char *types, va_list ap) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, interface, member);
        if (r >= 0)
                r = sd_bus_message_appendv(m, types, ap);
        return r < 0 ? r : sd_bus_call_async(u->bus, slot, m, callback, userdata, 0);
}

/* ---- signals ---- */

static Attempt *find_attempt(Units *u, const char *unit) {
        Attempt *a = NULL;

        if (u->model)
                HASH_FIND_STR(u->model->attempts, unit, a);
        return a;
}

/* The same process that we know to run, in a unit that is as asked for. */
static bool is_end_of(const Units *u, const Attempt *a, const UnitState *s) {
        return a->executor == EXECUTOR_SERVICE && a->phase == ATTEMPT_RUNNING && u->contract_checked && unit_state_is_ended(s) &&
               s->active != UNIT_INACTIVE && s->active_monotonic > 0 && sd_id128_equal(s->invocation_id, a->invocation_id);
}

static void heed_change(Units *u, Attempt *a, const UnitState *s) {
        UnitWatch *w = units_watch(u, a);

        if (!w)
                return;
        log_debug("%s: %s%s%s", a->unit, unit_active_state_to_string(s->active), s->exited ? " (exited)" : "",
                  s->unit_job ? ", a job pending" : "");
        w->active = s->active;
        w->looked_absent = w->looked_absent && s->active == UNIT_INACTIVE;
        if (a->phase == ATTEMPT_ENDED) {
                if (s->active == UNIT_FAILED)
                        model_attempt_act(u->model, a);
                return;
        }
        /* A failing job passes through "deactivating" too; this counts only for a unit that then vanishes. */
        if (s->active == UNIT_DEACTIVATING)
                w->stop_seen = true;
        if (is_end_of(u, a, s))
                units_look_ended(w, s);
        else if (unit_state_is_ended(s))
                units_look(w);
        else if (a->executor == EXECUTOR_SCOPE) {
                if (a->phase == ATTEMPT_STARTING)
                        units_look(w);
        } else if (s->active == UNIT_ACTIVE || s->active == UNIT_FAILED) {
                /* PID 1 sends the invocation id along (252 … 262), which spares us a look for jobs that just start. */
                bool known = !sd_id128_is_null(s->invocation_id);

                if (a->phase == ATTEMPT_STARTING && known && u->contract_checked && s->active == UNIT_ACTIVE)
                        model_attempt_started(u->model, a, s->invocation_id, s->active_realtime, s->active_monotonic);
                else if (a->phase == ATTEMPT_STARTING || !known || !sd_id128_equal(s->invocation_id, a->invocation_id))
                        units_look(w);
                else
                        w->look_again = true; /* nothing of this changed, so perhaps its status text; no hurry */
        }
}

static int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_free_ char *name = NULL;
        Units *u = userdata;
        const char *interface;
        UnitState state;
        Attempt *a;

        if (streq(sd_bus_message_get_path(m), SYSTEMD_UNIT_PREFIX "/shutdown_2etarget")) {
                units_heed_shutdown(u, m);
                return 0;
        }
        if (startswith(sd_bus_message_get_path(m), SYSTEMD_UNIT_PREFIX "/jobmill_2dschedule_2d")) {
                if (sd_bus_path_decode(sd_bus_message_get_path(m), SYSTEMD_UNIT_PREFIX, &name) > 0)
                        units_heed_timer(u, name);
                return 0;
        }
        if (!startswith(sd_bus_message_get_path(m), SYSTEMD_UNIT_PREFIX "/jobmill_2djob_2d")) {
                units_heed_gate(u, m);
                return 0;
        }
        if (sd_bus_path_decode(sd_bus_message_get_path(m), SYSTEMD_UNIT_PREFIX, &name) <= 0)
                return 0;
        a = find_attempt(u, name);
        if (!a || sd_bus_message_read_basic(m, 's', &interface) < 0 || !streq(interface, SYSTEMD_UNIT))
                return 0;

        unit_state_init(&state);
        if (unit_state_read_signal(m, a->phase == ATTEMPT_ENDED, &state) >= 0)
                heed_change(u, a, &state);
        unit_state_done(&state);
        return 0;
}

static int on_unit_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Units *u = userdata;
        const char *name;
        Attempt *a;

        /* In daemon-reload and daemon-reexec every unit is removed and made again; the look that follows tells. */
        if (u->reloading || sd_bus_message_read(m, "s", &name) < 0)
                return 0;
        units_timer_removed(u, name);
        if (!startswith(name, "jobmill-job-"))
                return 0;
        a = find_attempt(u, name);
        if (!a)
                return 0;
        /* Looking at a unit that is not there loads an empty one, which is removed at once: to look again for that would never end. */
        if (a->watch && a->watch->looked_absent) {
                a->watch->looked_absent = false;
                return 0;
        }
        /* One that was let go is gone: a look would load an empty unit of that name and tell the same. But that one is gone that
         * should be there is looked at: it may be a reload of whose begin we did not hear. A start that is not answered is not
         * contradicted by the removal of an empty unit. */
        if (a->phase == ATTEMPT_ENDED && a->watch && a->watch->release_sent)
                units_apply(u, a, NULL);
        else if (a->phase != ATTEMPT_STARTING) {
                UnitWatch *w = units_watch(u, a);

                if (w)
                        units_look(w);
        } else if (a->asked && a->watch && !a->watch->action_slot)
                units_look(a->watch);
        return 0;
}

/* Drop-ins may be others now. */
void units_reloaded(Units *u) {
        u->reloading = u->contract_checked = false;
        u->mismatch = mfree(u->mismatch);
        u->model->starting_max = 1;
}

static int on_reloading(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Units *u = userdata;
        int active;

        if (sd_bus_message_read(m, "b", &active) < 0)
                return 0;
        u->reloading = active;
        if (active)
                return 0;
        units_reloaded(u);
        units_resync(u, true);
        return 0;
}

/* What was asked of a manager that is gone may not have been done. */
static void forget_asked(Units *u) {
        Attempt *a, *t;

        HASH_ITER(hh, u->model->attempts, a, t)
                if (a->watch)
                        a->watch->term_sent = a->watch->kill_sent = a->watch->release_sent = false;
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Units *u = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        u->synced = u->reloading = false;
        units_abort_round(u);
        units_forget_gates(u);
        units_forget_servers(u);
        units_forget_timers(u);
        forget_asked(u);
        if (!isempty(new_owner))
                units_resync(u, true);
        return 0;
}

/* ---- the connection ---- */

static void units_disconnect(Units *u) {
        Attempt *a, *t;

        if (u->model)
                HASH_ITER(hh, u->model->attempts, a, t)
                        if (a->watch) {
                                if (a->watch->look_slot) {
                                        a->watch->look_slot = sd_bus_slot_unref(a->watch->look_slot);
                                        u->looks_in_flight--;
                                }
                                if (a->watch->action_slot) {
                                        a->watch->action_slot = sd_bus_slot_unref(a->watch->action_slot);
                                        u->in_flight--;
                                }
                                a->watch->limit_slot = sd_bus_slot_unref(a->watch->limit_slot);
                                units_forget_freezer(a->watch);
                                a->watch->term_sent = a->watch->kill_sent = a->watch->release_sent = false;
                        }
        units_abort_round(u);
        units_forget_gates(u);
        units_forget_servers(u);
        units_forget_timers(u);
        u->synced = u->reloading = u->round_failed = u->subscribe_failed = false;
        u->slices_in_flight = 0;
        u->reload_slot = sd_bus_slot_unref(u->reload_slot);
        u->bus = sd_bus_close_unref(u->bus);
}

static int on_reconnect(sd_event_source *s, uint64_t usec, void *userdata) {
        units_connect(userdata);
        return 0;
}

static void units_reconnect_later(Units *u) {
        units_disconnect(u);
        u->reconnect_delay = MIN(MAX(u->reconnect_delay * 2, RECONNECT_MIN), RECONNECT_MAX);
        (void) sd_event_source_set_time_relative(u->reconnect_timer, u->reconnect_delay);
        (void) sd_event_source_set_enabled(u->reconnect_timer, SD_EVENT_ONESHOT);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        log_warning("Lost the bus connection to the manager, connecting again.");
        CRASH_POINT("manager-disconnected");
        units_reconnect_later(userdata);
        return 0;
}

/* sd-event takes one message a round, each with system calls of its own, and PID 1 says several things at once. So the first one
 * of a burst wakes the drain, which takes in what else is there before the loop goes on. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Units *u = userdata;

        (void) sd_event_source_set_enabled(u->drain_source, SD_EVENT_ONESHOT);
        return 0;
}

static int on_drain(sd_event_source *s, void *userdata) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        Units *u = userdata;
        int r = 1;

        bus = sd_bus_ref(u->bus);
        /* A message may be that the connection is lost. */
        for (unsigned i = 0; r > 0 && bus && bus == u->bus && i < MESSAGES_PER_DRAIN; i++)
                r = sd_bus_process(bus, NULL);
        if (r < 0 && bus == u->bus)
                (void) on_disconnected(NULL, u, NULL);
        return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static int add_matches(Units *u) {
        static const struct {
                const char *rule;
                sd_bus_message_handler_t handler;
        } matches[] = {
                { "type='signal',sender='" SYSTEMD_NAME "',interface='org.freedesktop.DBus.Properties',"
                  "member='PropertiesChanged',path_namespace='" SYSTEMD_UNIT_PREFIX "',arg0='" SYSTEMD_UNIT "'",
                  on_properties_changed },
                { "type='signal',sender='" SYSTEMD_NAME "',interface='" SYSTEMD_MANAGER "',member='UnitRemoved'",
                  on_unit_removed },
                { "type='signal',sender='" SYSTEMD_NAME "',interface='" SYSTEMD_MANAGER "',member='Reloading'",
                  on_reloading },
                { "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                  "member='NameOwnerChanged',arg0='" SYSTEMD_NAME "'", on_name_owner_changed },
        };
        int r;

        r = bus_ignore_addressed_signals(u->bus); /* systemd's and the bus's are not */
        if (r >= 0)
                r = sd_bus_add_filter(u->bus, NULL, on_message, u);
        if (r >= 0)
                r = sd_bus_match_signal_async(u->bus, NULL, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected",
                                              on_disconnected, NULL, u);
        if (r < 0)
                return r;
        FOREACH_ELEMENT(i, matches) {
                r = sd_bus_add_match_async(u->bus, NULL, i->rule, i->handler, NULL, u);
                if (r < 0)
                        return r;
        }
        return 0;
}

void units_connect(Units *u) {
        int r;

        units_disconnect(u);
        CRASH_POINT("manager-connect");
        r = u->user ? sd_bus_open_user_with_description(&u->bus, "manager") :
                      sd_bus_open_system_with_description(&u->bus, "manager");
        if (r >= 0 && !getenv("SYSTEMD_BUS_TIMEOUT")) /* which sd-bus reads by itself */
                r = sd_bus_set_method_call_timeout(u->bus, CALL_TIMEOUT);
        if (r >= 0)
                r = sd_bus_attach_event(u->bus, u->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = add_matches(u);
        if (r < 0) {
                log_full_errno(u->reconnect_delay == 0 ? LOG_WARNING : LOG_DEBUG, r,
                               "Failed to connect to the bus, trying again: %m");
                units_reconnect_later(u);
                return;
        }
        units_reloaded(u);
        units_resync(u, true);
}

/* ---- once a second while there are attempts ---- */

static void tick_sample(Units *u, Attempt *a) {
        _cleanup_free_ char *path = cgroup_unit_path(u->cgroup_root, a->queue->slice, a->unit);
        Outcome *o = &a->outcome;
        uint64_t in, out;
        bool frozen;

        if (!path)
                return;
        /* systemd before 256 tells nobody of a freeze or thaw. */
        frozen = cgroup_is_frozen(path);
        if (a->watch && a->watch->cgroup_frozen != frozen) {
                a->watch->cgroup_frozen = frozen;
                a->watch->look_again = true;
        }
        o->tasks_peak = known_max(o->tasks_peak, cgroup_read_u64(path, "pids.peak"));
        o->cpu_usec = known_max(o->cpu_usec, cgroup_read_cpu(path)); /* for who looks while it runs; as the next one */
        o->memory_peak = known_max(o->memory_peak, cgroup_read_u64(path, "memory.peak"));
        /* What is not asked for while the cgroup is there, PID 1 does not know afterwards; or only what it was asked last. */
        if (u->version_number >= 256)
                return;
        if (cgroup_read_io(path, &in, &out)) {
                o->io_read_bytes = known_max(o->io_read_bytes, in);
                o->io_write_bytes = known_max(o->io_write_bytes, out);
        }
}

/* A sample is some files that are opened and read: of ten thousand jobs each one's is taken every ten seconds. */
static bool is_turn_of(const Units *u, const Attempt *a) {
        unsigned share = HASH_COUNT(u->model->attempts) / SAMPLES_PER_TICK + 1;

        return a->job_id % share == u->ticks % share;
}

void units_arm_tick(Units *u, usec_t after) {
        usec_t now, when;

        if (sd_event_source_get_enabled(u->tick_timer, NULL) > 0 && sd_event_now(u->event, CLOCK_MONOTONIC, &now) >= 0 &&
            sd_event_source_get_time(u->tick_timer, &when) >= 0 && when <= usec_add(now, after))
                return;
        (void) sd_event_source_set_time_relative(u->tick_timer, after);
        (void) sd_event_source_set_enabled(u->tick_timer, SD_EVENT_ONESHOT);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Units *u = userdata;
        Attempt *a, *t;

        HASH_ITER(hh, u->model->attempts, a, t) {
                UnitWatch *w = a->watch;

                if (a->phase == ATTEMPT_RUNNING && a->executor == EXECUTOR_SERVICE && is_turn_of(u, a))
                        tick_sample(u, a);
                else if (a->phase == ATTEMPT_RUNNING && a->executor == EXECUTOR_SCOPE)
                        scope_tick(u, a);
                if (!w)
                        continue;
                if (a->phase == ATTEMPT_ENDED && w->removed)
                        model_attempt_act(u->model, a);
                if (a->phase == ATTEMPT_STARTING && w->action_slot && !a->trouble)
                        a->trouble = strdup("systemd has not answered yet");
                if (w->look_again)
                        units_look(w);
                if (w->retry)
                        model_attempt_act(u->model, a);
                w->look_again = w->retry = false;
        }
        units_tick_gates(u);
        units_tick_timers(u);
        units_trim_spools(u);
        u->slices_again = u->slices_again || u->slices_failed;
        u->slices_failed = false;
        u->ticks++;
        if (u->round_failed || u->subscribe_failed || (u->ticks % u->look_interval == 0 && u->synced) || units_timers_want_round(u))
                units_resync(u, u->round_failed);
        if (u->model->attempts || u->round_failed)
                units_arm_tick(u, UNITS_TICK);
        else
                units_timers_arm(u);
        return 0;
}

/* ---- making and freeing ---- */

int units_new(sd_event *event, bool user, const char *run_path, const char *exec_path, Units **ret) {
        _cleanup_(units_freep) Units *u = new0(Units, 1);
        int r;

        if (!u)
                return -ENOMEM;
        TAILQ_INIT(&u->looks);
        TAILQ_INIT(&u->unread);
        TAILQ_INIT(&u->reading);
        TAILQ_INIT(&u->unknown);
        TAILQ_INIT(&u->gate_looks);
        TAILQ_INIT(&u->server_starts);
        TAILQ_INIT(&u->timer_calls);
        u->event = sd_event_ref(event);
        u->user = user;
        u->in_flight_max = UNITS_IN_FLIGHT;
        u->spool_fd = -EBADF;
        u->look_interval = UNITS_LOOK_INTERVAL;
        u->exec_path = exec_path;
        u->run_path = strdup(run_path);
        if (!u->run_path)
                return -ENOMEM;
        r = sd_event_add_time_relative(event, &u->reconnect_timer, CLOCK_MONOTONIC, USEC_PER_SEC, 0, on_reconnect, u);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(u->reconnect_timer, SD_EVENT_OFF);
        r = sd_event_add_time_relative(event, &u->tick_timer, CLOCK_MONOTONIC, USEC_PER_SEC, 0, on_tick, u);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(u->tick_timer, SD_EVENT_OFF);
        r = sd_event_add_defer(event, &u->drain_source, on_drain, u);
        if (r >= 0)
                r = sd_event_source_set_priority(u->drain_source, SD_EVENT_PRIORITY_NORMAL - 1);
        if (r >= 0)
                r = sd_event_source_set_enabled(u->drain_source, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = units_watch_spools(u);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(u);
        return 0;
}

Units *units_free(Units *u) {
        if (!u)
                return NULL;

        units_detach_model(u);
        units_disconnect(u);
        sd_event_source_disable_unref(u->reconnect_timer);
        sd_event_source_disable_unref(u->tick_timer);
        sd_event_source_disable_unref(u->drain_source);
        sd_event_source_disable_unref(u->spool_source);
        safe_close(u->spool_fd);
        sd_event_unref(u->event);
        free(u->run_path);
        free(u->version);
        free(u->cgroup_root);
        free(u->mismatch);
        units_forget_slices(u);
        return mfree(u);
}

void units_detach_model(Units *u) {
        Attempt *a, *t;

        if (!u->model)
                return;
        units_abort_round(u);
        units_forget_timers(u);
        HASH_ITER(hh, u->model->attempts, a, t)
                units_forget(a);
        u->model = NULL;
}

void units_set_model(Units *u, Model *m) {
        units_detach_model(u);
        u->model = m;
        u->synced = false;
        m->epoch = u->epoch;
        m->shutting_down = u->stopping;
        m->starting_max = u->contract_checked ? STARTING_MAX : 1;
}

const char *units_blocked(const Units *u) {
        if (!u->bus)
                return "no connection to the bus";
        if (!u->synced)
                return u->round_failed ? "systemd does not say which units there are, asking again" :
                                         "looking at the units of the manager";
        if (u->stopping)
                return "the system is stopping";
        return u->mismatch;
}
