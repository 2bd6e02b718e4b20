/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Specs over D-Bus: an a{sv} whose keys and types are those of the field table. */

#include "queue/spec.h"
#include <systemd/sd-bus.h>

/* Read the dictionary at the message's position into s; all values are copied. ret_queue not NULL: the key
 * "queue" (s) is taken too, *ret_queue is new, or NULL where the key is absent. -EINVAL, -ERANGE, -E2BIG
 * with *ret_error: the caller's mistake (unknown key, wrong type, a key twice, argv where s has it already).
 * After an error s is half filled and the message stands somewhere inside. Does not validate the whole
 * (spec_validate() does). */
int spec_read_bus(sd_bus_message *m, JobSpec *s, char **ret_queue, char **ret_error);
/* The same as changes to a job that is there (spec-change.h): which fields stood there; a time of UINT64_MAX is "none". */
int spec_read_bus_changes(sd_bus_message *m, JobSpec *s, uint64_t *ret_fields, char **ret_queue, char **ret_error);
