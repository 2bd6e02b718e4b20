/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writing queue files. What is set goes into a drop-in of its own, as "systemctl set-property" does it: one below /etc for what is
 * to last and one below /run, which is read after it, for what is to be gone with the next boot. A new queue gets a main file. What
 * was set earlier stays in the file, unless the same key is set again.
 *
 * Promises: the files of a queue as they will be are read as a whole before one is touched; each is written beside its place and
 * renamed when it is on disk, so there is the old one or the new one, never half of it; symbolic links below the directory of
 * the configuration are refused, not followed. */

#include "daemon/queue-write.h"

#include "base/crash-point.h"
#include "base/conf-file.h"
#include "base/parse.h"
#include "base/strv.h"
#include "daemon/queue-file.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DROP_IN "50-jobmill-set.conf"
#define RUNTIME_DROP_IN "51-jobmill-set-runtime.conf"
#define HEADER "# Written by SetQueue (\"jobmill queue set\"), which keeps what else stands here, but no comments.\n"

/* A file as it will be. */
typedef struct Draft {
        const char *root;     /* one of the directories */
        char *folder;         /* "gpu.queue.d"; NULL: a main file */
        char *name;           /* "50-jobmill-set.conf", "gpu.queue" */
        char *path;           /* all three */
        char **lines;         /* section, key, value, section, … */
        char *text;           /* NULL: it is to be gone */
        bool changed;
        int fd;               /* its directory, with text in the temporary file */
} Draft;

static void draft_done(Draft *d) {
        free(d->folder);
        free(d->name);
        free(d->path);
        free(d->text);
        strv_free(d->lines);
        d->fd = safe_close(d->fd);
}

