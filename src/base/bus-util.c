/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Named values in messages, which nest two containers each and are needed in many places; and whose signals are heard. */

#include "base/bus-util.h"

#include "base/macro.h"

int bus_open_value(sd_bus_message *m, char kind, const char *name, const char *contents) {
        int r;

        r = sd_bus_message_open_container(m, kind, "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', name);
        return r < 0 ? r : sd_bus_message_open_container(m, 'v', contents);
}

int bus_close_value(sd_bus_message *m, int r) {
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_append_strv_value(sd_bus_message *m, char kind, const char *name, char *const *l) {
        int r;

        r = bus_open_value(m, kind, name, "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) l);
        return bus_close_value(m, r);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_message_is_signal(m, NULL, NULL) > 0 && sd_bus_message_get_destination(m);
}

int bus_ignore_addressed_signals(sd_bus *bus) {
        return sd_bus_add_filter(bus, NULL, on_message, NULL);
}

bool bus_error_is_disconnect(const sd_bus_error *e) {
        static const char *const names[] = {
                SD_BUS_ERROR_DISCONNECTED,
                "System.Error.ECONNABORTED",
                "System.Error.ECONNREFUSED",
                "System.Error.ECONNRESET",
                "System.Error.ENOTCONN",
                "System.Error.EPIPE",
                "System.Error.ESHUTDOWN",
        };

        FOREACH_ELEMENT(n, names)
                if (sd_bus_error_has_name(e, *n))
                        return true;
        return false;
}
