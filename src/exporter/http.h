/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two pages, by libmicrohttpd within the event loop. What a caller may use up is bounded: so many connections at a time,
 * each with so much memory, and none that says nothing for long. */

#include "base/macro.h"

#include <systemd/sd-event.h>

typedef struct Http Http;

/* ask is called whenever a request begins to wait for an answer; http_answer() then answers all that do. Takes fd over, which listens. */
int http_new(sd_event *event, int fd, void (*ask)(void *userdata), void *userdata, Http **ret);
Http *http_free(Http *h);
/* metrics NULL: there are none, and why. */
void http_answer(Http *h, const char *metrics, const char *error);
