/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configuration files. inih gives the grammar of sections and keys, but it cuts what is longer than its line
 * buffer, takes " ;" in a value for a comment and knows no continuation. So our reader makes the logical lines,
 * keeps the value aside, and feeds inih "[Section]" or "Key=" alone; the handler puts both together again.
 *
 * Promises: a value arrives whole and as written, without white space around it; what cannot be read is
 * refused with its line; after the first error nothing more is assigned. */

#include "base/conf-file.h"
#include "base/parse.h"
#include "base/strv.h"

#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <sys/stat.h>

#define WHITESPACE " \t\r"
#define WORD_MAX 49U /* inih cuts longer names of sections and keys */

typedef struct Reader {
        FILE *f;
        const char *name;
        conf_assign_t assign;
        void *userdata;
        ConfError *error;
        char *buffer;      /* the logical line, CONF_LINE_MAX + 1 bytes */
        const char *value; /* of the assignment that inih is just being given; in buffer */
        unsigned line;     /* physical lines read */
        unsigned start;    /* where the logical line begins */
        size_t bytes;
        int r;
} Reader;

static void closedirp(DIR **d) {
        if (*d)
                closedir(*d);
}

void conf_error_done(ConfError *e) {
        e->file = mfree(e->file);
        e->message = mfree(e->message);
        e->line = 0;
}

int conf_error_set(ConfError *e, const char *file, unsigned line, const char *format, ...) {
        va_list ap;
        int r;

        if (!e || e->message)
                return -EBADMSG;
        va_start(ap, format);
        e->message = vformat(format, ap);
        va_end(ap);
        e->line = line;
        r = free_and_strdup(&e->file, file) < 0 || !e->message ? -ENOMEM : -EBADMSG;
        if (r == -ENOMEM || !e->tell)
                return r;
        e->tell(e);
        conf_error_done(e);
        return 0;
}

static char *strip(char *s) {
        s += strspn(s, WHITESPACE);
        for (size_t n = strlen(s); n > 0 && strchr(WHITESPACE, s[n - 1]); n--)
                s[n - 1] = '\0';
        return s;
}

/* Appends a physical line to the first n bytes of the buffer. 1, 0 at the end of the file, or an error. */
static int read_line(Reader *r, size_t n) {
        size_t start = n;
        int c;

        r->line++;
        errno = 0;
        while ((c = getc_unlocked(r->f)) != EOF && c != '\n') {
                if (c == '\0' || n >= CONF_LINE_MAX || r->bytes++ >= CONF_FILE_MAX)
                        return conf_error_set(r->error, r->name, r->line,
                                              c == '\0'             ? "Line contains a NUL byte." :
                                              n >= CONF_LINE_MAX    ? "Line is too long." :
                                                                      "File is too large.");
                r->buffer[n++] = (char) c;
        }
        r->bytes++;
        r->buffer[n] = '\0';
        if (c == EOF && ferror(r->f))
                return errno > 0 ? -errno : -EIO;
        return c == '\n' || n > start;
}

/* The next logical line; none is empty or a comment. A space for every line break in it. 1, 0 at the end, or
 * an error. */
static int read_logical_line(Reader *r) {
        bool continued = false;
        size_t n = 0, length, slashes;
        int k;

        while ((k = read_line(r, n)) > 0) {
                char *line = r->buffer + n, *p = line;

                if (r->line == 1)
                        p = (char *) (startswith(p, "\xef\xbb\xbf") ?: p);
                p += strspn(p, WHITESPACE);
                if (*p == '#' || *p == ';') /* also between a line and its continuation */
                        continue;
                if (!continued)
                        r->start = r->line;
                length = strlen(p);
                if (length > 0 && p[length - 1] == '\r')
                        p[--length] = '\0';
                memmove(line, p, length + 1);
                for (slashes = 0; slashes < length && line[length - 1 - slashes] == '\\';)
                        slashes++;
                n += length;
                continued = slashes % 2 == 1;
                if (continued)
                        r->buffer[n - 1] = ' ';
                else if (*strip(r->buffer))
                        return 1;
                else
                        n = 0;
        }
        r->buffer[n] = '\0';
        return k < 0 ? k : *strip(r->buffer) != '\0';
}

static bool word_is_valid(const char *s) {
        size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

        return n > 0 && n <= WORD_MAX && !s[n];
}

