/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "unit/units.h"

/* Which of these units are not there (no file, or masked)? It is told once, later; never where the service manager does not say. */
typedef void (*units_missing_t)(void *userdata, char *const *missing);
int units_find_missing(Units *u, char *const *names, units_missing_t told, void *userdata);
