/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changing the spec of a job that is there, field by field, by the field table. A set of fields is a bit mask in the order
 * of the table. */

#include "queue/spec.h"

uint64_t spec_field_bit(const SpecField *f);
/* All fields that have any of these flags. */
uint64_t spec_fields_with(unsigned flags);
/* Those that a stored job has in its own row (job_to_spec()). */
uint64_t spec_fields_of_job(void);
/* "name, argv, …" of a set; NULL: out of memory. */
char *spec_fields_to_string(uint64_t fields);

/* The same once more, the fields of this set only; the others have their defaults. */
int spec_copy(const JobSpec *s, uint64_t fields, JobSpec **ret);

/* These fields of s become what they are in defaults, where a limit that is s's own stands. -ENOMEM. */
int spec_fill(JobSpec *s, const JobSpec *defaults, uint64_t fields);

/* What s does not say of the fields with SPEC_INHERIT is as in defaults. -ENOMEM. */
int spec_inherit(JobSpec *s, const JobSpec *defaults);

/* Change these fields of s to what they are in changes. A text that is empty is removed. Tags are changed one by one, and one
 * with an empty value is removed; so are properties, by name. All else is replaced. Does not validate. -ENOMEM: s is half
 * changed; -E2BIG, -EINVAL: too many properties or tags, or fields that exclude each other, with *ret_error. */
int spec_change(JobSpec *s, const JobSpec *changes, uint64_t fields, char **ret_error);
