/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "varlink-client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define READ_SIZE (256U * 1024U)

int varlink_connect(VarlinkClient *c, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        *c = (VarlinkClient) { .fd = -1 };
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return 0;
}

void varlink_done(VarlinkClient *c) {
        if (c->fd >= 0)
                close(c->fd);
        free(c->data);
}

int varlink_send(VarlinkClient *c, const char *text, size_t size) {
        while (size > 0) {
                ssize_t n = send(c->fd, text, size, MSG_NOSIGNAL);

                if (n < 0 && errno != EINTR)
                        return -errno;
                text += MAX(n, 0);
                size -= MAX(n, 0);
        }
        return 0;
}

int varlink_receive_some(VarlinkClient *c) {
        ssize_t n;

        if (c->start > 0) {
                memmove(c->data, c->data + c->start, c->end - c->start);
                c->end -= c->start;
                c->start = 0;
        }
        if (c->size - c->end < READ_SIZE) {
                char *data = realloc(c->data, c->size + 2 * READ_SIZE);

                if (!data)
                        return -ENOMEM;
                c->data = data;
                c->size += 2 * READ_SIZE;
        }
        do
                n = recv(c->fd, c->data + c->end, READ_SIZE, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        c->end += n;
        return n > 0;
}

char *varlink_next(VarlinkClient *c, size_t *ret_size) {
        char *text = c->data + c->start, *end;

        end = c->end > c->start ? memchr(text, 0, c->end - c->start) : NULL;
        if (!end)
                return NULL;
        *ret_size = end - text;
        c->start += *ret_size + 1;
        return text;
}

char *submit_many_text(const char *queue, bool hold, unsigned n, size_t *ret_size) {
        char *text = NULL;
        FILE *f;

        f = open_memstream(&text, ret_size);
        if (!f)
                return NULL;
        fputs("{\"method\":\"org.jobmill.SubmitMany\",\"parameters\":{\"jobs\":[", f);
        for (unsigned i = 0; i < n; i++)
                fprintf(f, "%s{\"queue\":\"%s\",\"name\":\"bench\",\"argv\":[\"/bin/true\"]%s}", i > 0 ? "," : "", queue, hold ? ",\"hold\":true" : "");
        fputs("]}}", f);
        fputc(0, f);
        if (fclose(f) != 0)
                text = mfree(text);
        return text;
}

double monotonic_seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}
