/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/strv.h"
#include "queue/unit-property.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const type_names[_UNIT_VALUE_TYPE_MAX] = { "b", "u", "i", "t", "s", "as", "ay", "bas", "ss", "st", "ssbt" };

/* "NAME TYPE VALUE; NAME TYPE VALUE": what a list holds, in one line. */
static char *list_text(const UnitPropertyList *l) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        assert_non_null(f);
        for (size_t at = 0; at < l->n_values; at++) {
                const UnitValue *v = l->values + at;
                const uint64_t *number = v->numbers;
                size_t i = 0;

                fprintf(f, "%s%s %s", at == 0 ? "" : "; ", v->name, type_names[v->type]);
                switch (v->type) {
                case UNIT_VALUE_BOOL:
                        fprintf(f, " %s", v->b ? "yes" : "no");
                        break;
                case UNIT_VALUE_U32:
                        fprintf(f, " %" PRIu32, v->u32);
                        break;
                case UNIT_VALUE_I32:
                        fprintf(f, " %" PRIi32, v->i32);
                        break;
                case UNIT_VALUE_U64:
                        if (v->u64 == UINT64_MAX)
                                fputs(" max", f);
                        else
                                fprintf(f, " %" PRIu64, v->u64);
                        break;
                case UNIT_VALUE_STRING:
                        fprintf(f, " %s", v->s);
                        break;
                case UNIT_VALUE_BYTES:
                        for (i = v->bytes.size; i > 0 && !v->bytes.data[i - 1]; i--)
                                ; /* zeros at the end say nothing */
                        for (size_t k = 0; k < i; k++)
                                fprintf(f, " %02x", v->bytes.data[k]);
                        break;
                default:
                        if (v->type == UNIT_VALUE_FILTER)
                                fputs(v->allow_list ? " +" : " ~", f);
                        STRV_FOREACH(w, v->strv) {
                                fprintf(f, " %s", *w);
                                if (v->type == UNIT_VALUE_PATH_LIMITS || (v->type == UNIT_VALUE_BINDS && i++ % 2))
                                        fprintf(f, "=%" PRIi64, (int64_t) *number++);
                        }
                }
        }
        fclose(f);
        return text;
}

/* Assignments with ';' between them. */
static void parse_all(const char *assignments, UnitPropertyList *l) {
        _cleanup_strv_free_ char **words = strv_split(assignments, ";");

        STRV_FOREACH(w, words) {
                _cleanup_free_ char *error = NULL;

                if (unit_property_parse_assignment(*w, true, UNIT_PROPERTY_SERVICE, l, &error) < 0)
                        fail_msg("%s: %s", *w, error);
                assert_null(error);
        }
}

static void assert_list(const UnitPropertyList *l, const char *expected) {
        _cleanup_free_ char *text = list_text(l);

        assert_string_equal(text, expected);
}

