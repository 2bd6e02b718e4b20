/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See adapter-file.h. */

#include "daemon/adapter-file.h"

#include "base/parse.h"
#include "base/strv.h"
#include "daemon/file-value.h"
#include "queue/spec-check.h"
#include "queue/worker.h"

void adapter_file_done(AdapterFile *f) {
        free(f->unit);
        strv_free(f->options);
        strv_free(f->takes);
        *f = (AdapterFile) {};
}

bool adapter_name_is_valid(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");

        return n > 0 && n <= ADAPTER_NAME_MAX && !name[n] && !(*name >= '0' && *name <= '9') && executor_from_string(name) < 0;
}

/* Else what it takes would never be met with, which only a typing error explains. */
static bool are_known(char *const *takes) {
        STRV_FOREACH(i, takes)
                if (!spec_field_find(*i) && !unit_property_find(*i))
                        return false;
        return true;
}

int adapter_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                        ConfError *error) {
        AdapterFile *f = userdata;
        const char *allowed = NULL;
        int r = 0;

        if (!streq(section, "Adapter"))
                return conf_error_set(error, file, line, "[%s]: unknown section", section);
        if (streq(key, "Unit")) {
                if (!isempty(value) && !spec_unit_name_is_valid(value, /* is_template = */ false))
                        allowed = "the name of a unit, not of a template";
                else
                        r = free_and_strdup(&f->unit, isempty(value) ? NULL : value);
        } else if (streq(key, "Options"))
                r = file_value_words(value, &f->options);
        else if (streq(key, "Takes")) {
                r = file_value_words(value, &f->takes);
                if (r >= 0 && !are_known(f->takes))
                        allowed = "keys of a job, names of unit properties";
        } else
                return conf_error_set(error, file, line, "[Adapter] %s=: unknown key", key);
        return allowed ? conf_error_set(error, file, line, "[Adapter] %s=: '%s' is not allowed (%s)", key, value, allowed) : r;
}

int adapter_file_load(char *const *directories, const char *name, AdapterFile *ret, ConfError *error) {
        _cleanup_free_ char *file = NULL;
        int r;

        *ret = (AdapterFile) {};
        if (!directories || !adapter_name_is_valid(name))
                return -ENOENT;
        if (asprintf(&file, "adapters/%s.adapter", name) < 0)
                return -ENOMEM;
        r = conf_parse_object(directories, file, adapter_file_assign, ret, NULL, error);
        if (r == 0)
                return 0;
        adapter_file_done(ret);
        return r == 1 ? -ENOENT : r;
}
