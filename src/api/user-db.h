/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Users by uid, without ever waiting for NSS (LDAP and the like may hang): each look-up is done by a short-lived child of this
 * process, the answer is kept for a minute. Callers ask again when the event loop comes round. */

#include "base/macro.h"

#include <systemd/sd-event.h>

typedef struct UserDb UserDb;

typedef struct User {
        uint32_t uid;
        char *name;    /* NULL: there is no such user, or the name leads to another uid */
        char **groups; /* names and numbers of all groups of the user */
} User;

int user_db_new(sd_event *event, UserDb **ret);
UserDb *user_db_free(UserDb *db);
DEFINE_TRIVIAL_CLEANUP_FUNC(UserDb *, user_db_free);

/* The user, or NULL while a look-up is under way (it is started where needed, or when some of those that are under way are through). Valid until the loop goes on. */
const User *user_db_get(UserDb *db, uint32_t uid);
/* Forget all: after a reload of the configuration. */
void user_db_flush(UserDb *db);