/* One good value and one bad value for every row that can be set. */
static const struct {
        const char *name, *good, *text, *bad;
} samples[] = {
        { "AllowedCPUs", "0-3,9", "AllowedCPUs ay 0f 02", "1-" },
        { "AllowedMemoryNodes", "0", "AllowedMemoryNodes ay 01", "all" },
        { "AmbientCapabilities", "CAP_NET_BIND_SERVICE", "AmbientCapabilities t 1024", "NET_BIND_SERVICE" },
        { "BindPaths", "-/a:/b:norbind /c", "BindPaths ssbt -/a /b=0 /c /c=16384", "/a:/b:bind" },
        { "BindReadOnlyPaths", "/a//b/", "BindReadOnlyPaths ssbt /a/b /a/b=16384", "/a:b" },
        { "CPUQuota", "150%", "CPUQuotaPerSecUSec t 1500000", "0%" },
        { "CPUQuotaPeriodSec", "50ms", "CPUQuotaPeriodUSec t 50000", "2s" },
        { "CPUSchedulingPolicy", "batch", "CPUSchedulingPolicy i 3", "fifo" },
        { "CPUWeight", "idle", "CPUWeight t 0", "0" },
        { "CapabilityBoundingSet", "~CAP_SYS_ADMIN", "CapabilityBoundingSet t 18446744073707454463", "CAP_" },
        { "DeviceAllow", "/dev/null rw", "DeviceAllow ss /dev/null rw", "/dev/null x" },
        { "DevicePolicy", "closed", "DevicePolicy s closed", "open" },
        { "ExecPaths", "/usr", "ExecPaths as /usr", "usr" },
        { "Group", "users", "Group s users", "a b" },
        { "IODeviceWeight", "/dev/sda 50", "IODeviceWeight st /dev/sda=50", "/dev/sda 0" },
        { "IOReadBandwidthMax", "/dev/sda 1M", "IOReadBandwidthMax st /dev/sda=1000000", "/dev/sda" },
        { "IOReadIOPSMax", "/dev/sda infinity", "IOReadIOPSMax st /dev/sda=-1", "/dev/sda 1 2" },
        { "IOSchedulingClass", "idle", "IOSchedulingClass i 3", "realtime" },
        { "IOSchedulingPriority", "7", "IOSchedulingPriority i 7", "8" },
        { "IOWeight", "50", "IOWeight t 50", "idle" },
        { "IOWriteBandwidthMax", "/srv 5K", "IOWriteBandwidthMax st /srv=5000", "/srv 0" },
        { "IOWriteIOPSMax", "/srv 100", "IOWriteIOPSMax st /srv=100", "'/s rv' 1" },
        { "InaccessiblePaths", "-/a \"/b c\" '/d'", "InaccessiblePaths as -/a /b c /d", "+/a" },
        { "KillSignal", "SIGINT", "KillSignal i 2", "SIGNOTHING" },
        { "LimitAS", "1G", "LimitAS t 1073741824; LimitASSoft t 1073741824", "1X" },
        { "LimitCORE", "0:infinity", "LimitCORE t max; LimitCORESoft t 0", "2:1" },
        { "LimitCPU", "1min:90500ms", "LimitCPU t 91; LimitCPUSoft t 60", "1:" },
        { "LimitDATA", "1M", "LimitDATA t 1048576; LimitDATASoft t 1048576", "-1" },
        { "LimitFSIZE", "1K:4K", "LimitFSIZE t 4096; LimitFSIZESoft t 1024", "1:2:3" },
        { "LimitLOCKS", "1", "LimitLOCKS t 1; LimitLOCKSSoft t 1", "x" },
        { "LimitMEMLOCK", "64K", "LimitMEMLOCK t 65536; LimitMEMLOCKSoft t 65536", "x" },
        { "LimitMSGQUEUE", "1", "LimitMSGQUEUE t 1; LimitMSGQUEUESoft t 1", "x" },
        { "LimitNICE", "+19:-5", "LimitNICE t 25; LimitNICESoft t 1", "+20" },
        { "LimitNOFILE", "1024:4096", "LimitNOFILE t 4096; LimitNOFILESoft t 1024", "1K" },
        { "LimitNPROC", "infinity", "LimitNPROC t max; LimitNPROCSoft t max", "many" },
        { "LimitRSS", "1M", "LimitRSS t 1048576; LimitRSSSoft t 1048576", ":" },
        { "LimitRTPRIO", "5", "LimitRTPRIO t 5; LimitRTPRIOSoft t 5", "x" },
        { "LimitRTTIME", "5ms", "LimitRTTIME t 5000; LimitRTTIMESoft t 5000", "x" },
        { "LimitSIGPENDING", "5", "LimitSIGPENDING t 5; LimitSIGPENDINGSoft t 5", "x" },
        { "LimitSTACK", "8M", "LimitSTACK t 8388608; LimitSTACKSoft t 8388608", "8 M" },
        { "LockPersonality", "yes", "LockPersonality b yes", "maybe" },
        { "MemoryDenyWriteExecute", "on", "MemoryDenyWriteExecute b yes", "2" },
        { "MemoryHigh", "1.5G", "MemoryHigh t 1610612736", "0" },
        { "MemoryLow", "0", "MemoryLow t 0", "none" },
        { "MemoryMax", "10%", "MemoryMaxScale u 429496730", "101%" },
        { "MemoryMin", "1K", "MemoryMin t 1024", "1K " },
        { "MemorySwapMax", "0", "MemorySwapMax t 0", "-5" },
        { "NetworkNamespacePath", "/run/netns/a", "NetworkNamespacePath s /run/netns/a", "a" },
        { "Nice", "-5", "Nice i -5", "20" },
        { "NoExecPaths", "/", "NoExecPaths as /", "/a/../b" },
        { "NoNewPrivileges", "true", "NoNewPrivileges b yes", "" },
        { "OOMScoreAdjust", "-1000", "OOMScoreAdjust i -1000", "1001" },
        { "PrivateDevices", "yes", "PrivateDevices b yes", "x" },
        { "PrivateIPC", "yes", "PrivateIPC b yes", "x" },
        { "PrivateMounts", "yes", "PrivateMounts b yes", "x" },
        { "PrivateNetwork", "yes", "PrivateNetwork b yes", "x" },
        { "PrivateTmp", "no", "PrivateTmp b no", "disconnected" },
        { "PrivateUsers", "yes", "PrivateUsers b yes", "x" },
        { "ProcSubset", "pid", "ProcSubset s pid", "none" },
        { "ProtectClock", "yes", "ProtectClock b yes", "x" },
        { "ProtectControlGroups", "yes", "ProtectControlGroups b yes", "strict" },
        { "ProtectHome", "true", "ProtectHome s yes", "full" },
        { "ProtectHostname", "yes", "ProtectHostname b yes", "x" },
        { "ProtectKernelLogs", "yes", "ProtectKernelLogs b yes", "x" },
        { "ProtectKernelModules", "yes", "ProtectKernelModules b yes", "x" },
        { "ProtectKernelTunables", "yes", "ProtectKernelTunables b yes", "x" },
        { "ProtectProc", "invisible", "ProtectProc s invisible", "yes" },
        { "ProtectSystem", "strict", "ProtectSystem s strict", "tmpfs" },
        { "ReadOnlyPaths", "/a- /b/.c", "ReadOnlyPaths as /a- /b/.c", "/a/./b" },
        { "ReadWritePaths", "-/", "ReadWritePaths as -/", "/run/user/%U" },
        { "RestrictAddressFamilies", "~AF_INET AF_UNIX", "RestrictAddressFamilies bas ~ AF_INET AF_UNIX", "INET" },
        { "RestrictNamespaces", "~user net", "RestrictNamespaces t 771883008", "users" },
        { "RestrictRealtime", "yes", "RestrictRealtime b yes", "x" },
        { "RestrictSUIDSGID", "yes", "RestrictSUIDSGID b yes", "x" },
        { "RootDirectory", "/srv/", "RootDirectory s /srv", "-/srv" },
        { "SupplementaryGroups", "a b", "SupplementaryGroups as a b", "a:b" },
        { "SystemCallArchitectures", "native x86", "SystemCallArchitectures as native x86", "NATIVE" },
        { "SystemCallFilter", "@clock ptrace:EPERM", "SystemCallFilter bas + @clock ptrace:EPERM", "~" },
        { "TasksMax", "5%", "TasksMaxScale u 214748365", "1K" },
        { "UMask", "0077", "UMask u 63", "0088" },
        { "User", "alice", "User s alice", "a/b" },
        { "WatchdogSec", "5", "WatchdogUSec t 5000000", "soon" },
};

