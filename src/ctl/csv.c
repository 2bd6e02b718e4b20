/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ctl/csv.h"

#include <stdio.h>
#include <string.h>

static void print_text(const char *s) {
        if (!strpbrk(s, ",\"\r\n")) {
                fputs(s, stdout);
                return;
        }
        putchar('"');
        for (; *s; s++) {
                if (*s == '"')
                        putchar('"');
                putchar(*s);
        }
        putchar('"');
}

static void print_value(struct json_object *v) {
        FILE *words;
        char *text = NULL;
        size_t size;

        if (!v)
                return;
        if (!json_object_is_type(v, json_type_array)) {
                print_text(json_object_is_type(v, json_type_string) ? json_object_get_string(v) :
                                                                      json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN));
                return;
        }
        words = open_memstream(&text, &size);
        if (!words)
                return;
        for (size_t i = 0; i < json_object_array_length(v); i++)
                fprintf(words, "%s%s", i > 0 ? " " : "", json_object_get_string(json_object_array_get_idx(v, i)));
        fclose(words);
        print_text(text);
        free(text);
}

void csv_print_header(const char *const *keys) {
        for (size_t i = 0; keys[i]; i++)
                printf("%s%s", i > 0 ? "," : "", keys[i]);
        putchar('\n');
}

void csv_print_row(const char *const *keys, struct json_object *o) {
        for (size_t i = 0; keys[i]; i++) {
                if (i > 0)
                        putchar(',');
                print_value(json_object_object_get(o, keys[i]));
        }
        putchar('\n');
        json_object_put(o);
}
