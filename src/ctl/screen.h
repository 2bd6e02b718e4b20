/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal as a whole: another screen than the shell's, keys as they are typed. What is printed goes to standard output. */

#include "base/macro.h"

typedef enum Key {
        /* below 256: the byte that was typed */
        KEY_TAB = '\t',
        KEY_ENTER = '\n',
        KEY_ESCAPE = 27,
        KEY_BACKSPACE = 127,
        KEY_UP = 256,
        KEY_DOWN,
        KEY_PAGE_UP,
        KEY_PAGE_DOWN,
        KEY_HOME,
        KEY_END,
        KEY_OTHER, /* one that nobody here has heard of */
} Key;

bool screen_is_there(void); /* both streams are a terminal that can do what we need */
int screen_open(void);
void screen_close(void); /* the shell's screen is back; also at exit. Nothing where it is not open */
/* What is printed in between comes at once, from the upper left corner on. */
void screen_begin(void);
int screen_end(void);
/* What was typed so far, at most n; 0: nothing. Negative: the terminal is gone. */
int screen_read_keys(Key *keys, size_t n);
