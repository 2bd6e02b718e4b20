/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* LogControl1. libsystemd exports the interface's name only; writing is for root, which sd-bus checks (no UNPRIVILEGED). */

#include "api/log-control.h"

#include "base/log.h"

static int property_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                        void *userdata, sd_bus_error *error) {
        const char *s = streq(property, "LogLevel")  ? log_level_to_string(log_get_level()) :
                        streq(property, "LogTarget") ? log_target_to_string(log_get_target()) :
                                                       "jobmilld";

        return sd_bus_message_append(reply, "s", s);
}

static int property_set(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *value,
                        void *userdata, sd_bus_error *error) {
        const char *s;
        int r, v;

        r = sd_bus_message_read(value, "s", &s);
        if (r < 0)
                return r;
        v = streq(property, "LogLevel") ? log_level_from_string(s) : (int) log_target_from_string(s);
        if (v < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s: '%s' is none", property, s);
        if (streq(property, "LogLevel"))
                log_set_level(v);
        else
                log_set_target(v);
        return 0;
}

static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", property_get, property_set, 0, 0),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", property_get, property_set, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", property_get, 0, 0),
        SD_BUS_VTABLE_END,
};

int log_control_add(sd_bus *bus) {
        return sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1",
                                        log_control_vtable, NULL);
}
