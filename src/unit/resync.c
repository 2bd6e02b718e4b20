/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The full look: which units of ours there are, and whether each is what the model thinks. Used at start, on a new
 * connection, after the manager re-executed or reloaded, and every minute in case a signal was lost.
 *
 * A round asks, in this order on one connection: Subscribe, the manager's identity (epoch), the list. What the list shows is
 * compared in on_list(); units that need it are read one by one. The first round on a connection ends when all of these
 * are answered: then "synced" is set and things may be started again. */

#include "unit/units.h"

#include "base/crash-point.h"
#include "base/log.h"


static int round_call(Units *u, sd_bus_slot **slot, const char *member, const char *interface,
                      sd_bus_message_handler_t callback, const char *types, ...);

/* It is started, or starts what needs it, before it is on the bus: a user's manager at each login. Its name is told when it is there. */
static bool is_not_there_yet(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN);
}

static void round_failed(Units *u, const sd_bus_error *e) {
        if (is_not_there_yet(e))
                log_info("The manager is not on the bus yet, waiting for it.");
        else
                log_warning("Failed to look at the manager's units, trying again: %s", e ? e->message : "no memory");
        units_abort_round(u);
        u->round_failed = true;
        units_arm_tick(u, UNITS_TICK);
}

/* What is out of this round is not waited for; the next one is a full one. */
void units_abort_round(Units *u) {
        UnknownUnit *x;

        u->round_slot = sd_bus_slot_unref(u->round_slot);
        u->round_active = u->round_again = false;
        u->again_full = true;
        while ((x = u->unknown_names)) {
                u->looks_in_flight -= !!x->slot;
                unknown_unit_free(x);
        }
}

void units_round_check(Units *u) {
        if (!u->round_active || u->round_slot || u->looks_in_flight > 0 || !TAILQ_EMPTY(&u->looks) || !TAILQ_EMPTY(&u->unread))
                return;

        u->round_active = false;
        if (u->round_failed) {
                units_arm_tick(u, UNITS_TICK);
                return;
        }
        CRASH_POINT("synced");
        u->synced = true;
        u->reconnect_delay = 0;
        if (u->model->attempts)
                units_arm_tick(u, UNITS_TICK);
        units_timers_arm(u);
        if (u->round_again)
                units_resync(u, false);
}

/* ---- the list ---- */

static bool row_needs_look(const Units *u, const Attempt *a, const char *active, const char *sub) {
        bool ended = streq(active, "failed") || streq(active, "inactive") || streq(sub, "exited");

        if (a->watch && (a->watch->look_slot || a->watch->look_wanted))
                return false;
        return u->round_full || a->phase == ATTEMPT_STARTING || ended;
}

/* stopping: systemd is at it. */
static void heed_row(Units *u, const char *name, const char *active, const char *sub, bool stopping) {
        uint64_t job;
        uint32_t number;
        Attempt *a;
        UnitWatch *w;

        if (units_heed_timer_row(u, name) || !attempt_unit_name_parse(name, &job, &number))
                return;
        HASH_FIND_STR(u->model->attempts, name, a);
        if (!a) {
                units_look_unknown(u, name);
                return;
        }
        w = units_watch(u, a);
        if (!w)
                return;
        w->seen = true;
        w->active = unit_active_state_from_string(active);
        /* What was heard and came to nothing is asked for again: a stop that somebody called off, a SIGKILL whose answer nobody
         * waited for. */
        if (!stopping && !w->action_slot)
                w->release_sent = w->thaw_sent = false;
        if (a->kill_due) {
                w->kill_sent = false;
                model_attempt_act(u->model, a);
        }
        /* One that is still there was to be let go, or is to be: whether it can be (it may be frozen) a look tells. What only has the name of
         * one that has gone is nothing to look at: that would ask for the next round, and so on. */
        if (a->phase == ATTEMPT_ENDED && w->removed)
                model_attempt_act(u->model, a);
        else if (a->phase == ATTEMPT_ENDED || row_needs_look(u, a, active, sub))
                units_look(w);
}

