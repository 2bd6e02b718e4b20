/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings of a queue as a caller of SetQueue() wrote them: what each one is, and whether its value is good. The table of queue-file.c
 * says so, as it does for files; in addition nothing may pass that would become another line of a file. */

#include "daemon/queue-write.h"

#include "base/parse.h"
#include "base/strv.h"
#include "daemon/queue-file.h"
#include "queue/spec.h"

const char *const queue_sections[QUEUE_SECTIONS] = { "Queue", "Slice", "Service" };

static int find_section(QueueSetting *s, char **ret_error) {
        FOREACH_ELEMENT(i, queue_sections) {
                const char *key = startswith(s->word, *i);

                if (key && *key == '.') {
                        s->section = *i;
                        s->key = key + 1;
                        return 0;
                }
        }
        s->key = s->word;
        s->section = queue_file_has_key(s->key) ? "Queue" : "Slice";
        if (streq(s->section, "Slice") && !unit_property_find(s->key)) {
                char quoted[SPEC_QUOTE_MAX];
                return spec_error(ret_error, -EINVAL, "'%s' is neither a key of [Queue] nor a unit property",
                              spec_quote(quoted, s->word, strlen(s->word)));
        }
        return 0;
}

static char *strip(char *s) {
        s += strspn(s, " ");
        for (size_t n = strlen(s); n > 0 && s[n - 1] == ' '; n--)
                s[n - 1] = 0;
        return s;
}

/* What a line of a file cannot carry, or what would become another line of it. */
static int check_text(const QueueSetting *s, char *value, char **ret_error) {
        size_t n = strlen(value), slashes = 0;

        if (n > QUEUE_SETTING_SIZE_MAX)
                return spec_error(ret_error, -EINVAL, "%s: longer than %u bytes", s->word, QUEUE_SETTING_SIZE_MAX);
        if (!string_is_clean(value))
                return spec_error(ret_error, -EINVAL, "%s: control characters, line breaks and invalid UTF-8 are not allowed", s->word);
        memmove(value, strip(value), strlen(strip(value)) + 1);
        n = strlen(value);
        while (slashes < n && value[n - 1 - slashes] == '\\')
                slashes++;
        if (slashes % 2 == 1)
                return spec_error(ret_error, -EINVAL, "%s: a value must not end in a backslash", s->word);
        if (n == 0)
                return spec_error(ret_error, -EINVAL, "%s: an entry of the list is empty", s->word);
        return 0;
}

/* Read its lines as those of a file would be, into a file that nobody uses. */
static int check_setting(QueueSetting *s, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};
        QueueFile f;
        int r = 0;

        queue_file_init(&f, NULL);
        if (strv_length(s->values) == 1 && isempty(strip(*s->values)))
                s->values = strv_free(s->values);
        for (char **v = s->values; r >= 0 && v && *v; v++)
                r = check_text(s, *v, ret_error);
        if (r >= 0 && strv_length(s->values) > 1 && !queue_file_is_list(s->section, s->key))
                r = spec_error(ret_error, -EINVAL, "%s: takes one value, not a list", s->word);
        if (r >= 0)
                r = queue_file_assign(&f, "", 0, s->section, s->key, "", &error);
        for (char **v = s->values; r >= 0 && v && *v; v++)
                r = queue_file_assign(&f, "", 0, s->section, s->key, *v, &error);
        queue_policy_done(&f.policy);
        if (r == -EBADMSG)
                return spec_error(ret_error, -EINVAL, "%s", error.message ?: s->word);
        return r;
}

int queue_edit_check(QueueEdit *e, char **ret_error) {
        int r;

        if (!queue_name_is_valid(e->name))
                return spec_error(ret_error, -EINVAL, "This is not the name of a queue ([a-z0-9_]+ joined by '-', at most %u)",
                              QUEUE_NAME_MAX);
        for (QueueSetting *s = e->settings; s < e->settings + e->n_settings; s++) {
                r = find_section(s, ret_error);
                if (r >= 0)
                        r = check_setting(s, ret_error);
                if (r < 0)
                        return r;
                for (const QueueSetting *o = e->settings; o < s; o++)
                        if (streq(o->section, s->section) && streq(o->key, s->key))
                                return spec_error(ret_error, -EINVAL, "%s: given twice", s->word);
                s->privileged = queue_file_is_privileged(s->section, s->key);
        }
        return 0;
}