/* Checks the line, keeps its value aside, and gives inih the rest. 0: it is bad, which was told. */
static int take_line(Reader *r, char *ret, size_t size) {
        char *s = strip(r->buffer), *eq;
        size_t n = strlen(s);

        if (!utf8_is_valid(s, n))
                return conf_error_set(r->error, r->name, r->start, "Line is not valid UTF-8.");
        if (*s == '[') {
                if (s[n - 1] == ']')
                        s[n - 1] = '\0';
                if (s[n - 1] || !word_is_valid(s + 1))
                        return conf_error_set(r->error, r->name, r->start, "Invalid section header.");
                (void) snprintf(ret, size, "%s]\n", s);
                return 1;
        }
        eq = strchr(s, '=');
        if (!eq)
                return conf_error_set(r->error, r->name, r->start, "Missing '='.");
        *eq = '\0';
        if (!word_is_valid(strip(s)))
                return conf_error_set(r->error, r->name, r->start, "Invalid key '%s'.", s);
        r->value = strip(eq + 1);
        (void) snprintf(ret, size, "%s=\n", s);
        return 1;
}

static char *on_read(char *buf, int size, void *stream) {
        Reader *r = stream;
        int k = 0;

        if (r->r != 0) /* inih goes on after an error, so end its file */
                return NULL;
        while (k == 0 && (k = read_logical_line(r)) > 0)
                k = take_line(r, buf, (size_t) size);
        if (k < 0)
                r->r = k;
        return k > 0 ? buf : NULL;
}

static int on_assignment(void *userdata, const char *section, const char *key, const char *value) {
        Reader *r = userdata;

        if (!*section)
                r->r = conf_error_set(r->error, r->name, r->start, "'%s=' outside of a section.", key);
        else
                r->r = r->assign(r->userdata, r->name, r->start, section, key, r->value, r->error);
        return r->r == 0;
}

int conf_parse_stream(FILE *f, const char *name, conf_assign_t assign, void *userdata, ConfError *error) {
        _cleanup_free_ char *buffer = malloc(CONF_LINE_MAX + 1);
        Reader r = { f, name, assign, userdata, error, buffer, .line = 0 };

        if (!buffer || (ini_parse_stream(on_read, &r, on_assignment, &r) != 0 && r.r == 0))
                return -ENOMEM;
        return r.r;
}

/* As systemd does: whatever device it is, a link to /dev/null is meant. */
static bool is_device(const struct stat *st) {
        return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
}

int conf_parse_file(const char *path, conf_assign_t assign, void *userdata, ConfError *error) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not block */
        _cleanup_fclose_ FILE *f = NULL;
        struct stat st;
        int r = 0;

        if (fd < 0 || fstat(fd, &st) < 0)
                r = -errno;
        else if (is_device(&st))
                return 0;
        else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
                return conf_error_set(error, path, 0, "Not a regular file.");
        else if ((f = fdopen(fd, "r"))) {
                TAKE_FD(fd);
                r = conf_parse_stream(f, path, assign, userdata, error);
        } else
                r = -errno;
        if (r < 0 && r != -EBADMSG && r != -ENOENT)
                (void) conf_error_set(error, path, 0, "%s.", strerror(-r));
        return r;
}

/* 1, 0: masked, or why it cannot be looked at. */
static int look_at(const char *path) {
        struct stat st;

        if (!path)
                return -ENOMEM;
        if (stat(path, &st) < 0)
                return -errno;
        return !is_device(&st) && !(S_ISREG(st.st_mode) && st.st_size == 0);
}

/* The main file NAME in the first directory that has one. 0: none, with *ret_masked: masked. */
static int find_main(char *const *directories, const char *name, char **ret, bool *ret_masked) {
        STRV_FOREACH(d, directories) {
                _cleanup_free_ char *path = strv_join((char *[]){ *d, (char *) name, NULL }, "/");
                int r = look_at(path);

                if (r > 0)
                        *ret = TAKE_PTR(path);
                *ret_masked = r == 0;
                if (r != -ENOENT && r != -ENOTDIR)
                        return r;
        }
        return 0;
}

static const char *base_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int compare_base_names(const void *a, const void *b) {
        return strcmp(base_name(*(char *const *) a), base_name(*(char *const *) b));
}

/* Ten thousand may be found: the end is not looked for each time. */
typedef struct Found {
        char **paths; /* ends in NULL, unless it is empty */
        size_t n, capacity;
} Found;

static void found_done(Found *f) {
        strv_free(f->paths);
}

/* Takes path over. */
static int found_add(Found *f, char *path) {
        if (path && f->n + 1 >= f->capacity) {
                size_t capacity = MAX(f->capacity * 2, (size_t) 16);
                char **paths = reallocarray(f->paths, capacity, sizeof(char *));

                if (!paths)
                        path = mfree(path);
                else {
                        f->paths = paths;
                        f->capacity = capacity;
                }
        }
        if (!path)
                return -ENOMEM;
        f->paths[f->n++] = path;
        f->paths[f->n] = NULL;
        return 0;
}