static int draft_init(Draft *d, const char *root, const char *queue, const char *drop_in) {
        *d = (Draft) { .root = root, .fd = -EBADF };
        if (asprintf(drop_in ? &d->folder : &d->name, "%s.queue%s", queue, drop_in ? ".d" : "") < 0)
                return -ENOMEM;
        if (drop_in && !(d->name = strdup(drop_in)))
                return -ENOMEM;
        if (asprintf(&d->path, "%s/queues/%s%s%s", root, strempty(d->folder), d->folder ? "/" : "", d->name) < 0) {
                d->path = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int draft_add(Draft *d, const char *section, const char *key, const char *value) {
        int r;

        r = strv_extend(&d->lines, section);
        if (r >= 0)
                r = strv_extend(&d->lines, key);
        return r < 0 ? r : strv_extend(&d->lines, value);
}

static int on_line(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                   ConfError *error) {
        bool known = false;

        FOREACH_ELEMENT(i, queue_sections)
                known = known || streq(*i, section);
        return known ? draft_add(userdata, section, key, value) :
                       conf_error_set(error, file, line, "[%s]: unknown section", section);
}

/* What stands there now; nothing, where there is no file. */
static int draft_read(Draft *d, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};
        struct stat st;
        int r;

        if (lstat(d->path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : queue_refuse_errno(ret_error, -errno, "read", d->path);
        if (!S_ISREG(st.st_mode))
                return queue_refuse_errno(ret_error, -ELOOP, "change", d->path);
        r = conf_parse_file(d->path, on_line, d, &error);
        if (r >= 0 || r == -ENOENT || r == -ENOMEM)
                return r == -ENOMEM ? r : 0;
        return spec_error(ret_error, -EBADMSG, "%s:%u: %s", error.file ?: d->path, error.line, error.message ?: strerror(-r));
}

/* The lines of a key, taken out. */
static void draft_drop(Draft *d, const QueueSetting *s) {
        size_t n = 0;

        for (char **l = d->lines; l && *l; l += 3) {
                bool same = streq(l[0], s->section) && streq(l[1], s->key);

                d->changed = d->changed || same;
                for (size_t k = 0; k < 3; k++)
                        if (same)
                                free(l[k]);
                        else
                                d->lines[n++] = l[k];
        }
        if (d->lines)
                d->lines[n] = NULL;
}

/* What is set is what holds: a list does not add to what other files say. */
static int draft_set(Draft *d, const QueueSetting *s) {
        int r = 0;

        draft_drop(d, s);
        if (d->folder && (!s->values || queue_file_is_list(s->section, s->key)))
                r = draft_add(d, s->section, s->key, "");
        for (char **v = s->values; r >= 0 && v && *v; v++)
                r = draft_add(d, s->section, s->key, *v);
        return r;
}

static int draft_compose(Draft *d, char **ret_error) {
        size_t size = 0;
        FILE *f;

        f = open_memstream(&d->text, &size);
        if (!f)
                return -ENOMEM;
        fputs(HEADER, f);
        FOREACH_ELEMENT(i, queue_sections) {
                bool any = !d->folder && i == queue_sections; /* an empty main file would mask the queue */

                STRV_FOREACH(l, d->lines)
                        any = any || ((l - d->lines) % 3 == 0 && streq(*l, *i));
                if (any)
                        fprintf(f, "\n[%s]\n", *i);
                for (char **l = d->lines; l && *l; l += 3)
                        if (streq(*l, *i))
                                fprintf(f, "%s=%s\n", l[1], l[2]);
        }
        if (fclose(f) != 0)
                return -ENOMEM;
        return size > QUEUE_FILE_SIZE_MAX ? spec_error(ret_error, -EINVAL, "%s would be larger than %u bytes", d->path,
                                                   QUEUE_FILE_SIZE_MAX) : 0;
}

/* ---- all files of the queue, as they will be ---- */

static const char *base_name(const char *path) {
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

/* One of the same name in a directory that comes first would be read in its place, be it only to mask it. */
static int check_hidden(const QueuePlaces *p, const Draft *d, char **ret_error) {
        struct stat st;

        for (char **i = p->directories; d->folder && *i && !streq(*i, d->root); i++) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/queues/%s/%s", *i, d->folder, d->name) < 0)
                        return path = NULL, -ENOMEM;
                if (lstat(path, &st) >= 0)
                        return spec_error(ret_error, -EBADMSG, "%s hides %s, so nothing can be set", path, d->path);
        }
        return 0;
}

/* The place of a file among those that are read: the main one first, then by name, of which there is one each. */
static int place_draft(char ***files, const Draft *d) {
        _cleanup_strv_free_ char **l = NULL;
        bool placed = false;
        int r = 0;

        STRV_FOREACH(f, *files) {
                int c = !d->folder || endswith(*f, ".queue") ? -1 : strcmp(base_name(*f), d->name);

                if (!placed && c >= 0) {
                        r = strv_extend(&l, d->path);
                        placed = true;
                }
                if (r >= 0 && c != 0)
                        r = strv_extend(&l, *f);
                if (r < 0)
                        return r;
        }
        if (!placed)
                r = strv_extend(&l, d->path);
        if (r < 0)
                return r;
        strv_free(*files);
        *files = TAKE_PTR(l);
        return 0;
}

/* A file's lines through assign; what it will hold, where it is a draft. */
static int parse_one(const char *path, const Draft *drafts, size_t n, conf_assign_t assign, void *userdata, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};
        int r = -EAGAIN;

        for (size_t i = 0; i < n; i++)
                if (streq(path, drafts[i].path)) {
                        _cleanup_fclose_ FILE *f = NULL;

                        if (!drafts[i].text)
                                return 0;
                        f = fmemopen(drafts[i].text, strlen(drafts[i].text), "r");
                        r = f ? conf_parse_stream(f, path, assign, userdata, &error) : -ENOMEM;
                }
        if (r == -EAGAIN)
                r = conf_parse_file(path, assign, userdata, &error);
        if (r >= 0 || r == -ENOMEM || r == -ENOENT)
                return r == -ENOENT ? 0 : r;
        return spec_error(ret_error, -EBADMSG, "%s:%u: %s", error.file ?: path, error.line, error.message ?: strerror(-r));
}

/* A line of a file that is read after ours. */
static int on_later_line(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                         ConfError *error) {
        const QueueEdit *e = userdata;

        for (const QueueSetting *s = e->settings; s < e->settings + e->n_settings; s++)
                if (streq(s->section, section) && streq(s->key, key))
                        return conf_error_set(error, file, line, "[%s] %s= is set here, which overrides what would be set",
                                              section, key);
        return 0;
}

static int check_together(QueueFile *f, char *const *files, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};

        if (queue_file_check(f, files, &error) >= 0)
                return 0;
        return spec_error(ret_error, -EBADMSG, "%s: %s", strempty(error.file), strempty(error.message));
}

/* Will the files be good, and will what is set hold? drafts[0] has the settings. */
static int check_whole(char *const *directories, char **files, const QueueEdit *e, const Draft *drafts, size_t n, char **ret_error) {
        QueueFile f;
        bool later = false;
        int r = 0;

        queue_file_init(&f, directories);
        for (char **i = files; r >= 0 && *i; i++) {
                r = parse_one(*i, drafts, n, queue_file_assign, &f, ret_error);
                if (r >= 0 && later)
                        r = parse_one(*i, drafts, n, on_later_line, (void *) e, ret_error);
                later = later || streq(*i, drafts->path);
        }
        if (r >= 0)
                r = check_together(&f, files, ret_error);
        queue_policy_done(&f.policy);
        return r;
}

/* ---- onto the disk ---- */

static int write_all(int fd, const char *text) {
        for (size_t n = strlen(text); n > 0;) {
                ssize_t k = write(fd, text, n);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k > 0) {
                        text += k;
                        n -= (size_t) k;
                }
        }
        return 0;
}

