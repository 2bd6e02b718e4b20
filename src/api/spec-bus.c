/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading a spec from a message. The types of values are compared with the field table before anything of
 * them is read, so a wrong type is told by its name; lists are bounded while they are read, not after. */

#include "api/spec-bus.h"

#include "base/strv.h"
#include "queue/spec-credential.h"
#include "queue/spec-change.h"

int bus_read_list(sd_bus_message *m, bool pairs, size_t max, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n = 0, capacity = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', pairs ? "{ss}" : "s");
        if (r < 0)
                return r;
        for (;;) {
                const char *word[2];

                r = pairs ? sd_bus_message_read(m, "{ss}", word, word + 1)
                          : sd_bus_message_read_basic(m, 's', word);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (n >= max * (pairs ? 2 : 1))
                        return -E2BIG;
                if (n + 3 > capacity) {
                        char **t = reallocarray(l, capacity = 2 * capacity + 8, sizeof(char *));

                        if (!t)
                                return -ENOMEM;
                        l = t;
                }
                for (size_t i = 0; i < (pairs ? 2 : 1); i++, n++)
                        if (!(l[n] = strdup(word[i])))
                                return -ENOMEM; /* the array ends here */
                l[n] = NULL;
        }
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

/* Words are strings for STRV, and for TAGS the key and value of each entry. */
static int read_strv(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        char **l;
        int r;

        r = bus_read_list(m, f->type == SPEC_TAGS, f->max, &l);
        if (r == -E2BIG)
                return spec_error(ret_error, E2BIG, "'%s' has more than %" PRIi64 " entries", f->name, f->max);
        return r < 0 ? r : spec_set_strv(s, f, l, ret_error);
}

int spec_read_bus_argv(sd_bus_message *m, JobSpec *s, char **ret_error) {
        return read_strv(m, s, spec_field_find("argv"), ret_error);
}

static int read_bytes(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        const void *data;
        uint8_t *copy;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;
        copy = new0(uint8_t, size);
        if (!copy)
                return -ENOMEM;
        if (size > 0)
                memcpy(copy, data, size);
        return spec_set_bytes(s, f, copy, size, ret_error);
}

static int read_integer(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        union {
                int b;
                int32_t i32;
                uint32_t u32;
                uint64_t u64;
        } v;
        int r;

        r = sd_bus_message_read_basic(m, *spec_type_signature(f->type), &v);
        if (r < 0)
                return r;
        switch (f->type) {
        case SPEC_BOOL:
                return spec_set_integer(s, f, v.b, ret_error);
        case SPEC_I32:
                return spec_set_integer(s, f, v.i32, ret_error);
        case SPEC_U32:
                return spec_set_integer(s, f, v.u32, ret_error);
        default:
                if (v.u64 == USEC_INFINITY) { /* "none", as everywhere on our bus */
                        spec_field_ptr(usec_t, s, f) = USEC_INFINITY;
                        return 0;
                }
                if (v.u64 >= INT64_MAX)
                        return spec_error(ret_error, ERANGE, "'%s' is out of range", f->name);
                return spec_set_integer(s, f, (int64_t) v.u64, ret_error);
        }
}

static int read_edges(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        _cleanup_free_ After *l = NULL;
        const char *condition;
        size_t n = 0;
        uint64_t id;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ts)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ts)", &id, &condition)) > 0) {
                if (n >= (size_t) f->max)
                        return spec_error(ret_error, E2BIG, "'%s' has more than %" PRIi64 " entries", f->name, f->max);
                if ((n & (n + 1)) == 0) {
                        After *t = reallocarray(l, 2 * n + 1, sizeof(After));
                        if (!t)
                                return -ENOMEM;
                        l = t;
                }
                l[n] = (After) { .id = id };
                r = after_parse(condition, l + n);
                if (r < 0)
                        return r == -ENOMEM ? r : spec_error(ret_error, EINVAL, "'%s': the condition of job %" PRIu64 " is none of " AFTER_WORDS,
                                                             f->name, id);
                n++;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : spec_set_edges(s, f, TAKE_PTR(l), n, ret_error);
}

