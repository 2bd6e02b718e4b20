/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The unit properties that a job or a queue may set: one table with name, D-Bus type, parser and class, used by the
 * queue files, the API, the launcher and the documents. Names and syntax are those of systemd.exec(5),
 * systemd.resource-control(5), systemd.kill(5), systemd.service(5). No bus in here: a parsed value is a UnitValue, which
 * unit/property.c puts into a message. */

#include "base/macro.h"

typedef enum PropertyClass {
        PROPERTY_OPEN,       /* anybody, for his own jobs; an unprivileged job may only tighten what files set */
        PROPERTY_PRIVILEGED, /* set-privileged-properties, or files */
        PROPERTY_OURS,       /* jobmill sets it; refused for everybody, the table says what to use instead */
        _PROPERTY_CLASS_MAX,
        _PROPERTY_CLASS_INVALID = -EINVAL,
} PropertyClass;

const char *property_class_to_string(PropertyClass c);

/* What "an unprivileged job may only tighten" means for a property that a file has set (design.md, section 4). */
typedef enum PropertyTighten {
        TIGHTEN_NONE,   /* the file's value stands; a different one is refused */
        TIGHTEN_MIN,    /* the smaller value wins */
        TIGHTEN_MAX,    /* the larger value wins (Nice=, OOMScoreAdjust=) */
        TIGHTEN_ON,     /* a boolean: only on */
        TIGHTEN_ENUM,   /* words in order, later ones stricter (ProtectSystem=, ProtectHome=) */
        TIGHTEN_ADD,    /* a list whose every entry restricts: entries are added (InaccessiblePaths=) */
        TIGHTEN_FILTER, /* allow or ~deny list: to an existing list only ~entries may be added (SystemCallFilter=) */
        TIGHTEN_SUBSET, /* a mask: the intersection, which must not be empty (AllowedCPUs=) */
        TIGHTEN_FREE,   /* no limit at all: any value is as good (KillSignal=) */
} PropertyTighten;

/* D-Bus type of a value. */
typedef enum UnitValueType {
        UNIT_VALUE_BOOL,        /* b */
        UNIT_VALUE_U32,         /* u */
        UNIT_VALUE_I32,         /* i */
        UNIT_VALUE_U64,         /* t */
        UNIT_VALUE_STRING,      /* s */
        UNIT_VALUE_STRV,        /* as */
        UNIT_VALUE_BYTES,       /* ay */
        UNIT_VALUE_FILTER,      /* (bas): allow-list?, entries */
        UNIT_VALUE_PAIRS,       /* a(ss): path, word */
        UNIT_VALUE_PATH_LIMITS, /* a(st): path, number */
        UNIT_VALUE_BINDS,       /* a(ssbt): source, destination, ignore-enoent, flags */
        _UNIT_VALUE_TYPE_MAX,
} UnitValueType;

/* One property as StartTransientUnit wants it. An assignment may become two of them ("LimitNOFILE=1024:4096" gives
 * LimitNOFILE and LimitNOFILESoft; "MemoryMax=10%" gives MemoryMaxScale). */
typedef struct UnitValue {
        const char *name; /* D-Bus name, static storage */
        UnitValueType type;
        union {
                bool b;
                uint32_t u32;
                int32_t i32;
                uint64_t u64;
                char *s;
                char **strv; /* STRV, FILTER; PATH_LIMITS: paths; PAIRS, BINDS: two words each, a source may begin with '-' */
                struct {
                        uint8_t *data;
                        size_t size;
                } bytes;
        };
        bool allow_list;   /* FILTER: a list may have several of these in a row, as systemd applies them one by one */
        uint64_t *numbers; /* PATH_LIMITS: one for each path; BINDS: mount flags, one for each pair */
} UnitValue;

typedef struct UnitPropertyList {
        UnitValue *values;
        size_t n_values;
} UnitPropertyList;

void unit_value_done(UnitValue *v);
void unit_property_list_done(UnitPropertyList *l);
const UnitValue *unit_property_list_find(const UnitPropertyList *l, const char *dbus_name);

