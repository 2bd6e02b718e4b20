/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* type list, show. */

#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/text.h"
#include "ctl/type-dict.h"

#define FIELD(name, signature) { #name, signature, offsetof(TypeInfo, name), 0 }
static const DictField fields[] = {
        FIELD(name, "s"),
        FIELD(version, "s"),
        FIELD(description, "s"),
        FIELD(queue, "s"),
        FIELD(argv, "as"),
        FIELD(available, "b"),
        FIELD(reason, "s"),
        FIELD(accept, "as"),
        FIELD(payload_required, "as"),
        FIELD(payload_optional, "as"),
        FIELD(allow_users, "as"),
        FIELD(allow_groups, "as"),
        FIELD(properties, "as"),
        FIELD(files, "as"),
};

int type_info_read(sd_bus_message *m, TypeInfo *ret) {
        return dict_read(m, fields, ELEMENTSOF(fields), ret);
}

void type_info_done(TypeInfo *t) {
        dict_done(fields, ELEMENTSOF(fields), t);
}

struct json_object *type_info_to_json(const TypeInfo *t) {
        return dict_to_json(fields, ELEMENTSOF(fields), 0, t);
}

/* ---- the verbs ---- */

static const Column columns[] = {
        { "NAME", 100, 8, false },  { "VERSION", 60, 0, false },     { "QUEUE", 80, 0, false },
        { "STATE", 95, 0, false },  { "DESCRIPTION", 50, 8, false }, { "REASON", 70, 12, false },
};
#define COLUMN_REASON 5

typedef struct TypeView {
        Table *table;  /* NULL: one after the other */
        char **wanted; /* NULL: all */
        JsonArray array;
        size_t n;
        bool reasons;
} TypeView;

static int add_line(Table *t, const TypeInfo *i) {
        int r;

        r = table_add(t, i->name, NULL);
        if (r >= 0)
                r = table_add(t, i->version, NULL);
        if (r >= 0)
                r = table_add(t, i->queue, NULL);
        if (r >= 0)
                r = table_add(t, i->available ? "ready" : "unusable", i->available ? NULL : COLOR_RED);
        if (r >= 0)
                r = table_add(t, i->description, NULL);
        return r < 0 ? r : table_add(t, i->reason, NULL);
}

static void print_words(const char *title, char *const *words, const char *separator) {
        _cleanup_free_ char *text = strv_join(words, separator), *safe = text ? text_safe(text) : NULL;

        if (strv_length(words) > 0 && safe)
                printf("%12s: %s\n", title, safe);
}

static void print_text(const char *title, const char *text) {
        print_words(title, (char *[]){ (char *) text, NULL }, "");
}

static void print_type(const TypeInfo *t) {
        printf("%s%s%s - %s\n", color(COLOR_BOLD), t->name, color(COLOR_OFF), t->available ? "ready" : "unusable");
        print_text("Reason", t->reason);
        print_text("Version", t->version);
        print_text("About", t->description);
        print_text("Queue", t->queue);
        print_words("Command", t->argv, " ");
        print_words("Takes only", t->accept, ", ");
        print_words("Payload", t->payload_required, " ");
        print_words("Optional", t->payload_optional, " ");
        print_words("Users", t->allow_users, " ");
        print_words("Groups", t->allow_groups, " ");
        print_words("Service", t->properties, "\n              ");
        print_words("Files", t->files, "\n              ");
}

static int show_type(TypeView *v, const TypeInfo *t) {
        if (v->wanted && !strv_contains(v->wanted, t->name))
                return 0;
        if (!v->table || arg_json != JSON_OFF)
                pager_open();
        if (arg_json != JSON_OFF)
                return json_array_add(&v->array, type_info_to_json(t));
        v->reasons = v->reasons || t->reason;
        if (v->table)
                return add_line(v->table, t) < 0 ? ctl_oom() : 0;
        if (v->n++ > 0)
                putchar('\n');
        print_type(t);
        return 0;
}

/* known: the names of all. */
static int show_types(TypeView *v, char ***known) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        bool more = true;
        int r;

        r = bus_open(&bus);
        if (r >= 0)
                r = bus_call_simple(bus, &reply, "ListTypes", NULL, "");
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0 && more) {
                TypeInfo t = {};

                r = type_info_read(reply, &t);
                more = r > 0;
                if (more && strv_extend(known, t.name) < 0)
                        r = -ENOMEM;
                if (more && r >= 0)
                        r = show_type(v, &t);
                type_info_done(&t);
        }
        return r < 0 ? ctl_error(r, "Cannot read the daemon's list of job types: %m") : 0;
}

int verb_type_list(int argc, char **argv) {
        _cleanup_table_ Table *t = table_new(columns, ELEMENTSOF(columns));
        _cleanup_strv_free_ char **known = NULL;
        TypeView v = { .table = t };
        int r;

        if (!t)
                return ctl_oom();
        r = show_types(&v, &known);
        if (r < 0)
                return r;
        if (!v.reasons)
                table_hide(t, COLUMN_REASON);
        return table_print_list(t, &v.array);
}

int verb_type_show(int argc, char **argv) {
        _cleanup_strv_free_ char **known = NULL;
        TypeView v = { .wanted = argv };
        int r, worst = 0;

        r = show_types(&v, &known);
        if (r < 0)
                return r;
        if (arg_json != JSON_OFF)
                json_array_end(&v.array);
        for (int i = 0; i < argc; i++)
                if (!strv_contains(known, argv[i]))
                        worst = ctl_error(-ENOENT, "There is no job type %s", argv[i]);
        return worst;
}
