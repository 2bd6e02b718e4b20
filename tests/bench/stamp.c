/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* stamp FILE: a job that writes when it began to run, in seconds of CLOCK_MONOTONIC. The file is there as a whole or not at all. */

#include "base/macro.h"

#include <time.h>

int main(int argc, char *argv[]) {
        struct timespec t;
        char name[4096];
        FILE *f;

        clock_gettime(CLOCK_MONOTONIC, &t);
        if (argc != 2 || snprintf(name, sizeof(name), "%s.new", argv[1]) >= (int) sizeof(name))
                return 2;
        f = fopen(name, "we");
        if (!f)
                return 1;
        fprintf(f, "%.6f\n", t.tv_sec + t.tv_nsec / 1e9);
        return fclose(f) != 0 || rename(name, argv[1]) < 0;
}
