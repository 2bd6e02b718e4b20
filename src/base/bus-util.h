/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

/* One named value of a{sv} (kind 'e': an entry of a dictionary) or of a(sv) (kind 'r': a struct, as properties of units are),
 * for contents that sd_bus_message_append() cannot take from an array. Between the two the contents are appended; r < 0 is
 * handed through, so that calls can be chained. */
int bus_open_value(sd_bus_message *m, char kind, const char *name, const char *contents);
int bus_close_value(sd_bus_message *m, int r);
int bus_append_strv_value(sd_bus_message *m, char kind, const char *name, char *const *l);

/* Hear only signals that are told to everybody. The bus holds these to the rules of a match, its sender above all. One that is addressed
 * to this connection passes whoever sends it and whatever it says, and sd-bus does not know who owns a name. */
int bus_ignore_addressed_signals(sd_bus *bus);

/* The connection broke before an answer came; libsystemd's own names for that, which newer versions make of the errno. */
bool bus_error_is_disconnect(const sd_bus_error *e);
