/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See crash-point.h. Whatever fails here is the tests' to see: nothing is crossed then. */

#include "base/crash-point.h"

#include "base/macro.h"

#include <fcntl.h>
#include <signal.h>

#define NAMES_MAX 256U

static void note_crossed(const char *directory, const char *name) {
        static const char *crossed[NAMES_MAX];
        static size_t n;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *path = NULL;

        for (size_t i = 0; i < n; i++)
                if (crossed[i] == name)
                        return;
        if (n >= NAMES_MAX || asprintf(&path, "%s/crossed", directory) < 0)
                return;
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0 && dprintf(fd, "%s\n", name) > 0)
                crossed[n++] = name;
}

/* Take the first line off, or put the count in it down. */
static void rewrite(const char *path, const char *line, const char *rest) {
        FILE *f;

        if (!*line && !*rest) {
                (void) unlink(path);
                return;
        }
        f = fopen(path, "we");
        if (!f)
                return;
        (void) fprintf(f, "%s%s", line, rest);
        (void) fclose(f);
}

void crash_point(const char *name) {
        const char *directory = getenv("JOBMILL_CRASH_DIR");
        char armed[64], line[96], text[1024] = "";
        _cleanup_free_ char *path = NULL;
        unsigned count;
        char *rest;
        int signal;
        FILE *f;

        if (!directory)
                return;
        note_crossed(directory, name);
        if (asprintf(&path, "%s/armed", directory) < 0)
                return;
        f = fopen(path, "re");
        if (!f)
                return;
        (void) !fread(text, 1, sizeof(text) - 1, f);
        (void) fclose(f);
        rest = strchr(text, '\n');
        if (!rest || sscanf(text, "%63s %u %d", armed, &count, &signal) != 3 || !streq(armed, name))
                return;
        snprintf(line, sizeof(line), "%s %u %d\n", armed, count - 1, signal);
        rewrite(path, count > 1 ? line : "", rest + 1);
        if (count <= 1)
                (void) raise(signal);
}
