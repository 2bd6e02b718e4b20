/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs a target once for each file that is named, and for each file of the directories: without libFuzzer, by any compiler. */

#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static unsigned n_inputs;

static void run_file(const char *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;

        if (!f || fstat(fileno(f), &st) < 0) {
                fprintf(stderr, "%s: %m\n", path);
                exit(EXIT_FAILURE);
        }
        data = malloc(st.st_size ?: 1);
        check(data && fread(data, 1, st.st_size, f) == (size_t) st.st_size);
        if (getenv("VERBOSE"))
                fprintf(stderr, "%s\n", path);
        (void) LLVMFuzzerTestOneInput(data, st.st_size);
        n_inputs++;
}

static void run_directory(const char *path, DIR *d) {
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *file = NULL;

                if (e->d_name[0] == '.')
                        continue;
                check(asprintf(&file, "%s/%s", path, e->d_name) > 0);
                run_file(file);
        }
}

int main(int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                DIR *d = opendir(argv[i]);

                if (d) {
                        run_directory(argv[i], d);
                        closedir(d);
                } else
                        run_file(argv[i]);
        }
        printf("%u inputs\n", n_inputs);
        return n_inputs > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
