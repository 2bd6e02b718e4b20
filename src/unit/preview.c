/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a start would ask for, as text: the message is made, read, and never sent. */

#include "unit/units.h"

#include "base/strv.h"
#include "unit/spool.h"

int units_preview(const Units *u, sd_bus *bus, Attempt *a, char **ret, char **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *env_file = NULL;
        JobSpec *s = a->job->spec;
        bool payload = s->has_payload;
        char comment[768];
        int r, n;

        n = snprintf(comment, sizeof(comment),
                     "# %s, as the service manager would be asked for it. 0 stands for the\n"
                     "# job's id and its token, the slots are an example.\n", a->unit);
        if (executor_has_worker(a->job->queue->policy.executor))
                n += snprintf(comment + n, sizeof(comment) - n, "# Executor=%s: it has no unit of its own, but of this what a process can have.\n",
                              executor_to_string(a->job->queue->policy.executor));
        if (payload)
                n += snprintf(comment + n, sizeof(comment) - n, "# Standard input is the payload of %zu bytes, not /dev/null.\n",
                              s->payload_size);
        if (attempt_has_spool(a))
                n += snprintf(comment + n, sizeof(comment) - n, "# Standard output and standard error are files of its spool.\n");
        if (s->environment && s->environment[0]) {
                snprintf(comment + n, sizeof(comment) - n, "# The environment of %zu variables is in the EnvironmentFile= while it starts.\n",
                         strv_length(s->environment));
                if (asprintf(&env_file, "%s/attempt/0-1/env", u->run_path) < 0) {
                        env_file = NULL;
                        return -ENOMEM;
                }
        }
        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        /* A message to nobody carries no file. */
        s->has_payload = false;
        if (r >= 0)
                r = job_unit_append(m, u, a, env_file, NULL, ret_error);
        s->has_payload = payload;
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_seal(m, 1, 0);
        if (r >= 0)
                r = sd_bus_message_rewind(m, true);
        return r < 0 ? r : unit_text_format(m, comment, ret);
}