/* What the message holds is wiped with it. */
static int read_credentials(sd_bus_message *m, JobSpec *s, char **ret_error) {
        const char *name;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{say}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "say")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_read_array(m, 'y', &data, &size);
                if (r >= 0)
                        r = spec_add_credential(s, name, data, size, ret_error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_value(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        const char *text;
        double number;
        int r;

        switch (f->type) {
        case SPEC_STRING:
        case SPEC_ENUM:
                r = sd_bus_message_read_basic(m, 's', &text);
                return r < 0 ? r : spec_set_string(s, f, text, ret_error);
        case SPEC_STRV:
        case SPEC_TAGS:
                return read_strv(m, s, f, ret_error);
        case SPEC_BYTES:
                return read_bytes(m, s, f, ret_error);
        case SPEC_DOUBLE:
                r = sd_bus_message_read_basic(m, 'd', &number);
                return r < 0 ? r : spec_set_double(s, f, number, ret_error);
        case SPEC_EDGES:
                return read_edges(m, s, f, ret_error);
        case SPEC_CREDENTIALS:
                return read_credentials(m, s, ret_error);
        default:
                return read_integer(m, s, f, ret_error);
        }
}

/* Go into the variant if it is of the type wanted. */
static int enter_variant(sd_bus_message *m, const char *key, const char *wanted, char **ret_error) {
        const char *found;
        char type;
        int r;

        r = sd_bus_message_enter_container(m, 'v', wanted);
        if (r != -ENXIO)
                return r;
        r = sd_bus_message_peek_type(m, &type, &found);
        if (r < 0)
                return r;
        return spec_error(ret_error, EINVAL, "'%s' has type %s, wanted is %s", key, found, wanted);
}

/* "infinity" in place of the number that means none, which not everybody can send: those of JSON are too small for it in many a language.
 * 1: that is what there was. */
static int read_none(sd_bus_message *m, JobSpec *s, const SpecField *f, char **ret_error) {
        const char *text;
        int r;

        r = sd_bus_message_enter_container(m, 'v', "s");
        if (r <= 0)
                return r == -ENXIO ? 0 : r;
        r = sd_bus_message_read_basic(m, 's', &text);
        if (r < 0)
                return r;
        if (!streq(text, "infinity"))
                return spec_error(ret_error, EINVAL, "'%s' has type s, wanted is t, or \"infinity\"", f->name);
        spec_field_ptr(usec_t, s, f) = USEC_INFINITY;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int read_queue(sd_bus_message *m, char **queue, char **ret_error) {
        const char *name;
        int r;

        if (*queue)
                return spec_error(ret_error, EINVAL, "'queue' is given twice");
        r = enter_variant(m, "queue", "s", ret_error);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        r = free_and_strdup(queue, name);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* One key with its value. seen: the fields that were read already, one bit each. */
static int read_entry(sd_bus_message *m, JobSpec *s, uint64_t *seen, char **queue, char **ret_error) {
        const SpecField *f;
        const char *key;
        uint64_t bit;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        if (queue && streq(key, "queue"))
                return read_queue(m, queue, ret_error);
        f = spec_field_of_caller(key);
        if (!f)
                return spec_error_unknown_key(ret_error, key);
        bit = spec_field_bit(f);
        if (*seen & bit)
                return spec_error(ret_error, EINVAL, "'%s' is given twice", key);
        *seen |= bit;
        r = f->type == SPEC_USEC ? read_none(m, s, f, ret_error) : 0;
        if (r != 0)
                return MIN(r, 0);
        r = enter_variant(m, key, spec_type_signature(f->type), ret_error);
        if (r < 0)
                return r;
        r = read_value(m, s, f, ret_error);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* seen: in and out. */
static int read_dictionary(sd_bus_message *m, JobSpec *s, uint64_t *seen, char **ret_queue, char **ret_error) {
        _cleanup_free_ char *queue = NULL;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_entry(m, s, seen, ret_queue ? &queue : NULL, ret_error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        if (ret_queue)
                *ret_queue = TAKE_PTR(queue);
        return 0;
}

int spec_read_bus(sd_bus_message *m, JobSpec *s, uint64_t *ret_fields, char **ret_queue, char **ret_error) {
        *ret_fields = s->argv ? spec_field_bit(spec_field_find("argv")) : 0; /* an argument of its own of the method */
        return read_dictionary(m, s, ret_fields, ret_queue, ret_error);
}
