/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses that a callback may go to: what is reachable from everywhere, and what AllowAddresses= names. Pure. */

#include "base/macro.h"
#include <netinet/in.h>
#include <sys/socket.h>

/* All are held as IPv6: 192.0.2.0/24 is ::ffff:192.0.2.0/120. */
typedef struct AddressRange {
        uint8_t bytes[16];
        unsigned bits;
} AddressRange;

int address_range_parse(const char *s, AddressRange *ret); /* 10.0.0.0/8, 127.0.0.1, fd00::/8 */
/* -EAFNOSUPPORT: neither IPv4 nor IPv6. */
int address_from_socket(const struct sockaddr *a, size_t size, uint8_t ret[static 16]);
bool address_is_in(const uint8_t a[static 16], const AddressRange *range);
bool address_is_public(const uint8_t a[static 16]);
const char *address_format(const uint8_t a[static 16], char buf[static INET6_ADDRSTRLEN]);
