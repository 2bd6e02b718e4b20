/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Configuration files in systemd.syntax(7)'s form: [Section], Key=Value, '#' and ';' comment lines, '\' at the end
 * continues a line. Read by inih from a stream with a line reader of our own, because inih alone cuts long values
 * and knows no continuation. Lookup and merging are systemd's (systemd.unit(5)): of several NAME in the directories
 * the first directory wins; all NAME.d/ *.conf of all directories are sorted together by file name, one from an earlier
 * directory hides its namesake in a later one, and they are read after the main file. A link to /dev/null or an
 * empty file masks. Nothing that is found in a directory blocks or is read without end. */

#include "base/macro.h"

/* Where a line was found, and what is wrong with it. */
typedef struct ConfError {
        char *file;
        unsigned line;
        char *message; /* names section and key */
        void (*tell)(struct ConfError *e); /* NULL: the first error ends the parse. Else it is called for each, and all is read */
        void *userdata;
} ConfError;

void conf_error_done(ConfError *e);
int conf_error_set(ConfError *e, const char *file, unsigned line, const char *format, ...) _printf_(4, 5); /* returns -EBADMSG (0 where it was told); keeps the first error; e may be NULL */

/* One assignment. value is "" for an empty one (which resets). Non-zero return stops the parse: what conf_error_set() on the
 * given error returned, or -ENOMEM. */
typedef int (*conf_assign_t)(void *userdata, const char *file, unsigned line, const char *section, const char *key,
                             const char *value, ConfError *error);

#define CONF_LINE_MAX (1024U * 1024U)
#define CONF_FILE_MAX (4U * 1024U * 1024U)

/* Parse one stream or file. 0, -EBADMSG (error filled), or the errno of opening or reading, where error names the
 * file with line 0, except for -ENOENT. CONF_LINE_MAX is for a line with all its continuations. */
int conf_parse_stream(FILE *f, const char *name, conf_assign_t assign, void *userdata, ConfError *error);
int conf_parse_file(const char *path, conf_assign_t assign, void *userdata, ConfError *error);

/* The files that make up NAME (path relative to the directories, such as "queues/gpu.queue"), in reading order: main
 * file first, then drop-ins, those that are masked left out. 1: the main file is masked, so there are drop-ins only. */
int conf_files_for(char *const *directories, const char *name, char ***ret);

/* All object names with this suffix in SUBDIR of the directories (without the suffix), sorted, masked ones left out. A main
 * file or a drop-in makes an object. */
int conf_list_names(char *const *directories, const char *subdir, const char *suffix, char ***ret);

/* conf_files_for() and conf_parse_file() for each. 0, with what was read in *ret_files (which may be NULL); 1 when there was nothing to
 * read or it is masked; or the error. */
int conf_parse_object(char *const *directories, const char *name, conf_assign_t assign, void *userdata, char ***ret_files,
                      ConfError *error);
