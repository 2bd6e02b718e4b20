/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Dictionaries of the bus into C structs and JSON, by a table. A key whose type is not the expected one
 * counts as not sent: a newer daemon may know it otherwise, and what the tool cannot read it must not show
 * wrongly. */

#include "ctl/dict.h"
#include "base/strv.h"
#include <ctype.h>

/* "SlotsUsed" and "slots_used" are the same key. */
static bool key_matches(const char *key, const char *name) {
        for (;; name++) {
                if (*key == '_' && *name != '_')
                        key++;
                if (tolower((unsigned char) *key) != tolower((unsigned char) *name))
                        return false;
                if (!*key++)
                        return true;
        }
}

/* One entry of a list, as words. 1; 0: there is no other one. */
static int read_pair(sd_bus_message *m, char ***l) {
        const char *key, *value;
        int r;

        r = sd_bus_message_read(m, "{ss}", &key, &value);
        if (r <= 0)
                return r;
        r = strv_extend(l, key);
        if (r >= 0)
                r = strv_extend(l, value);
        return r < 0 ? r : 1;
}

static int read_edge(sd_bus_message *m, char ***l) {
        const char *on;
        uint64_t id;
        int r;

        r = sd_bus_message_read(m, "(ts)", &id, &on);
        if (r <= 0)
                return r;
        r = strv_extendf(l, "%" PRIu64 ":%s", id, on);
        return r < 0 ? r : 1;
}

/* The number in decimal. */
static int read_count(sd_bus_message *m, char ***l) {
        const char *key;
        uint32_t n;
        int r;

        r = sd_bus_message_read(m, "{su}", &key, &n);
        if (r <= 0)
                return r;
        r = strv_extend(l, key);
        if (r >= 0)
                r = strv_extendf(l, "%" PRIu32, n);
        return r < 0 ? r : 1;
}

static int read_list(sd_bus_message *m, const char *contents, int (*read_entry)(sd_bus_message *m, char ***l), char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;
        while ((r = read_entry(m, &l)) > 0)
                ;
        if (r < 0)
                return r;
        strv_free(*ret);
        *ret = TAKE_PTR(l);
        return sd_bus_message_exit_container(m);
}

static int read_u32_list(sd_bus_message *m, U32List *ret) {
        const void *data;
        uint32_t *copy;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'u', &data, &size);
        if (r < 0)
                return r;
        copy = malloc(size ?: 1);
        if (!copy)
                return -ENOMEM;
        if (size > 0)
                memcpy(copy, data, size);
        free(ret->values);
        *ret = (U32List){ .values = copy, .n = size / sizeof(uint32_t) };
        return 0;
}

/* 1: there is something to know; 0: the value stands for "unknown". */
static int read_value(sd_bus_message *m, const DictField *f, void *p) {
        const char *s;
        int r, b;

        if (streq(f->signature, "as"))
                return sd_bus_message_read_strv(m, (char ***) p) < 0 ? -EBADMSG : 1;
        if (streq(f->signature, "a{ss}")) {
                r = read_list(m, "{ss}", read_pair, p);
                return r < 0 ? r : 1;
        }
        if (streq(f->signature, "a(ts)")) {
                r = read_list(m, "(ts)", read_edge, p);
                return r < 0 ? r : 1;
        }
        if (streq(f->signature, "a{su}")) {
                r = read_list(m, "{su}", read_count, p);
                return r < 0 ? r : 1;
        }
        if (streq(f->signature, "au")) {
                r = read_u32_list(m, p);
                return r < 0 ? r : 1;
        }
        switch (f->signature[0]) {
        case 's':
                r = sd_bus_message_read_basic(m, 's', &s);
                if (r >= 0)
                        r = free_and_strdup(p, isempty(s) ? NULL : s);
                return r < 0 ? r : !isempty(s);
        case 'b':
                r = sd_bus_message_read_basic(m, 'b', &b);
                if (r >= 0)
                        *(bool *) p = b;
                return r < 0 ? r : 1;
        case 'i':
                r = sd_bus_message_read_basic(m, 'i', p);
                return r < 0 ? r
                             : !((f->flags & DICT_NEGATIVE_IS_NULL) && *(int32_t *) p < 0) &&
                                                       !((f->flags & DICT_ZERO_IS_NULL) &&
                                                         *(int32_t *) p == 0);
        case 'u':
                r = sd_bus_message_read_basic(m, 'u', p);
                return r < 0 ? r : *(uint32_t *) p != UINT32_MAX;
        case 'd':
                r = sd_bus_message_read_basic(m, 'd', p);
                return r < 0 ? r : 1;
        case 't':
                r = sd_bus_message_read_basic(m, 't', p);
                return r < 0 ? r : *(uint64_t *) p != UINT64_MAX;
        default:
                assert(false);
                return -EINVAL;
        }
}

