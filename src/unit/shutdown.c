/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether the system (or the user's manager) goes down. Then nothing is started any more, and a job that is stopped is lost by
 * that; else somebody has cancelled it.
 *
 * It shows in shutdown.target's job, and later in the target. (The JobNew signal would tell it too, but sd-bus cannot match its
 * third argument behind a number.) That is a signal, which may come after those of the jobs, or not at all: so where it matters,
 * before a job is called cancelled and when a start is refused, the manager is asked: by the full look, which begins with that. */

#include "unit/units.h"
#include "unit/unit-read.h"

#include "base/log.h"

static void set_stopping(Units *u, bool stopping) {
        Attempt *a, *t;

        if (u->stopping == stopping)
                return;
        u->stopping = stopping;
        if (u->model)
                u->model->shutting_down = stopping;
        log_info(stopping ? "The system is stopping, starting no more jobs." : "The system does not stop after all.");
        if (!stopping || !u->model)
                return;
        /* What PID 1 refused, or was not asked for yet, is taken back: launcher.c. */
        HASH_ITER(hh, u->model->attempts, a, t)
                if (a->phase == ATTEMPT_STARTING)
                        model_attempt_act(u->model, a);
}

void units_heed_shutdown(Units *u, sd_bus_message *m) {
        const char *interface;
        UnitState state;

        if (sd_bus_message_read_basic(m, 's', &interface) < 0 || !streq(interface, SYSTEMD_UNIT))
                return;
        unit_state_init(&state);
        if (unit_state_read(m, &state) >= 0)
                set_stopping(u, state.unit_job || state.active == UNIT_ACTIVE);
        unit_state_done(&state);
}

void units_heed_system_state(Units *u, const char *state) {
        set_stopping(u, streq(state, "stopping"));
}

bool units_ask_stopping(Units *u, UnitWatch *w) {
        if (u->stopping)
                return false;
        if (w->stopping_round == 0) {
                w->stopping_round = u->round + 1;
                units_resync(u, false);
        }
        return u->round_known < w->stopping_round;
}
