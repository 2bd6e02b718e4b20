/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of a job's unit that a runner needs too, where it has none (pool-order.c). */

#include "unit/units.h"

/* What jobmill adds to the environment, as VAR=VALUE. */
int job_environment(const Units *u, const Attempt *a, char ***ret);
/* What is measured of a unit, of whatever kind. */
int units_append_accounting(sd_bus_message *m, const Units *u);
/* Queue's [Service] and the job's own, as the rights of the submitter allow (unit_property_merge()). Sets a->kill_signal. *ret_error is set (and
 * the return negative) where it is refused. */
int job_properties(const Units *u, Attempt *a, UnitPropertyList *ret, char **ret_error);
/* Its streams go to files, which jobmill-exec opens; what it is told. */
bool job_has_helper(const JobSpec *s);
int job_helper_options(const Attempt *a, char ***ret);
