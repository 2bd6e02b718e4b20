/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Specs as JSON objects. Keys and types are those of the field table; only bytes have two keys:
 * "payload" for text, "payload_base64" for any bytes, and so have credentials. What has its default value is not written, and of
 * credentials the names alone, whatever it is written for: so nothing that is stored, told or shown can hold a secret.
 *
 * Reading goes through json-c in its strict mode. Writing does not build objects first: a spec is written
 * with each submit, and strings, numbers and one level of nesting are all there is. */

#include "queue/spec-json.h"

#include "base/json-writer.h"
#include "base/parse.h"
#include "base/strv.h"
#include "queue/spec-credential.h"
#include "queue/json-ascii.h"

#include <json-c/json.h>
#include <limits.h>

#define JSON_DEPTH_MAX 32
#define PARSER_KEPT_MAX (64U * 1024U) /* bytes of text */

/* ---- base64 (RFC 4648, with padding, no line breaks) ---- */

static const char base64_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_read(const char *s, size_t n, uint8_t **ret, size_t *ret_size) {
        size_t padding = 0, size = 0;
        _cleanup_free_ uint8_t *data = new0(uint8_t, n); /* a quarter too much */
        uint8_t value[256];
        uint32_t w = 0;

        if (!data)
                return -ENOMEM;
        if (n % 4 != 0)
                return -EINVAL;
        while (padding < 2 && padding < n && s[n - 1 - padding] == '=')
                padding++;
        memset(value, 0xff, sizeof(value));
        for (unsigned i = 0; i < 64; i++)
                value[(uint8_t) base64_alphabet[i]] = i;
        for (size_t i = 0; i < n; i++) {
                uint8_t v = i >= n - padding ? 0 : value[(uint8_t) s[i]];

                if (v == 0xff)
                        return -EINVAL;
                w = w << 6 | v;
                if (i % 4 == 3) {
                        data[size++] = w >> 16;
                        data[size++] = w >> 8;
                        data[size++] = w;
                }
        }
        for (; padding > 0; padding--)
                if (data[--size] != 0) /* bits behind the end: another text for the same bytes */
                        return -EINVAL;
        *ret_size = size;
        *ret = TAKE_PTR(data);
        return 0;
}

/* ---- writing ---- */

static void write_edges(JsonWriter *w, const JobSpec *s) {
        json_open(w, '[');
        for (const After *a = s->after; a < s->after + s->n_after; a++) {
                json_open(w, '[');
                json_write_integer(w, (int64_t) a->id);
                json_write_string(w, after_word(a->condition, a->otherwise));
                json_close(w, ']');
        }
        json_close(w, ']');
}

static void write_payload(JsonWriter *w, const JobSpec *s) {
        /* One that is not text has a key of its own. */
        if (utf8_is_valid((const char *) s->payload, s->payload_size)) {
                json_write_key(w, "payload");
                json_write_text(w, (const char *) s->payload, s->payload_size);
        } else {
                json_write_key(w, "payload_base64");
                json_write_base64(w, s->payload, s->payload_size);
        }
}

static void write_field(JsonWriter *w, const JobSpec *s, const SpecField *f) {
        if (f->type == SPEC_BYTES) {
                write_payload(w, s);
                return;
        }
        json_write_key(w, f->name);
        switch (f->type) {
        case SPEC_STRING:
                json_write_string(w, spec_field_ptr(const char *, s, f));
                break;
        case SPEC_STRV:
        case SPEC_CREDENTIALS:
                json_write_strv(w, spec_field_ptr(char **, s, f));
                break;
        case SPEC_TAGS:
                json_write_pairs(w, spec_field_ptr(char **, s, f));
                break;
        case SPEC_BOOL:
                json_write_bool(w, spec_field_ptr(bool, s, f));
                break;
        case SPEC_I32:
                json_write_integer(w, spec_field_ptr(int32_t, s, f));
                break;
        case SPEC_U32:
                json_write_integer(w, spec_field_ptr(uint32_t, s, f));
                break;
        case SPEC_USEC:
                json_write_integer(w, spec_field_ptr(usec_t, s, f));
                break;
        case SPEC_ENUM:
                json_write_string(w, f->words[spec_field_ptr(uint32_t, s, f)]);
                break;
        case SPEC_DOUBLE:
                json_write_double(w, spec_field_ptr(double, s, f));
                break;
        case SPEC_EDGES:
                write_edges(w, s);
                break;
        case SPEC_BYTES:
                break;
        }
}

