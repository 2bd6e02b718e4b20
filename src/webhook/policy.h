/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The contents of webhook.conf and of its drop-ins: where callbacks may go, and how much of a receiver is borne. webhook.conf(5). */

#include "base/conf-file.h"
#include "webhook/address.h"

typedef struct Policy {
        AddressRange *allow;
        size_t n_allow;
        uint64_t allow_http;      /* bool */
        uint64_t deliveries;      /* at a time */
        uint64_t redirects_max;
        uint64_t response_max;    /* so many bytes of an answer are read */
        usec_t timeout_usec, connect_timeout_usec;
        usec_t idle_usec;         /* it ends after so long with nothing to do */
        char *ca_file;            /* NULL: the system's */
} Policy;

void policy_done(Policy *p);
/* As it is without any file. */
void policy_init(Policy *p);
/* A conf_assign_t; userdata is the Policy. */
int policy_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value, ConfError *error);
/* From where jobmilld reads its own. Tells what is wrong. */
int policy_read(Policy *p, bool user);
bool policy_allows(const Policy *p, const uint8_t address[static 16]);