static int read_entry(sd_bus_message *m, const DictField *fields, size_t n, void *data) {
        const char *key, *contents;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                if (!fields[i].signature || !key_matches(fields[i].key, key))
                        continue;
                if (!streq_ptr(fields[i].signature, contents))
                        break;
                r = sd_bus_message_enter_container(m, 'v', contents);
                if (r < 0)
                        return r;
                r = read_value(m, fields + i, (uint8_t *) data + fields[i].offset);
                if (r < 0)
                        return r;
                if (r > 0)
                        ((DictKeys *) data)->bits[i / 64] |= UINT64_C(1) << i % 64;
                return sd_bus_message_exit_container(m);
        }
        return sd_bus_message_skip(m, "v");
}

int dict_read(sd_bus_message *m, const DictField *fields, size_t n, void *data) {
        int r;

        assert(n <= DICT_KEYS_MAX);
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r <= 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_entry(m, fields, n, data);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

void dict_done(const DictField *fields, size_t n, void *data) {
        for (size_t i = 0; i < n; i++) {
                void *p = (uint8_t *) data + fields[i].offset;

                if (!fields[i].signature)
                        continue;
                if (streq(fields[i].signature, "s"))
                        free(*(char **) p);
                else if (streq(fields[i].signature, "as") || streq(fields[i].signature, "a{ss}") ||
                         streq(fields[i].signature, "a(ts)") || streq(fields[i].signature, "a{su}"))
                        strv_free(*(char ***) p);
                else if (streq(fields[i].signature, "au"))
                        free(((U32List *) p)->values);
        }
}

static struct json_object *value_to_json(const DictField *f, const void *p) {
        struct json_object *o;

        if (streq(f->signature, "as")) {
                o = json_object_new_array();
                STRV_FOREACH(i, *(char **const *) p)
                        json_object_array_add(o, json_object_new_string(*i));
                return o;
        }
        if (streq(f->signature, "a{ss}")) {
                o = json_object_new_object();
                STRV_FOREACH_PAIR(key, value, *(char **const *) p)
                        json_object_object_add(o, *key, json_object_new_string(*value));
                return o;
        }
        if (streq(f->signature, "a(ts)")) {
                o = json_object_new_array();
                STRV_FOREACH(i, *(char **const *) p) {
                        struct json_object *pair = json_object_new_array();
                        const char *on = strchr(*i, ':');

                        json_object_array_add(pair, json_object_new_uint64(strtoull(*i, NULL, 10)));
                        json_object_array_add(pair, json_object_new_string(on + 1));
                        json_object_array_add(o, pair);
                }
                return o;
        }
        if (streq(f->signature, "a{su}")) {
                o = json_object_new_object();
                STRV_FOREACH_PAIR(key, value, *(char **const *) p)
                        json_object_object_add(o, *key, json_object_new_int64(strtoul(*value, NULL, 10)));
                return o;
        }
        if (streq(f->signature, "au")) {
                const U32List *l = p;

                o = json_object_new_array();
                for (size_t i = 0; i < l->n; i++)
                        json_object_array_add(o, json_object_new_int64(l->values[i]));
                return o;
        }
        switch (f->signature[0]) {
        case 's':
                o = f->flags & DICT_IS_JSON ? json_tokener_parse(*(char *const *) p) : NULL;
                return o ?: json_object_new_string(*(char *const *) p);
        case 'd':
                return json_object_new_double(*(const double *) p);
        case 'b':
                return json_object_new_boolean(*(const bool *) p);
        case 'i':
                return json_object_new_int(*(const int32_t *) p);
        case 'u':
                return json_object_new_int64(*(const uint32_t *) p);
        default:
                return json_object_new_uint64(*(const uint64_t *) p);
        }
}

struct json_object *dict_to_json(const DictField *fields, size_t n, unsigned flags, const void *data) {
        struct json_object *o = json_object_new_object();

        for (size_t i = 0; i < n; i++) {
                bool known = ((const DictKeys *) data)->bits[i / 64] & UINT64_C(1) << i % 64;

                if ((fields[i].flags & DICT_NOT_JSON) || (flags != 0 && !(fields[i].flags & flags)))
                        continue;
                json_object_object_add(
                                o, fields[i].key,
                                known ? value_to_json(fields + i, (const uint8_t *) data + fields[i].offset)
                                      : NULL);
        }
        return o;
}
