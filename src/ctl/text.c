/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text as a terminal shows it. Wide characters take two columns, combining ones none; what others wrote can
 * neither move the cursor nor reorder the line. */

#include "ctl/text.h"
#include <langinfo.h>
#include <wchar.h>

bool text_is_utf8(void) {
        return streq(nl_langinfo(CODESET), "UTF-8");
}

const char *glyph(Glyph g) {
        static const char *const glyphs[_GLYPH_MAX][2] = {
                [GLYPH_ELLIPSIS] = { "...", "…" }, [GLYPH_LIVE] = { "*", "●" },
                [GLYPH_IDLE] = { "o", "○" },       [GLYPH_SUCCESS] = { "+", "✓" },
                [GLYPH_FAILURE] = { "x", "×" },    [GLYPH_FULL] = { "#", "█" },
                [GLYPH_EMPTY] = { "-", "░" },
        };

        return glyphs[g][text_is_utf8()];
}

/* Embeddings, overrides and isolates: they make a line read otherwise than it is. */
static bool turns_direction(wchar_t c) {
        return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f;
}

/* Bytes and columns of the character at s; 0 where it must not be shown. */
static size_t next_character(const char *s, size_t *ret_width) {
        mbstate_t state = {};
        wchar_t c;
        size_t n;
        int w;

        if ((unsigned char) *s < 0x80) {
                *ret_width = 1;
                return *s >= 0x20 && *s != 0x7f;
        }
        if (!text_is_utf8())
                return 0;
        n = mbrtowc(&c, s, strlen(s), &state);
        if (n == 0 || n > 8)
                return 0;
        w = wcwidth(c);
        if (w < 0 || turns_direction(c))
                return 0;
        *ret_width = w;
        return n;
}

char *text_safe(const char *s) {
        char *buf = malloc(strlen(s) * 4 + 1), *p = buf;
        size_t n, width;

        if (!buf)
                return NULL;
        while (*s) {
                n = next_character(s, &width);
                if (n > 0)
                        p = (char *) memcpy(p, s, n) + n;
                else {
                        n = 1;
                        p += sprintf(p, "\\x%02x", (unsigned char) *s);
                }
                s += n;
        }
        *p = 0;
        return buf;
}

char *text_plain(const char *s) {
        static const char from[] = "…"; /* three bytes, as what takes its place */
        char *copy = strdup(s);

        for (char *p = copy; p && !text_is_utf8() && (p = strstr(p, from)); p += strlen(from))
                memcpy(p, "...", strlen(from));
        return copy;
}

size_t text_width(const char *s) {
        size_t sum = 0, n, width;

        for (; *s; s += n) {
                n = next_character(s, &width);
                if (n == 0)
                        n = width = 1;
                sum += width;
        }
        return sum;
}

char *text_cut(const char *s, size_t width) {
        const char *dots = glyph(GLYPH_ELLIPSIS);
        size_t room, used = 0, n = 0, l, w;
        char *buf;

        if (text_width(s) <= width)
                return strdup(s);
        if (text_width(dots) > width)
                dots = "";
        room = width - text_width(dots);
        for (; s[n]; n += l) {
                l = next_character(s + n, &w);
                if (l == 0)
                        l = w = 1;
                if (used + w > room)
                        break;
                used += w;
        }
        buf = malloc(n + strlen(dots) + 1);
        if (buf)
                strcpy((char *) memcpy(buf, s, n) + n, dots);
        return buf;
}
