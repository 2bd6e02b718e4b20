/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a job keeps of its type, as it was when the job was submitted: the lines of the type's file that still count, "KEY=VALUE"
 * (JobSpec.type_rules). So a type that changes or goes touches no job that is there.
 *
 *   Service.NAME=VALUE           a unit property, as in [Service]
 *   Credential=PATH              a credential of the unit, by its file's name
 *   Override=NAME                the job may set this one as it likes
 *   Accept=KEY                   where there is one: callers give these keys of the spec and no others
 *   PayloadRequired=KEY[:TYPE]   the payload is a JSON object that has this member
 *   PayloadOptional=KEY[:TYPE]   … or may have it */

#include "queue/spec.h"
#include "queue/unit-property.h"

#define PAYLOAD_KEYS_MAX 64U
#define PAYLOAD_KEY_MAX 64U

/* May a caller give this key? */
bool type_rules_accept(char *const *rules, const char *key) _pure_;

/* What the job's own properties are laid over: the queue's with the type's on top, and which of them it may override. What the type
 * sets only the type's Override= opens. */
typedef struct PropertyBase {
        const UnitPropertyList *service;
        char *const *overridable;
        UnitPropertyList own_service; /* with rules: what these point to; else they are the queue's */
        char **own_overridable;
} PropertyBase;

/* -ENOMEM; -EINVAL with *ret_error: a property that there is no more. */
int property_base_init(PropertyBase *b, char *const *rules, const UnitPropertyList *queue, char *const *queue_overridable,
                       char **ret_error);
void property_base_done(PropertyBase *b);

/* One word of PayloadRequired= and PayloadOptional=. TYPE: string, number, integer, boolean, object, array. */
bool payload_key_is_valid(const char *word) _pure_;
/* -EINVAL, with *ret_error that names the key. */
int type_rules_check_payload(char *const *rules, const JobSpec *s, char **ret_error);
