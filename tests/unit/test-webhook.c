/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What jobmill-webhook is careful with: addresses, keys and signatures, its settings. */

#include "base/macro.h"
#include "webhook/policy.h"
#include "webhook/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define FOREACH_STRING(i, ...) for (const char *const *_p = (const char *const[]) { __VA_ARGS__, NULL }, *i; (i = *_p); _p++)

static void parse(const char *s, uint8_t ret[static 16]) {
        AddressRange r;

        assert_int_equal(address_range_parse(s, &r), 0);
        memcpy(ret, r.bytes, 16);
}

static void test_public(void **state) {
        static const char *const no[] = {
                "0.0.0.0", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255",
                "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.2.3",
                "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
                "2001::1", "2001:db8::1", "2002:a00:1::", "2002:7f00:1::1", "3fff::1", "4000::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
        };
        static const char *const yes[] = {
                "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0",
                "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::",
                "2001:4860:4860::8888", "2606:4700::1111", "2a00::1",
        };
        uint8_t a[16];

        FOREACH_ELEMENT(i, no) {
                parse(*i, a);
                if (address_is_public(a))
                        fail_msg("%s", *i);
        }
        FOREACH_ELEMENT(i, yes) {
                parse(*i, a);
                if (!address_is_public(a))
                        fail_msg("%s", *i);
        }
}

static void test_ranges(void **state) {
        char buf[INET6_ADDRSTRLEN];
        AddressRange r;
        uint8_t a[16];

        FOREACH_STRING(i, "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "host", "10.0.0.0/8/8",
                       "11111111111111111111111111111111111111111111111111111/8")
                assert_int_equal(address_range_parse(i, &r), -EINVAL);
        assert_int_equal(address_range_parse("10.20.0.0/15", &r), 0);
        parse("10.21.255.255", a);
        assert_true(address_is_in(a, &r));
        parse("::ffff:10.21.1.1", a);
        assert_true(address_is_in(a, &r));
        assert_string_equal(address_format(a, buf), "10.21.1.1");
        parse("10.22.0.0", a);
        assert_false(address_is_in(a, &r));
        assert_int_equal(address_range_parse("::/0", &r), 0);
        assert_true(address_is_in(a, &r));
        assert_int_equal(address_range_parse("0.0.0.0/0", &r), 0);
        parse("fd00::1", a);
        assert_false(address_is_in(a, &r));
        assert_string_equal(address_format(a, buf), "fd00::1");
}

static void test_sockets(void **state) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr unix_ = { .sa_family = AF_UNIX };
        char buf[INET6_ADDRSTRLEN];
        uint8_t a[16];

        assert_int_equal(address_from_socket((struct sockaddr *) &v4, sizeof(v4), a), 0);
        assert_string_equal(address_format(a, buf), "127.0.0.1");
        assert_int_equal(address_from_socket((struct sockaddr *) &v6, sizeof(v6), a), 0);
        assert_string_equal(address_format(a, buf), "::1");
        assert_int_equal(address_from_socket((struct sockaddr *) &v6, sizeof(v4), a), -EAFNOSUPPORT);
        assert_int_equal(address_from_socket(&unix_, sizeof(unix_), a), -EAFNOSUPPORT);
}

static int assign(Policy *p, const char *key, const char *value) {
        return policy_assign(p, "f", 1, "Webhook", key, value, NULL);
}

static void test_policy(void **state) {
        uint8_t a[16];
        Policy p;

        policy_init(&p);
        assert_true(!p.allow_http && p.deliveries == 16 && p.redirects_max == 0 && p.timeout_usec == 30 * USEC_PER_SEC);
        parse("10.1.2.3", a);
        assert_false(policy_allows(&p, a));
        assert_int_equal(assign(&p, "AllowAddresses", "192.168.0.0/16 fd00::/8"), 0);
        assert_int_equal(assign(&p, "AllowAddresses", "10.1.2.3"), 0);
        assert_true(policy_allows(&p, a) && p.n_allow == 3);
        assert_int_equal(assign(&p, "AllowAddresses", ""), 0);
        assert_false(policy_allows(&p, a));
        parse("1.1.1.1", a);
        assert_true(policy_allows(&p, a));
        assert_int_equal(assign(&p, "AllowHTTP", "yes"), 0);
        assert_true(p.allow_http);
        assert_int_equal(assign(&p, "AllowHTTP", ""), 0);
        assert_false(p.allow_http);
        assert_int_equal(assign(&p, "CAFile", "/x"), 0);
        assert_string_equal(p.ca_file, "/x");
        assert_int_equal(assign(&p, "CAFile", "x"), -EBADMSG);
        assert_int_equal(assign(&p, "Deliveries", "0"), -EBADMSG);
        assert_int_equal(assign(&p, "TimeoutSec", "2h"), -EBADMSG);
        assert_int_equal(assign(&p, "AllowAddresses", "localhost"), -EBADMSG);
        assert_int_equal(assign(&p, "Unknown", "1"), -EBADMSG);
        assert_int_equal(policy_assign(&p, "f", 1, "Other", "Deliveries", "1", NULL), -EBADMSG);
        policy_done(&p);
}

