/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What somebody sends to the port of jobmill-exporter; the first byte says when the daemon answers it: 'n' at once, 'l' later, 'e' with an error. A line
 * that is "|" alone stands between what comes in two pieces. Whatever it is: nothing is left of it, and what comes back begins as HTTP does. */

#include "fuzz.h"

#include "exporter/http.h"

#include <sys/socket.h>
#include <sys/un.h>

static Http *http;
static sd_event *event;
static struct sockaddr_un address;
static socklen_t address_size;
static char when;
static unsigned asked;

static void answer(void) {
        http_answer(http, when == 'e' ? NULL : "jobmill_jobs 1\n", when == 'e' ? "it is away" : NULL);
        asked = 0;
}

static void ask(void *userdata) {
        asked++;
        if (when != 'l')
                answer();
}

static void begin(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        address.sun_family = AF_UNIX;
        address_size = sizeof(address);
        check(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)) >= 0 && listen(fd, 16) >= 0);
        check(getsockname(fd, (struct sockaddr *) &address, &address_size) >= 0);
        check(sd_event_new(&event) >= 0 && http_new(event, fd, ask, NULL, &http) >= 0);
}

static void run(void) {
        for (unsigned i = 0; i < 20 && sd_event_run(event, 0) > 0; i++)
                ;
}

static bool hear(int fd, bool *begun) {
        static const char prefix[] = "HTTP/1.";
        char buf[65536];
        ssize_t n;

        while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
                check(*begun || ((size_t) n > strlen(prefix) && startswith(buf, prefix)));
                *begun = true;
        }
        return n < 0 && errno == EAGAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data + 1, *end = (const char *) data + size;
        bool begun = false;
        int fd;

        if (size == 0)
                return 0;
        if (!http)
                begin();
        when = (char) data[0];
        asked = 0;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        check(fd >= 0 && connect(fd, (struct sockaddr *) &address, address_size) >= 0);
        while (text < end) {
                const char *stop = memmem(text, (size_t) (end - text), "\n|\n", 3);

                if (send(fd, text, (size_t) ((stop ? stop + 1 : end) - text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                        break;
                run();
                text = stop ? stop + 3 : end;
        }
        if (asked > 0) {
                (void) hear(fd, &begun);
                check(!begun || when == 'l');
                answer();
        }
        for (unsigned i = 0; i < 3 && hear(fd, &begun); i++)
                run();
        close(fd);
        run();
        if (asked > 0)
                answer();
        return 0;
}
