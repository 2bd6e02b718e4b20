/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bare-client JOBS WINDOW: the yardstick for jobmill's own dispatch. It runs JOBS units of /bin/true, at most WINDOW at a time,
 * through the same protocol with PID 1 and with the same properties as jobmilld's units (src/unit/job-unit.c), and does
 * nothing else: no queue, no record, no other user.
 *
 *   Subscribe; StartTransientUnit; when PropertiesChanged says that it ended, GetAll; StopUnit; at UnitRemoved the next one
 *
 * Prints the seconds that passed and the CPU seconds of this process. */

#include "base/macro.h"

#include <sys/resource.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD_NAME ".Manager"
#define UNIT_PREFIX SYSTEMD_PATH "/unit"
#define CALL_TIMEOUT UINT64_C(120000000)

typedef struct Unit {
        struct Bench *bench;
        char name[48];
        bool looked; /* GetAll was asked for */
} Unit;

typedef struct Bench {
        sd_bus *bus;
        uint64_t n, started, gone;
        Unit *units; /* by number */
        bool failed;
} Bench;

/* What is read of a unit, from a signal or GetAll. */
typedef struct State {
        char active[16], sub[16];
        bool unit_job, invocation_known;
        int32_t code, status;
        uint64_t cpu_nsec;
} State;

static int fail(Bench *b, const char *what, int r, const char *text) {
        fprintf(stderr, "bare-client: %s: %s\n", what, text ?: strerror(-r));
        b->failed = true;
        return r;
}

/* ---- reading ---- */

/* Copies a value that is wanted; 0: passed over. */
static int read_value(sd_bus_message *m, const char *name, const char *contents, State *s) {
        uint32_t id;
        const char *p;
        size_t n;
        int r;

        if (streq(contents, "s") && (streq(name, "ActiveState") || streq(name, "SubState"))) {
                r = sd_bus_message_read_basic(m, 's', &p);
                if (r >= 0)
                        snprintf(name[0] == 'A' ? s->active : s->sub, sizeof(s->active), "%s", p);
                return r;
        }
        if (streq(contents, "(uo)") && streq(name, "Job")) {
                r = sd_bus_message_read(m, "(uo)", &id, &p);
                s->unit_job = r >= 0 && id != 0;
                return r;
        }
        if (streq(contents, "ay") && streq(name, "InvocationID")) {
                r = sd_bus_message_read_array(m, 'y', (const void **) &p, &n);
                s->invocation_known = r >= 0 && n == 16;
                return r < 0 ? r : 1;
        }
        if (streq(contents, "i") && streq(name, "ExecMainCode"))
                return sd_bus_message_read_basic(m, 'i', &s->code);
        if (streq(contents, "i") && streq(name, "ExecMainStatus"))
                return sd_bus_message_read_basic(m, 'i', &s->status);
        if (streq(contents, "t") && streq(name, "CPUUsageNSec"))
                return sd_bus_message_read_basic(m, 't', &s->cpu_nsec);
        return 0;
}

static int read_state(sd_bus_message *m, State *s) {
        int r;

        *s = (State) {};
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name, *contents;

                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'v', contents);
                if (r < 0)
                        return r;
                r = read_value(m, name, contents, s);
                if (r == 0)
                        r = sd_bus_message_skip(m, contents);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* The number of a unit of ours. */
static bool parse_number(const Bench *b, const char *unit, uint64_t *ret) {
        const char *p = startswith(unit, "jobmill-bare-");
        char *end;

        if (!p)
                return false;
        *ret = strtoull(p, &end, 10);
        return streq(end, ".service") && *ret < b->n;
}

/* ---- the protocol ---- */

static int start_next(Bench *b);

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        return e ? fail(userdata, "StopUnit", -EIO, e->message) : 0;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Unit *u = userdata;
        Bench *b = u->bench;
        State s;
        int r;

        if (e)
                return fail(b, "GetAll", -EIO, e->message);
        r = read_state(m, &s);
        if (r < 0)
                return fail(b, "GetAll", r, NULL);
        if (s.code != 1 || s.status != 0 || s.cpu_nsec == UINT64_MAX)
                return fail(b, "GetAll", -EIO, "not the outcome of /bin/true");
        r = sd_bus_call_method_async(b->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", on_stopped, b,
                                     "ss", u->name, "replace");
        return r < 0 ? fail(b, "StopUnit", r, NULL) : 0;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *interface, *path = sd_bus_message_get_path(m);
        _cleanup_free_ char *unit = NULL;
        Bench *b = userdata;
        uint64_t i;
        State s;
        int r;

        if (!startswith(path, UNIT_PREFIX "/jobmill_2dbare_2d"))
                return 0;
        r = sd_bus_path_decode(path, UNIT_PREFIX, &unit);
        if (r <= 0 || !parse_number(b, unit, &i) || b->units[i].looked)
                return 0;
        r = sd_bus_message_read_basic(m, 's', &interface);
        if (r >= 0)
                r = read_state(m, &s);
        if (r < 0)
                return fail(b, "PropertiesChanged", r, NULL);
        if (s.unit_job || !s.invocation_known)
                return 0;
        if (streq(s.active, "failed"))
                return fail(b, unit, -EIO, "failed");
        if (!streq(s.active, "active") || !streq(s.sub, "exited"))
                return 0;
        b->units[i].looked = true;
        r = sd_bus_call_method_async(b->bus, NULL, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "GetAll",
                                     on_properties, b->units + i, "s", "");
        return r < 0 ? fail(b, "GetAll", r, NULL) : 0;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Bench *b = userdata;
        const char *unit;
        uint64_t i;

        if (sd_bus_message_read(m, "s", &unit) < 0 || !parse_number(b, unit, &i) || !b->units[i].looked)
                return 0;
        b->gone++;
        return start_next(b);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        return e ? fail(userdata, "StartTransientUnit", -EIO, e->message) : 0;
}

