/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading the properties of units: of an attempt's (a "look", whose result goes to apply.c), and of one that no attempt in memory has,
 * which daemon/ asks the store about. All of them wait for room, as PID 1 and the bus take only so many calls at a time; one that
 * fails is tried again. */

#include "unit/units.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "unit/unit-read.h"

#define SYSTEMD_SERVICE "org.freedesktop.systemd1.Service"

static int get_all(Units *u, const char *path, const char *interface, sd_bus_message_handler_t callback, void *userdata, sd_bus_slot **slot) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = units_new_call(u, &m, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", interface);
        if (r < 0)
                return r;
        return sd_bus_call_async(u->bus, slot, m, callback, userdata, 0);
}

static bool error_means_absent(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchUnit") ||
               sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

static int on_look(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        Units *u = w->units;
        UnitState state;
        int r;

        CRASH_POINT("look-answered");
        w->look_slot = sd_bus_slot_unref(w->look_slot);
        u->looks_in_flight--;

        if (sd_bus_message_is_method_error(m, NULL)) {
                if (error_means_absent(sd_bus_message_get_error(m)))
                        units_apply(u, w->attempt, NULL);
                else
                        w->look_again = true;
                units_round_check(u);
                return 0;
        }

        unit_state_init(&state);
        r = unit_state_read(m, &state);
        if (r < 0) {
                log_warning_errno(r, "Failed to read the properties of %s, looking again later: %m", w->attempt->unit);
                w->look_again = true;
        } else {
                w->looked_absent = !state.loaded;
                units_apply(u, w->attempt, state.loaded ? &state : NULL);
        }
        unit_state_done(&state);
        units_round_check(u);
        return 0;
}

/* Where it is not as the signal said, or may no longer be as asked for, all of it is looked at. */
static int on_look_ended(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        Units *u = w->units;
        UnitState state;

        CRASH_POINT("end-answered");
        w->look_slot = sd_bus_slot_unref(w->look_slot);
        w->end_told = false;
        u->looks_in_flight--;
        unit_state_init(&state);
        if (sd_bus_message_is_method_error(m, NULL) && !error_means_absent(sd_bus_message_get_error(m)))
                w->look_again = true;
        else if (!sd_bus_message_is_method_error(m, NULL) && u->contract_checked && unit_state_read_service(m, &state) >= 0 &&
                 unit_state_add_end(&state, &w->end, w->attempt->invocation_id))
                units_apply(u, w->attempt, &state);
        else
                units_look(w);
        unit_state_done(&state);
        units_round_check(u);
        return 0;
}

/* Read it as soon as there is room: looks are bounded like actions are. */
void units_look(UnitWatch *w) {
        if (w->look_slot)
                w->look_again = true; /* what is on its way may have been read before */
        if (w->look_slot)
                return;
        w->end_told = false;
        if (w->look_wanted)
                return;
        TAILQ_INSERT_TAIL(&w->units->looks, w, look_entry);
        w->look_wanted = true;
}

void units_look_ended(UnitWatch *w, const UnitState *signal) {
        if (w->look_slot || w->look_wanted) {
                units_look(w);
                return;
        }
        units_look(w);
        w->end_told = true;
        w->end = unit_state_end(signal);
}

UnknownUnit *unknown_unit_free(UnknownUnit *x) {
        if (!x)
                return NULL;
        if (x->list) {
                TAILQ_REMOVE(x->list, x, entry);
                HASH_DEL(x->units->unknown_names, x);
        }
        sd_bus_slot_unref(x->slot);
        free(x->name);
        unit_state_done(&x->state);
        return mfree(x);
}

static void move_unknown(UnknownUnit *x, struct UnknownUnitList *to) {
        TAILQ_REMOVE(x->list, x, entry);
        TAILQ_INSERT_TAIL(to, x, entry);
        x->list = to;
}

static int on_look_unknown(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnknownUnit *x = userdata;
        Units *u = x->units;
        bool absent = false;

        CRASH_POINT("unknown-answered");
        x->slot = sd_bus_slot_unref(x->slot);
        u->looks_in_flight--;
        if (sd_bus_message_is_method_error(m, NULL)) {
                /* Whose slots it holds is not known: nothing starts before it is. */
                if (!error_means_absent(sd_bus_message_get_error(m))) {
                        log_warning("Failed to read the properties of %s, trying again: %s", x->name,
                                    strempty(sd_bus_message_get_error(m)->message));
                        u->round_failed = true;
                }
                absent = true;
        } else if (unit_state_read(m, &x->state) < 0 || !x->state.loaded)
                absent = true;
        if (absent)
                unknown_unit_free(x);
        else
                move_unknown(x, &u->unknown);
        units_round_check(u);
        return 0;
}

static int send_look_unknown(UnknownUnit *x) {
        _cleanup_free_ char *path = NULL;
        int r;

        CRASH_POINT("unknown-before");
        r = sd_bus_path_encode(SYSTEMD_UNIT_PREFIX, x->name, &path);
        if (r >= 0)
                r = get_all(x->units, path, "", on_look_unknown, x, &x->slot);
        if (r < 0)
                return r;
        x->units->looks_in_flight++;
        move_unknown(x, &x->units->reading);
        return 0;
}

/* A unit of our name that no attempt has: one of a job that is done, or a stray. Asked for with the other looks. */
void units_look_unknown(Units *u, const char *name) {
        UnknownUnit *x;

        HASH_FIND_STR(u->unknown_names, name, x);
        if (x)
                return;
        x = new0(UnknownUnit, 1);
        if (x) {
                unit_state_init(&x->state);
                x->units = u;
                x->name = strdup(name);
        }
        if (!x || !x->name) {
                u->round_failed = true;
                unknown_unit_free(x);
                return;
        }
        x->list = &u->unread;
        TAILQ_INSERT_TAIL(x->list, x, entry);
        HASH_ADD_KEYPTR(hh, u->unknown_names, x->name, strlen(x->name), x);
}

void units_flush_looks(Units *u) {
        UnknownUnit *x;
        UnitWatch *w;

        while (u->bus && u->looks_in_flight < UNITS_LOOKS_IN_FLIGHT && (x = TAILQ_FIRST(&u->unread)))
                if (send_look_unknown(x) < 0) {
                        u->round_failed = true;
                        unknown_unit_free(x);
                }
        while (u->bus && u->looks_in_flight < UNITS_LOOKS_IN_FLIGHT && (w = TAILQ_FIRST(&u->looks))) {
                _cleanup_free_ char *path = NULL;
                int r;

                TAILQ_REMOVE(&u->looks, w, look_entry);
                w->look_wanted = false;
                CRASH_POINT("look-before");
                r = sd_bus_path_encode(SYSTEMD_UNIT_PREFIX, w->attempt->unit, &path);
                if (r >= 0)
                        r = get_all(u, path, w->end_told ? SYSTEMD_SERVICE : "", w->end_told ? on_look_ended : on_look, w, &w->look_slot);
                if (r < 0) {
                        w->look_again = true;
                        continue;
                }
                u->looks_in_flight++;
        }
        if (u->bus)
                units_round_check(u);
}