static void test_samples(void **state) {
        const UnitProperty *table;
        size_t n, k = 0;

        table = unit_property_table(&n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_(unit_property_list_done) UnitPropertyList l = {};
                const UnitProperty *p = table + i;
                _cleanup_free_ char *error = NULL;
                int r;

                if (i > 0)
                        assert_true(strcmp(p[-1].name, p->name) < 0);
                assert_false(isempty(p->hint));
                if (p->class == PROPERTY_OURS)
                        continue;
                assert_true(k < ELEMENTSOF(samples));
                assert_string_equal(samples[k].name, p->name);
                assert_ptr_equal(unit_property_find(p->name), p);
                assert_int_equal(unit_property_parse(p, samples[k].good, &l, &error), 0);
                assert_list(&l, samples[k].text);
                if (*samples[k].bad) {
                        r = unit_property_parse(p, samples[k].bad, &l, &error);
                        if (r != -EINVAL && r != -ERANGE)
                                fail_msg("%s=%s gave %d", p->name, samples[k].bad, r);
                        assert_non_null(strstr(error, p->name));
                        assert_non_null(strstr(error, p->hint));
                        assert_list(&l, samples[k].text);
                }
                assert_int_equal(unit_property_parse(p, "", &l, NULL), 0);
                assert_int_equal(l.n_values, 0);
                k++;
        }
        assert_int_equal(k, ELEMENTSOF(samples));
}