typedef enum UnitPropertyFlags {
        UNIT_PROPERTY_SERVICE = 1 << 0,  /* makes sense for a service */
        UNIT_PROPERTY_SLICE = 1 << 1,    /* … and for a slice ([Slice] of a queue file) */
        UNIT_PROPERTY_RESOURCE = 1 << 2, /* a resource limit: does not call for NoNewPrivileges=yes */
        UNIT_PROPERTY_NAMESPACE = 1 << 3, /* shapes the mount namespace: then ReadWritePaths= could undo it */
        UNIT_PROPERTY_POOL = 1 << 4,     /* a runner can give it to a process (runner/limit.c), where jobs have no units */
} UnitPropertyFlags;

typedef struct UnitProperty {
        const char *name; /* as in unit files and in "NAME=VALUE": "CPUQuota", "WatchdogSec"; "Exec*": all that begin so */
        const char *dbus_name;
        const char *aux_name; /* the second D-Bus name that an assignment may become, or NULL: "MemoryMaxScale" */
        UnitValueType type;
        PropertyClass class;
        PropertyTighten tighten;
        UnitPropertyFlags flags;
        int (*parse)(const struct UnitProperty *p, const char *value, UnitPropertyList *l);
        const void *argument; /* of the parser: list of words, range, … */
        const char *hint;     /* PROPERTY_OURS: what to use instead. Else: what is allowed, for the message ("1…10000") */
        const char *implied;  /* OPEN: what holds where no file sets it: an unprivileged value must not be laxer. Or NULL */
} UnitProperty;

/* NULL: no such property. Case-sensitive; an exact name goes before a "Prefix*" row, which is always PROPERTY_OURS. */
const UnitProperty *unit_property_find(const char *name);
/* Do several lines of it add up? */
bool unit_property_is_list(const UnitProperty *p);
/* Adds to l what undoes p in a unit that runs: the value that holds where nobody sets it. */
int unit_property_add_default(const UnitProperty *p, UnitPropertyList *l);
/* The row that the D-Bus name of a value belongs to. */
const UnitProperty *unit_property_of_value(const UnitValue *v) _pure_;
/* All of them, sorted by name. */
const UnitProperty *unit_property_table(size_t *ret_n);

/* Parse VALUE of p and add it to l; a later assignment of a scalar replaces an earlier one, lists add up, an empty value
 * resets to the default. -EINVAL / -ERANGE: bad value, -EPERM: ours; *ret_error (malloc'd, names property, value and what
 * is allowed) is set with these three, NULL else. ret_error may be NULL. A bad value leaves l as it was.
 * Strings with control characters or bad UTF-8 are refused here. */
int unit_property_parse(const UnitProperty *p, const char *value, UnitPropertyList *l, char **ret_error);

/* The same for "NAME=VALUE" as a user gives it. privileged: may use PROPERTY_PRIVILEGED. kind: UNIT_PROPERTY_SERVICE or
 * UNIT_PROPERTY_SLICE. -EINVAL: bad; -EACCES: not allowed to this caller; -EPERM: nobody may (ours, unlisted or not for this
 * kind). *ret_error as above. */
int unit_property_parse_assignment(const char *assignment, bool privileged, UnitPropertyFlags kind,
                                   UnitPropertyList *l, char **ret_error);

/* What a job gets: base (from files) with job (from its spec) on top. privileged, or the name listed in overridable
 * (Override= of the file): the job's value simply wins. Otherwise job may only tighten: for limits the stricter of both
 * is taken silently, for what cannot be compared -EACCES with *ret_error is returned. A size and a percentage cannot be
 * compared ("MemoryMax=1G" and "MemoryMax=10%"), except with "infinity". Where base is silent an unprivileged value may
 * still not be laxer than the default (Nice=, CPUWeight=, TasksMax=, …): that is refused, too.
 * ReadWritePaths= of an unprivileged job is refused where base sets any path or namespace property. *ret is filled on
 * success only. */
int unit_property_merge(const UnitPropertyList *base, const UnitPropertyList *job, bool privileged,
                        char *const *overridable, UnitPropertyList *ret, char **ret_error);

/* A mask of words as in unit files ("CAP_CHOWN CAP_KILL", "~user"); *ret is NULL where that D-Bus name has no mask. -ENOMEM */
int unit_property_mask_to_string(const char *dbus_name, uint64_t mask, char **ret);

/* Is there anything but resource limits in l? (An unprivileged job of that kind gets NoNewPrivileges=yes.) */
bool unit_property_list_needs_no_new_privileges(const UnitPropertyList *l);
