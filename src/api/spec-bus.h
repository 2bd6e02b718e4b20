/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Specs over D-Bus: an a{sv} whose keys and types are those of the field table. */

#include "queue/spec.h"
#include <systemd/sd-bus.h>

/* Read the dictionary at the message's position into s; all values are copied. *ret_fields: which fields stood there (spec-change.h),
 * and argv where s has it already; a time of UINT64_MAX is "none". ret_queue not NULL: the key
 * "queue" (s) is taken too, *ret_queue is new, or NULL where the key is absent. -EINVAL, -ERANGE, -E2BIG
 * with *ret_error: the caller's mistake (unknown key, wrong type, a key twice, argv where s has it already).
 * After an error s is half filled and the message stands somewhere inside. Does not validate the whole
 * (spec_validate() does). */
int spec_read_bus(sd_bus_message *m, JobSpec *s, uint64_t *ret_fields, char **ret_queue, char **ret_error);
/* argv as an argument of its own. */
int spec_read_bus_argv(sd_bus_message *m, JobSpec *s, char **ret_error);
/* An "as", or with pairs an "a{ss}" as key, value, …, of at most max entries; NULL: it is empty. -E2BIG. Everything that a caller
 * sends is read so: sd_bus_message_read_strv() takes any number, and in systemd before 253 the time for it grows with its square. */
int bus_read_list(sd_bus_message *m, bool pairs, size_t max, char ***ret);