static void test_several(void **state) {
        static const char *const cases[][2] = {
                { "MemoryMax=1K;MemoryMax=2K", "MemoryMax t 2048" },
                { "MemoryMax=1K;MemoryMax=10%", "MemoryMaxScale u 429496730" },
                { "MemoryMax=10%;MemoryMax=infinity", "MemoryMax t max" },
                { "MemoryMax=10%;MemoryHigh=1K;MemoryMax=", "MemoryHigh t 1024" },
                { "LimitNOFILE=1:2;LimitNOFILE=5", "LimitNOFILE t 5; LimitNOFILESoft t 5" },
                { "AllowedCPUs=0;AllowedCPUs=9;AllowedCPUs=2", "AllowedCPUs ay 05 02" },
                { "ReadOnlyPaths=/a;ReadOnlyPaths=/b /c", "ReadOnlyPaths as /a /b /c" },
                { "ReadOnlyPaths=/a;ReadOnlyPaths=;ReadOnlyPaths=/b", "ReadOnlyPaths as /b" },
                { "IOReadIOPSMax=/a 1;IOReadIOPSMax=/b 2;IOReadIOPSMax=/a/ 3", "IOReadIOPSMax st /a=3 /b=2" },
                { "BindPaths=/a;BindPaths=/b:/c:norbind", "BindPaths ssbt /a /a=16384 /b /c=0" },
                { "DeviceAllow=/dev/null;DeviceAllow=char-pts rw", "DeviceAllow ss /dev/null  char-pts rw" },
                { "SystemCallFilter=a;SystemCallFilter=b;SystemCallFilter=~c d;SystemCallFilter=e",
                  "SystemCallFilter bas + a b; SystemCallFilter bas ~ c d; SystemCallFilter bas + e" },
                { "RestrictNamespaces=~net;RestrictNamespaces=~user", "RestrictNamespaces t 771883008" },
                { "RestrictNamespaces=net;RestrictNamespaces=user", "RestrictNamespaces t 1342177280" },
                { "RestrictNamespaces=yes", "RestrictNamespaces t 0" },
                { "RestrictNamespaces=no", "RestrictNamespaces t 2114060288" },
                { "CapabilityBoundingSet=CAP_CHOWN;CapabilityBoundingSet=CAP_KILL", "CapabilityBoundingSet t 33" },
        };

        FOREACH_ELEMENT(c, cases) {
                _cleanup_(unit_property_list_done) UnitPropertyList l = {};

                parse_all((*c)[0], &l);
                assert_list(&l, (*c)[1]);
        }
}

