/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Properties of a unit from a message, GetAll's answer or PropertiesChanged: what is there is set, what we do not use is
 * passed over, words become enums. */

#include "unit/unit-read.h"

#include "base/strv.h"

static int read_environment(sd_bus_message *m, UnitState *u) {
        _cleanup_strv_free_ char **l = NULL;
        const char *token;
        int r;

        r = sd_bus_message_read_strv(m, &l);
        if (r < 0)
                return r;
        token = strv_env_get(l, "JOBMILL_ATTEMPT_ID");
        if (token)
                (void) sd_id128_from_string(token, &u->token);
        return free_and_strdup(&u->slots, strv_env_get(l, "JOBMILL_SLOTS"));
}

/* scope.c */
static int read_word(sd_bus_message *m, UnitState *u) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        r = sd_bus_message_read_strv(m, &l);
        if (r < 0)
                return r;
        STRV_FOREACH(i, l) {
                const char *word = startswith(*i, SCOPE_WORD);
                char token[33];

                if (!word || strlen(word) < 34 || word[32] != '/')
                        continue;
                memcpy(token, word, 32);
                token[32] = 0;
                if (sd_id128_from_string(token, &u->token) >= 0)
                        return free_and_strdup(&u->slots, word + 33);
        }
        return 0;
}

static int read_drop_ins(sd_bus_message *m, UnitState *u) {
        u->drop_ins = strv_free(u->drop_ins);
        return sd_bus_message_read_strv(m, &u->drop_ins);
}

static int read_id128(sd_bus_message *m, sd_id128_t *ret) {
        const void *p;
        size_t n;
        int r;

        r = sd_bus_message_read_array(m, 'y', &p, &n);
        if (r >= 0 && n == sizeof(*ret))
                memcpy(ret, p, sizeof(*ret));
        return r;
}

static Freezer read_freezer(const char *s) {
        if (startswith(s, "frozen")) /* also -by-parent */
                return FREEZER_FROZEN;
        if (startswith(s, "freezing"))
                return FREEZER_FREEZING;
        return streq(s, "thawing") ? FREEZER_THAWING : FREEZER_THAWED;
}

static int read_string_property(const char *name, const char *s, UnitState *u) {
        if (streq(name, "LoadState")) {
                u->loaded = !streq(s, "not-found");
                u->bad_setting = streq(s, "bad-setting") || streq(s, "error");
        } else if (streq(name, "ActiveState"))
                u->active = unit_active_state_from_string(s);
        else if (streq(name, "SubState"))
                u->exited = streq(s, "exited");
        else if (streq(name, "Result"))
                u->result = unit_result_from_string(s);
        else if (streq(name, "Type"))
                u->type_exec = streq(s, "exec");
        else if (streq(name, "Restart"))
                u->restart_no = streq(s, "no");
        else if (streq(name, "KillMode"))
                u->kill_control_group = streq(s, "control-group");
        else if (streq(name, "FreezerState"))
                u->freezer = read_freezer(s);
        else if (streq(name, "Slice"))
                return free_and_strdup(&u->slice, s);
        else if (streq(name, "StatusText"))
                return free_and_strdup(&u->status_text, isempty(s) ? NULL : s);
        return 0;
}

typedef struct NumberProperty {
        const char *name;
        char type;
        size_t offset;
} NumberProperty;

