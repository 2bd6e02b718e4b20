/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names for one process, of a name server that does as the test needs (LD_PRELOAD): NAME.hangs.test is looked up for ever, and
 * 127-0-0-1.127-0-0-9.is.test has these addresses, in this order. All else is looked up as ever. */

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Lookup(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret);

static int look_up(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
        return ((Lookup *) dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, ret);
}

static const char *ends(const char *s, const char *with) {
        size_t n = strlen(s), k = strlen(with);

        return n >= k && strcmp(s + n - k, with) == 0 ? s + n - k : NULL;
}

/* Each is asked for by itself, so the machine makes what freeaddrinfo() takes. */
static int list(char *labels, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
        struct addrinfo **last = ret;
        char *rest = NULL;
        int r = EAI_NONAME;

        for (char *label = strtok_r(labels, ".", &rest); label; label = strtok_r(NULL, ".", &rest)) {
                for (char *p = label; *p; p++)
                        *p = *p == '-' ? '.' : *p;
                r = look_up(label, service, hints, last);
                if (r != 0)
                        return r;
                while (*last)
                        last = &(*last)->ai_next;
        }
        return r;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **ret) {
        const char *end;

        if (name && ends(name, ".hangs.test"))
                for (;;)
                        pause();
        if (name && (end = ends(name, ".is.test"))) {
                char *labels = strndup(name, end - name);
                int r = labels ? list(labels, service, hints, ret) : EAI_MEMORY;

                free(labels);
                return r;
        }
        return look_up(name, service, hints, ret);
}
