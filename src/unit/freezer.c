/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* FreezeUnit and ThawUnit. The manager answers when it is done, which may be never (a process that is deep in the kernel; a unit
 * that ends meanwhile), so these calls go beside the one that launcher.c's other deeds wait for, and have a number in flight of
 * their own: a user whose processes cannot be frozen must not hold back everybody's jobs. While one of them is at work it refuses
 * the other as busy: asked again at the next tick.
 *
 * A frozen unit can be killed by a signal that cannot be caught, but one that is to end in order has to run.
 *
 * After a daemon-reload systemd 252 calls units of ours "bad-setting" (job-unit.c says why) and refuses both calls, as if they
 * were inactive. What stands still must not do so for ever, so there the cgroup is written by ourselves. The manager's
 * FreezerState= is out of date from then on and the cgroup's own word is taken; stopping the unit puts both right, because then
 * the manager looks at the cgroup too.
 *
 * From 257 on the manager does not stop a unit that is not thawed, and says yes all the same. It learns from the kernel that one is, and
 * if the processes end first, their cgroup goes and nobody tells it any more: the unit is "thawing" (or "freezing") for ever. That there is
 * nothing to freeze it sees at once when it is asked to; and "thawing", which refuses to be thawed again, may be frozen. So what is to be let go is
 * thawed whatever it is but running, and frozen before if it is thawing already. */

#include "unit/units.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "unit/cgroup.h"

static unsigned *calls_in_flight(UnitWatch *w) {
        return w->freezer_asked == FREEZER_FREEZING ? &w->units->freezing : &w->units->thawing;
}

void units_forget_freezer(UnitWatch *w) {
        if (!w->freezer_slot)
                return;
        w->freezer_slot = sd_bus_slot_unref(w->freezer_slot);
        *calls_in_flight(w) -= 1;
}

static int on_freezer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        UnitWatch *w = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = w->units;
        Attempt *a = w->attempt;
        Now now;

        CRASH_POINT("freezer-answered");
        units_forget_freezer(w);
        if (a->phase != ATTEMPT_RUNNING)
                return 0;
        units_now(u, &now);
        if (!e)
                model_attempt_seen_frozen(u->model, a, w->freezer_asked == FREEZER_FREEZING, &now);
        else if (units_error_is_silence(e)) {
                w->retry = true;
                units_resync(u, true);
        } else if (sd_bus_error_has_name(e, SYSTEMD_NAME ".NoSuchUnit"))
                units_look(w);
        else if (sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitInactive") ||
                 sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitBusy"))
                w->look_again = true; /* it is ending; else what is still wanted is asked again */
        else if (w->freezer_asked == FREEZER_FREEZING) {
                log_warning("%s cannot be frozen: %s", a->unit, e->message);
                model_attempt_freeze_failed(u->model, a, e->message);
        } else {
                log_warning("Failed to thaw %s, trying again: %s", a->unit, e->message);
                w->retry = true;
        }
        return 0;
}

static int by_hand(UnitWatch *w, bool freeze) {
        const Attempt *a = w->attempt;
        _cleanup_free_ char *path = cgroup_unit_path(w->units->cgroup_root, a->queue->slice, a->unit);

        int r;

        w->look_again = true;
        CRASH_POINT("cgroup-freeze-before");
        r = path ? cgroup_set_frozen(path, freeze) : -ENOMEM;
        CRASH_POINT("cgroup-freeze-after");
        return r;
}

bool units_is_frozen(const UnitWatch *w, const UnitState *s) {
        const Attempt *a = w->attempt;
        _cleanup_free_ char *path = NULL;

        if (!s->bad_setting && s->freezer != FREEZER_FROZEN)
                return false;
        path = cgroup_unit_path(w->units->cgroup_root, a->queue->slice, a->unit);
        if (!s->bad_setting && path && !cgroup_is_populated(path))
                return true; /* nothing is there to say otherwise */
        return path && cgroup_is_frozen(path);
}

static int freezer_call(UnitWatch *w, sd_bus_slot **slot, const char *member, const char *types, ...) {
        va_list ap;
        int r;

        va_start(ap, types);
        r = units_callv(w->units, slot, SYSTEMD_MANAGER, member, slot ? on_freezer : NULL, w, types, ap);
        va_end(ap);
        return r;
}

void units_ask_freezer(UnitWatch *w) {
        const Attempt *a = w->attempt;
        int r;

        if (a->freezer != FREEZER_FREEZING && a->freezer != FREEZER_THAWING)
                return;
        if (w->freezer_slot && w->freezer_asked == a->freezer)
                return;
        units_forget_freezer(w);
        w->freezer_asked = a->freezer;
        if (*calls_in_flight(w) >= UNITS_FREEZER_IN_FLIGHT) {
                w->retry = true;
                return;
        }
        if (w->bad_setting) {
                r = by_hand(w, a->freezer == FREEZER_FREEZING);
                if (r < 0 && a->freezer == FREEZER_FREEZING)
                        model_attempt_freeze_failed(w->units->model, w->attempt, strerrordesc_np(-r));
                else if (r < 0)
                        log_warning_errno(r, "Failed to thaw %s, trying again: %m", a->unit);
                return;
        }
        CRASH_POINT("freezer-before");
        r = freezer_call(w, &w->freezer_slot, a->freezer == FREEZER_FREEZING ? "FreezeUnit" : "ThawUnit", "s", a->unit);
        if (r < 0) {
                log_warning_errno(r, "Failed to act on %s, trying again: %m", a->unit);
                w->retry = true;
                return;
        }
        *calls_in_flight(w) += 1;
        CRASH_POINT("freezer-after");
}

int units_thaw(UnitWatch *w) {
        int r;

        units_forget_freezer(w);
        if (w->bad_setting)
                return by_hand(w, false);
        if (w->attempt->phase == ATTEMPT_ENDED && w->freezer == FREEZER_THAWING) {
                r = freezer_call(w, NULL, "FreezeUnit", "s", w->attempt->unit);
                if (r < 0)
                        return r;
        }
        CRASH_POINT("thaw-before");
        r = freezer_call(w, NULL, "ThawUnit", "s", w->attempt->unit);
        CRASH_POINT("thaw-after");
        return r;
}
