/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings of a queue that somebody asks for: a list, and no more. What they mean is said by the table of keys in
 * daemon/config.c. */

#include "queue/queue-setting.h"

#include "base/strv.h"

QueueEdit *queue_edit_free(QueueEdit *e) {
        if (!e)
                return NULL;

        for (size_t i = 0; i < e->n_settings; i++) {
                free(e->settings[i].word);
                strv_free(e->settings[i].values);
        }
        free(e->settings);
        free(e->name);
        return mfree(e);
}

QueueSetting *queue_edit_add(QueueEdit *e, const char *word) {
        QueueSetting *l = reallocarray(e->settings, e->n_settings + 1, sizeof(QueueSetting));

        if (!l)
                return NULL;
        e->settings = l;
        l += e->n_settings;
        *l = (QueueSetting) { .word = strdup(word) };
        if (!l->word)
                return NULL;
        e->n_settings++;
        return l;
}
