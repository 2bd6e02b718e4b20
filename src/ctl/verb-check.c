/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* check: what jobmilld finds out of order. */

#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"
#include "ctl/text.h"

typedef struct Finding {
        uint64_t present;
        char *kind, *text;
        uint64_t job;
} Finding;

#define FIELD(name, signature) { #name, signature, offsetof(Finding, name), 0 }
static const DictField fields[] = { FIELD(kind, "s"), FIELD(text, "s"), FIELD(job, "t") };

bool arg_accept;

static void print_finding(const Finding *f) {
        _cleanup_free_ char *text = text_safe(strempty(f->text));

        if (f->job > 0)
                printf("job %" PRIu64 ": ", f->job);
        printf("%s%s%s: %s\n", color(COLOR_YELLOW), f->kind, color(COLOR_OFF), strempty(text));
}

/* *ret: what is wrong was found. What could not be compared is told, and is no fault. */
static int print_findings(sd_bus_message *m, struct json_object *array, bool *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0) {
                Finding f = {};

                r = dict_read(m, fields, ELEMENTSOF(fields), &f);
                if (r > 0) {
                        *ret = *ret || !streq_ptr(f.kind, "not-compared");
                        if (array)
                                json_object_array_add(array, dict_to_json(fields, ELEMENTSOF(fields), 0, &f));
                        else
                                print_finding(&f);
                }
                dict_done(fields, ELEMENTSOF(fields), &f);
                if (r == 0)
                        return 0;
        }
        return ctl_error(r, "Cannot read the daemon's answer: %m");
}

int verb_check(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        struct json_object *array = NULL;
        bool wrong = false;
        int r;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        if (arg_accept)
                return bus_call_simple(bus, NULL, "AcceptStore", "check", "");
        r = bus_call_simple(bus, &reply, "CheckIntegrity", "check", "");
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF)
                array = json_object_new_array();
        r = print_findings(reply, array, &wrong);
        if (r >= 0 && array)
                r = json_print(array);
        else
                json_object_put(array);
        return r < 0 ? r : wrong ? EXIT_FAILURE : 0;
}
