/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See limit.h. In the child nothing allocates memory. */

#include "runner/limit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CPUS_MAX UINT64_C(65536)
#define PIDS_MAX (UINT64_C(1) << 22) /* PID_MAX_LIMIT */

#define EXIT_NICE 201
#define EXIT_LIMITS 205
#define EXIT_OOM_ADJUST 206
#define EXIT_SETSCHEDULER 214
#define EXIT_IOPRIO 211
#define EXIT_NO_NEW_PRIVILEGES 227

static const int64_t *find(const Limit *l, size_t n, const char *name) {
        for (const Limit *i = l; i < l + n; i++)
                if (streq(i->name, name))
                        return &i->value;
        return NULL;
}

/* ---- the control group ---- */

/* Without its controller there is no such file; an older kernel, or one without that scheduler of disks, has not all of them. */
static int write_limit(const Cgroups *c, const char *name, const char *attribute, const char *text) {
        int r = cgroup_write(c, name, attribute, text);

        return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int write_number(const Cgroups *c, const char *name, const char *attribute, const char *prefix, uint64_t v) {
        char text[64];

        if (v == UINT64_MAX)
                (void) snprintf(text, sizeof(text), "%smax", prefix);
        else
                (void) snprintf(text, sizeof(text), "%s%" PRIu64, prefix, v);
        return write_limit(c, name, attribute, text);
}

static uint64_t read_system_number(const char *path) {
        FILE *f = fopen(path, "re");
        uint64_t v = UINT64_MAX;

        if (f && fscanf(f, "%" SCNu64, &v) != 1)
                v = UINT64_MAX;
        if (f)
                fclose(f);
        return v;
}

/* 100 % of it is UINT32_MAX. */
static uint64_t scale(uint64_t of, int64_t v) {
        return (uint64_t) ((unsigned __int128) of * (uint32_t) v / UINT32_MAX);
}

static int apply_amount(const Limit *l, size_t n, const Cgroups *c, const char *group, const char *name, const char *scaled, const char *attribute,
                        uint64_t of) {
        const int64_t *v = find(l, n, name), *s = find(l, n, scaled);

        if (v)
                return write_number(c, group, attribute, "", (uint64_t) *v);
        return s ? write_number(c, group, attribute, "", MAX(scale(of, *s), UINT64_C(1))) : 0;
}

static int apply_quota(const Limit *l, size_t n, const Cgroups *c, const char *name) {
        const int64_t *quota = find(l, n, "CPUQuotaPerSecUSec"), *period = find(l, n, "CPUQuotaPeriodUSec");
        uint64_t p = period && (uint64_t) *period != UINT64_MAX ? (uint64_t) *period : 100000;
        char text[64];

        if (!quota || (uint64_t) *quota == UINT64_MAX)
                return 0;
        /* The kernel takes 1 ms … 1 s of both. */
        p = MIN(MAX(p, (uint64_t) 1000), (uint64_t) 1000000);
        /* More CPUs than there can be are no limit, and more than the kernel takes. */
        (void) snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, MAX(MIN((uint64_t) *quota, CPUS_MAX * USEC_PER_SEC) * p / USEC_PER_SEC, (uint64_t) 1000), p);
        return write_limit(c, name, "cpu.max", text);
}

static int apply_memory(const Limit *l, size_t n, const Cgroups *c, const char *name) {
        static const char *const amounts[][3] = {
                { "MemoryMin", "MemoryMinScale", "memory.min" },
                { "MemoryLow", "MemoryLowScale", "memory.low" },
                { "MemoryHigh", "MemoryHighScale", "memory.high" },
                { "MemoryMax", "MemoryMaxScale", "memory.max" },
                { "MemorySwapMax", "MemorySwapMaxScale", "memory.swap.max" },
        };
        uint64_t memory = (uint64_t) sysconf(_SC_PHYS_PAGES) * (uint64_t) sysconf(_SC_PAGESIZE);
        int r = 0;

        FOREACH_ELEMENT(i, amounts)
                if (r >= 0)
                        r = apply_amount(l, n, c, name, (*i)[0], (*i)[1], (*i)[2], memory);
        return r;
}

static int apply_tasks(const Limit *l, size_t n, const Cgroups *c, const char *name) {
        const int64_t *v = find(l, n, "TasksMax"), *s = find(l, n, "TasksMaxScale");
        uint64_t tasks;

        if (v)
                return write_number(c, name, "pids.max", "", (uint64_t) *v > PIDS_MAX ? UINT64_MAX : (uint64_t) *v);
        if (!s)
                return 0;
        tasks = MIN(read_system_number("/proc/sys/kernel/pid_max"), read_system_number("/proc/sys/kernel/threads-max"));
        return write_number(c, name, "pids.max", "", MIN(MAX(scale(tasks, *s), UINT64_C(1)), PIDS_MAX));
}

static int apply_weights(const Limit *l, size_t n, const Cgroups *c, const char *name) {
        const int64_t *cpu = find(l, n, "CPUWeight"), *io = find(l, n, "IOWeight");
        int r = 0;

        if (cpu)
                r = *cpu == 0 ? write_limit(c, name, "cpu.idle", "1") : write_number(c, name, "cpu.weight", "", (uint64_t) *cpu);
        return r < 0 || !io ? r : write_number(c, name, "io.weight", "default ", (uint64_t) *io);
}

