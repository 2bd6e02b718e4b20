/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A dictionary of the bus (a{sv}) as a C struct, by a table of its keys: read from a message, written as
 * JSON. Each struct begins with `DictKeys present`, a bit per row of the table: a key that did not come is
 * unknown, and null in JSON. */

#include "base/macro.h"
#include <json-c/json.h>
#include <systemd/sd-bus.h>

#define DICT_KEYS_MAX 128
typedef struct DictKeys {
        uint64_t bits[DICT_KEYS_MAX / 64];
} DictKeys;

typedef struct U32List {
        uint32_t *values;
        size_t n;
} U32List;

typedef enum DictFlags {
        DICT_NOT_JSON = 1 << 0, /* for tables only */
        DICT_ZERO_IS_NULL = 1 << 1,
        DICT_NEGATIVE_IS_NULL = 1 << 2,
        DICT_IN_JOB = 1 << 3,
        DICT_IN_ATTEMPT = 1 << 4,
        DICT_IS_JSON = 1 << 5, /* a text that is JSON itself */
} DictFlags;

typedef struct DictField {
        const char *key;       /* as in JSON; of object properties SlotsUsed matches slots_used */
        const char *signature; /* s as b i u t d au a{ss} a(ts); NULL: never sent, always null */
        size_t offset; /* char*, char** (also of a{ss}: flat pairs; of a(ts): "17:success"), bool, int32_t, uint32_t, uint64_t, double,
                          U32List */
        unsigned flags;
} DictField;

/* Read one dictionary; 0 where an array of them has ended. Keys that the table does not know are skipped,
 * text is kept only where it is not empty, numbers only where they are not the greatest one ("unknown"). */
int dict_read(sd_bus_message *m, const DictField *fields, size_t n, void *data);
void dict_done(const DictField *fields, size_t n, void *data);
/* All rows, or those with any of these flags. */
struct json_object *dict_to_json(const DictField *fields, size_t n, unsigned flags, const void *data);
