/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A spec as a JSON object, by the field table: as users write it (all keys) and as the store keeps it (without the keys
 * that have a column or table of their own). */

#include "queue/spec.h"

typedef enum SpecJsonFlags {
        SPEC_JSON_STORED = 1 << 0, /* leave SPEC_NOT_STORED fields out */
} SpecJsonFlags;

int spec_to_json(const JobSpec *s, SpecJsonFlags flags, char **ret);

/* What the store has kept. Unknown key, wrong type, bad value, anything behind the object, depth > 32: -EINVAL and *ret_error. Does not validate
 * the whole (spec_validate() does). *ret is new. */
int spec_from_json(const char *text, size_t size, JobSpec **ret, char **ret_error);

/* The same on top of what s holds, for those who submit: the key "queue", which is no part of a spec, is taken, too. *ret_keys
 * has a bit for each field that the object has, in the order of the table. On an error s may be half filled. */
int spec_read_json(const char *text, size_t size, JobSpec *s, char **ret_queue, uint64_t *ret_keys, char **ret_error);
/* The same in two steps, for those who have specs within something larger. No key has a NUL in it. */
struct json_object;
int spec_parse_object(const char *text, size_t size, struct json_object **ret, char **ret_error);
int spec_read_json_object(struct json_object *o, JobSpec *s, char **ret_queue, uint64_t *ret_keys, char **ret_error);
/* The text of v, which is v's; NULL: it is none, or has a NUL, behind which nobody would look. */
const char *spec_json_text(struct json_object *v);
