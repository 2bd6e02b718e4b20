/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The one table of unit properties, and looking up in it. A new property is one row here (and one line in
 * tests/system/data/properties.txt, when it is open).
 *
 * What makes a property open: an unprivileged user cannot gain by it on a unit that runs as himself. That holds for
 * limits that go down from the default, and for sandboxing once NoNewPrivileges=yes is set: without that a set-uid
 * program could be fooled by a strange file system, so unit_property_list_needs_no_new_privileges() asks for it. Where
 * a value could also go up from what PID 1 does by itself, "implied" holds the default as the bound; where that is not
 * known, or the property promises memory or real time, the row is privileged. The manager's own DefaultLimit…= and
 * DefaultTasksMax= are not read: who lowers those lets the queue files say the same. IODeviceWeight= would go round
 * IOWeight= and is privileged. */

#include "queue/unit-property-internal.h"

#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>

#include "base/parse.h"
#include "base/string-table.h"
#include "base/strv.h"
#include "queue/spec.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const char *const property_class_table[_PROPERTY_CLASS_MAX] = {
        [PROPERTY_OPEN] = "open",
        [PROPERTY_PRIVILEGED] = "privileged",
        [PROPERTY_OURS] = "ours",
};

const char *property_class_to_string(PropertyClass c) {
        return c >= 0 && c < _PROPERTY_CLASS_MAX ? property_class_table[c] : NULL;
}

/* From lax to strict: TIGHTEN_ENUM goes by this order. */
static const char *const protect_system_words[] = { "no", "yes", "full", "strict", NULL };
static const char *const protect_home_words[] = { "no", "read-only", "tmpfs", "yes", NULL };
static const char *const protect_proc_words[] = { "default", "noaccess", "invisible", "ptraceable", NULL };
static const char *const proc_subset_words[] = { "all", "pid", NULL };
static const char *const device_policy_words[] = { "auto", "closed", "strict", NULL };

/* Larger is meeker, for TIGHTEN_MAX. Real time is left to systemd units. */
static const PropertyWord cpu_policy_words[] = {
        { "other", SCHED_OTHER },
        { "batch", SCHED_BATCH },
        { "idle", SCHED_IDLE },
        {},
};
static const PropertyWord io_class_words[] = {
        { "best-effort", IOPRIO_CLASS_BE },
        { "idle", IOPRIO_CLASS_IDLE },
        {},
};

