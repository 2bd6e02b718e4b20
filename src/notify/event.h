/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "queue/change.h"

/* What happened to a job, as a structured record of the journal with a MESSAGE_ID (units/jobmill.catalog.in explains each):
 * started, finished, lost. */

#define MESSAGE_JOB_STARTED "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c101"
#define MESSAGE_JOB_FINISHED "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c102"
#define MESSAGE_JOB_LOST "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c103"
#define MESSAGE_JOB_TRIED_AGAIN "6f1f2c0e5b5c4b0fa3a4a2b7b9f0c104"

void event_log(const Change *c, bool user);
