/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon can say of itself; daemon/ knows all of its parts. Both as an Api's userdata. */

#include "queue/diagnostics.h"

typedef struct Api Api;

typedef void (*diagnose_t)(void *userdata, Diagnostics *ret);
typedef int (*write_metrics_t)(void *userdata, char **ret);

void api_diagnose(const Api *a, Diagnostics *d); /* api/'s own part of it */
