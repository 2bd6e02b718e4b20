/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way to the daemon: which bus, calls, and what to tell people when one fails. The tool asks
 * synchronously, except where it waits for jobs (verb-wait.c). A call starts the daemon where the bus can do
 * that. Nobody is asked for a password until the daemon says that one would help: then the same call is made
 * once more, with an agent on the terminal. */

#include "api/protocol.h"
#include "base/bus-util.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include "ctl/polkit-agent.h"
#include <stdarg.h>
#include <strings.h>

/* polkit may ask a person for a password meanwhile. */
#define CALL_TIMEOUT_USEC (180 * USEC_PER_SEC)
/* Then somebody who looks at a terminal is told what he waits for. */
#define PATIENCE_USEC (3 * USEC_PER_SEC)

int bus_open_quietly(sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (arg_host)
                r = sd_bus_open_system_remote(&bus, arg_host);
        else if (arg_machine)
                r = arg_user ? sd_bus_open_user_machine(&bus, arg_machine)
                             : sd_bus_open_system_machine(&bus, arg_machine);
        else
                r = arg_user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_USEC);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bus);
        return 0;
}

char *tool_command(void) {
        char *s;

        return asprintf(&s, "jobmill%s%s%s%s%s", arg_user ? " --user" : "", arg_host ? " -H " : "", strempty(arg_host),
                        arg_machine ? " -M " : "", strempty(arg_machine)) < 0
                               ? NULL
                               : s;
}

int bus_open(sd_bus **ret) {
        int r;

        if (arg_user && arg_host)
                return ctl_error(-EINVAL, "--user and --host cannot be combined");
        if (bus_is_elsewhere() && user_names_were_used)
                return ctl_error(-EINVAL, "Users of another machine are given by number, not by name");
        r = bus_open_quietly(ret);
        if (r == -ENOMEDIUM && arg_user)
                return ctl_error(r, "There is no session bus (neither DBUS_SESSION_BUS_ADDRESS nor "
                                    "XDG_RUNTIME_DIR is set)");
        if (r < 0)
                return ctl_error(r, "Cannot connect to the %s bus%s%s: %m", arg_user ? "session" : "system",
                                 bus_is_elsewhere() ? " of " : "", arg_host ?: strempty(arg_machine));
        return 0;
}

const char *bus_error_text(const sd_bus_error *e, int r) {
        static const char *const away[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
        };

        if (!sd_bus_error_is_set(e))
                return strerror(abs(r));
        FOREACH_ELEMENT(i, away)
                if (sd_bus_error_has_name(e, *i))
                        return arg_user ? "jobmilld does not run (systemctl --user start jobmilld)"
                                        : "jobmilld does not run (systemctl start jobmilld)";
        /* What systemd says when the bus asks it to start us carries the unit's alias in its text. */
        if (startswith(e->name, "org.freedesktop.systemd1.") ||
            strstr(strempty(e->message), "dbus-" JOBMILL_BUS_NAME ".service"))
                return arg_user ? "jobmilld cannot be started (systemctl --user status jobmilld)"
                                : "jobmilld cannot be started (systemctl status jobmilld)";
        if (sd_bus_error_has_name(e, JOBMILL_ERROR_NO_SUCH_JOB))
                return "there is no such job"; /* callers say which */
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_TIMEOUT) ||
            sd_bus_error_has_name(e, "org.freedesktop.DBus.Error.TimedOut") ||
            streq_ptr(e->message, "Method call timed out")) /* sd-bus's own, a NoReply */
                return "jobmilld does not answer";
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) || bus_error_is_disconnect(e))
                return bus_is_elsewhere() ? "the connection ended before an answer came"
                                          : "jobmilld went away before it answered";
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                return "not allowed without authentication";
        return isempty(e->message) ? e->name : e->message;
}

bool bus_error_is_transient(const sd_bus_error *e, int r) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                SD_BUS_ERROR_NO_REPLY,
                SD_BUS_ERROR_TIMEOUT,
                SD_BUS_ERROR_NO_SERVER,
                "org.freedesktop.DBus.Error.TimedOut",
        };

        if (sd_bus_error_is_set(e)) {
                FOREACH_ELEMENT(i, names)
                        if (sd_bus_error_has_name(e, *i))
                                return true;
                return startswith(e->name, "org.freedesktop.DBus.Error.Spawn.") /* of the daemon */ || bus_error_is_disconnect(e);
        }
        r = -abs(r);
        return r == -ENOTCONN || r == -ECONNRESET || r == -ECONNREFUSED || r == -EPIPE || r == -ENOENT ||
               r == -ETIMEDOUT;
}