/* ---- the unit, as src/unit/job-unit.c makes it ---- */

static int append_journal_fields(sd_bus_message *m, uint64_t i) {
        char job[48];
        int r;

        snprintf(job, sizeof(job), "JOBMILL_JOB_ID=%" PRIu64, i);
        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "LogExtraFields");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "aay");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', job, strlen(job));
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', "JOBMILL_QUEUE=bench", strlen("JOBMILL_QUEUE=bench"));
        for (unsigned k = 0; r >= 0 && k < 3; k++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_properties(sd_bus_message *m, uint64_t i) {
        char description[64], id[48];
        int r;

        snprintf(description, sizeof(description), "jobmill job %" PRIu64 " (bench)", i);
        snprintf(id, sizeof(id), "JOBMILL_JOB_ID=%" PRIu64, i);
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "Description", "s", description,
                                  "Slice", "s", "jobmill-bench.slice",
                                  "Type", "s", "exec",
                                  "RemainAfterExit", "b", 1,
                                  "Restart", "s", "no",
                                  "KillMode", "s", "control-group",
                                  "OOMPolicy", "s", "kill",
                                  "NotifyAccess", "s", "all",
                                  "IgnoreOnIsolate", "b", 1,
                                  "IgnoreSIGPIPE", "b", 0,
                                  "After", "as", 1, "jobmilld.service");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "StartLimitIntervalUSec", "t", UINT64_MAX,
                                  "StartLimitBurst", "u", UINT32_C(1),
                                  "CPUAccounting", "b", 1,
                                  "MemoryAccounting", "b", 1,
                                  "IOAccounting", "b", 1,
                                  "TasksAccounting", "b", 1,
                                  "TimeoutStopUSec", "t", UINT64_C(90000000),
                                  "User", "s", "root",
                                  "ExecStartEx", "a(sasas)", 1, "/bin/true", 1, "/bin/true", 1, "no-env-expand",
                                  "Environment", "as", 6, id, "JOBMILL_ATTEMPT=1",
                                  "JOBMILL_ATTEMPT_ID=0123456789abcdef0123456789abcdef", "JOBMILL_QUEUE=bench",
                                  "JOBMILL_NAME=bench", "JOBMILL_SLOTS=0",
                                  "StandardInput", "s", "null");
        return r < 0 ? r : append_journal_fields(m, i);
}

static int start_next(Bench *b) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Unit *u = b->units + b->started;
        int r;

        if (b->started >= b->n)
                return 0;
        u->bench = b;
        snprintf(u->name, sizeof(u->name), "jobmill-bare-%" PRIu64 ".service", b->started);
        r = sd_bus_message_new_method_call(b->bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", u->name, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_properties(m, b->started);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call_async(b->bus, NULL, m, on_started, b, CALL_TIMEOUT);
        if (r < 0)
                return fail(b, "StartTransientUnit", r, NULL);
        b->started++;
        return 0;
}

/* ---- the whole ---- */

static double seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int connect_and_match(Bench *b) {
        int r;

        r = sd_bus_open_system(&b->bus);
        if (r >= 0)
                r = sd_bus_add_match(b->bus, NULL,
                                     "type='signal',sender='" SYSTEMD_NAME "',interface='org.freedesktop.DBus.Properties',"
                                     "member='PropertiesChanged',path_namespace='" UNIT_PREFIX "',arg0='" SYSTEMD_NAME ".Unit'",
                                     on_changed, b);
        if (r >= 0)
                r = sd_bus_add_match(b->bus, NULL,
                                     "type='signal',sender='" SYSTEMD_NAME "',interface='" SYSTEMD_MANAGER "',"
                                     "member='UnitRemoved'",
                                     on_removed, b);
        if (r >= 0)
                r = sd_bus_call_method(b->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", NULL, NULL, NULL);
        return r;
}

int main(int argc, char *argv[]) {
        double begin, cpu_begin;
        Bench b = {};
        unsigned window;
        int r;

        if (argc != 3 || (b.n = strtoull(argv[1], NULL, 10)) == 0 || (window = strtoul(argv[2], NULL, 10)) == 0) {
                fprintf(stderr, "usage: bare-client JOBS WINDOW\n");
                return 2;
        }
        b.units = new0(Unit, b.n);
        if (!b.units)
                return 1;
        r = connect_and_match(&b);
        if (r < 0) {
                (void) fail(&b, "cannot subscribe to the manager", r, NULL);
                return 1;
        }

        begin = seconds();
        cpu_begin = cpu_seconds();
        for (unsigned i = 0; i < window; i++)
                (void) start_next(&b);
        while (!b.failed && b.gone < b.n) {
                r = sd_bus_process(b.bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(b.bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        (void) fail(&b, "bus", r, NULL);
        }
        printf("%.6f %.6f\n", seconds() - begin, cpu_seconds() - cpu_begin);
        sd_bus_flush_close_unref(b.bus);
        free(b.units);
        return b.failed;
}
