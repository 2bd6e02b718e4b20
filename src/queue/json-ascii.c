/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See json-ascii.h. A character behind a backslash stays as it is: it is no escape, and must not become one. */

#include "queue/json-ascii.h"

#include "base/macro.h"
#include "base/parse.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

bool json_wants_ascii(void) {
        static const char text[] = "\"\xc3\xa9\"";
        static int wants = -1;
        json_tokener *tokener;

        if (wants >= 0)
                return wants;
        tokener = json_tokener_new();
        if (!tokener)
                return false;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        json_object_put(json_tokener_parse_ex(tokener, text, sizeof(text)));
        wants = json_tokener_get_error(tokener) != json_tokener_success;
        json_tokener_free(tokener);
        return wants;
}

static uint32_t decode(const char *s, size_t n) {
        uint32_t c = (unsigned char) s[0] & (n == 2 ? 0x1f : n == 3 ? 0x0f : 0x07);

        for (size_t i = 1; i < n; i++)
                c = c << 6 | ((unsigned char) s[i] & 0x3f);
        return c;
}

static size_t escape(char *to, uint32_t c) {
        if (c < 0x10000)
                return sprintf(to, "\\u%04" PRIx32, c);
        c -= 0x10000;
        return sprintf(to, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

char *json_to_ascii(const char *text, size_t size, size_t *ret_size) {
        const char *p = text, *end = text + size;
        char *ascii, *to;

        /* Two bytes become six, four become twelve. */
        ascii = to = malloc(size * 3 + 1);
        if (!ascii)
                return NULL;
        while (p < end) {
                size_t n = utf8_character_length(p, end - p);

                if (n > 1) {
                        to += escape(to, decode(p, n));
                        p += n;
                        continue;
                }
                if (*p == '\\' && p + 1 < end)
                        *to++ = *p++;
                *to++ = *p++;
        }
        *to = '\0';
        *ret_size = to - ascii;
        return ascii;
}