int bus_new_call(sd_bus *bus, sd_bus_message **ret, const char *member) {
        int r;

        r = sd_bus_message_new_method_call(bus, ret, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                           JOBMILL_INTERFACE_MANAGER, member);
        return r < 0 ? ctl_error(r, "Cannot create a message: %m") : 0;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        *(sd_bus_message **) userdata = sd_bus_message_ref(m);
        return 0;
}

/* As sd_bus_call(), but it does not wait in silence. The answer, which may be an error. */
static int send_and_wait(sd_bus *bus, sd_bus_message *call, usec_t timeout, sd_bus_message **ret) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        usec_t told = usec_add(now_usec(CLOCK_MONOTONIC), PATIENCE_USEC);
        int r;

        *ret = NULL;
        r = sd_bus_call_async(bus, &slot, call, on_reply, ret, timeout);
        while (r >= 0 && !*ret) {
                usec_t now;

                r = sd_bus_process(bus, NULL);
                if (r != 0)
                        continue;
                now = now_usec(CLOCK_MONOTONIC);
                if (now >= told) {
                        if (isatty(STDERR_FILENO) && !polkit_agent_is_open())
                                ctl_warning("jobmilld has not answered yet; waiting");
                        told = USEC_INFINITY;
                }
                r = sd_bus_wait(bus, told == USEC_INFINITY ? UINT64_MAX : told - now);
                if (r == -EINTR)
                        r = 0;
        }
        return *ret ? 0 : r;
}

/* The same call once more, and polkit may ask. */
static int allow_asking(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *again = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &again, sd_bus_message_get_destination(call),
                                           sd_bus_message_get_path(call), sd_bus_message_get_interface(call),
                                           sd_bus_message_get_member(call));
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(again, call, true);
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(again, true);
        if (r < 0)
                return r;
        if (!bus_is_elsewhere())
                polkit_agent_open();
        *ret = TAKE_PTR(again);
        return 0;
}

int bus_send_within(
                sd_bus *bus, sd_bus_message *call, usec_t timeout, sd_bus_message **ret, sd_bus_error *e) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *again = NULL;
        int r;

        r = send_and_wait(bus, call, timeout, &reply);
        if (r >= 0 && arg_ask_password &&
            sd_bus_message_is_method_error(reply, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)) {
                reply = sd_bus_message_unref(reply);
                r = allow_asking(bus, call, &again);
                if (r >= 0)
                        r = send_and_wait(bus, again, timeout, &reply);
        }
        if (r < 0)
                return sd_bus_error_set_errno(e, r);
        if (sd_bus_message_is_method_error(reply, NULL)) {
                (void) sd_bus_error_copy(e, sd_bus_message_get_error(reply));
                return -sd_bus_message_get_errno(reply);
        }
        if (ret)
                *ret = TAKE_PTR(reply);
        return 0;
}

int bus_send(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret, sd_bus_error *e) {
        return bus_send_within(bus, call, CALL_TIMEOUT_USEC, ret, e);
}

static int tell(const sd_bus_error *e, int r, const char *context) {
        const char *text = bus_error_text(e, r);

        size_t n = strlen(strempty(context));

        /* "Job 7 is done": it says itself what it is about. */
        if (n == 0 || (strncasecmp(text, context, n) == 0 && text[n] == ' '))
                return ctl_error(r, "%s", text);
        return ctl_error(r, "%s: %s", context, text);
}

int bus_error_tell(const sd_bus_error *e, int r, const char *what, ...) {
        _cleanup_free_ char *context = NULL;
        va_list ap;

        va_start(ap, what);
        context = vformat(what, ap);
        va_end(ap);
        return tell(e, r, context);
}

static int call_with_context(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret, const char *context) {
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        r = bus_send(bus, call, ret, &e);
        return r >= 0 ? 0 : tell(&e, r, context);
}

