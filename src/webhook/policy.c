/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One table of keys. tests/lint/check-man-keys.py reads it and compares it with jobmill-webhook(8). */

#include "webhook/policy.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"

#define RANGES_MAX 256U

static int parse_flag(const char *value, uint64_t *ret) {
        int r = parse_boolean(value);

        *ret = r > 0;
        return r < 0 ? r : 0;
}

static int parse_bytes(const char *value, uint64_t *ret) {
        return parse_size(value, 1024, ret);
}

/* Lines add up; an empty one takes all back. */
static int set_ranges(Policy *p, const char *value) {
        _cleanup_strv_free_ char **words = strv_split(value, " \t");
        AddressRange *l;

        if (value[strspn(value, " \t")] == 0) {
                p->allow = mfree(p->allow);
                p->n_allow = 0;
                return 0;
        }
        if (!words)
                return -ENOMEM;
        if (p->n_allow + strv_length(words) > RANGES_MAX)
                return -E2BIG;
        l = reallocarray(p->allow, p->n_allow + strv_length(words), sizeof(AddressRange));
        if (!l)
                return -ENOMEM;
        p->allow = l;
        STRV_FOREACH(w, words) {
                if (address_range_parse(*w, p->allow + p->n_allow) < 0)
                        return -EINVAL;
                p->n_allow++;
        }
        return 0;
}

static int set_ca_file(Policy *p, const char *value) {
        if (!isempty(value) && *value != '/')
                return -EINVAL;
        return free_and_strdup(&p->ca_file, isempty(value) ? NULL : value);
}

static const struct WebhookKey {
        const char *key;
        int (*set)(Policy *p, const char *value); /* NULL: a number, by */
        int (*parse)(const char *value, uint64_t *ret);
        size_t offset;
        uint64_t fallback, min, max;
        const char *allowed;
} webhook_keys[] = {
        { "AllowAddresses", set_ranges, .allowed = "addresses, or ranges as 10.0.0.0/8, at most 256" },
        { "AllowHTTP", NULL, parse_flag, offsetof(Policy, allow_http), 0, 0, 1, "a boolean" },
        { "CAFile", set_ca_file, .allowed = "an absolute path" },
        { "ConnectTimeoutSec", NULL, parse_span, offsetof(Policy, connect_timeout_usec), 10 * USEC_PER_SEC, USEC_PER_MSEC, 3600 * USEC_PER_SEC,
          "1ms…1h" },
        { "Deliveries", NULL, parse_u64, offsetof(Policy, deliveries), 16, 1, 256, "1…256" },
        { "IdleSec", NULL, parse_span, offsetof(Policy, idle_usec), 300 * USEC_PER_SEC, USEC_PER_MSEC, USEC_INFINITY,
          "a time span of at least 1ms, or infinity" },
        { "MaxRedirects", NULL, parse_u64, offsetof(Policy, redirects_max), 0, 0, 10, "0…10" },
        { "ResponseMax", NULL, parse_bytes, offsetof(Policy, response_max), 64 * 1024, 0, 16 * 1024 * 1024, "0…16M" },
        { "TimeoutSec", NULL, parse_span, offsetof(Policy, timeout_usec), 30 * USEC_PER_SEC, USEC_PER_MSEC, 3600 * USEC_PER_SEC, "1ms…1h" },
};

static uint64_t *number_of(Policy *p, const struct WebhookKey *k) {
        return (uint64_t *) ((uint8_t *) p + k->offset);
}

void policy_done(Policy *p) {
        free(p->allow);
        free(p->ca_file);
        *p = (Policy) {};
}

void policy_init(Policy *p) {
        *p = (Policy) {};
        FOREACH_ELEMENT(k, webhook_keys)
                if (!k->set)
                        *number_of(p, k) = k->fallback;
}

static int set(Policy *p, const struct WebhookKey *k, const char *value) {
        uint64_t v = k->fallback;
        int r;

        if (k->set)
                return k->set(p, value);
        r = isempty(value) ? 0 : k->parse(value, &v);
        if (r < 0 || v < k->min || v > k->max)
                return r < 0 ? r : -ERANGE;
        *number_of(p, k) = v;
        return 0;
}

int policy_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value, ConfError *error) {
        if (!streq(section, "Webhook"))
                return conf_error_set(error, file, line, "[%s]: unknown section", section);
        FOREACH_ELEMENT(k, webhook_keys)
                if (streq(k->key, key)) {
                        int r = set(userdata, k, value);

                        return r >= 0 || r == -ENOMEM ? r : conf_error_set(error, file, line, "[Webhook] %s=: '%s' is not allowed (%s)", key, value,
                                                                           k->allowed);
                }
        return conf_error_set(error, file, line, "[Webhook] %s=: unknown key", key);
}

/* As jobmilld's. */
static char **list_directories(bool user) {
        const char *path = getenv("JOBMILL_CONFIG_PATH"), *home = getenv("XDG_CONFIG_HOME"), *run = getenv("XDG_RUNTIME_DIR");
        char **l = NULL;
        int r;

        if (path)
                return strv_split(path, ":");
        if (!user)
                return strv_split("/etc/jobmill:/run/jobmill:/usr/lib/jobmill", ":");
        r = home ? strv_extendf(&l, "%s/jobmill", home) : strv_extendf(&l, "%s/.config/jobmill", strempty(getenv("HOME")));
        if (r >= 0 && run)
                r = strv_extendf(&l, "%s/jobmill", run);
        if (r >= 0)
                r = strv_extend(&l, "/usr/lib/jobmill");
        return r < 0 ? strv_free(l) : l;
}

int policy_read(Policy *p, bool user) {
        _cleanup_strv_free_ char **directories = list_directories(user), **files = NULL;
        _cleanup_(conf_error_done) ConfError error = {};
        int r;

        policy_init(p);
        r = directories ? conf_files_for(directories, "webhook.conf", &files) : -ENOMEM;
        for (char **i = files; r >= 0 && i && *i; i++)
                r = conf_parse_file(*i, policy_assign, p, &error);
        if (r < 0)
                return log_error_errno(r, "%s:%u: %s", error.file ?: "webhook.conf", error.line, error.message ?: strerror(-r));
        return 0;
}

bool policy_allows(const Policy *p, const uint8_t address[static 16]) {
        for (size_t i = 0; i < p->n_allow; i++)
                if (address_is_in(address, p->allow + i))
                        return true;
        return address_is_public(address);
}
