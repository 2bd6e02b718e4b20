/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* With --user: what somebody should know whose service manager ends with the session; else NULL. */
const char *linger_hint(void);
/* The same on standard error, if that is a terminal, once in a session. */
void linger_hint_once(void);