int limits_apply_cgroup(const Limit *l, size_t n, const Cgroups *c, const char *name) {
        int r;

        if (n == 0)
                return 0;
        r = apply_memory(l, n, c, name);
        if (r >= 0)
                r = apply_tasks(l, n, c, name);
        if (r >= 0)
                r = apply_quota(l, n, c, name);
        return r < 0 ? r : apply_weights(l, n, c, name);
}

/* ---- the process ---- */

static const struct {
        const char *name, *soft;
        int resource;
} rlimits[] = {
        { "LimitAS", "LimitASSoft", RLIMIT_AS },
        { "LimitCORE", "LimitCORESoft", RLIMIT_CORE },
        { "LimitCPU", "LimitCPUSoft", RLIMIT_CPU },
        { "LimitDATA", "LimitDATASoft", RLIMIT_DATA },
        { "LimitFSIZE", "LimitFSIZESoft", RLIMIT_FSIZE },
        { "LimitLOCKS", "LimitLOCKSSoft", RLIMIT_LOCKS },
        { "LimitMEMLOCK", "LimitMEMLOCKSoft", RLIMIT_MEMLOCK },
        { "LimitMSGQUEUE", "LimitMSGQUEUESoft", RLIMIT_MSGQUEUE },
        { "LimitNICE", "LimitNICESoft", RLIMIT_NICE },
        { "LimitNOFILE", "LimitNOFILESoft", RLIMIT_NOFILE },
        { "LimitNPROC", "LimitNPROCSoft", RLIMIT_NPROC },
        { "LimitRSS", "LimitRSSSoft", RLIMIT_RSS },
        { "LimitRTPRIO", "LimitRTPRIOSoft", RLIMIT_RTPRIO },
        { "LimitRTTIME", "LimitRTTIMESoft", RLIMIT_RTTIME },
        { "LimitSIGPENDING", "LimitSIGPENDINGSoft", RLIMIT_SIGPENDING },
        { "LimitSTACK", "LimitSTACKSoft", RLIMIT_STACK },
};

/* As much of it as may be had, as systemd does. */
static int set_closest(int resource, struct rlimit rl) {
        struct rlimit now;

        if (setrlimit(resource, &rl) >= 0)
                return 0;
        if (errno != EPERM || getrlimit(resource, &now) < 0)
                return -errno;
        rl.rlim_max = MIN(rl.rlim_max, now.rlim_max);
        rl.rlim_cur = MIN(rl.rlim_cur, rl.rlim_max);
        return setrlimit(resource, &rl) < 0 ? -errno : 0;
}

static int apply_rlimits(const Limit *l, size_t n, const struct rlimit *files) {
        if (setrlimit(RLIMIT_NOFILE, files) < 0)
                return -errno;
        FOREACH_ELEMENT(i, rlimits) {
                const int64_t *hard = find(l, n, i->name), *soft = find(l, n, i->soft);

                if (hard && set_closest(i->resource, (struct rlimit) { .rlim_cur = (rlim_t) (soft ? *soft : *hard), .rlim_max = (rlim_t) *hard }) < 0)
                        return -errno;
        }
        return 0;
}

static int set_oom_score(int64_t v) {
        _cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        char text[24];

        return fd >= 0 && write(fd, text, snprintf(text, sizeof(text), "%" PRIi64, v)) > 0 ? 0 : -errno;
}

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_VALUE(class, level) ((int) ((class) << 13 | (level)))
#define IOPRIO_BEST_EFFORT 2

static int set_io_priority(const int64_t *class, const int64_t *level) {
        int64_t c = class ? *class : IOPRIO_BEST_EFFORT;

        return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_VALUE(c, level ? *level : 4)) < 0 ? -errno : 0;
}

int limits_apply_process(const Limit *l, size_t n, const struct rlimit *files) {
        const int64_t *v, *level;

        if (apply_rlimits(l, n, files) < 0)
                return EXIT_LIMITS;
        if (n == 0)
                return 0;
        v = find(l, n, "UMask");
        if (v)
                (void) umask((mode_t) *v);
        v = find(l, n, "OOMScoreAdjust");
        if (v && set_oom_score(*v) < 0)
                return EXIT_OOM_ADJUST;
        v = find(l, n, "Nice");
        if (v && setpriority(PRIO_PROCESS, 0, (int) *v) < 0)
                return EXIT_NICE;
        v = find(l, n, "CPUSchedulingPolicy");
        if (v && sched_setscheduler(0, (int) *v, &(struct sched_param) {}) < 0)
                return EXIT_SETSCHEDULER;
        v = find(l, n, "IOSchedulingClass");
        level = find(l, n, "IOSchedulingPriority");
        if ((v || level) && set_io_priority(v, level) < 0)
                return EXIT_IOPRIO;
        v = find(l, n, "NoNewPrivileges");
        if (v && *v && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return EXIT_NO_NEW_PRIVILEGES;
        return 0;
}
