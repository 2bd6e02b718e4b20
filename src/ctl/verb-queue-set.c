/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* queue set; and, for queue show, what is set and where. The daemon says what is allowed: a setting is sent as it
 * was typed. */

#include "api/protocol.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

bool arg_runtime;

static size_t key_length(const char *assignment) {
        return strcspn(assignment, "=");
}

static bool same_key(const char *a, const char *b) {
        return key_length(a) == key_length(b) && strncmp(a, b, key_length(a)) == 0;
}

/* One entry for each key: the lines of a list are several words with the same key. */
static int append_setting(sd_bus_message *m, char *const *assignments, size_t i, size_t n) {
        _cleanup_free_ char *key = strndup(assignments[i], key_length(assignments[i]));
        _cleanup_strv_free_ char **values = NULL;

        if (!key)
                return -ENOMEM;
        for (size_t k = 0; k < i; k++)
                if (same_key(assignments[k], assignments[i]))
                        return 0;
        for (size_t k = i; k < n; k++)
                if (same_key(assignments[k], assignments[i]) &&
                    strv_extend(&values, assignments[k] + key_length(assignments[k]) + 1) < 0)
                        return -ENOMEM;
        return strv_length(values) == 1 ? bus_append_string(m, key, *values) : bus_append_strv(m, key, values);
}

int verb_queue_set(int argc, char **argv) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        for (int i = 1; i < argc; i++)
                if (key_length(argv[i]) == 0 || !argv[i][key_length(argv[i])])
                        return ctl_error(-EINVAL, "queue set: not KEY=VALUE: %s", argv[i]);
        r = bus_open(&bus);
        if (r >= 0)
                r = bus_new_call(bus, &call, "SetQueue");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", *argv);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (int i = 1; r >= 0 && i < argc; i++)
                r = append_setting(call, argv + 1, i - 1, argc - 1);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "b", (int) arg_runtime);
        if (r < 0)
                return ctl_error(r, "Cannot create a message: %m");
        return bus_call(bus, call, NULL, "%s", *argv);
}

static const char *file_name(const char *path) {
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

static int print_settings(sd_bus_message *m) {
        const char *key, *value, *file;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sss)");
        for (bool first = true; r >= 0 && (r = sd_bus_message_read(m, "(sss)", &key, &value, &file)) > 0; first = false)
                printf(" %8s%c %s=%s %s(%s)%s\n", first ? "Settings" : "", first ? ':' : ' ', key, value, color(COLOR_GREY),
                       file_name(file), color(COLOR_OFF));
        return r;
}

void queue_print_files(sd_bus *bus, const char *path, char *const *files) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool first = true;

        if (!files || !*files) {
                printf("   Loaded: no file; nothing of it starts\n");
                return;
        }
        STRV_FOREACH(f, files)
                if (endswith(*f, ".queue"))
                        printf("   Loaded: %s\n", *f);
                else {
                        printf(" %8s%c %s\n", first ? "Drop-In" : "", first ? ':' : ' ', *f);
                        first = false;
                }
        if (sd_bus_get_property(bus, JOBMILL_BUS_NAME, path, JOBMILL_INTERFACE_QUEUE, "Settings", NULL, &m, "a(sss)") >= 0)
                (void) print_settings(m);
}
