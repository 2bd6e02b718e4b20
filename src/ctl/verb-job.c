/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cancel, kill, hold, release, freeze, thaw, retry: one call for each id; a failure is said and the rest goes on. purge:
 * one call for all. */

#include "ctl/ctl.h"
#include "ctl/output.h"
#include <signal.h>

/* Appends what stands behind the id. */
typedef int (*append_t)(sd_bus_message *call);

static int for_each_job(int argc, char **argv, const char *member, append_t append) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r, worst = 0;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        for (int i = 0; i < argc; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
                uint64_t id;

                r = job_id_resolve(bus, argv[i], &id);
                if (r >= 0)
                        r = bus_new_call(bus, &call, member);
                if (r >= 0) {
                        r = sd_bus_message_append(call, "t", id);
                        if (r >= 0 && append)
                                r = append(call);
                        r = r < 0 ? ctl_error(r, "Cannot create a message: %m")
                                  : bus_call(bus, call, NULL, "job %" PRIu64, id);
                }
                if (r < 0)
                        worst = r;
        }
        return worst;
}

static int append_signal(sd_bus_message *call) {
        return sd_bus_message_append(call, "i", (int32_t) (arg_signal ?: SIGTERM));
}

static int append_no_options(sd_bus_message *call) {
        return sd_bus_message_append(call, "a{sv}", 0);
}

int verb_cancel(int argc, char **argv) {
        return for_each_job(argc, argv, "CancelJob", NULL);
}

int verb_kill(int argc, char **argv) {
        return for_each_job(argc, argv, "KillJob", append_signal);
}

int verb_hold(int argc, char **argv) {
        return for_each_job(argc, argv, "HoldJob", NULL);
}

int verb_release(int argc, char **argv) {
        return for_each_job(argc, argv, "ReleaseJob", NULL);
}

int verb_freeze(int argc, char **argv) {
        return for_each_job(argc, argv, "FreezeJob", NULL);
}

int verb_thaw(int argc, char **argv) {
        return for_each_job(argc, argv, "ThawJob", NULL);
}

int verb_retry(int argc, char **argv) {
        return for_each_job(argc, argv, "RetryJob", append_no_options);
}

static int append_ids(sd_bus_message *m, const uint64_t *ids, size_t n) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "ids");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "at");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', ids, n * sizeof(uint64_t));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_purge(int argc, char **argv) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t count;
        int r;

        if (argc == 0 && filter_is_empty(&arg_filter))
                return ctl_error(-EINVAL, "purge: which ones? Give ids or a filter; --state=done means all "
                                          "finished jobs");
        r = bus_open(&bus);
        if (r >= 0)
                r = job_ids_resolve(bus, argc, argv, &ids);
        if (r >= 0)
                r = bus_new_call(bus, &call, "PurgeJobs");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && argc > 0)
                r = append_ids(call, ids, argc);
        if (r >= 0)
                r = filter_append(call, &arg_filter);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return ctl_error(r, "purge: this filter cannot be sent: %m");
        r = bus_call(bus, call, &reply, "purge");
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "t", &count);
        if (r < 0)
                return ctl_error(r, "purge: cannot read the daemon's answer: %m");
        if (arg_json != JSON_OFF) {
                struct json_object *o = json_object_new_object();

                json_object_object_add(o, "count", json_object_new_uint64(count));
                return json_print(o);
        }
        if (!arg_quiet)
                printf("%" PRIu64 " job%s purged\n", count, count == 1 ? "" : "s");
        if (count < (uint64_t) argc && filter_is_empty(&arg_filter))
                return ctl_error(-ENOENT, "purge: the others are not there, not finished or not yours");
        return 0;
}