/* Known, but not in the list. One that was asked for after the list was is not missing. */
static void heed_missing(Units *u) {
        Attempt *a, *t;

        HASH_ITER(hh, u->model->attempts, a, t) {
                UnitWatch *w = units_watch(u, a);

                if (!w || w->seen || (a->asked && w->start_round == u->round))
                        continue;
                if (w->action_slot && a->phase == ATTEMPT_STARTING)
                        continue;
                if (a->phase == ATTEMPT_STRAY) {
                        w->removed = true;
                        model_stray_ended(u->model, a);
                } else
                        units_apply(u, a, NULL);
        }
}

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Units *u = userdata;
        const char *name, *active, *sub, *unit_job;
        Attempt *a, *t;
        Now now;
        int r;

        CRASH_POINT("list-answered");
        u->round_slot = sd_bus_slot_unref(u->round_slot);
        if (sd_bus_message_is_method_error(m, NULL)) {
                round_failed(u, sd_bus_message_get_error(m));
                return 0;
        }
        if (u->reloading)
                units_reloaded(u); /* it answers, so it is through, though we did not hear so */
        HASH_ITER(hh, u->model->attempts, a, t)
                if (a->watch)
                        a->watch->seen = false;

        units_timers_begin(u);
        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssssssouso)", &name, NULL, NULL, &active, &sub, NULL, NULL, NULL,
                                                  &unit_job, NULL)) > 0)
                heed_row(u, name, active, sub, streq(unit_job, "stop"));
        if (r < 0) {
                log_error_errno(r, "Failed to read the list of units: %m");
                round_failed(u, NULL);
                return 0;
        }
        heed_missing(u);
        units_now(u, &now);
        units_timers_end(u, &now);
        units_want_gates(u);
        units_flush_looks(u);
        units_round_check(u);
        return 0;
}

static int on_epoch_known(Units *u) {
        CRASH_POINT("list-before");
        return round_call(u, &u->round_slot, "ListUnitsByPatterns", SYSTEMD_MANAGER, on_list, "asas", 0, 3,
                          "jobmill-job-*.service", "jobmill-job-*.scope", TIMER_UNIT_PREFIX "*.timer");
}

/* ---- who the manager is ---- */

static int read_manager(Units *u, sd_bus_message *m) {
        const char *name, *contents, *s;
        uint64_t t;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r < 0)
                        return r;
                if (streq(name, "UserspaceTimestampMonotonic")) {
                        r = sd_bus_message_read(m, "v", "t", &t);
                        u->epoch.userspace_usec = t;
                } else if (streq(name, "DefaultTasksMax")) {
                        r = sd_bus_message_read(m, "v", "t", &u->tasks_max);
                } else if (streq(name, "Version") || streq(name, "ControlGroup") || streq(name, "SystemState")) {
                        r = sd_bus_message_read(m, "v", "s", &s);
                        if (r >= 0 && streq(name, "SystemState"))
                                units_heed_system_state(u, s);
                        else if (r >= 0)
                                r = free_and_strdup(streq(name, "Version") ? &u->version : &u->cgroup_root, s);
                } else
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static int on_manager(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Units *u = userdata;
        int r;

        CRASH_POINT("manager-answered");
        u->round_slot = sd_bus_slot_unref(u->round_slot);
        if (sd_bus_message_is_method_error(m, NULL)) {
                round_failed(u, sd_bus_message_get_error(m));
                return 0;
        }
        r = read_manager(u, m);
        u->round_known = u->round;
        if (r >= 0)
                r = sd_id128_get_boot(&u->epoch.boot_id);
        if (r >= 0) {
                u->model->epoch = u->epoch;
                r = on_epoch_known(u);
        }
        if (r < 0) {
                log_error_errno(r, "Failed to ask the manager who it is: %m");
                round_failed(u, NULL);
                return 0;
        }
        u->version_number = strtoul(strempty(u->version), NULL, 10);
        return 0;
}

/* ---- a round ---- */

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = userdata;
        bool failed = e && !sd_bus_error_has_name(e, SYSTEMD_NAME ".AlreadySubscribed");

        if (failed && !u->subscribe_failed && !is_not_there_yet(e))
                log_warning("The manager does not send signals, looking at its units each second: %s", strempty(e->message));
        u->subscribe_failed = failed;
        return 0;
}

static int round_call(Units *u, sd_bus_slot **slot, const char *member, const char *interface,
                      sd_bus_message_handler_t callback, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = units_callv(u, slot, interface, member, callback, u, types, ap);
        va_end(ap);
        return r;
}

void units_resync(Units *u, bool full) {
        Now now;
        int r;

        u->again_full = u->again_full || full;
        if (!u->bus)
                return;
        if (u->round_active) {
                u->round_again = true;
                return;
        }
        u->round_active = true;
        u->round_full = u->again_full;
        u->round_again = u->again_full = u->round_failed = false;
        u->round++;
        units_now(u, &now);
        u->round_at = now.monotonic;

        CRASH_POINT("subscribe-before");
        r = round_call(u, NULL, "Subscribe", SYSTEMD_MANAGER, on_subscribed, "");
        CRASH_POINT("subscribe-after");
        if (r >= 0)
                r = round_call(u, &u->round_slot, "GetAll", "org.freedesktop.DBus.Properties", on_manager, "s", SYSTEMD_MANAGER);
        if (r < 0) {
                log_error_errno(r, "Failed to look at the manager's units: %m");
                round_failed(u, NULL);
        }
}
