/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Are units there? ListUnitsByNames loads what is not loaded, and answers in the order of the names, with the names that the units go by. */

#include "unit/unit-names.h"

#include "base/log.h"
#include "base/strv.h"

typedef struct Question {
        char **names;
        units_missing_t told;
        void *userdata;
} Question;

static void question_free(void *userdata) {
        Question *q = userdata;

        strv_free(q->names);
        free(q);
}

/* 1: there; 0: not; or negative. */
static int read_row(sd_bus_message *m) {
        const char *load;
        int r;

        r = sd_bus_message_read(m, "(ssssssouso)", NULL, NULL, &load, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        if (r <= 0)
                return r < 0 ? r : -ENXIO;
        return !streq(load, "not-found") && !streq(load, "masked");
}

static int on_listed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_strv_free_ char **missing = NULL;
        const Question *q = userdata;
        int r;

        r = sd_bus_message_is_method_error(m, NULL) ? -sd_bus_message_get_errno(m) : sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        STRV_FOREACH(name, q->names) {
                if (r >= 0)
                        r = read_row(m);
                if (r == 0)
                        r = strv_extend(&missing, *name);
        }
        if (r < 0)
                log_warning_errno(r, "Failed to look whether units are there that job types need, ignoring: %m");
        else
                q->told(q->userdata, missing);
        return 0;
}

int units_find_missing(Units *u, char *const *names, units_missing_t told, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus_slot *slot;
        Question *q;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **) names);
        if (r < 0)
                return r;
        q = new0(Question, 1);
        if (!q)
                return -ENOMEM;
        *q = (Question) { .names = strv_copy(names), .told = told, .userdata = userdata };
        r = q->names ? sd_bus_call_async(u->bus, &slot, m, on_listed, q, 0) : -ENOMEM;
        if (r < 0) {
                question_free(q);
                return r;
        }
        (void) sd_bus_slot_set_destroy_callback(slot, question_free);
        r = sd_bus_slot_set_floating(slot, true); /* lives as long as the connection */
        sd_bus_slot_unref(slot);
        return r;
}
