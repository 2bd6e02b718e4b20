/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values that stand in queue files and in job files alike. Negative: not allowed, or -ENOMEM. */

#include "base/conf-file.h"
#include "queue/spec.h"
#include "queue/unit-property.h"

/* A list of words, at data (char ***), which further lines add to and an empty one empties. */
int file_value_words(const char *value, void *data);
/* What jobs have if they do not say: a field of their spec, in *defaults, which is made. Empty: not given. What two fields say together
 * is for the end: their order says nothing. */
int file_value_field(JobSpec **defaults, const SpecField *f, const char *value);
/* A line of [Service] or [Slice]. */
int file_value_property(UnitPropertyList *l, UnitPropertyFlags kind, const char *file, unsigned line, const char *section,
                        const char *key, const char *value, ConfError *error);