static const NumberProperty number_properties[] = {
        { "ExecMainCode", 'i', offsetof(UnitState, code) },
        { "ExecMainStatus", 'i', offsetof(UnitState, status) },
        { "KillSignal", 'i', offsetof(UnitState, kill_signal) },
        { "ExecMainStartTimestamp", 't', offsetof(UnitState, started_realtime) },
        { "ExecMainStartTimestampMonotonic", 't', offsetof(UnitState, started_monotonic) },
        { "ExecMainExitTimestamp", 't', offsetof(UnitState, ended_realtime) },
        { "ExecMainExitTimestampMonotonic", 't', offsetof(UnitState, ended_monotonic) },
        { "ExecMainHandoffTimestampMonotonic", 't', offsetof(UnitState, handoff_monotonic) },
        { "ActiveEnterTimestamp", 't', offsetof(UnitState, active_realtime) },
        { "ActiveEnterTimestampMonotonic", 't', offsetof(UnitState, active_monotonic) },
        { "ActiveExitTimestampMonotonic", 't', offsetof(UnitState, inactivated_monotonic) },
        { "RuntimeMaxUSec", 't', offsetof(UnitState, runtime_max) },
        { "CPUUsageNSec", 't', offsetof(UnitState, cpu_nsec) },
        { "MemoryPeak", 't', offsetof(UnitState, memory_peak) },
        { "MemoryMax", 't', offsetof(UnitState, memory_max) },
        { "IOReadBytes", 't', offsetof(UnitState, io_read_bytes) },
        { "IOWriteBytes", 't', offsetof(UnitState, io_write_bytes) },
};

/* One property, the variant's content being next in m. 0: not one of ours, nothing was read. */
static int read_property(sd_bus_message *m, const char *name, const char *contents, UnitState *u) {
        const char *s, *path;
        uint32_t id;
        int r, b;

        switch (contents[0]) {
        case 's':
                r = sd_bus_message_read_basic(m, 's', &s);
                if (r < 0)
                        return r;
                r = read_string_property(name, s, u);
                return r < 0 ? r : 1;
        case 'b':
                r = sd_bus_message_read_basic(m, 'b', &b);
                if (r >= 0 && streq(name, "RemainAfterExit"))
                        u->remain_after_exit = b;
                return r;
        case 'u':
                r = sd_bus_message_read_basic(m, 'u', &id);
                if (r >= 0 && streq(name, "StartLimitBurst"))
                        u->start_limit_one = id == 1;
                return r;
        case '(':
                if (!streq(name, "Job"))
                        return 0;
                r = sd_bus_message_read(m, "(uo)", &id, &path);
                if (r >= 0)
                        u->unit_job = id != 0;
                return r;
        case 'a':
                if (streq(name, "InvocationID"))
                        return read_id128(m, &u->invocation_id) < 0 ? -EBADMSG : 1;
                if (streq(name, "Environment"))
                        return read_environment(m, u) < 0 ? -EBADMSG : 1;
                if (streq(name, "Documentation"))
                        return read_word(m, u) < 0 ? -EBADMSG : 1;
                if (streq(name, "DropInPaths"))
                        return read_drop_ins(m, u) < 0 ? -EBADMSG : 1;
                return 0;
        case 'i':
        case 't':
                FOREACH_ELEMENT(p, number_properties)
                        if (p->type == contents[0] && streq(p->name, name)) {
                                r = sd_bus_message_read_basic(m, p->type, (uint8_t *) u + p->offset);
                                return r < 0 ? r : 1;
                        }
                return 0;
        default:
                return 0;
        }
}

/* 0: there are no more. */
static int read_entry(sd_bus_message *m, UnitState *u) {
        const char *name, *contents;
        int r;

        r = sd_bus_message_enter_container(m, 'e', "sv");
        if (r <= 0)
                return r;
        r = sd_bus_message_read_basic(m, 's', &name);
        if (r >= 0)
                r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = read_property(m, name, contents, u);
        if (r == 0)
                r = sd_bus_message_skip(m, contents);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

int unit_state_read(sd_bus_message *m, UnitState *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        do
                r = read_entry(m, ret);
        while (r > 0);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int unit_state_read_service(sd_bus_message *m, UnitState *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = read_entry(m, ret)) > 0)
                if (!sd_id128_is_null(ret->token))
                        return 0;
        return r;
}

int unit_state_read_signal(sd_bus_message *m, bool active_only, UnitState *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        ret->active = _UNIT_ACTIVE_STATE_INVALID;
        while ((r = read_entry(m, ret)) > 0)
                if (ret->active >= 0 &&
                    (active_only || ret->active == UNIT_ACTIVATING || ret->active == UNIT_DEACTIVATING ||
                     (ret->active == UNIT_INACTIVE && ret->unit_job)))
                        return 0;
        return r < 0 ? r : ret->active < 0 ? -EBADMSG : 0;
}
