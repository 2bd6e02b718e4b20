/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parameters of a call over the socket. What is null is not there; what is of a wrong type is InvalidParameter with its name. 0 or
 * negative with *error; objects and texts are valid as long as the call is. */

#include "api/request.h"

struct json_object;

/* fallback NULL: it must be there. */
int read_json_u64(struct json_object *parameters, const char *key, const uint64_t *fallback, uint64_t *ret, sd_bus_error *error);
/* Which attempt is meant: {id, attempt}. */
int read_json_attempt(struct json_object *parameters, uint64_t *ret_job, uint64_t *ret_number, sd_bus_error *error);
int read_json_string(struct json_object *parameters, const char *key, const char *fallback, const char **ret, sd_bus_error *error);
int read_json_flag(struct json_object *parameters, const char *key, bool *ret, sd_bus_error *error); /* false where it is not there */
int read_json_length(struct json_object *parameters, const char *key, size_t *ret, sd_bus_error *error); /* of an array */
/* An object as text. */
int read_json_object_text(struct json_object *parameters, const char *key, const char **ret, sd_bus_error *error);
/* A spec with its queue, into q->spec and q->queue_name; the i-th of an array. */
int read_json_request(struct json_object *parameters, const char *key, Request *q, sd_bus_error *error);
int read_json_nth_request(struct json_object *parameters, const char *key, size_t i, Request *q, sd_bus_error *error);
/* The options of Retry, which stand beside its id. -EINVAL and *ret_error. */
int read_json_retry(struct json_object *parameters, JobSpec *s, uint64_t *ret_fields, char **ret_error);

/* So much JSON was read and let go: if it was much, much free memory is left behind, which is given back. */
void read_json_trim(size_t size);

int invalid_parameter(sd_bus_error *error, const char *name);
