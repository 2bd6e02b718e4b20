/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between box-bus.c and box-manager.c. */

#include "box.h"

#define GATE_PATH SYSTEMD_UNIT_PREFIX "/gate_2eservice"
#define UNIT_PREFIX SYSTEMD_UNIT_PREFIX "/jobmill_2djob_2d"

struct sd_bus_message {
        FakeCall call;
        const char *member, *path;
        char unit[64];
        const sd_bus_error *error;
        const Unit *source;
        bool subject_is_shutdown;
        bool of_gate;
        unsigned cursor, fields;
};

enum { ON_CHANGED, ON_REMOVED, ON_RELOADING, ON_OWNER };

/* The daemon's, of which box-bus.c was told; NULL: none. */
extern Units *subject;
/* A new one, gone when many others were made. */
sd_bus_message *message(void);
void send_signal_message(int which, sd_bus_message *m);
Unit *find_unit(const char *name, unsigned *ret_id, unsigned *ret_number);
/* Takes it out. */
FakeCall take_call(unsigned i);
void keep_silent_call(const FakeCall *c);
bool gate_waits(const FakeCall *c);
/* error NULL: it was done. Nothing where nobody waits. */
void answer(const FakeCall *c, const char *error);
void signal_removed(unsigned id, unsigned number);
/* Does it, and answers. */
void manager_does(FakeCall *c);