static void test_refused(void **state) {
        static const struct {
                const char *assignment;
                bool privileged;
                UnitPropertyFlags kind;
                int error;
                const char *said;
        } cases[] = {
                { "User=root", false, UNIT_PROPERTY_SERVICE, -EACCES, "User=" },
                { "MemoryMin=1G", false, UNIT_PROPERTY_SERVICE, -EACCES, "MemoryMin=" },
                { "ExecStart=/bin/sh", true, UNIT_PROPERTY_SERVICE, -EPERM, "ExecStart= cannot be set: use the job's argv" },
                { "StandardOutput=file:/etc/passwd", true, UNIT_PROPERTY_SERVICE, -EPERM, "StandardOutput=" },
                { "StateDirectory=x", true, UNIT_PROPERTY_SERVICE, -EPERM, "StateDirectory=" },
                { "TimeoutStopSec=1", true, UNIT_PROPERTY_SERVICE, -EPERM, "stop_timeout_usec" },
                { "WorkingDirectory=/", true, UNIT_PROPERTY_SERVICE, -EPERM, "cwd" },
                { "LoadCredentialEncrypted=a:/b", true, UNIT_PROPERTY_SERVICE, -EPERM, "LoadCredentialEncrypted=" },
                { "Nonsense=1", true, UNIT_PROPERTY_SERVICE, -EPERM, "Nonsense=" },
                { "memorymax=1", true, UNIT_PROPERTY_SERVICE, -EPERM, "memorymax=" },
                { "MemoryMaxScale=1", true, UNIT_PROPERTY_SERVICE, -EPERM, "MemoryMaxScale=" },
                { "Nice=1", true, UNIT_PROPERTY_SLICE, -EPERM, "slice" },
                { "MemoryMax", true, UNIT_PROPERTY_SERVICE, -EINVAL, "NAME=VALUE" },
                { "=1", true, UNIT_PROPERTY_SERVICE, -EINVAL, "NAME=VALUE" },
                { "Exec*=1", true, UNIT_PROPERTY_SERVICE, -EINVAL, "NAME=VALUE" },
                { "\nUser=root", true, UNIT_PROPERTY_SERVICE, -EINVAL, "NAME=VALUE" },
                { "ReadOnlyPaths=/a\nUser=root", false, UNIT_PROPERTY_SERVICE, -EINVAL, "control characters" },
                { "ReadOnlyPaths=/a\\", false, UNIT_PROPERTY_SERVICE, -EINVAL, "ReadOnlyPaths=" },
                { "ReadOnlyPaths=/\xff", false, UNIT_PROPERTY_SERVICE, -EINVAL, "UTF-8" },
                { "SystemCallFilter=a\x1b", false, UNIT_PROPERTY_SERVICE, -EINVAL, "control characters" },
                { "ReadOnlyPaths=\"/a", false, UNIT_PROPERTY_SERVICE, -EINVAL, "ReadOnlyPaths=" },
                { "ReadOnlyPaths=  ", false, UNIT_PROPERTY_SERVICE, -EINVAL, "ReadOnlyPaths=" },
                { "BindPaths=/a /b:c", true, UNIT_PROPERTY_SERVICE, -EINVAL, "BindPaths=" },
        };

        FOREACH_ELEMENT(c, cases) {
                _cleanup_(unit_property_list_done) UnitPropertyList l = {};
                _cleanup_free_ char *error = NULL;

                assert_int_equal(unit_property_parse_assignment(c->assignment, c->privileged, c->kind, &l, NULL), c->error);
                assert_int_equal(unit_property_parse_assignment(c->assignment, c->privileged, c->kind, &l, &error), c->error);
                if (!strstr(error, c->said))
                        fail_msg("'%s' is not in: %s", c->said, error);
                assert_int_equal(l.n_values, 0);
        }
}

/* Everything that jobmill sets itself, with the families that one row stands for. */
static void test_ours(void **state) {
        static const char *const names[] = {
                "After", "AssertPathExists", "CacheDirectory", "CollectMode", "ConditionPathExists",
                "ConfigurationDirectoryMode", "Delegate", "Environment", "EnvironmentFile", "ExecCondition", "ExecReload",
                "ExecStartPre", "ExecStop", "ExecStopPost", "FailureAction", "FinalKillSignal", "KeyringMode", "KillMode",
                "LoadCredential", "LogExtraFields", "LogLevelMax", "LogNamespace", "LogRateLimitBurst", "LogsDirectory",
                "NotifyAccess", "OOMPolicy", "PAMName", "RemainAfterExit", "Requires", "Restart", "RestartSec",
                "RuntimeDirectory", "RuntimeMaxSec", "SendSIGKILL", "SetCredential", "SetCredentialEncrypted", "Slice",
                "StandardErrorFileDescriptor", "StandardInput", "StandardInputData", "StandardOutputFile",
                "StartLimitBurst", "StartLimitIntervalSec", "StateDirectory", "SuccessAction", "SyslogIdentifier",
                "TTYPath", "TimeoutAbortSec", "TimeoutSec", "TimeoutStartSec", "Type", "UtmpIdentifier", "UtmpMode",
                "Wants", "WorkingDirectory",
        };

        FOREACH_ELEMENT(n, names) {
                const UnitProperty *p = unit_property_find(*n);

                if (!p || p->class != PROPERTY_OURS)
                        fail_msg("%s is not ours", *n);
                assert_int_equal(unit_property_parse(p, "1", &(UnitPropertyList) {}, NULL), -EPERM);
        }
        assert_null(unit_property_find("Exec*"));
        assert_null(unit_property_find(""));
        assert_string_equal(property_class_to_string(PROPERTY_OURS), "ours");
        assert_null(property_class_to_string(_PROPERTY_CLASS_INVALID));
}

