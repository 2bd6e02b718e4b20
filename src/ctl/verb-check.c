/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* check: what jobmilld finds out of order, and mends. */

#include "ctl/ctl.h"
#include "ctl/dict.h"
#include "ctl/output.h"
#include "ctl/text.h"

typedef struct Finding {
        DictKeys present;
        char *kind, *text, *repair;
        uint64_t job;
        bool repaired;
} Finding;

#define FIELD(name, signature) { #name, signature, offsetof(Finding, name), 0 }
static const DictField fields[] = { FIELD(kind, "s"), FIELD(text, "s"), FIELD(job, "t"), FIELD(repair, "s"), FIELD(repaired, "b") };

bool arg_accept, arg_repair;

static void print_finding(const Finding *f) {
        _cleanup_free_ char *text = text_safe(strempty(f->text));

        if (f->job > 0)
                printf("job %" PRIu64 ": ", f->job);
        printf("%s%s%s: %s", color(COLOR_YELLOW), f->kind, color(COLOR_OFF), strempty(text));
        if (arg_repair)
                printf(" [%s]", !f->repaired ? "left as it is" : strempty(f->repair));
        else if (f->repair)
                printf(" [--repair: %s]", f->repair);
        putchar('\n');
}

/* *ret: what is wrong was found, and is not mended. What could not be compared is told, and is no fault. */
static int print_findings(sd_bus_message *m, struct json_object *array, bool *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0) {
                Finding f = {};

                r = dict_read(m, fields, ELEMENTSOF(fields), &f);
                if (r > 0) {
                        *ret = *ret || !(f.repaired || streq_ptr(f.kind, "not-compared"));
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

        if (arg_accept && arg_repair)
                return ctl_error(-EINVAL, "check: --accept and --repair do not go together");
        r = bus_open(&bus);
        if (r < 0)
                return r;
        if (arg_accept)
                return bus_call_simple(bus, NULL, "AcceptStore", "check", "");
        r = bus_call_simple(bus, &reply, arg_repair ? "Repair" : "CheckIntegrity", "check", "");
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
