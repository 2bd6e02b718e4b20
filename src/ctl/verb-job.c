/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of the verbs that do something to jobs (bulk.c does it), and those of them that need nothing more. */

#include "ctl/bulk.h"
#include "ctl/set.h"
#include <signal.h>

static int append_signal(sd_bus_message *call, const void *userdata) {
        return sd_bus_message_append(call, "i", (int32_t) (arg_signal ?: SIGTERM));
}

static int append_retry(sd_bus_message *call, const void *userdata) {
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && arg_retry.attempts > 0)
                r = bus_append_u32(call, "max_attempts", arg_retry.attempts);
        if (r >= 0 && arg_retry.in != USEC_INFINITY)
                r = bus_append_u64(call, "delay_usec", arg_retry.in);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static const Bulk table[] = {
        { "cancel", "Cancel", "cancelled", "CancelJob", "CancelJobs",
          { "held", "waiting", "ready", "starting", "running" } },
        { "kill", "Signal", "signalled", "KillJob", NULL, { "running", "stopping" }, .append_one = append_signal },
        { "hold", "Hold", "held", "HoldJob", "HoldJobs", { "waiting", "ready" } },
        { "release", "Release", "released", "ReleaseJob", "ReleaseJobs", { "held" } },
        { "freeze", "Freeze", "frozen", "FreezeJob", NULL, { "running" } },
        { "thaw", "Thaw", "thawed", "ThawJob", NULL, { "running" } },
        { "retry", "Retry", "retried", "RetryJob", "RetryJobs", { "done" }, .dead = true,
          .append_one = append_retry, .append_many = append_retry },
        { "set", "Change", "changed", "UpdateJob", "UpdateJobs",
          { "held", "waiting", "ready", "starting", "running", "stopping" }, .append_one = set_append,
          .append_many = set_append },
        { "move", "Move", "moved", "MoveJob", "UpdateJobs", { "held", "waiting", "ready" },
          .append_one = move_append_one, .append_many = move_append_many },
        { "purge", "Purge", "purged", NULL, "PurgeJobs", { "done" } },
};

const Bulk *bulk_find(const char *verb) {
        FOREACH_ELEMENT (b, table)
                if (streq(b->verb, verb))
                        return b;
        return NULL;
}

int verb_cancel(int argc, char **argv) {
        return bulk_run(bulk_find("cancel"), argc, argv, NULL);
}

int verb_kill(int argc, char **argv) {
        return bulk_run(bulk_find("kill"), argc, argv, NULL);
}

int verb_hold(int argc, char **argv) {
        return bulk_run(bulk_find("hold"), argc, argv, NULL);
}

int verb_release(int argc, char **argv) {
        return bulk_run(bulk_find("release"), argc, argv, NULL);
}

int verb_freeze(int argc, char **argv) {
        return bulk_run(bulk_find("freeze"), argc, argv, NULL);
}

int verb_thaw(int argc, char **argv) {
        return bulk_run(bulk_find("thaw"), argc, argv, NULL);
}

int verb_retry(int argc, char **argv) {
        return bulk_run(bulk_find("retry"), argc, argv, NULL);
}

int verb_purge(int argc, char **argv) {
        return bulk_run(bulk_find("purge"), argc, argv, NULL);
}