/* An unprivileged job's list over the files': NULL is -EACCES. */
static const struct {
        const char *base, *job, *merged;
} merges[] = {
        { "", "", "" },
        { "MemoryMax=1K", "", "MemoryMax t 1024" },
        { "", "MemoryMax=1K", "MemoryMax t 1024" },
        { "MemoryMax=1K", "MemoryMax=2K", "MemoryMax t 1024" },
        { "MemoryMax=2K", "MemoryMax=1K", "MemoryMax t 1024" },
        { "MemoryMax=1K", "MemoryMax=infinity", "MemoryMax t 1024" },
        { "MemoryMax=10%", "MemoryMax=20%", "MemoryMaxScale u 429496730" },
        { "MemoryMax=10%", "MemoryMax=1K", NULL },
        { "MemoryMax=1K", "MemoryMax=1%", NULL },
        { "MemoryMax=infinity", "MemoryMax=10%", "MemoryMaxScale u 429496730" },
        { "MemoryMax=10%", "MemoryMax=infinity", "MemoryMaxScale u 429496730" },
        { "CPUQuota=50%", "CPUQuota=200%", "CPUQuotaPerSecUSec t 500000" },
        { "LimitNOFILE=100:200", "LimitNOFILE=150:180", "LimitNOFILE t 180; LimitNOFILESoft t 100" },
        /* against the defaults */
        { "", "Nice=5", "Nice i 5" },
        { "", "Nice=-1", NULL },
        { "Nice=-10", "Nice=-5", "Nice i -5" },
        { "Nice=10", "Nice=5", "Nice i 10" },
        { "", "OOMScoreAdjust=-1", NULL },
        { "", "CPUWeight=100", "CPUWeight t 100" },
        { "", "CPUWeight=idle", "CPUWeight t 0" },
        { "", "CPUWeight=101", NULL },
        { "CPUWeight=1000", "CPUWeight=500", "CPUWeight t 500" },
        { "", "IOWeight=200", NULL },
        { "", "LimitNOFILE=524288", "LimitNOFILE t 524288; LimitNOFILESoft t 524288" },
        { "", "LimitNOFILE=1024:infinity", NULL },
        { "", "TasksMax=100", "TasksMax t 100" },
        { "", "TasksMax=infinity", NULL },
        { "", "TasksMax=5%", NULL },
        { "TasksMax=infinity", "TasksMax=5%", "TasksMaxScale u 214748365" },
        /* by kind */
        { "PrivateTmp=yes", "PrivateTmp=no", "PrivateTmp b yes" },
        { "PrivateTmp=no", "PrivateTmp=yes", "PrivateTmp b yes" },
        { "ProtectHome=read-only", "ProtectHome=no", "ProtectHome s read-only" },
        { "ProtectHome=read-only", "ProtectHome=tmpfs", "ProtectHome s tmpfs" },
        { "CPUSchedulingPolicy=batch", "CPUSchedulingPolicy=other", "CPUSchedulingPolicy i 3" },
        { "InaccessiblePaths=/a /b", "InaccessiblePaths=/b /c", "InaccessiblePaths as /a /b /c" },
        { "AllowedCPUs=0-3", "AllowedCPUs=2-9", "AllowedCPUs ay 0c" },
        { "AllowedCPUs=0-3", "AllowedCPUs=4", NULL },
        { "RestrictNamespaces=net user", "RestrictNamespaces=no", "RestrictNamespaces t 1342177280" },
        { "RestrictNamespaces=net", "RestrictNamespaces=user", "RestrictNamespaces t 0" },
        { "SystemCallArchitectures=native x86", "SystemCallArchitectures=x86 arm", "SystemCallArchitectures as x86" },
        { "SystemCallArchitectures=native", "SystemCallArchitectures=x86", NULL },
        { "SystemCallFilter=@system-service", "SystemCallFilter=~@clock",
          "SystemCallFilter bas + @system-service; SystemCallFilter bas ~ @clock" },
        { "SystemCallFilter=@system-service", "SystemCallFilter=ptrace", NULL },
        { "SystemCallFilter=~ptrace", "SystemCallFilter=ptrace", NULL },
        { "SystemCallFilter=@system-service", "SystemCallFilter=~ptrace;SystemCallFilter=ptrace", NULL },
        { "", "SystemCallFilter=@system-service", "SystemCallFilter bas + @system-service" },
        { "IOReadIOPSMax=/a 5;IOReadIOPSMax=/b 5", "IOReadIOPSMax=/b 3", "IOReadIOPSMax st /b=3 /a=5" },
        { "IOReadIOPSMax=/a 5", "IOReadIOPSMax=/a 9", "IOReadIOPSMax st /a=5" },
        { "IOReadIOPSMax=/a 5", "IOReadIOPSMax=/other 9", NULL },
        { "", "IOReadIOPSMax=/ 5;IOReadIOPSMax=/dev/sda 5;IOReadIOPSMax=/dev/disk/by-label/a 5",
          "IOReadIOPSMax st /=5 /dev/sda=5 /dev/disk/by-label/a=5" },
        { "", "IOReadIOPSMax=/net/host 5", NULL },
        { "", "IOReadIOPSMax=/dev/sda 5;IOReadIOPSMax=/dev/shm/link 5", NULL },
        { "KillSignal=TERM", "KillSignal=INT", "KillSignal i 2" },
        { "", "ProtectSystem=strict;ReadWritePaths=/a", "ProtectSystem s strict; ReadWritePaths as /a" },
        { "ProtectSystem=strict", "ReadWritePaths=/", NULL },
        { "ReadWritePaths=/a", "ReadWritePaths=/a", NULL },
        { "MemoryMax=1K", "ReadWritePaths=/a", "MemoryMax t 1024; ReadWritePaths as /a" },
        { "User=alice;BindPaths=/a;CPUWeight=500", "MemoryMax=1K",
          "BindPaths ssbt /a /a=16384; CPUWeight t 500; MemoryMax t 1024; User s alice" },
        { "User=alice", "User=root", NULL },
        { "", "User=root", NULL },
};

