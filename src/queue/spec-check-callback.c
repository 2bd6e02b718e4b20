/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys that say who is told what becomes of a job (queue/callback.h): a web server, and units that are started. */

#include "queue/spec-check.h"

#include "base/strv.h"
#include "queue/callback.h"

bool spec_unit_name_is_valid(const char *s, bool is_template) {
        static const char *const types[] = { ".service", ".socket", ".target", ".mount", ".automount", ".swap", ".path", ".timer",
                                             ".device", ".slice", ".scope" };
        const char *dot = strrchr(s, '.'), *at = strchr(s, '@');

        if (strlen(s) > SPEC_UNIT_MAX || !dot || dot == s || at == s || *s == '-' || (at && at + 1 == dot) != is_template)
                return false;
        if (strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-") != strlen(s))
                return false;
        FOREACH_ELEMENT(t, types)
                if (streq(*t, dot))
                        return true;
        return false;
}

/* What can be said of it without libcurl, whose reading of it counts: jobmill-webhook's. */
int spec_check_callback_url(const SpecField *f, const JobSpec *s, char **ret_error) {
        const char *url = s->callback_url, *host;
        char q[SPEC_QUOTE_MAX];

        if (!url)
                return 0;
        host = startswith(url, "https://") ?: startswith(url, "http://");
        if (!host || !*host || strchr("/?#:@", *host))
                return spec_error(ret_error, EINVAL, "'%s': '%s' is no URL of the form https://HOST…", f->name, spec_quote(q, url, strlen(url)));
        if (strlen(url) > CALLBACK_URL_MAX)
                return spec_error(ret_error, E2BIG, "'%s' is longer than %u bytes", f->name, CALLBACK_URL_MAX);
        for (const char *p = host; *p; p++)
                if (*p <= ' ' || *p >= 0x7f || strchr("\\\"<>", *p))
                        return spec_error(ret_error, EINVAL, "'%s': '%s' has characters that no URL has: write them as %%XX", f->name,
                                          spec_quote(q, url, strlen(url)));
        return 0;
}

int spec_check_callback_events(const SpecField *f, const JobSpec *s, char **ret_error) {
        char q[SPEC_QUOTE_MAX];

        STRV_FOREACH(i, s->callback_events)
                if (callback_event_from_string(*i) < 0)
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is none of started, success, failure, dead", f->name,
                                          spec_quote(q, *i, strlen(*i)));
        return 0;
}

/* A template gets the id of the job as its instance, for which there must be room. */
int spec_check_units(const SpecField *f, const JobSpec *s, char **ret_error) {
        char *const *l = *(char **const *) ((const uint8_t *) s + f->offset);
        char q[SPEC_QUOTE_MAX];

        STRV_FOREACH(i, l) {
                bool is_template = strstr(*i, "@.") != NULL;

                if (!spec_unit_name_is_valid(*i, is_template) || strlen(*i) > SPEC_UNIT_MAX - is_template * 20)
                        return spec_error(ret_error, EINVAL, "'%s': '%s' is no name of a unit", f->name, spec_quote(q, *i, strlen(*i)));
        }
        return 0;
}
