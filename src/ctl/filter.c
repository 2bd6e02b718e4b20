/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which jobs: from the options of list, wait and purge to the filter dictionary of the bus. Its
 * words for states and results are the daemon's. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include <pwd.h>

bool user_names_were_used;

int uid_from_user(const char *user, uint32_t *ret) {
        const struct passwd *p;

        if (parse_uid(user, ret) >= 0)
                return 0;
        p = getpwnam(user);
        if (!p)
                return -ESRCH;
        *ret = p->pw_uid;
        if (p->pw_uid != 0)
                user_names_were_used = true;
        return 0;
}

const char *const job_states[] = { "held", "waiting", "ready", "starting", "running", "stopping", "done", NULL };
const char *const job_results[] = {
        "success",  "exit-code", "signal", "core-dump", "timeout", "watchdog",
        "oom-kill", "verdict",   "unverified", "exec",   "cancelled", "dependency", "expired", "lost", NULL,
};

bool filter_is_empty(const Filter *f) {
        return !f->queues && !f->types && !f->states && !f->results && !f->tags && f->owners.n == 0 && !f->name &&
               !f->dead && f->array == 0 && f->since == USEC_INFINITY && f->until == USEC_INFINITY && f->flow == 0;
}

static int append_owners(sd_bus_message *m, const UidList *owners) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "owner");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'u', owners->uids, owners->n * sizeof(uint32_t));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

int filter_append(sd_bus_message *m, const Filter *f) {
        int r = 0;

        if (f->queues)
                r = bus_append_strv(m, "queue", f->queues);
        if (r >= 0 && f->types)
                r = bus_append_strv(m, "type", f->types);
        if (r >= 0 && f->states)
                r = bus_append_strv(m, "state", f->states);
        if (r >= 0 && f->results)
                r = bus_append_strv(m, "result", f->results);
        if (r >= 0 && f->tags)
                r = bus_append_tags(m, "tags", f->tags);
        if (r >= 0 && f->owners.n > 0)
                r = append_owners(m, &f->owners);
        if (r >= 0 && f->name)
                r = bus_append_string(m, "name", f->name);
        if (r >= 0 && f->dead)
                r = bus_append_boolean(m, "dead", true);
        if (r >= 0 && f->array > 0)
                r = bus_append_u64(m, "array", f->array);
        if (r >= 0 && f->since != USEC_INFINITY)
                r = bus_append_u64(m, "since_usec", f->since);
        if (r >= 0 && f->until != USEC_INFINITY)
                r = bus_append_u64(m, "until_usec", f->until);
        if (r >= 0 && f->flow > 0)
                r = bus_append_u64(m, "flow", f->flow);
        return r;
}
