/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two connections of a worker to jobmilld (docs/workers.md): orders come on one, reports go on the other, in order. Where one breaks both are made
 * again, and what was not answered is said again. */

#include "api/framing.h"
#include "base/json-writer.h"

#include <json-c/json.h>
#include <systemd/sd-event.h>

#define TOKEN_SIZE 33U

typedef struct Link Link;

typedef struct LinkHandler {
        void (*who)(JsonWriter *j, void *userdata);                 /* what Register is to say */
        void (*ordered)(json_object *order, void *userdata);        /* {assign}, {cancel}, {kill}, {drain} */
        void (*registered)(void *userdata);
        int (*refused)(const char *error, const char *message, void *userdata); /* to register; negative ends the loop, else it is tried again */
        void *userdata;
} LinkHandler;

/* error: NULL, or its name without the interface's. Storage errors are not told: it is said again. */
typedef void (*link_answered_t)(void *userdata, const char *error);

int link_new(sd_event *event, const char *path, const LinkHandler *handler, Link **ret);
Link *link_free(Link *l);
/* A call beside the token; parameters: "\"id\":1,…", taken over. link_forget() drops what was said for this userdata: its answer is told nobody. */
int link_call(Link *l, const char *method, JsonWriter *parameters, link_answered_t answered, void *userdata);
void link_forget(Link *l, const void *userdata);
/* Of an object; NULL, 0: it has none such. */
json_object *link_get(json_object *o, const char *key);
const char *link_get_text(json_object *o, const char *key);
uint64_t link_get_number(json_object *o, const char *key);
