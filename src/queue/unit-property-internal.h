/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the three files of unit properties share: the table (unit-property.c) names parsers and their arguments
 * (unit-property-parse.c), and all of them edit lists. For nobody else. */

#include "queue/unit-property.h"

/* Arguments of the parsers. */
typedef struct PropertyRange {
        int64_t min, max;
        const char *zero; /* a word that means 0, or NULL */
} PropertyRange;

typedef struct PropertyAmount {
        uint64_t min;
        bool count; /* no K, M, G */
} PropertyAmount;

typedef enum PropertyUnit {
        PROPERTY_UNIT_COUNT,
        PROPERTY_UNIT_SIZE,
        PROPERTY_UNIT_SECONDS,
        PROPERTY_UNIT_USEC,
        PROPERTY_UNIT_NICE,
} PropertyUnit;

typedef struct PropertyWord { /* arrays end with a NULL word */
        const char *word;
        uint64_t value;
} PropertyWord;

typedef struct PropertyMask {
        const PropertyWord *words;
        uint64_t all;
        bool boolean; /* "no" is all, "yes" is none (RestrictNamespaces=) */
} PropertyMask;

typedef struct PropertyWordRule {
        const char *characters;
        const char *prefix;
} PropertyWordRule;

/* Each reads value, which is clean and not empty, and adds to l: 0, -EINVAL, -ERANGE (l as before), or -ENOMEM. */
typedef int property_parse_t(const UnitProperty *p, const char *value, UnitPropertyList *l);
property_parse_t property_parse_boolean;     /* - */
property_parse_t property_parse_number;      /* PropertyRange; I32 or U64 by the type */
property_parse_t property_parse_amount;      /* PropertyAmount: size or count, percentage (aux_name), infinity */
property_parse_t property_parse_quota;       /* - */
property_parse_t property_parse_span;        /* PropertyRange in µs */
property_parse_t property_parse_rlimit;      /* PropertyUnit; soft limit to aux_name */
property_parse_t property_parse_mode;        /* - */
property_parse_t property_parse_signal;      /* - */
property_parse_t property_parse_cpu_set;     /* - */
property_parse_t property_parse_keyword;     /* const char *[]: STRING; "yes" and "no" among them take every boolean */
property_parse_t property_parse_choice;      /* PropertyWord[]: I32 */
property_parse_t property_parse_mask;        /* PropertyMask */
property_parse_t property_parse_name;        /* PropertyWordRule: STRING */
property_parse_t property_parse_names;       /* PropertyWordRule: STRV */
property_parse_t property_parse_filter;      /* PropertyWordRule */
property_parse_t property_parse_path;        /* -: STRING */
property_parse_t property_parse_paths;       /* -: STRV */
property_parse_t property_parse_path_number; /* PropertyRange, or NULL for sizes on base 1000 and infinity */
property_parse_t property_parse_device;      /* -: PAIRS */
property_parse_t property_parse_binds;       /* - */

/* Lists. add: an empty value at the end, NULL when out of memory. copy: the same with the contents of v. remove: all
 * values of that name. */
UnitValue *unit_property_list_add(UnitPropertyList *l, const char *dbus_name, UnitValueType type);
int unit_property_list_copy(UnitPropertyList *l, const UnitValue *v);
void unit_property_list_remove(UnitPropertyList *l, const char *dbus_name);
