/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* set and move: jobs by ids or a filter, and what they shall be. Of the words of set those with a '=' are settings, those behind
 * "--" are the new command, and the others ids. */

#include "base/strv.h"
#include "ctl/bulk.h"
#include "ctl/output.h"
#include "ctl/set.h"

/* Only jobs in whose states all of it can be changed are counted and changed. */
static Bulk bulk_for(const Settings *s) {
        static const char *const queued[] = { "held", "waiting", "ready" }, *const live[] = { "starting", "running" },
                                 *const others[] = { "stopping", "done" };
        bool also_live = !(s->given & ~(SET_TIMEOUT | SET_STOP_TIMEOUT)) && !s->name && !s->queue && !s->directory &&
                         !s->output && !s->error && !s->unique && !s->unique_scope && !s->properties && !s->command;
        Bulk b = *bulk_find("set");
        size_t n = 0;

        memset(b.states, 0, sizeof(b.states));
        FOREACH_ELEMENT (i, queued)
                b.states[n++] = *i;
        FOREACH_ELEMENT (i, live)
                if (also_live)
                        b.states[n++] = *i;
        FOREACH_ELEMENT (i, others)
                if (also_live && s->given == 0)
                        b.states[n++] = *i;
        return b;
}

int verb_set(int argc, char **argv) {
        _cleanup_(settings_done) Settings s = {};
        int behind = MIN(arg_words_behind, argc), n_ids = 0, n_settings = 0, r;

        for (int i = 0; i < argc - behind; i++) {
                if (!strchr(argv[i], '=')) {
                        argv[n_ids++] = argv[i];
                        continue;
                }
                r = settings_read(&s, argv[i]);
                if (r < 0)
                        return r;
                n_settings++;
        }
        for (int i = argc - behind; i < argc; i++)
                if (strv_extend(&s.command, argv[i]) < 0)
                        return ctl_oom();
        if (n_settings == 0 && behind == 0)
                return ctl_error(-EINVAL, "set: what is to be changed? Give KEY=VALUE, such as priority=5");
        Bulk b = bulk_for(&s);
        return bulk_run(&b, n_ids, argv, &s);
}

int verb_move(int argc, char **argv) {
        return bulk_run(bulk_find("move"), argc - 1, argv, argv[argc - 1]);
}
