/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scopes around processes that asked for it (scope.c), and what their starts and ends have in common with those of services. */

#include "unit/units.h"

/* What its scope has used so far, into o: its process is in it still. And how it ended, in that light; stopped: its process was
 * told to end by the manager, of which the manager itself may tell later. */
void units_scope_usage(const Units *u, const Attempt *a, Outcome *o);
void units_scope_outcome(const Units *u, const Attempt *a, bool stopped, Outcome *o);

/* Before systemd 255 a scope is made without the limits of its job. They are set when its process was seen in it; a->job->spec is needed. The
 * process is then on model_next_run() again, and is_limited. */
bool units_scope_is_limited(const Units *u, const Attempt *a);
int units_limit_scope(Units *u, Attempt *a);

/* ---- between the files of unit/ ---- */

/* What people call it. */
int job_unit_append_description(sd_bus_message *m, const Attempt *a);
int scope_unit_append(sd_bus_message *m, const Units *u, Attempt *a, char **ret_error);
/* May what is in its unit be signalled? In a scope that was never seen with its process in it there may be somebody else. */
bool scope_is_own(const Attempt *a);
bool scope_may_go(const Units *u, const Attempt *a); /* can stopping it harm nobody? */
/* Its process with SIGKILL, which may have been moved out of the scope. */
void scope_kill_process(const Units *u, const Attempt *a);
/* What follows for one in a scope; false: what follows for all. */
bool scope_apply(Units *u, Attempt *a, const UnitState *s, UnitVerdict verdict, const Now *now);
void scope_tick(Units *u, Attempt *a);
void units_end(Units *u, Attempt *a, Outcome *o, const Now *now); /* its outcome is known */
void units_started(Units *u, Attempt *a, const UnitState *s, const Now *now);
