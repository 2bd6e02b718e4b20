/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading parameters of calls over the socket: JSON objects. What a spec is knows queue/spec-json.c. */

#include "api/read-json.h"

#include "queue/spec-change.h"
#include "queue/spec-json.h"

#include <json-c/json.h>
#include <malloc.h>

#define TRIM_SIZE ((size_t) 256 * 1024)

void read_json_trim(size_t size) {
        if (size >= TRIM_SIZE)
                malloc_trim(0);
}

int invalid_parameter(sd_bus_error *error, const char *name) {
        return api_error(error, VARLINK_ERROR_INVALID_PARAMETER, "%s", name);
}

/* NULL: absent, or null. */
static json_object *find(json_object *parameters, const char *key) {
        json_object *v = NULL;

        (void) json_object_object_get_ex(parameters, key, &v);
        return v;
}

int read_json_u64(json_object *parameters, const char *key, const uint64_t *fallback, uint64_t *ret, sd_bus_error *error) {
        json_object *v = find(parameters, key);

        if (!v && fallback) {
                *ret = *fallback;
                return 0;
        }
        if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
                return invalid_parameter(error, key);
        *ret = json_object_get_uint64(v);
        return 0;
}

int read_json_attempt(struct json_object *parameters, uint64_t *ret_job, uint64_t *ret_number, sd_bus_error *error) {
        int r = read_json_u64(parameters, "id", NULL, ret_job, error);

        return r < 0 ? r : read_json_u64(parameters, "attempt", NULL, ret_number, error);
}

int read_json_string(json_object *parameters, const char *key, const char *fallback, const char **ret, sd_bus_error *error) {
        json_object *v = find(parameters, key);

        if (!v && fallback) {
                *ret = fallback;
                return 0;
        }
        if (!json_object_is_type(v, json_type_string) ||
            strlen(json_object_get_string(v)) != (size_t) json_object_get_string_len(v))
                return invalid_parameter(error, key);
        *ret = json_object_get_string(v);
        return 0;
}

int read_json_flag(json_object *parameters, const char *key, bool *ret, sd_bus_error *error) {
        json_object *o = NULL;

        (void) json_object_object_get_ex(parameters, key, &o);
        if (o && !json_object_is_type(o, json_type_boolean))
                return invalid_parameter(error, key);
        *ret = o && json_object_get_boolean(o);
        return 0;
}

int read_json_length(json_object *parameters, const char *key, size_t *ret, sd_bus_error *error) {
        json_object *v = find(parameters, key);

        if (!json_object_is_type(v, json_type_array))
                return invalid_parameter(error, key);
        *ret = json_object_array_length(v);
        return 0;
}

int read_json_object_text(json_object *parameters, const char *key, const char **ret, sd_bus_error *error) {
        json_object *v = find(parameters, key);

        if (!json_object_is_type(v, json_type_object))
                return invalid_parameter(error, key);
        *ret = json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        return *ret ? 0 : -ENOMEM;
}

static int read_spec(json_object *o, const char *key, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!json_object_is_type(o, json_type_object))
                return invalid_parameter(error, key);
        r = spec_read_json_object(o, q->spec, &q->queue_name, &q->given, &text);
        if (r >= 0 || r == -ENOMEM)
                return r;
        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
}

int read_json_request(json_object *parameters, const char *key, Request *q, sd_bus_error *error) {
        return read_spec(find(parameters, key), key, q, error);
}

int read_json_nth_request(json_object *parameters, const char *key, size_t i, Request *q, sd_bus_error *error) {
        json_object *o = json_object_array_get_idx(find(parameters, key), i);

        return json_object_is_type(o, json_type_object) ? read_spec(o, key, q, error) : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "not an object");
}

int read_json_retry(json_object *parameters, JobSpec *s, uint64_t *ret_fields, char **ret_error) {
        json_object *options = json_object_new_object();
        _cleanup_free_ char *queue = NULL;
        int r;

        if (!options)
                return -ENOMEM;
        json_object_object_foreach(parameters, key, value)
                if (!streq(key, "id") && value)
                        json_object_object_add(options, key, json_object_get(value));
        r = spec_read_json_object(options, s, &queue, ret_fields, ret_error);
        json_object_put(options);
        return r;
}