int spec_to_json(const JobSpec *s, SpecJsonFlags flags, char **ret) {
        JsonWriter w = {};
        const SpecField *fields;
        size_t n;

        fields = spec_field_table(&n);
        json_open(&w, '{');
        for (const SpecField *f = fields; f < fields + n; f++)
                if (!spec_field_is_default(s, f) && !((flags & SPEC_JSON_STORED) && (f->flags & SPEC_NOT_STORED)))
                        write_field(&w, s, f);
        json_write_raw(&w, "}", 2); /* with its NUL */
        if (w.failed) {
                json_writer_done(&w);
                return -ENOMEM;
        }
        *ret = w.text;
        return 0;
}

/* ---- reading ---- */

static void json_object_putp(json_object **o) {
        json_object_put(*o);
}

static int wrong_type(const char *key, const char *wanted, char **ret_error) {
        return spec_error(ret_error, EINVAL, "'%s' must be %s", key, wanted);
}

const char *spec_json_text(json_object *v) {
        if (!json_object_is_type(v, json_type_string) ||
            strlen(json_object_get_string(v)) != (size_t) json_object_get_string_len(v))
                return NULL;
        return json_object_get_string(v);
}

/* A string of JSON as one of C: a copy, NULL and *error where it is none. */
static char *string_copy(json_object *v, const char *key, int *error, char **ret_error) {
        char *copy;

        if (!json_object_is_type(v, json_type_string)) {
                *error = wrong_type(key, "text", ret_error);
                return NULL;
        }
        if (!spec_json_text(v)) {
                *error = spec_error(ret_error, EINVAL, "'%s' has a NUL character", key);
                return NULL;
        }
        copy = strdup(spec_json_text(v));
        if (!copy)
                *error = -ENOMEM;
        return copy;
}

static int read_string(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        _cleanup_free_ char *copy = NULL;
        int r = 0;

        copy = string_copy(v, f->name, &r, ret_error);
        return copy ? spec_set_string(s, f, copy, ret_error) : r;
}

static int read_strv(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n;
        int r = 0;

        if (!json_object_is_type(v, json_type_array))
                return wrong_type(f->name, "an array of text", ret_error);
        n = json_object_array_length(v);
        l = new0(char *, n + 1);
        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (!(l[i] = string_copy(json_object_array_get_idx(v, i), f->name, &r, ret_error)))
                        return r;
        return spec_set_strv(s, f, TAKE_PTR(l), ret_error);
}

static int read_tags(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n = 0;
        int r = 0;

        if (!json_object_is_type(v, json_type_object))
                return wrong_type(f->name, "an object of text", ret_error);
        l = new0(char *, 2 * (size_t) json_object_object_length(v) + 1);
        if (!l)
                return -ENOMEM;
        json_object_object_foreach(v, key, value) {
                if (!(l[n++] = strdup(key)))
                        return -ENOMEM;
                if (!(l[n++] = string_copy(value, f->name, &r, ret_error)))
                        return r;
        }
        return spec_set_strv(s, f, TAKE_PTR(l), ret_error);
}

