/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of the connection, and the tables: made, brought up to date, or refused. */

#include "store/store-internal.h"

/* On a fresh connection. -EPROTONOSUPPORT: made by a newer version; -EUCLEAN: damaged, or not ours. Nothing is changed then. */
int schema_apply(Store *s);
/* The number of the newest migration, which is PRAGMA user_version. */
unsigned schema_version(void);
const char *schema_migration(unsigned version); /* what leads to it; for tests */
