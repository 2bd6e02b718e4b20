/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keys, and what is signed with them (docs/callbacks.md). */

#include "base/macro.h"

#define KEY_LEAST 24U /* as Standard Webhooks has it */
#define KEY_MOST 64U
#define KEYS_PER_FILE 2U /* the one that holds, and the one before or after it */

typedef struct Key {
        char *name;          /* of its file: default, uid-1000, queue-gpu */
        uint8_t data[KEY_MOST];
        size_t size;
} Key;

typedef struct Keys {
        Key *keys;
        size_t n;
} Keys;

void keys_done(Keys *k);
/* The lines of a file. -EBADMSG: it has another form, *ret_line is where; -E2BIG: too many. */
int keys_parse(Keys *k, const char *name, const char *text, unsigned *ret_line);
/* All files of a folder whose name begins so. Tells what is wrong. */
int keys_read(Keys *k, const char *folder, const char *prefix);

typedef struct Message {
        char id[64];
        uint64_t timestamp;  /* seconds */
        const char *body;
        size_t size;
} Message;

/* Stable for a body of a callback, whenever it is sent; elsewhere and for others another one. */
int message_make_id(Message *m, uint64_t callback);
/* "v1,BASE64 v1,BASE64": one for each key of this user, of this queue, and of everybody. 0: there is none. */
int message_sign(const Message *m, const Keys *k, uint32_t owner, const char *queue, char **ret);