static int read_bytes(JobSpec *s, const SpecField *f, json_object *v, bool base64, char **ret_error) {
        const char *text;
        uint8_t *data;
        size_t size;
        int r;

        if (!json_object_is_type(v, json_type_string))
                return spec_error(ret_error, EINVAL, "'%s%s' must be text", f->name,
                                  base64 ? "_base64" : "");
        if (!spec_field_is_default(s, f))
                return spec_error(ret_error, EINVAL, "'%s' and '%s_base64' exclude each other", f->name,
                                  f->name);
        text = json_object_get_string(v);
        size = json_object_get_string_len(v);
        if (base64) {
                r = base64_read(text, size, &data, &size);
                if (r == -EINVAL)
                        return spec_error(ret_error, EINVAL, "'%s_base64' is not base64", f->name);
                if (r < 0)
                        return r;
        } else {
                data = new0(uint8_t, size);
                if (!data)
                        return -ENOMEM;
                memcpy(data, text, size);
        }
        return spec_set_bytes(s, f, data, size, ret_error);
}

static int read_credential(JobSpec *s, const SpecField *f, const char *name, json_object *v, bool base64, char **ret_error) {
        const char *text = json_object_get_string(v);
        size_t size = json_object_get_string_len(v);
        char q[SPEC_QUOTE_MAX];
        uint8_t *data;
        int r;

        if (!json_object_is_type(v, json_type_string))
                return spec_error(ret_error, EINVAL, "'%s%s': '%s' must be text", f->name, base64 ? "_base64" : "",
                                  spec_quote(q, name, strlen(name)));
        if (!base64)
                return spec_add_credential(s, name, text, size, ret_error);
        r = base64_read(text, size, &data, &size);
        if (r == -EINVAL)
                return spec_error(ret_error, EINVAL, "'%s_base64': '%s' is not base64", f->name, spec_quote(q, name, strlen(name)));
        if (r < 0)
                return r;
        r = spec_add_credential(s, name, data, size, ret_error);
        explicit_bzero(data, size);
        free(data);
        return r;
}

