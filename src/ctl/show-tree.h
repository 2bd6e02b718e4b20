/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* show --tree: of flows, or of jobs with all that comes after them. */

#include "ctl/ctl.h"

int show_trees(sd_bus *bus, int argc, char **argv);
