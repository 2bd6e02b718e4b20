/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text as a terminal shows it: how wide it is, what must not reach it, where it is cut. All by the locale:
 * where that is not UTF-8, nothing but ASCII is written. */

#include "base/macro.h"

bool text_is_utf8(void);

typedef enum Glyph {
        GLYPH_ELLIPSIS,
        GLYPH_LIVE,
        GLYPH_IDLE,
        GLYPH_SUCCESS,
        GLYPH_FAILURE,
        GLYPH_FULL,
        GLYPH_EMPTY,
        _GLYPH_MAX,
} Glyph;
const char *glyph(Glyph g);

/* Control characters, what is no character of the locale, and what turns the direction of writing become
 * \xNN. NULL: out of memory. */
char *text_safe(const char *s);
/* Our own words: their ellipses as the locale has them. NULL: out of memory. */
char *text_plain(const char *s);
/* Columns on a terminal. Of safe text. */
size_t text_width(const char *s);
/* At most width columns, with an ellipsis where something is left out. Of safe text; NULL: out of memory. */
char *text_cut(const char *s, size_t width);