static const PropertyWord namespace_words[] = {
        { "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC },   { "net", CLONE_NEWNET }, { "mnt", CLONE_NEWNS },
        { "pid", CLONE_NEWPID },       { "user", CLONE_NEWUSER }, { "uts", CLONE_NEWUTS }, {},
};
static const PropertyMask namespace_mask = {
        namespace_words,
        CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS,
        .boolean = true,
};

#define CAP(c) { #c, UINT64_C(1) << (c) }
static const PropertyWord capability_words[] = {
        CAP(CAP_AUDIT_CONTROL),   CAP(CAP_AUDIT_READ),         CAP(CAP_AUDIT_WRITE),     CAP(CAP_BLOCK_SUSPEND),
        CAP(CAP_BPF),             CAP(CAP_CHECKPOINT_RESTORE), CAP(CAP_CHOWN),           CAP(CAP_DAC_OVERRIDE),
        CAP(CAP_DAC_READ_SEARCH), CAP(CAP_FOWNER),             CAP(CAP_FSETID),          CAP(CAP_IPC_LOCK),
        CAP(CAP_IPC_OWNER),       CAP(CAP_KILL),               CAP(CAP_LEASE),           CAP(CAP_LINUX_IMMUTABLE),
        CAP(CAP_MAC_ADMIN),       CAP(CAP_MAC_OVERRIDE),       CAP(CAP_MKNOD),           CAP(CAP_NET_ADMIN),
        CAP(CAP_NET_BIND_SERVICE), CAP(CAP_NET_BROADCAST),     CAP(CAP_NET_RAW),         CAP(CAP_PERFMON),
        CAP(CAP_SETFCAP),         CAP(CAP_SETGID),             CAP(CAP_SETPCAP),         CAP(CAP_SETUID),
        CAP(CAP_SYSLOG),          CAP(CAP_SYS_ADMIN),          CAP(CAP_SYS_BOOT),        CAP(CAP_SYS_CHROOT),
        CAP(CAP_SYS_MODULE),      CAP(CAP_SYS_NICE),           CAP(CAP_SYS_PACCT),       CAP(CAP_SYS_PTRACE),
        CAP(CAP_SYS_RAWIO),       CAP(CAP_SYS_RESOURCE),       CAP(CAP_SYS_TIME),        CAP(CAP_SYS_TTY_CONFIG),
        CAP(CAP_WAKE_ALARM),      {},
};
static const PropertyMask capability_mask = { capability_words, UINT64_MAX, .boolean = false };

static const PropertyWordRule syscall_rule = { LETTERS CAPITALS DIGITS "@_:-", "" };
static const PropertyWordRule family_rule = { CAPITALS DIGITS "_", "AF_" };
static const PropertyWordRule architecture_rule = { LETTERS DIGITS "_-", "" };
static const PropertyWordRule user_rule = { LETTERS CAPITALS DIGITS "._-", "" };

#define RANGE(low, high, ...) (&(const PropertyRange) { .min = low, .max = high, ##__VA_ARGS__ })
#define AMOUNT(low, ...) (&(const PropertyAmount) { .min = low, ##__VA_ARGS__ })
#define UNIT(u) (&(const PropertyUnit) { PROPERTY_UNIT_##u })

/* Which flags: a process's limit, a cgroup's limit (services and slices), a sandbox, a view of the file system. What a runner can give too
 * ends in P. */
#define LIMP (UNIT_PROPERTY_SERVICE | UNIT_PROPERTY_RESOURCE | UNIT_PROPERTY_POOL)
#define CGR (UNIT_PROPERTY_SERVICE | UNIT_PROPERTY_SLICE | UNIT_PROPERTY_RESOURCE)
#define CGRP (CGR | UNIT_PROPERTY_POOL)
#define BOX UNIT_PROPERTY_SERVICE
#define BOXP (BOX | UNIT_PROPERTY_POOL)
#define FSV (UNIT_PROPERTY_SERVICE | UNIT_PROPERTY_NAMESPACE)

#define ROW_AS(n, d, t, c, g, f, parser, a, h, ...)                                                          \
        { .name = n, .dbus_name = d, .type = UNIT_VALUE_##t, .class = PROPERTY_##c,                          \
          .tighten = TIGHTEN_##g, .flags = f, .parse = property_parse_##parser, .argument = a, .hint = h,    \
          ##__VA_ARGS__ }
#define ROW(n, t, c, g, f, parser, a, h, ...) ROW_AS(n, n, t, c, g, f, parser, a, h, ##__VA_ARGS__)

#define BOOLEAN(n, f) ROW(n, BOOL, OPEN, ON, f, boolean, NULL, "yes or no")
#define MEMORY(n, c, g, low)                                                                                 \
        ROW(n, U64, c, g, CGRP, amount, AMOUNT(low), "a size such as 512M, a percentage, or infinity",        \
            .aux_name = n "Scale")
#define RLIMIT(n, c, unit, h, ...)                                                                           \
        ROW(n, U64, c, MIN, LIMP, rlimit, UNIT(unit), h ", infinity, or SOFT:HARD", .aux_name = n "Soft",     \
            ##__VA_ARGS__)
#define IO_MAX(n) ROW(n, PATH_LIMITS, OPEN, MIN, CGR, path_number, NULL, "a path and a number such as 10M")
#define PATHS(n, c, g) ROW(n, STRV, c, g, FSV, paths, NULL, "absolute paths, '-' before one that may be missing")
#define BINDS(n) ROW(n, BINDS, PRIVILEGED, NONE, FSV, binds, NULL, "SOURCE[:DESTINATION[:rbind|norbind]]")
#define CPUS(n) ROW(n, BYTES, OPEN, SUBSET, CGR, cpu_set, NULL, "numbers and ranges such as 0-3,7")
#define CAPABILITIES(n) ROW(n, U64, PRIVILEGED, NONE, BOX, mask, &capability_mask, "CAP_CHOWN …, or ~CAP_CHOWN …")
#define USER(n, t, parser) ROW(n, t, PRIVILEGED, NONE, BOX, parser, &user_rule, "names or numbers")
#define OURS(n, h) { .name = n, .class = PROPERTY_OURS, .hint = h }

#define USE_DIRECTORY "it would change the owner of a directory that exists"
#define USE_SPEC_ENVIRONMENT "use the job's environment"
#define USE_SPEC_TIMEOUT "use the job's timeout_usec and stop_timeout_usec, or the queue's TimeoutSec="
#define USE_PAYLOAD "use the job's payload"
#define USE_JOURNAL "jobmill labels the job's log itself"
#define USE_QUEUE "use the job's queue"
#define USE_ARGV "use the job's argv"
#define USE_CREDENTIALS "PID 1 would read files as root"
#define USE_CANCEL "jobmill must be able to stop every job"
#define NO_DEPENDENCIES "jobs have no unit dependencies"
#define NO_TERMINAL "jobs have no terminal and no login session"
#define NO_RESTART "a job runs once an attempt; jobmill decides what follows"

/* clang-format off */
static const UnitProperty property_table[] = {
        OURS("After", NO_DEPENDENCIES),
        CPUS("AllowedCPUs"),
        CPUS("AllowedMemoryNodes"),
        CAPABILITIES("AmbientCapabilities"),
        OURS("Assert*", NO_DEPENDENCIES),
        OURS("Before", NO_DEPENDENCIES),
        BINDS("BindPaths"),
        BINDS("BindReadOnlyPaths"),
        OURS("BindsTo", NO_DEPENDENCIES),
        ROW_AS("CPUQuota", "CPUQuotaPerSecUSec", U64, OPEN, MIN, CGRP, quota, NULL,
            "a percentage such as 150%"),
        ROW_AS("CPUQuotaPeriodSec", "CPUQuotaPeriodUSec", U64, OPEN, FREE, CGRP, span,
               RANGE(USEC_PER_MSEC, USEC_PER_SEC), "1ms … 1s"),
        ROW("CPUSchedulingPolicy", I32, OPEN, MAX, LIMP, choice, cpu_policy_words, "other, batch or idle"),
        ROW("CPUWeight", U64, OPEN, MIN, CGRP, number, RANGE(1, 10000, .zero = "idle"),
            "1 … 10000, or idle", .implied = "100"),
        OURS("CacheDirectory*", USE_DIRECTORY),
        CAPABILITIES("CapabilityBoundingSet"),
        OURS("CollectMode", NO_RESTART),
        OURS("Condition*", NO_DEPENDENCIES),
        OURS("ConfigurationDirectory*", USE_DIRECTORY),
        OURS("Conflicts", NO_DEPENDENCIES),
        OURS("Delegate*", "the job's control group belongs to systemd"),
        OURS("Description", "use the job's name"),
        ROW("DeviceAllow", PAIRS, PRIVILEGED, NONE, BOX | UNIT_PROPERTY_SLICE, device, NULL,
            "a device such as /dev/null, and of r, w, m"),
        ROW("DevicePolicy", STRING, PRIVILEGED, NONE, BOX | UNIT_PROPERTY_SLICE, keyword, device_policy_words,
            "auto, closed or strict"),
        OURS("Environment", USE_SPEC_ENVIRONMENT),
        OURS("EnvironmentFile", USE_SPEC_ENVIRONMENT),
        OURS("Exec*", USE_ARGV),
        PATHS("ExecPaths", PRIVILEGED, NONE),
        OURS("ExitType", NO_RESTART),
        OURS("FailureAction*", NO_RESTART),
        OURS("FinalKillSignal", USE_CANCEL),
        USER("Group", STRING, name),
        ROW("IODeviceWeight", PATH_LIMITS, PRIVILEGED, NONE, CGR, path_number, RANGE(1, 10000),
            "a path and 1 … 10000"),
        IO_MAX("IOReadBandwidthMax"),
        IO_MAX("IOReadIOPSMax"),
        ROW("IOSchedulingClass", I32, OPEN, MAX, LIMP, choice, io_class_words, "best-effort or idle"),
        ROW("IOSchedulingPriority", I32, OPEN, MAX, LIMP, number, RANGE(0, 7), "0 … 7"),
        ROW("IOWeight", U64, OPEN, MIN, CGRP, number, RANGE(1, 10000), "1 … 10000", .implied = "100"),
        IO_MAX("IOWriteBandwidthMax"),
        IO_MAX("IOWriteIOPSMax"),
        OURS("IgnoreOnIsolate", NO_DEPENDENCIES),
        OURS("IgnoreSIGPIPE", NO_RESTART),
        PATHS("InaccessiblePaths", OPEN, ADD),
        OURS("JobRunningTimeoutSec", USE_SPEC_TIMEOUT),
        OURS("JobTimeout*", USE_SPEC_TIMEOUT),
        OURS("JoinsNamespaceOf", NO_DEPENDENCIES),
        OURS("KeyringMode", NO_TERMINAL),
        OURS("KillMode", USE_CANCEL),
        ROW("KillSignal", I32, OPEN, FREE, BOXP, signal, NULL, "a signal such as SIGINT"),
        RLIMIT("LimitAS", OPEN, SIZE, "a size"),
        RLIMIT("LimitCORE", OPEN, SIZE, "a size"),
        RLIMIT("LimitCPU", OPEN, SECONDS, "a time span"),
        RLIMIT("LimitDATA", OPEN, SIZE, "a size"),
        RLIMIT("LimitFSIZE", OPEN, SIZE, "a size"),
        RLIMIT("LimitLOCKS", PRIVILEGED, COUNT, "a number"),
        RLIMIT("LimitMEMLOCK", PRIVILEGED, SIZE, "a size"),
        RLIMIT("LimitMSGQUEUE", PRIVILEGED, SIZE, "a size"),
        RLIMIT("LimitNICE", PRIVILEGED, NICE, "a nice level with its sign"),
        RLIMIT("LimitNOFILE", OPEN, COUNT, "a number", .implied = "524288"),
        RLIMIT("LimitNPROC", OPEN, COUNT, "a number"),
        RLIMIT("LimitRSS", OPEN, SIZE, "a size"),
        RLIMIT("LimitRTPRIO", PRIVILEGED, COUNT, "a number"),
        RLIMIT("LimitRTTIME", PRIVILEGED, USEC, "a time span"),
        RLIMIT("LimitSIGPENDING", PRIVILEGED, COUNT, "a number"),
        RLIMIT("LimitSTACK", OPEN, SIZE, "a size"),
        OURS("LoadCredential*", USE_CREDENTIALS),
        BOOLEAN("LockPersonality", BOX),
        OURS("Log*", USE_JOURNAL),
        OURS("LogsDirectory*", USE_DIRECTORY),
        BOOLEAN("MemoryDenyWriteExecute", BOX),
        MEMORY("MemoryHigh", OPEN, MIN, 1),
        MEMORY("MemoryLow", PRIVILEGED, NONE, 0),
        MEMORY("MemoryMax", OPEN, MIN, 1),
        MEMORY("MemoryMin", PRIVILEGED, NONE, 0),
        MEMORY("MemorySwapMax", OPEN, MIN, 0),
        ROW("NetworkNamespacePath", STRING, PRIVILEGED, NONE, BOX, path, NULL, "an absolute path"),
        ROW("Nice", I32, OPEN, MAX, LIMP, number, RANGE(-20, 19), "-20 … 19", .implied = "0"),
        PATHS("NoExecPaths", OPEN, ADD),
        BOOLEAN("NoNewPrivileges", BOXP),
        OURS("NotifyAccess", "every process of a job may notify"),
        OURS("OOMPolicy", NO_RESTART),
        ROW("OOMScoreAdjust", I32, OPEN, MAX, LIMP, number, RANGE(-1000, 1000),
            "-1000 … 1000", .implied = "0"),
        OURS("OnFailure*", NO_DEPENDENCIES),
        OURS("OnSuccess*", NO_DEPENDENCIES),
        OURS("PAMName", NO_TERMINAL),
        OURS("PIDFile", NO_RESTART),
        OURS("PartOf", NO_DEPENDENCIES),
        BOOLEAN("PrivateDevices", FSV),
        BOOLEAN("PrivateIPC", FSV),
        BOOLEAN("PrivateMounts", FSV),
        BOOLEAN("PrivateNetwork", FSV),
        BOOLEAN("PrivateTmp", FSV),
        BOOLEAN("PrivateUsers", BOX),
        ROW("ProcSubset", STRING, OPEN, ENUM, FSV, keyword, proc_subset_words, "all or pid"),
        OURS("PropagatesReloadTo", NO_DEPENDENCIES),
        OURS("PropagatesStopTo", NO_DEPENDENCIES),
        BOOLEAN("ProtectClock", FSV),
        BOOLEAN("ProtectControlGroups", FSV),
        ROW("ProtectHome", STRING, OPEN, ENUM, FSV, keyword, protect_home_words,
            "yes, no, read-only or tmpfs"),
        BOOLEAN("ProtectHostname", FSV),
        BOOLEAN("ProtectKernelLogs", FSV),
        BOOLEAN("ProtectKernelModules", FSV),
        BOOLEAN("ProtectKernelTunables", FSV),
        ROW("ProtectProc", STRING, OPEN, ENUM, FSV, keyword, protect_proc_words,
            "default, noaccess, invisible or ptraceable"),
        ROW("ProtectSystem", STRING, OPEN, ENUM, FSV, keyword, protect_system_words,
            "yes, no, full or strict"),
        PATHS("ReadOnlyPaths", OPEN, ADD),
        PATHS("ReadWritePaths", OPEN, NONE),
        OURS("ReloadPropagatedFrom", NO_DEPENDENCIES),
        OURS("RemainAfterExit", NO_RESTART),
        OURS("Requires*", NO_DEPENDENCIES),
        OURS("Requisite", NO_DEPENDENCIES),
        OURS("Restart*", NO_RESTART),
        ROW("RestrictAddressFamilies", FILTER, OPEN, FILTER, BOX, filter, &family_rule,
            "families such as AF_UNIX, after a '~' all but these"),
        ROW("RestrictNamespaces", U64, OPEN, SUBSET, BOX, mask, &namespace_mask,
            "yes, no, or cgroup ipc net mnt pid user uts, after a '~' all but these"),
        BOOLEAN("RestrictRealtime", BOX),
        BOOLEAN("RestrictSUIDSGID", BOX),
        ROW("RootDirectory", STRING, PRIVILEGED, NONE, FSV, path, NULL, "an absolute path"),
        OURS("RuntimeDirectory*", USE_DIRECTORY),
        OURS("RuntimeMax*", USE_SPEC_TIMEOUT),
        OURS("RuntimeRandomizedExtraSec", USE_SPEC_TIMEOUT),
        OURS("SendSIGHUP", USE_CANCEL),
        OURS("SendSIGKILL", USE_CANCEL),
        OURS("SetCredential*", USE_CREDENTIALS),
        OURS("Slice", USE_QUEUE),
        OURS("Sockets", NO_DEPENDENCIES),
        OURS("Standard*", USE_PAYLOAD " for input; output goes to the journal"),
        OURS("StartLimit*", NO_RESTART),
        OURS("StateDirectory*", USE_DIRECTORY),
        OURS("StopPropagatedFrom", NO_DEPENDENCIES),
        OURS("SuccessAction*", NO_RESTART),
        OURS("SuccessExitStatus", NO_RESTART),
        USER("SupplementaryGroups", STRV, names),
        OURS("Syslog*", USE_JOURNAL),
        ROW("SystemCallArchitectures", STRV, OPEN, SUBSET, BOX, names, &architecture_rule,
            "architectures such as native"),
        ROW("SystemCallFilter", FILTER, OPEN, FILTER, BOX, filter, &syscall_rule,
            "calls and @groups, after a '~' all but these"),
        OURS("TTY*", NO_TERMINAL),
        ROW("TasksMax", U64, OPEN, MIN, CGRP, amount, AMOUNT(1, .count = true),
            "a number, a percentage, or infinity",
            .aux_name = "TasksMaxScale", .implied = "4915"),
        OURS("Timeout*", USE_SPEC_TIMEOUT),
        OURS("Type", NO_RESTART),
        ROW("UMask", U32, OPEN, FREE, BOXP, mode, NULL, "an octal number such as 0022"),
        OURS("Upholds", NO_DEPENDENCIES),
        USER("User", STRING, name),
        OURS("Utmp*", NO_TERMINAL),
        OURS("Wants", NO_DEPENDENCIES),
        ROW_AS("WatchdogSec", "WatchdogUSec", U64, OPEN, FREE, BOX, span, NULL, "a time span, or infinity"),
        OURS("WatchdogSignal", USE_CANCEL),
        OURS("WorkingDirectory", "use the job's cwd"),
};
/* clang-format on */

const UnitProperty *unit_property_table(size_t *ret_n) {
        if (ret_n)
                *ret_n = ELEMENTSOF(property_table);
        return property_table;
}

static int compare_name(const void *key, const void *member) {
        return strcmp(key, ((const UnitProperty *) member)->name);
}

const UnitProperty *unit_property_find(const char *name) {
        const UnitProperty *p;

        p = bsearch(name, property_table, ELEMENTSOF(property_table), sizeof(UnitProperty), compare_name);
        if (p)
                return strchr(p->name, '*') ? NULL : p;
        FOREACH_ELEMENT(i, property_table) {
                size_t n = strlen(i->name) - 1;

                if (i->name[n] == '*' && strncmp(i->name, name, n) == 0)
                        return i;
        }
        return NULL;
}

const UnitProperty *unit_property_of_value(const UnitValue *v) {
        FOREACH_ELEMENT(p, property_table)
                if (p->dbus_name && (streq(p->dbus_name, v->name) || streq_ptr(p->aux_name, v->name)))
                        return p;
        return NULL;
}

bool unit_property_is_list(const UnitProperty *p) {
        switch (p->type) {
        case UNIT_VALUE_STRV:
        case UNIT_VALUE_BYTES:
        case UNIT_VALUE_FILTER:
        case UNIT_VALUE_PAIRS:
        case UNIT_VALUE_PATH_LIMITS:
        case UNIT_VALUE_BINDS:
                return true;
        default:
                return p->parse == property_parse_mask;
        }
}

int unit_property_add_default(const UnitProperty *p, UnitPropertyList *l) {
        bool none = streq(p->name, "MemoryMin") || streq(p->name, "MemoryLow"); /* these promise; all else limits */
        UnitValue *v = unit_property_list_add(l, p->dbus_name, p->type);

        if (!v)
                return -ENOMEM;
        if (p->type == UNIT_VALUE_U64)
                v->u64 = none ? 0 : UINT64_MAX;
        if (p->type != UNIT_VALUE_STRING)
                return 0; /* an empty list resets */
        v->s = strdup("auto"); /* DevicePolicy= */
        return v->s ? 0 : -ENOMEM;
}

int unit_property_parse(const UnitProperty *p, const char *value, UnitPropertyList *l, char **ret_error) {
        int r;

        if (ret_error)
                *ret_error = NULL;
        if (p->class == PROPERTY_OURS)
                return spec_error(ret_error, -EPERM, "%s= cannot be set: %s", p->name, p->hint);
        if (!string_is_clean(value))
                return spec_error(ret_error, -EINVAL, "%s= has a value with control characters or invalid UTF-8", p->name);
        if (isempty(value)) {
                unit_property_list_remove(l, p->dbus_name);
                if (p->aux_name)
                        unit_property_list_remove(l, p->aux_name);
                return 0;
        }
        r = p->parse(p, value, l);
        if (r == -EINVAL || r == -ERANGE)
                return spec_error(ret_error, r, "%s= %s \"%s\"; allowed: %s", p->name,
                                  r == -ERANGE ? "is out of range with" : "cannot be",
                                  strlen(value) <= 200 ? value : "…", p->hint);
        return r;
}

int unit_property_parse_assignment(const char *assignment,
                                   bool privileged,
                                   UnitPropertyFlags kind,
                                   UnitPropertyList *l,
                                   char **ret_error) {
        size_t n = strspn(assignment, LETTERS CAPITALS DIGITS);
        _cleanup_free_ char *name = NULL;
        const UnitProperty *p;

        if (ret_error)
                *ret_error = NULL;
        if (n == 0 || n > 64 || assignment[n] != '=')
                return spec_error(ret_error, -EINVAL, "A unit property must be given as NAME=VALUE");
        name = strndup(assignment, n);
        if (!name)
                return -ENOMEM;

        p = unit_property_find(name);
        if (!p)
                return spec_error(ret_error, -EPERM, "%s= is not a unit property that can be set here", name);
        if (p->class == PROPERTY_OURS)
                return spec_error(ret_error, -EPERM, "%s= cannot be set: %s", name, p->hint);
        if (!(p->flags & kind))
                return spec_error(ret_error, -EPERM, "%s= cannot be set for a %s", name,
                                  kind & UNIT_PROPERTY_SLICE ? "slice" : "service");
        if (p->class != PROPERTY_OPEN && !privileged)
                return spec_error(ret_error, -EACCES, "%s= needs the right to set privileged properties", name);
        return unit_property_parse(p, assignment + n + 1, l, ret_error);
}

bool unit_property_list_needs_no_new_privileges(const UnitPropertyList *l) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);

                if (!p || !(p->flags & UNIT_PROPERTY_RESOURCE))
                        return true;
        }
        return false;
}

int unit_property_mask_to_string(const char *dbus_name, uint64_t mask, char **ret) {
        const UnitProperty *p = unit_property_of_value(&(UnitValue) { .name = dbus_name });
        const PropertyMask *of = p ? p->argument : NULL;
        size_t n_set = 0, n_clear = 0, n = 1;
        char *s;

        *ret = NULL;
        if (!p || p->parse != property_parse_mask)
                return 0;
        if (of->boolean && (mask == 0 || mask == of->all))
                return (*ret = strdup(mask == 0 ? "yes" : "no")) ? 0 : -ENOMEM;
        for (const PropertyWord *w = of->words; w->word; w++) {
                n += strlen(w->word) + 1;
                *(mask & w->value ? &n_set : &n_clear) += 1;
        }
        *ret = s = new0(char, n + 1);
        if (!s)
                return -ENOMEM;
        /* What few are missing of: also those that have no word yet. */
        if (n_set > n_clear)
                *s++ = '~';
        for (const PropertyWord *w = of->words; w->word; w++)
                if (!(mask & w->value) == (n_set > n_clear)) {
                        if (s > *ret && s[-1] != '~')
                                *s++ = ' ';
                        s = stpcpy(s, w->word);
                }
        return 0;
}