static void found_sort(Found *f) {
        if (f->n > 0)
                qsort(f->paths, f->n, sizeof(char *), compare_base_names);
}

/* One directory of them; what is there already, sorted, hides its namesakes. What is not there (a dangling link, gone meanwhile) is
 * not listed and hides nothing. */
static int list_directory(const char *path, const char *suffix, Found *f) {
        _cleanup_(closedirp) DIR *dir = opendir(path);
        struct dirent *de;
        size_t n = f->n;
        int r = 0;

        if (!dir)
                return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
        while (r >= 0 && (errno = 0, de = readdir(dir))) {
                const char *name = de->d_name;
                char *found;

                if (*name == '.' || !endswith(name, suffix) || (faccessat(dirfd(dir), name, F_OK, 0) < 0 && errno == ENOENT) ||
                    (n > 0 && bsearch(&name, f->paths, n, sizeof(char *), compare_base_names)))
                        continue;
                r = found_add(f, asprintf(&found, "%s/%s", path, name) < 0 ? NULL : found);
        }
        if (r >= 0)
                r = -errno;
        found_sort(f);
        return r;
}

/* All SUBDIR/ *SUFFIX of the directories, by file name; an earlier directory hides namesakes in a later one. */
static int list_directories(char *const *directories, const char *subdir, const char *suffix, Found *f) {
        int r = 0;

        for (char *const *d = directories; r >= 0 && *d; d++) {
                _cleanup_free_ char *path = strv_join((char *[]){ *d, (char *) subdir, NULL }, "/");

                r = path ? list_directory(path, suffix, f) : -ENOMEM;
        }
        return r;
}

int conf_files_for(char *const *directories, const char *name, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_(found_done) Found dropins = {};
        _cleanup_free_ char *subdir = strv_join((char *[]){ (char *) name, (char *) "d", NULL }, ".");
        bool masked = false;
        char *path;
        int r;

        r = find_main(directories, name, &path, &masked);
        if (r > 0)
                r = strv_consume(&l, path);
        if (r >= 0)
                r = !subdir ? -ENOMEM : list_directories(directories, subdir, ".conf", &dropins);
        for (char **i = dropins.paths; r >= 0 && i && *i; i++)
                if (look_at(*i) != 0)
                        r = strv_extend(&l, *i);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return masked;
}

int conf_list_names(char *const *directories, const char *subdir, const char *suffix, char ***ret) {
        _cleanup_free_ char *d = strv_join((char *[]){ (char *) suffix, (char *) "d", NULL }, ".");
        _cleanup_(found_done) Found found = {}, dropins = {}, names = {};
        int r = list_directories(directories, subdir, suffix, &found);

        if (r >= 0)
                r = d ? list_directories(directories, subdir, d, &dropins) : -ENOMEM;
        STRV_FOREACH(i, dropins.paths)
                if (r >= 0)
                        r = found_add(&found, strndup(*i, strlen(*i) - 2));
        found_sort(&found);
        for (char **i = found.paths; r >= 0 && i && *i; i++) {
                char *file = (char *) base_name(*i);
                _cleanup_free_ char *name = strv_join((char *[]){ (char *) subdir, file, NULL }, "/");
                _cleanup_strv_free_ char **files = NULL;

                if (i > found.paths && streq(base_name(i[-1]), file))
                        continue;
                r = name ? conf_files_for(directories, name, &files) : -ENOMEM;
                if (r < 0 ? r != -ENOMEM : r == 0 && files) /* that it cannot be read is seen when it is read */
                        r = found_add(&names, strndup(file, strlen(file) - strlen(suffix)));
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(names.paths) ?: new0(char *, 1);
        return *ret ? 0 : -ENOMEM;
}

int conf_parse_object(char *const *directories, const char *name, conf_assign_t assign, void *userdata, char ***ret_files,
                      ConfError *error) {
        _cleanup_strv_free_ char **files = NULL;
        int r = conf_files_for(directories, name, &files);

        for (char **i = files; r == 0 && i && *i; i++) {
                r = conf_parse_file(*i, assign, userdata, error);
                if (r == -ENOENT && streq(base_name(*i), base_name(name))) /* gone since the directories were read */
                        return 1;
                if (r == -ENOENT)
                        r = 0;
        }
        if (r != 0)
                return r;
        r = !files;
        if (ret_files)
                *ret_files = TAKE_PTR(files);
        return r;
}