/* Everything that can fail for lack of room. */
static int draft_write(Draft *d) {
        _cleanup_close_ int queues = -EBADF, folder = -EBADF, fd = -EBADF;
        int r;

        queues = queue_directory_open(d->root, true);
        if (queues < 0)
                return queues;
        if (d->folder) {
                folder = directory_open_below(queues, d->folder, true);
                if (folder < 0)
                        return folder;
        }
        d->fd = TAKE_FD(*(d->folder ? &folder : &queues));
        if (!d->text)
                return 0;
        (void) unlinkat(d->fd, QUEUE_TEMPORARY, 0);
        fd = openat(d->fd, QUEUE_TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        CRASH_POINT("queue-file-made");
        r = write_all(fd, d->text);
        if (r >= 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
                r = -errno;
        if (r < 0)
                (void) unlinkat(d->fd, QUEUE_TEMPORARY, 0);
        return r;
}

static int draft_commit(Draft *d) {
        CRASH_POINT("queue-file-before");
        if (d->text ? renameat(d->fd, QUEUE_TEMPORARY, d->fd, d->name) < 0 : unlinkat(d->fd, d->name, 0) < 0 && errno != ENOENT)
                return -errno;
        CRASH_POINT("queue-file-renamed");
        return fsync(d->fd) < 0 ? -errno : 0;
}

static int write_drafts(Draft *drafts, size_t n, char **ret_error) {
        size_t i = 0;
        int r = 0;

        while (r >= 0 && i < n)
                r = draft_write(drafts + i++);
        for (size_t k = 0; r >= 0 && k < n; k++) {
                i = k + 1;
                r = draft_commit(drafts + k);
        }
        if (r >= 0)
                return 0;
        for (size_t k = 0; k < n; k++)
                if (drafts[k].fd >= 0)
                        (void) unlinkat(drafts[k].fd, QUEUE_TEMPORARY, 0);
        return queue_refuse_errno(ret_error, r, "write", drafts[i - 1].path);
}

/* ---- SetQueue ---- */

static int find_files(const QueuePlaces *p, const char *name, char ***ret, char **ret_error) {
        _cleanup_free_ char *object = NULL;
        int r;

        if (asprintf(&object, "queues/%s.queue", name) < 0)
                return object = NULL, -ENOMEM;
        r = conf_files_for(p->directories, object, ret);
        if (r > 0)
                return spec_error(ret_error, -EBADMSG, "Queue '%s' is masked: a link to /dev/null, or an empty file, stands for it",
                                    name);
        return r < 0 ? queue_refuse_errno(ret_error, r, "read the files of", object) : 0;
}

/* Paused= is where a queue begins; from then on its state is kept elsewhere. */
static int check_new(const QueueEdit *e, bool is_new, char **ret_error) {
        if (!is_new && e->n_settings == 0)
                return spec_error(ret_error, -EINVAL, "Queue '%s' exists, and no setting is given", e->name);
        for (const QueueSetting *s = e->settings; !is_new && s < e->settings + e->n_settings; s++)
                if (streq(s->section, "Queue") && streq(s->key, "Paused"))
                        return spec_error(ret_error, -EINVAL, "Paused: only says how a new queue begins; use PauseQueue, ResumeQueue");
        return 0;
}

/* drafts: the file that gets the settings; and when they are to last, the runtime one, which must not say otherwise. */
static int make_drafts(const QueuePlaces *p, const QueueEdit *e, bool is_new, Draft *drafts, size_t *ret_n, char **ret_error) {
        Draft *own = drafts, *other = drafts + 1;
        int r;

        r = draft_init(own, e->runtime ? p->runtime : *p->directories, e->name,
                       is_new ? NULL : e->runtime ? RUNTIME_DROP_IN : DROP_IN);
        if (r >= 0)
                r = draft_read(own, ret_error);
        for (const QueueSetting *s = e->settings; r >= 0 && s < e->settings + e->n_settings; s++)
                r = draft_set(own, s);
        if (r >= 0)
                r = draft_compose(own, ret_error);
        *ret_n = 1;
        if (r < 0 || e->runtime || is_new || !p->runtime)
                return r;

        r = draft_init(other, p->runtime, e->name, RUNTIME_DROP_IN);
        if (r >= 0)
                r = draft_read(other, ret_error);
        if (r < 0)
                return r;
        for (const QueueSetting *s = e->settings; s < e->settings + e->n_settings; s++)
                draft_drop(other, s);
        *ret_n += other->changed;
        return strv_length(other->lines) > 0 ? draft_compose(other, ret_error) : 0;
}

int queue_file_set(const QueuePlaces *p, const QueueEdit *e, char **ret_error) {
        _cleanup_strv_free_ char **files = NULL;
        Draft drafts[2] = { { .fd = -EBADF }, { .fd = -EBADF } };
        bool is_new;
        size_t n = 0;
        int r;

        if (e->runtime && !p->runtime)
                return spec_error(ret_error, -EBADMSG, "This daemon reads no directory for settings that end with the boot");
        r = find_files(p, e->name, &files, ret_error);
        if (r < 0)
                return r;
        is_new = strv_length(files) == 0;
        r = check_new(e, is_new, ret_error);
        if (r >= 0)
                r = make_drafts(p, e, is_new, drafts, &n, ret_error);
        if (r >= 0)
                r = check_hidden(p, drafts, ret_error);
        if (r >= 0)
                r = place_draft(&files, drafts);
        if (r >= 0)
                r = check_whole(p->directories, files, e, drafts, n, ret_error);
        if (r >= 0)
                r = write_drafts(drafts, n, ret_error);
        draft_done(drafts);
        draft_done(drafts + 1);
        return r;
}
