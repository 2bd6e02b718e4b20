/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.jobmill1.Queue: one object for each queue of the model, found by its path. Counters are those of memory: they may be one
 * commit ahead of the lists. */

#include "api/api.h"

#include "base/strv.h"

int api_queue_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        _cleanup_free_ char *name = NULL;
        Api *a = userdata;
        Queue *q;
        int r;

        if (!a->store)
                return 0;
        r = sd_bus_path_decode(path, JOBMILL_QUEUE_PATH_PREFIX, &name);
        if (r <= 0)
                return r;
        q = model_queue(a->model, name);
        if (!q)
                return 0;
        *ret = q;
        return 1;
}

int api_queue_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        _cleanup_strv_free_ char **l = NULL;
        Api *a = userdata;
        Queue *q, *t;
        int r;

        if (!a->store)
                return 0;
        HASH_ITER(hh, a->model->queues, q, t) {
                char *path;
                r = sd_bus_path_encode(JOBMILL_QUEUE_PATH_PREFIX, q->name, &path);
                if (r >= 0)
                        r = strv_consume(&l, path);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(l);
        return 0;
}

static int property_get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Queue *q = userdata;
        static const struct {
                const char *property;
                JobState state;
        } table[] = {
                { "Held", JOB_HELD },         { "Waiting", JOB_WAITING }, { "Ready", JOB_READY },
                { "Starting", JOB_STARTING }, { "Running", JOB_RUNNING }, { "Stopping", JOB_STOPPING },
        };

        FOREACH_ELEMENT(i, table)
                if (streq(i->property, property))
                        return sd_bus_message_append(reply, "t", q->count[i->state]);
        return sd_bus_message_append(reply, "t", q->dead);
}

static int property_get_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Queue *q = userdata;

        return sd_bus_message_append(reply, "b", (int) (streq(property, "Paused") ? q->paused : q->draining));
}

static int property_get_reason(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Api *a = sd_bus_slot_get_userdata(sd_bus_get_current_slot(bus));
        _cleanup_free_ char *reason = NULL;
        const Queue *q = userdata;
        Now now = {};

        if (a->restored)
                return sd_bus_message_append(reply, "s", "store restored");
        (void) api_read_clocks(a, &now);
        reason = queue_reason(a->model, q, &now);
        return reason ? sd_bus_message_append(reply, "s", reason) : -ENOMEM;
}

static int property_get_settings(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Queue *q = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sss)");
        for (char **s = q->policy.settings; r >= 0 && s && *s; s += 3)
                r = sd_bus_message_append(reply, "(sss)", s[0], s[1], s[2]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_files(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Queue *q = userdata;

        return sd_bus_message_append_strv(reply, q->policy.files);
}

void api_queue_emit_changed(Api *a, const Queue *q) {
        _cleanup_free_ char *path = NULL;

        if (sd_bus_path_encode(JOBMILL_QUEUE_PATH_PREFIX, q->name, &path) < 0)
                return;
        (void) sd_bus_emit_properties_changed(a->bus, path, JOBMILL_INTERFACE_QUEUE, "Slots", "Files", "Settings", "Paused",
                                              "Draining", NULL);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define COUNT(name) SD_BUS_PROPERTY(name, "t", property_get_count, 0, 0)

const sd_bus_vtable api_queue_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Queue, name), 0),
        SD_BUS_PROPERTY("Slice", "s", NULL, offsetof(Queue, slice), 0),
        SD_BUS_PROPERTY("Slots", "u", NULL, offsetof(Queue, policy.slots), CHANGES),
        SD_BUS_PROPERTY("SlotsUsed", "u", NULL, offsetof(Queue, slots_used), 0),
        COUNT("Held"),
        COUNT("Waiting"),
        COUNT("Ready"),
        COUNT("Starting"),
        COUNT("Running"),
        COUNT("Stopping"),
        COUNT("Dead"),
        SD_BUS_PROPERTY("Paused", "b", property_get_flag, 0, CHANGES),
        SD_BUS_PROPERTY("Draining", "b", property_get_flag, 0, CHANGES),
        SD_BUS_PROPERTY("Reason", "s", property_get_reason, 0, 0),
        SD_BUS_PROPERTY("Files", "as", property_get_files, 0, CHANGES),
        SD_BUS_PROPERTY("Settings", "a(sss)", property_get_settings, 0, CHANGES),
        SD_BUS_VTABLE_END,
};