static void test_merge(void **state) {
        FOREACH_ELEMENT(m, merges) {
                _cleanup_(unit_property_list_done) UnitPropertyList base = {}, job = {}, merged = {}, over = {};
                _cleanup_free_ char *error = NULL;
                int r;

                parse_all(m->base, &base);
                parse_all(m->job, &job);
                r = unit_property_merge(&base, &job, false, NULL, &merged, &error);
                if (r != (m->merged ? 0 : -EACCES))
                        fail_msg("'%s' over '%s' gave %d: %s", m->job, m->base, r, error);
                if (m->merged) {
                        assert_null(error);
                        assert_list(&merged, m->merged);
                } else {
                        assert_int_equal(unit_property_merge(&base, &job, false, NULL, &merged, NULL), -EACCES);
                        assert_non_null(strstr(error, "= of the job "));
                        assert_int_equal(merged.n_values, 0);
                }

                /* With privilege nothing is refused, and what the job sets stands as it is. */
                assert_int_equal(unit_property_merge(&base, &job, true, NULL, &over, NULL), 0);
                for (size_t i = 0; i < job.n_values; i++)
                        assert_non_null(unit_property_list_find(&over, job.values[i].name));
        }
}

static void test_override(void **state) {
        _cleanup_(unit_property_list_done) UnitPropertyList base = {}, job = {}, merged = {};
        char *overridable[] = { (char *) "MemoryMax", (char *) "ReadWritePaths", NULL };
        _cleanup_free_ char *error = NULL;

        parse_all("MemoryMax=1K;CPUQuota=50%;ProtectSystem=strict", &base);
        parse_all("MemoryMax=50%;CPUQuota=100%;ReadWritePaths=/a", &job);
        assert_int_equal(unit_property_merge(&base, &job, false, overridable, &merged, &error), 0);
        assert_list(&merged, "CPUQuotaPerSecUSec t 500000; MemoryMaxScale u 2147483648; ProtectSystem s strict; "
                             "ReadWritePaths as /a");
        unit_property_list_done(&merged);
        assert_int_equal(unit_property_merge(&base, &job, true, NULL, &merged, &error), 0);
        assert_list(&merged, "CPUQuotaPerSecUSec t 1000000; MemoryMaxScale u 2147483648; ProtectSystem s strict; "
                             "ReadWritePaths as /a");
}

static void test_no_new_privileges(void **state) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};

        assert_false(unit_property_list_needs_no_new_privileges(&l));
        parse_all("MemoryMax=10%;LimitCORE=0;Nice=5;IOReadIOPSMax=/ 5;TasksMax=10;CPUWeight=5", &l);
        assert_false(unit_property_list_needs_no_new_privileges(&l));
        parse_all("PrivateTmp=no", &l);
        assert_true(unit_property_list_needs_no_new_privileges(&l));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_samples),  cmocka_unit_test(test_several),
                cmocka_unit_test(test_refused),  cmocka_unit_test(test_ours),
                cmocka_unit_test(test_merge),    cmocka_unit_test(test_override),
                cmocka_unit_test(test_no_new_privileges),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