static int read_credentials(JobSpec *s, const SpecField *f, json_object *v, bool base64, char **ret_error) {
        int r;

        if (!json_object_is_type(v, json_type_object))
                return spec_error(ret_error, EINVAL, "'%s%s' must be an object of text", f->name, base64 ? "_base64" : "");
        json_object_object_foreach(v, name, value) {
                r = read_credential(s, f, name, value, base64, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_integer(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        int64_t i;

        if (!json_object_is_type(v, json_type_int))
                return wrong_type(f->name, "an integer", ret_error);
        i = json_object_get_int64(v);
        /* json-c keeps to its ends what does not fit. */
        if (i == INT64_MAX || i == INT64_MIN)
                return spec_error(ret_error, ERANGE, "'%s' is out of range", f->name);
        return spec_set_integer(s, f, i, ret_error);
}

static int read_double(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        if (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int))
                return wrong_type(f->name, "a number", ret_error);
        return spec_set_double(s, f, json_object_get_double(v), ret_error);
}

static int read_edge(const SpecField *f, json_object *v, After *ret, char **ret_error) {
        json_object *id, *condition;
        int r;

        if (!json_object_is_type(v, json_type_array) || json_object_array_length(v) != 2)
                return wrong_type(f->name, "an array of [ID, CONDITION]", ret_error);
        id = json_object_array_get_idx(v, 0);
        condition = json_object_array_get_idx(v, 1);
        if (!json_object_is_type(id, json_type_int) || json_object_get_int64(id) <= 0)
                return spec_error(ret_error, EINVAL, "'%s': no id of a job", f->name);
        *ret = (After) { .id = json_object_get_int64(id) };
        r = spec_json_text(condition) ? after_parse(spec_json_text(condition), ret) : -EINVAL;
        if (r == -EINVAL)
                return spec_error(ret_error, EINVAL, "'%s': the condition of job %" PRIu64 " is none of " AFTER_WORDS, f->name, ret->id);
        return r;
}

static int read_edges(JobSpec *s, const SpecField *f, json_object *v, char **ret_error) {
        _cleanup_free_ After *l = NULL;
        size_t n;
        int r;

        if (!json_object_is_type(v, json_type_array))
                return wrong_type(f->name, "an array", ret_error);
        n = json_object_array_length(v);
        l = new0(After, n);
        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = read_edge(f, json_object_array_get_idx(v, i), l + i, ret_error);
                if (r < 0)
                        return r;
        }
        return spec_set_edges(s, f, TAKE_PTR(l), n, ret_error);
}

static int read_field(JobSpec *s, const char *key, json_object *v, bool of_caller, char **ret_error) {
        const SpecField *f;

        if (streq(key, "payload_base64"))
                return read_bytes(s, spec_field_find("payload"), v, true, ret_error);
        if (of_caller && streq(key, "credentials_base64"))
                return read_credentials(s, spec_field_find("credentials"), v, true, ret_error);
        f = of_caller ? spec_field_of_caller(key) : spec_field_find(key);
        if (!f)
                return spec_error_unknown_key(ret_error, key);
        switch (f->type) {
        case SPEC_STRING:
        case SPEC_ENUM:
                return read_string(s, f, v, ret_error);
        case SPEC_STRV:
                return read_strv(s, f, v, ret_error);
        case SPEC_TAGS:
                return read_tags(s, f, v, ret_error);
        case SPEC_BYTES:
                return read_bytes(s, f, v, false, ret_error);
        case SPEC_BOOL:
                if (!json_object_is_type(v, json_type_boolean))
                        return wrong_type(key, "true or false", ret_error);
                return spec_set_integer(s, f, json_object_get_boolean(v), ret_error);
        case SPEC_I32:
        case SPEC_U32:
        case SPEC_USEC:
                return read_integer(s, f, v, ret_error);
        case SPEC_DOUBLE:
                return read_double(s, f, v, ret_error);
        case SPEC_EDGES:
                return read_edges(s, f, v, ret_error);
        case SPEC_CREDENTIALS:
                return of_caller ? read_credentials(s, f, v, false, ret_error) : read_strv(s, f, v, ret_error);
        }
        return -EINVAL;
}

/* json-c ends a key at a NUL, and so would take another key for this one. text is JSON. */
static bool has_key_with_nul(const char *text, size_t size) {
        for (const char *p = text, *end = text + size; p < end; p++) {
                bool nul = false;

                if (*p != '"')
                        continue;
                for (p++; *p != '"'; p++)
                        if (*p == '\\') {
                                nul = nul || startswith(p, "\\u0000");
                                p++;
                        }
                for (p++; p < end && strchr(" \t\r\n", *p);)
                        p++;
                if (nul && p < end && *p == ':')
                        return true;
                p--;
        }
        return false;
}

/* Making one costs as much as reading a small object by it. What long strings made of it is not kept. */
static json_tokener *parser;

static json_tokener *take_parser(void) {
        json_tokener *t = TAKE_PTR(parser);

        if (t)
                return t;
        t = json_tokener_new_ex(JSON_DEPTH_MAX);
        if (t)
                json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS | JSON_TOKENER_VALIDATE_UTF8);
        return t;
}

/* Only one that came to its end: half of a character would be left in it, for whoever is read next (json_tokener_reset() does not see to that). */
static void give_parser_back(json_tokener *t, size_t size, enum json_tokener_error e) {
        if (parser || size > PARSER_KEPT_MAX || e != json_tokener_success) {
                json_tokener_free(t);
                return;
        }
        json_tokener_reset(t);
        parser = t;
}

static int parse(const char *text, size_t size, json_object **ret, size_t *ret_end, char **ret_error) {
        json_tokener *t = take_parser();
        enum json_tokener_error e;

        if (!t)
                return -ENOMEM;
        *ret = json_tokener_parse_ex(t, text, (int) size);
        *ret_end = json_tokener_get_parse_end(t);
        e = json_tokener_get_error(t);
        give_parser_back(t, size, e);
        if (e == json_tokener_continue)
                return spec_error(ret_error, EINVAL, "JSON ends too early");
        if (e != json_tokener_success)
                return spec_error(ret_error, EINVAL, "not JSON, at byte %zu: %s", *ret_end, json_tokener_error_desc(e));
        return 0;
}

