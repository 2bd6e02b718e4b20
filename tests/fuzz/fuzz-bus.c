/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages without a bus: one end of a socket pair whose other end never speaks. */

#include "fuzz.h"

#include <sys/socket.h>

sd_bus_message *bus_message_new(void) {
        static sd_bus *bus;
        sd_bus_message *m = NULL;
        int fds[2];

        if (!bus)
                check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) >= 0 && sd_bus_new(&bus) >= 0 &&
                      sd_bus_set_fd(bus, fds[0], fds[0]) >= 0 && sd_bus_start(bus) >= 0);
        check(sd_bus_message_new_method_call(bus, &m, NULL, "/x", NULL, "X") >= 0);
        return m;
}

void bus_message_turn(sd_bus_message *m) {
        check(sd_bus_message_seal(m, 1, 0) >= 0);
        check(sd_bus_message_rewind(m, true) >= 0);
}
