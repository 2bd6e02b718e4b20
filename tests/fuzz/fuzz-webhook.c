/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What says where a callback goes and by which key it is signed: a URL, names of units, addresses and ranges, a file of keys, and the settings
 * of webhook.conf, a KEY=VALUE on each line. What is taken is within its bounds; what is refused is told on one line. */

#include "fuzz.h"

#include "base/strv.h"
#include "queue/callback.h"
#include "queue/spec-check.h"
#include "webhook/policy.h"
#include "webhook/sign.h"

static void url(const char *s) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        _cleanup_free_ char *error = NULL;

        spec->callback_url = strdup(s);
        if (spec_check_callback_url(spec_field_find("callback_url"), spec, &error) < 0) {
                check_message(error);
                return;
        }
        check(startswith(s, "http://") || startswith(s, "https://"));
        check(strlen(s) <= CALLBACK_URL_MAX);
        for (const char *p = s; *p; p++)
                check(*p > ' ' && *p < 0x7f);
        check(callback_events(spec) == CALLBACK_EVENTS_DEFAULT && callback_set(spec) == CALLBACK_EVENTS_DEFAULT);
}

static void words(const char *s) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        _cleanup_free_ char *error = NULL;

        spec->callback_events = strv_split(s, "\n");
        if (spec_check_callback_events(spec_field_find("callback_events"), spec, &error) < 0)
                check_message(error);
        error = mfree(error);
        spec->on_failure = strv_split(s, "\n");
        if (spec_check_units(spec_field_find("on_failure"), spec, &error) < 0) {
                check_message(error);
                return;
        }
        STRV_FOREACH(i, spec->on_failure)
                check(strlen(*i) <= SPEC_UNIT_MAX && **i != '-' && !strpbrk(*i, "/ %;\"'$") && strrchr(*i, '.') > *i);
}

static void address(const char *s) {
        char buf[INET6_ADDRSTRLEN];
        AddressRange r, again;

        if (address_range_parse(s, &r) < 0)
                return;
        check(r.bits <= 128 && address_is_in(r.bytes, &r));
        check(address_range_parse(address_format(r.bytes, buf), &again) >= 0 && memcmp(again.bytes, r.bytes, sizeof(r.bytes)) == 0);
        check(again.bits == 128 && address_is_public(again.bytes) == address_is_public(r.bytes));
}

static void key_file(const char *s) {
        Message m = { .id = "1-a", .timestamp = 1, .body = s, .size = strlen(s) };
        _cleanup_free_ char *signature = NULL;
        unsigned line;
        Keys k = {};

        if (keys_parse(&k, "default", s, &line) >= 0) {
                check(k.n >= 1 && k.n <= KEYS_PER_FILE);
                for (size_t i = 0; i < k.n; i++)
                        check(k.keys[i].size >= KEY_LEAST && k.keys[i].size <= KEY_MOST);
                check(message_sign(&m, &k, 0, "q", &signature) == 1 && startswith(signature, "v1,"));
        }
        keys_done(&k);
}

static void settings(char *s) {
        Policy p;

        policy_init(&p);
        for (char *save = NULL, *line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                _cleanup_(conf_error_done) ConfError error = {};
                char *value = strchr(line, '=');

                if (!value || !utf8_is_valid(line, strlen(line)) || !string_is_clean(line))
                        continue; /* the reader of files sees to that */
                *value++ = 0;
                if (policy_assign(&p, "f", 1, "Webhook", line, value, &error) < 0)
                        check_message(error.message);
        }
        check(p.deliveries >= 1 && p.deliveries <= 256 && p.redirects_max <= 10 && p.timeout_usec >= USEC_PER_MSEC);
        check(!p.ca_file || *p.ca_file == '/');
        policy_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *s = copy_text(data, size);
        _cleanup_free_ char *word = copy_text(data, size);

        /* A file of seeds ends with a line feed, a word does not. */
        if (size > 0 && word[size - 1] == '\n')
                word[size - 1] = 0;
        url(word);
        words(word);
        address(word);
        key_file(s);
        settings(s);
        return 0;
}