int spec_parse_object(const char *text, size_t size, json_object **ret, char **ret_error) {
        _cleanup_(json_object_putp) json_object *o = NULL;
        _cleanup_free_ char *ascii = NULL;
        size_t end;
        int r;

        if (size >= INT_MAX / 3)
                return spec_error(ret_error, E2BIG, "more than %d bytes of JSON", INT_MAX / 3 - 1);
        if (json_wants_ascii()) {
                if (!utf8_is_valid(text, size))
                        return spec_error(ret_error, EINVAL, "not valid UTF-8");
                ascii = json_to_ascii(text, size, &size);
                if (!ascii)
                        return -ENOMEM;
                text = ascii;
        }
        r = parse(text, size, &o, &end, ret_error);
        if (r < 0)
                return r;
        while (end < size && text[end] != 0 && strchr(" \t\r\n", text[end]))
                end++;
        if (end < size)
                return spec_error(ret_error, EINVAL, "there is more behind the JSON object, at byte %zu",
                                  end);
        if (!json_object_is_type(o, json_type_object))
                return spec_error(ret_error, EINVAL, "not a JSON object");
        /* json-c takes what lies behind U+10FFFF. */
        if (!utf8_is_valid(text, size))
                return spec_error(ret_error, EINVAL, "not valid UTF-8");
        if (has_key_with_nul(text, size))
                return spec_error(ret_error, EINVAL, "a key has a NUL character");
        *ret = TAKE_PTR(o);
        return 0;
}

static int read_queue(json_object *v, char **ret, char **ret_error) {
        int r = 0;

        free(*ret);
        *ret = string_copy(v, "queue", &r, ret_error);
        return r;
}

static uint64_t field_bit(const char *key) {
        const SpecField *f = spec_field_find(streq(key, "payload_base64")     ? "payload" :
                                             streq(key, "credentials_base64") ? "credentials" : key);
        size_t n;

        return UINT64_C(1) << (f - spec_field_table(&n));
}

/* queue and keys are NULL for what the store has kept. */
static int read_object(json_object *o, JobSpec *s, char **queue, uint64_t *keys, char **ret_error) {
        int r;

        json_object_object_foreach(o, key, value) {
                if (queue && streq(key, "queue"))
                        r = read_queue(value, queue, ret_error);
                else {
                        r = read_field(s, key, value, queue, ret_error);
                        if (r >= 0 && keys)
                                *keys |= field_bit(key);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

int spec_from_json(const char *text, size_t size, JobSpec **ret, char **ret_error) {
        _cleanup_(json_object_putp) json_object *o = NULL;
        _cleanup_(spec_freep) JobSpec *s = NULL;
        int r;

        r = spec_parse_object(text, size, &o, ret_error);
        if (r < 0)
                return r;
        s = spec_new();
        if (!s)
                return -ENOMEM;
        r = read_object(o, s, NULL, NULL, ret_error);
        if (r >= 0)
                *ret = TAKE_PTR(s);
        return r;
}

int spec_read_json_object(json_object *o, JobSpec *s, char **ret_queue, uint64_t *ret_keys, char **ret_error) {
        _cleanup_free_ char *queue = NULL;
        uint64_t keys = 0;
        int r;

        r = read_object(o, s, &queue, &keys, ret_error);
        if (r < 0)
                return r;
        *ret_queue = TAKE_PTR(queue);
        *ret_keys = keys;
        return 0;
}

int spec_read_json(const char *text,
                   size_t size,
                   JobSpec *s,
                   char **ret_queue,
                   uint64_t *ret_keys,
                   char **ret_error) {
        _cleanup_(json_object_putp) json_object *o = NULL;
        int r;

        r = spec_parse_object(text, size, &o, ret_error);
        return r < 0 ? r : spec_read_json_object(o, s, ret_queue, ret_keys, ret_error);
}
