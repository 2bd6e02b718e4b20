/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is not reachable from everywhere is somebody's own: this machine, its neighbours, what a cloud tells its machines. Whoever submits a
 * job chooses where a callback goes, and must not get there by it. The lists are IANA's registries of special-purpose addresses; of IPv6 only
 * 2000::/3 is given out at all. An IPv4 address within an IPv6 one is looked at as that. */

#include "webhook/address.h"

#include "base/parse.h"

#include <arpa/inet.h>

static const char *const special[] = {
        "0.0.0.0/8",       "10.0.0.0/8",      "100.64.0.0/10", "127.0.0.0/8",    "169.254.0.0/16",  "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24",    "192.88.99.0/24",  "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",     "2001::/23",       "2001:db8::/32", "3fff::/20",
};

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

int address_range_parse(const char *s, AddressRange *ret) {
        char text[INET6_ADDRSTRLEN];
        const char *slash = strchrnul(s, '/');
        unsigned offset = 0;
        uint32_t bits;

        if ((size_t) (slash - s) >= sizeof(text))
                return -EINVAL;
        memcpy(text, s, slash - s);
        text[slash - s] = 0;
        if (inet_pton(AF_INET, text, ret->bytes + 12) == 1) {
                memcpy(ret->bytes, mapped, sizeof(mapped));
                offset = 96;
        } else if (inet_pton(AF_INET6, text, ret->bytes) != 1)
                return -EINVAL;
        bits = 128 - offset;
        if (*slash && (parse_u32(slash + 1, &bits) < 0 || bits > 128 - offset))
                return -EINVAL;
        ret->bits = offset + bits;
        return 0;
}

int address_from_socket(const struct sockaddr *a, size_t size, uint8_t ret[static 16]) {
        if (a->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
                memcpy(ret, mapped, sizeof(mapped));
                memcpy(ret + 12, &((const struct sockaddr_in *) a)->sin_addr, 4);
                return 0;
        }
        if (a->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
                memcpy(ret, &((const struct sockaddr_in6 *) a)->sin6_addr, 16);
                return 0;
        }
        return -EAFNOSUPPORT;
}

bool address_is_in(const uint8_t a[static 16], const AddressRange *range) {
        unsigned whole = range->bits / 8, rest = range->bits % 8;

        return memcmp(a, range->bytes, whole) == 0 && (rest == 0 || ((a[whole] ^ range->bytes[whole]) >> (8 - rest)) == 0);
}

static bool is_in(const uint8_t a[static 16], const char *range) {
        AddressRange r;

        return address_range_parse(range, &r) >= 0 && address_is_in(a, &r);
}

/* The IPv4 address that it stands for is behind so many bytes. */
static bool embedded_is_public(const uint8_t a[static 16], size_t offset) {
        uint8_t v4[16];

        memcpy(v4, mapped, sizeof(mapped));
        memcpy(v4 + 12, a + offset, 4);
        return address_is_public(v4);
}

bool address_is_public(const uint8_t a[static 16]) {
        if (is_in(a, "64:ff9b::/96")) /* NAT64 */
                return embedded_is_public(a, 12);
        if (is_in(a, "2002::/16")) /* 6to4 */
                return embedded_is_public(a, 2);
        if (memcmp(a, mapped, sizeof(mapped)) != 0 && !is_in(a, "2000::/3"))
                return false;
        FOREACH_ELEMENT(i, special)
                if (is_in(a, *i))
                        return false;
        return true;
}

const char *address_format(const uint8_t a[static 16], char buf[static INET6_ADDRSTRLEN]) {
        bool v4 = memcmp(a, mapped, sizeof(mapped)) == 0;

        return inet_ntop(v4 ? AF_INET : AF_INET6, a + (v4 ? 12 : 0), buf, INET6_ADDRSTRLEN);
}
