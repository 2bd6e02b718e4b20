/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words as people quote them. */

#include "queue/spec-words.h"

#include "base/strv.h"

int spec_split_words(const char *line, size_t n, char comment, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *word = new0(char, n + 1);
        const char *s = line, *end = line + n;

        if (!word)
                return -ENOMEM;
        for (;;) {
                size_t length = 0;
                char quote = 0;

                while (s < end && strchr(" \t\r", *s))
                        s++;
                if (s == end || *s == comment)
                        break;
                for (; s < end && (quote || !strchr(" \t\r", *s)); s++) {
                        bool escapes = *s == '\\' && quote != '\'' && s + 1 < end;

                        /* Within double quotes a backslash is only special before these. */
                        if (escapes && (!quote || strchr("\"\\$`", s[1])))
                                word[length++] = *++s;
                        else if (quote ? *s == quote : *s == '"' || *s == '\'')
                                quote = quote ? 0 : *s;
                        else
                                word[length++] = *s;
                }
                if (quote)
                        return -EINVAL;
                word[length] = 0;
                if (strv_extend(&l, word) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(l);
        return 0;
}
