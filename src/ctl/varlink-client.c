/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See varlink-client.h. The socket lies where the daemon's runtime directory is. */

#include "ctl/varlink-client.h"
#include "api/protocol.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define READ_SIZE 65536U
#define MESSAGE_MAX (16U * 1024U * 1024U)
#define CONNECT_AGAIN_USEC (50 * USEC_PER_MSEC)

void varlink_client_done(VarlinkClient *c) {
        safe_close(c->fd);
        free(c->in);
        *c = VARLINK_CLIENT_NONE;
}

static int find_path(char *buf, size_t size) {
        const char *run = getenv("JOBMILL_RUNTIME_PATH"), *xdg = getenv("XDG_RUNTIME_DIR");
        int n;

        if (run)
                n = snprintf(buf, size, "%s/org.jobmill", run);
        else if (!arg_user)
                n = snprintf(buf, size, "/run/jobmill/org.jobmill");
        else if (xdg)
                n = snprintf(buf, size, "%s/jobmill/org.jobmill", xdg);
        else
                return -ENXIO;
        return (size_t) n < size ? 0 : -ENAMETOOLONG;
}

/* 1: it is so; 0: not within that time. Without a descriptor: it waits that long. */
static int wait_for(int fd, short events, usec_t timeout, const sigset_t *mask) {
        struct timespec t = { .tv_sec = timeout / USEC_PER_SEC, .tv_nsec = timeout % USEC_PER_SEC * NSEC_PER_USEC };
        struct pollfd p = { .fd = fd, .events = events };
        int r;

        r = ppoll(&p, 1, timeout == USEC_INFINITY ? NULL : &t, mask);
        return r < 0 ? -errno : r;
}

static usec_t left_until(usec_t deadline) {
        usec_t now = now_usec(CLOCK_MONOTONIC);

        return deadline == USEC_INFINITY ? USEC_INFINITY : deadline > now ? deadline - now : 0;
}

/* Where too many wait to be taken there is nothing to wait for: asked again. */
int varlink_client_connect(VarlinkClient *c, usec_t timeout, const sigset_t *mask) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        usec_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout), left;
        int r;

        varlink_client_done(c);
        r = find_path(address.sun_path, sizeof(address.sun_path));
        if (r < 0)
                return r;
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (c->fd < 0)
                return -errno;
        for (;;) {
                r = connect(c->fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : 0;
                if (r >= 0)
                        return 0;
                if (r != -EAGAIN)
                        break;
                left = left_until(deadline);
                r = left > 0 ? wait_for(-EBADF, 0, MIN(left, CONNECT_AGAIN_USEC), mask) : -ETIMEDOUT;
                if (r < 0)
                        break;
        }
        varlink_client_done(c);
        return r;
}

static int send_some(VarlinkClient *c, const char **text, const char *end, usec_t deadline, const sigset_t *mask) {
        ssize_t n = send(c->fd, *text, end - *text, MSG_NOSIGNAL);
        int r;

        if (n >= 0) {
                *text += n;
                return 0;
        }
        if (errno != EAGAIN)
                return errno == EINTR ? 0 : -errno;
        r = wait_for(c->fd, POLLOUT, left_until(deadline), mask);
        return r == 0 ? -ETIMEDOUT : r;
}

int varlink_client_send(VarlinkClient *c, const char *method, bool more, json_object *parameters, usec_t timeout, const sigset_t *mask) {
        usec_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout);
        json_object *call = json_object_new_object();
        const char *text, *end;
        char name[64];
        int r = 0;

        snprintf(name, sizeof(name), JOBMILL_VARLINK_INTERFACE ".%s", method);
        json_object_object_add(call, "method", json_object_new_string(name));
        json_object_object_add(call, "parameters", parameters);
        if (more)
                json_object_object_add(call, "more", json_object_new_boolean(true));
        text = json_object_to_json_string_ext(call, JSON_C_TO_STRING_PLAIN);
        end = text + strlen(text) + 1; /* with its NUL */
        while (text < end && r >= 0)
                r = send_some(c, &text, end, deadline, mask);
        json_object_put(call);
        return r < 0 ? r : 0;
}

static int receive(VarlinkClient *c) {
        char *more;
        ssize_t n;

        if (c->n_in > MESSAGE_MAX)
                return -EMSGSIZE;
        more = realloc(c->in, c->n_in + READ_SIZE);
        if (!more)
                return -ENOMEM;
        c->in = more;
        n = recv(c->fd, c->in + c->n_in, READ_SIZE, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -ECONNRESET;
        if (n == 0)
                return -ECONNRESET;
        c->n_in += n;
        return 0;
}

int varlink_client_read(VarlinkClient *c, usec_t timeout, const sigset_t *mask, json_object **ret) {
        usec_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout);
        char *end;
        int r;

        while (!(end = c->n_in > 0 ? memchr(c->in, 0, c->n_in) : NULL)) {
                r = wait_for(c->fd, POLLIN, left_until(deadline), mask);
                if (r <= 0)
                        return r == 0 ? -ETIMEDOUT : r;
                r = receive(c);
                if (r < 0)
                        return r;
        }
        *ret = json_tokener_parse(c->in);
        end++;
        c->n_in -= end - c->in;
        memmove(c->in, end, c->n_in);
        return *ret ? 0 : -EBADMSG;
}

const char *varlink_error(json_object *answer, const char **ret_message) {
        json_object *error, *parameters = NULL, *message = NULL;
        const char *name, *dot;

        if (!json_object_object_get_ex(answer, "error", &error))
                return NULL;
        name = strempty(json_object_get_string(error));
        dot = strrchr(name, '.');
        if (json_object_object_get_ex(answer, "parameters", &parameters))
                (void) json_object_object_get_ex(parameters, "message", &message);
        *ret_message = message ? json_object_get_string(message) : name;
        return dot ? dot + 1 : name;
}
