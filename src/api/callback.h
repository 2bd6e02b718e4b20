/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a callback says (queue/callback.h). */

#include "api/api.h"

/* A callback_body_t of the store's; userdata is the Api. */
int api_callback_body(void *userdata, const Job *callback, char **ret, size_t *ret_size);
