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

/* All SUBDIR/ *SUFFIX of the directories, by file name; an earlier directory hides namesakes in a later one. What is not there
 * (a dangling link, gone meanwhile) is not listed and hides nothing. */
static int list_directories(char *const *directories, const char *subdir, const char *suffix, char ***ret) {
        _cleanup_strv_free_ char **l = new0(char *, 1);
        int r = l ? 0 : -ENOMEM;

        for (char *const *d = directories; r >= 0 && *d; d++) {
                _cleanup_free_ char *path = strv_join((char *[]){ *d, (char *) subdir, NULL }, "/");
                _cleanup_(closedirp) DIR *dir = path ? opendir(path) : NULL;
                struct dirent *de;

                if (!dir)
                        r = !path ? -ENOMEM : errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
                while (r >= 0 && dir && (errno = 0, de = readdir(dir))) {
                        bool known = de->d_name[0] == '.' || !endswith(de->d_name, suffix) ||
                                     (faccessat(dirfd(dir), de->d_name, F_OK, 0) < 0 && errno == ENOENT);

                        STRV_FOREACH(i, l)
                                known = known || streq(base_name(*i), de->d_name);
                        r = known ? 0 : strv_extendf(&l, "%s/%s", path, de->d_name);
                }
                if (r >= 0 && dir)
                        r = -errno;
        }
        if (r < 0)
                return r;
        qsort(l, strv_length(l), sizeof(char *), compare_base_names);
        *ret = TAKE_PTR(l);
        return 0;
}

int conf_files_for(char *const *directories, const char *name, char ***ret) {
        _cleanup_strv_free_ char **l = NULL, **dropins = NULL;
        _cleanup_free_ char *subdir = strv_join((char *[]){ (char *) name, (char *) "d", NULL }, ".");
        bool masked = false;
        char *path;
        int r;

        r = find_main(directories, name, &path, &masked);
        if (r > 0)
                r = strv_consume(&l, path);
        if (r >= 0)
                r = !subdir ? -ENOMEM : list_directories(directories, subdir, ".conf", &dropins);
        for (char **i = dropins; r >= 0 && i && *i; i++)
                if (look_at(*i) != 0)
                        r = strv_extend(&l, *i);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return masked;
}

int conf_list_names(char *const *directories, const char *subdir, const char *suffix, char ***ret) {
        _cleanup_strv_free_ char **l = NULL, **found = NULL, **dropins = NULL;
        _cleanup_free_ char *d = strv_join((char *[]){ (char *) suffix, (char *) "d", NULL }, ".");
        int r = list_directories(directories, subdir, suffix, &found);

        if (r >= 0)
                r = d ? list_directories(directories, subdir, d, &dropins) : -ENOMEM;
        STRV_FOREACH(i, dropins)
                if (r >= 0)
                        r = strv_extendf(&found, "%.*s", (int) strlen(*i) - 2, *i);
        if (r >= 0)
                qsort(found, strv_length(found), sizeof(char *), compare_base_names);
        for (char **i = found; r >= 0 && *i; i++) {
                char *file = (char *) base_name(*i);
                _cleanup_free_ char *name = strv_join((char *[]){ (char *) subdir, file, NULL }, "/");
                _cleanup_strv_free_ char **files = NULL;

                if (i > found && streq(base_name(i[-1]), file))
                        continue;
                r = name ? conf_files_for(directories, name, &files) : -ENOMEM;
                if (r < 0 ? r != -ENOMEM : r == 0 && files) /* that it cannot be read is seen when it is read */
                        r = strv_extendf(&l, "%.*s", (int) (strlen(file) - strlen(suffix)), file);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

int conf_parse_object(char *const *directories, const char *name, conf_assign_t assign, void *userdata,
                      ConfError *error) {
        _cleanup_strv_free_ char **files = NULL;
        int r = conf_files_for(directories, name, &files);

        if (r != 0)
                return r;
        for (char **i = files; r >= 0 && i && *i; i++) {
                r = conf_parse_file(*i, assign, userdata, error);
                if (r == -ENOENT && streq(base_name(*i), base_name(name))) /* gone since the directories were read */
                        return 1;
                if (r == -ENOENT)
                        r = 0;
        }
        return r < 0 ? r : !files;
}
