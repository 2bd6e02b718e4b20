/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

#include <systemd/sd-bus.h>

typedef struct Api Api;

/* The bus error for an errno of model or store; text: for the user, or NULL. Returns negative. */
int api_error(sd_bus_error *error, const char *name, const char *format, ...) _printf_(3, 4);
int api_error_no_such_job(sd_bus_error *error, uint64_t id);
int api_error_no_such_queue(sd_bus_error *error, const char *name);
const char *api_edit_error(int error); /* of SetQueue() and RemoveQueue() */
const char *api_store_error_name(int error);
int api_error_store(Api *a, sd_bus_error *error, int r);
