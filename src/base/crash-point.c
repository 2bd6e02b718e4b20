/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See crash-point.h. Whatever fails here is the tests' to see: nothing is raised then. */

#include "base/crash-point.h"

#include "base/macro.h"

#include <fcntl.h>
#include <signal.h>

/* Whole at any moment: the tests look at it meanwhile. */
static bool rewrite(const char *path, const char *line, const char *rest) {
        _cleanup_free_ char *new = NULL;
        bool written;
        FILE *f;

        if (!*line && !*rest)
                return unlink(path) >= 0;
        if (asprintf(&new, "%s.new", path) < 0) {
                new = NULL;
                return false;
        }
        f = fopen(new, "we");
        if (!f)
                return false;
        written = fprintf(f, "%s%s", line, rest) > 0;
        return fclose(f) == 0 && written && rename(new, path) >= 0;
}

void crash_point(const char *name) {
        const char *directory = getenv("JOBMILL_CRASH_DIR");
        _cleanup_free_ char *path = NULL;
        char line[32], text[128];
        unsigned count;
        char *rest;
        int signal;
        ssize_t n;
        int fd;

        if (!directory || asprintf(&path, "%s/%s", directory, name) < 0)
                return;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
        text[MAX(n, 0)] = 0;
        rest = strchr(text, '\n');
        if (!rest || sscanf(text, "%u %d", &count, &signal) != 2)
                return;
        (void) snprintf(line, sizeof(line), "%u %d\n", count - 1, signal);
        if (rewrite(path, count > 1 ? line : "", rest + 1) && count <= 1)
                (void) raise(signal);
}