/* The vector of Standard Webhooks' own libraries. */
static void test_vector(void **state) {
        Message m = { .id = "msg_p5jXN8AQM9LWM0D4loKWxJek", .timestamp = 1614265330, .body = "{\"test\": 2432232314}", .size = 20 };
        _cleanup_free_ char *signature = NULL;
        unsigned line;
        Keys k = {};

        assert_int_equal(keys_parse(&k, "default", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &line), 0);
        assert_int_equal(message_sign(&m, &k, 1000, "q", &signature), 1);
        assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        keys_done(&k);
}

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX" /* 24 bytes */

static void test_keys(void **state) {
        unsigned line;
        Keys k = {};

        assert_int_equal(keys_parse(&k, "a", "# now\n\n  " KEY " \r\n#" KEY "\n\twhsec_" KEY, &line), 0);
        assert_true(k.n == 2 && k.keys[0].size == 24 && memcmp(k.keys[0].data, k.keys[1].data, 24) == 0 && k.keys[1].data[23] == 23);
        assert_int_equal(keys_parse(&k, "b", KEY "\n" KEY "\n" KEY, &line), -E2BIG);
        assert_int_equal(line, 3);
        assert_int_equal(keys_parse(&k, "b", "\n# none\n", &line), -ENODATA);
        FOREACH_STRING(i, "AAEC", "whsec_", "AAECAwQFBgcICQoLDA0ODxAREhMUFR==", KEY "=", "!!ECAwQFBgcICQoLDA0ODxAREhMUFRYX", KEY KEY KEY "AAAA")
                assert_int_equal(keys_parse(&k, "b", i, &line), -EBADMSG);
        keys_done(&k);
}

static int n_signatures(const Keys *k, uint32_t owner, const char *queue) {
        Message m = { .id = "1-2", .timestamp = 1, .body = "{}", .size = 2 };
        _cleanup_free_ char *signature = NULL;
        int n = message_sign(&m, k, owner, queue, &signature);

        for (const char *p = signature; p && (p = strchr(p, ' ')); p++)
                n++;
        return n;
}

static void test_whose(void **state) {
        unsigned line;
        Keys k = {};

        assert_int_equal(n_signatures(&k, 1000, "q"), 0);
        assert_int_equal(keys_parse(&k, "uid-1000", KEY "\n" KEY, &line), 0);
        assert_int_equal(keys_parse(&k, "queue-gpu", KEY, &line), 0);
        assert_int_equal(n_signatures(&k, 1000, "gpu"), 3);
        assert_int_equal(n_signatures(&k, 1000, "gpu-x"), 2);
        assert_int_equal(n_signatures(&k, 100, "gpu"), 1);
        assert_int_equal(n_signatures(&k, 100, ""), 0);
        assert_int_equal(keys_parse(&k, "default", KEY, &line), 0);
        assert_int_equal(n_signatures(&k, 100, "x"), 1);
        keys_done(&k);
}

static void test_id(void **state) {
        Message a = { .body = "{\"a\":1}", .size = 7 }, b = a, c = { .body = "{\"a\":2}", .size = 7 };

        assert_true(message_make_id(&a, 17) == 0 && message_make_id(&b, 17) == 0 && message_make_id(&c, 17) == 0);
        assert_string_equal(a.id, b.id);
        assert_string_not_equal(a.id, c.id);
        assert_non_null(startswith(a.id, "17-"));
        assert_int_equal(strlen(a.id), 3 + 24);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_public), cmocka_unit_test(test_ranges), cmocka_unit_test(test_sockets), cmocka_unit_test(test_policy),
                cmocka_unit_test(test_vector), cmocka_unit_test(test_keys),   cmocka_unit_test(test_whose),   cmocka_unit_test(test_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
