/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the overview is made of. */

#include "ctl/ctl.h"

int list_jobs(sd_bus *bus, const Filter *filter, uint32_t limit, size_t *ret_n); /* prints */
int list_queues(sd_bus *bus);                                                    /* verb-queue.c; prints */