int bus_call(sd_bus *bus, sd_bus_message *call, sd_bus_message **ret, const char *what, ...) {
        _cleanup_free_ char *context = NULL;
        va_list ap;

        if (what) {
                va_start(ap, what);
                context = vformat(what, ap);
                va_end(ap);
        }
        return call_with_context(bus, call, ret, context);
}

int bus_call_simple(sd_bus *bus,
                    sd_bus_message **ret,
                    const char *member,
                    const char *what,
                    const char *types,
                    ...) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        va_list ap;
        int r;

        r = bus_new_call(bus, &call, member);
        if (r < 0)
                return r;
        if (!isempty(types)) {
                va_start(ap, types);
                r = sd_bus_message_appendv(call, types, ap);
                va_end(ap);
                if (r < 0)
                        return ctl_error(r, "Cannot create a message: %m");
        }
        return call_with_context(bus, call, ret, what);
}

int bus_call_each(int argc, char **argv, const char *member) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                r = bus_call_simple(bus, NULL, member, argv[i], "s", argv[i]);
                if (r < 0)
                        worst = r;
        }
        return worst;
}

int bus_append_string(sd_bus_message *m, const char *key, const char *value) {
        return sd_bus_message_append(m, "{sv}", key, "s", value);
}

int bus_append_u32(sd_bus_message *m, const char *key, uint32_t value) {
        return sd_bus_message_append(m, "{sv}", key, "u", value);
}

int bus_append_u64(sd_bus_message *m, const char *key, uint64_t value) {
        return sd_bus_message_append(m, "{sv}", key, "t", value);
}

int bus_append_boolean(sd_bus_message *m, const char *key, bool value) {
        return sd_bus_message_append(m, "{sv}", key, "b", (int) value);
}

int bus_append_strv(sd_bus_message *m, const char *key, char *const *value) {
        return bus_append_strv_value(m, 'e', key, value);
}

int bus_append_tags(sd_bus_message *m, const char *key, char *const *assignments) {
        int r;

        r = bus_open_value(m, 'e', key, "a{ss}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        STRV_FOREACH(a, assignments) {
                const char *e = strchr(*a, '=');
                _cleanup_free_ char *k = e ? strndup(*a, e - *a) : NULL;

                if (r >= 0)
                        r = k ? sd_bus_message_append(m, "{ss}", k, e + 1) : -ENOMEM;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* Who we are to the bus: on another machine it may be somebody else. */
static int find_own_uid(sd_bus *bus, uint32_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *name;
        int r;

        *ret = geteuid();
        if (!bus_is_elsewhere())
                return 0;
        r = sd_bus_get_unique_name(bus, &name);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "GetConnectionUnixUser", NULL, &reply, "s", name);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", ret);
        return r < 0 ? ctl_error(r, "@last: cannot find out who you are there: %m") : 0;
}

static int find_last(sd_bus *bus, uint64_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        uint32_t uid;
        int r;

        r = find_own_uid(bus, &uid);
        if (r < 0)
                return r;
        r = bus_call_simple(bus, &reply, "ListJobs", "@last", "a{sv}su", 3, "owner", "u",
                            uid, "order", "s", "newest", "fields", "as", 1, "id", "",
                            (uint32_t) 1);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        if (r >= 0)
                r = job_info_read(reply, &j);
        if (r == 0)
                return ctl_error(-ENOENT, "@last: you have no job");
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's list of jobs: %m");
        *ret = j.id;
        return 0;
}

int job_id_resolve(sd_bus *bus, const char *word, uint64_t *ret) {
        int r;

        if (streq(word, "@last"))
                return find_last(bus, ret);
        r = parse_u64(word, ret);
        if (r < 0 || *ret == 0)
                return ctl_error(-EINVAL, "Not a job id: %s", word);
        return 0;
}

int job_ids_resolve(sd_bus *bus, int argc, char **argv, uint64_t **ret) {
        _cleanup_free_ uint64_t *ids = NULL;
        int r;

        ids = new0(uint64_t, argc);
        if (!ids)
                return ctl_oom();
        for (int i = 0; i < argc; i++) {
                r = job_id_resolve(bus, argv[i], ids + i);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(ids);
        return 0;
}
