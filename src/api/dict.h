/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"

int dict_append_job(sd_bus_message *m, const Api *a, const JobRow *row, bool is_private, char *const *fields);
int dict_append_attempt(sd_bus_message *m, const Attempt *at, bool is_private);
int dict_append(sd_bus_message *m, const char *key, const char *type, ...);
