/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job as Slurm takes it: options of sbatch, and a script that does what jobmill does for a job of its own: directory, umask, environment, standard
 * input. All of its files lie in a directory that the nodes share; they are made, read and removed by a child that is the job's owner. */

#include "slurm/slurm.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MODE 0600
#define STATUS_LOST "lost"
#define MIB (UINT64_C(1024) * 1024)

static const char *option(const Task *t, const char *key) {
        return link_get_text(link_get(t->order, "options"), key);
}

/* ---- in the child, as the owner ---- */

static int fail(const char *what, const char *path) {
        dprintf(STDERR_FILENO, "Cannot %s %s: %m\n", what, path);
        return 125;
}

/* All of the path that is not there. */
static int make_directories(const char *path) {
        _cleanup_free_ char *p = strdup(path);

        if (!p)
                return fail("make", path);
        for (char *i = p + 1; (i = strchr(i, '/')); i++) {
                *i = 0;
                if (mkdir(p, 0700) < 0 && errno != EEXIST)
                        return fail("make", p);
                *i = '/';
        }
        return 0;
}

static int write_file(const char *folder, const char *name, mode_t mode, const void *data, size_t n) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (asprintf(&path, "%s/%s", folder, name) < 0)
                return fail("make", name);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0)
                return fail("make", path);
        for (const char *p = data; n > 0;) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno != EINTR)
                        return fail("write", path);
                p += MAX(k, 0);
                n -= (size_t) MAX(k, 0);
        }
        return fsync(fd) < 0 ? fail("write", path) : 0;
}

/* In single quotes, in which but they themselves all stands for itself. */
static void quote(FILE *f, const char *s) {
        putc('\'', f);
        for (; *s; s++)
                if (*s == '\'')
                        fputs("'\\''", f);
                else
                        putc(*s, f);
        putc('\'', f);
}

static void export(FILE *f, const char *name, const char *value) {
        fprintf(f, "export %s=", name);
        quote(f, value);
        putc('\n', f);
}

static bool is_variable(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!(s[i] == '_' || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= 'a' && s[i] <= 'z') || (i > 0 && s[i] >= '0' && s[i] <= '9')))
                        return false;
        return n > 0;
}

/* What the shell cannot carry, a function of bash for instance, is left out. */
static void write_environment(FILE *f, const Task *t) {
        char number[24];

        STRV_FOREACH(i, t->spec->environment) {
                _cleanup_free_ char *name = strndup(*i, strcspn(*i, "="));

                if (name && (*i)[strlen(name)] && is_variable(name, strlen(name)) && !startswith(name, "SLURM_") && !startswith(name, "SBATCH_"))
                        export(f, name, strchr(*i, '=') + 1);
        }
        export(f, "HOME", t->owner.home);
        export(f, "USER", t->owner.name);
        export(f, "LOGNAME", t->owner.name);
        (void) snprintf(number, sizeof(number), "%" PRIu64, t->id);
        export(f, "JOBMILL_JOB_ID", number);
        (void) snprintf(number, sizeof(number), "%" PRIu64, t->attempt);
        export(f, "JOBMILL_ATTEMPT", number);
        export(f, "JOBMILL_ATTEMPT_ID", t->token);
        export(f, "JOBMILL_QUEUE", strempty(link_get_text(t->order, "queue")));
        export(f, "JOBMILL_NAME", strempty(link_get_text(t->order, "name")));
        if (link_get(t->order, "array_index")) {
                (void) snprintf(number, sizeof(number), "%" PRIu64, link_get_number(t->order, "array"));
                export(f, "JOBMILL_ARRAY_ID", number);
                (void) snprintf(number, sizeof(number), "%" PRIu64, link_get_number(t->order, "array_index"));
                export(f, "JOBMILL_ARRAY_INDEX", number);
        }
        if (link_get(t->order, "inputs")) {
                fputs("export JOBMILL_INPUTS=", f);
                quote(f, t->directory);
                fputs("/inputs.json\n", f);
        }
}

/* A slurmctld that was killed may have forgotten that it had begun with a job, and begins again, while the first one runs on. So the second one waits until
 * nothing of the first is left (who has inherited the lock), has its status, or says that there is none; and runs nothing. */
static void write_once(FILE *f, const Task *t) {
        fputs("cd ", f);
        quote(f, t->directory);
        fputs(" || exit 126\n"
              "exec 9>lock\n"
              "flock 9\n"
              "if ! mkdir started; then\n"
              "    [ -s status ] || echo " STATUS_LOST " >status\n"
              "    read -r s <status\n"
              "    [ \"$s\" = " STATUS_LOST " ] && exit 1\n"
              "    exit \"$s\"\n"
              "fi\n", f);
}

/* Its status is noted beside: Slurm forgets a job that has ended after some minutes. The name of the command is what it is called by. */
static void write_script(FILE *f, const Task *t) {
        fputs("#!/bin/sh\n", f);
        write_once(f, t);
        write_environment(f, t);
        if (t->spec->umask != UINT32_MAX)
                fprintf(f, "umask %04o\n", t->spec->umask);
        /* Slurm itself would go on in /tmp. */
        fputs("cd ", f);
        quote(f, t->spec->cwd ?: t->owner.home);
        fputs(" || exit 126\n", f);
        STRV_FOREACH(i, t->spec->argv) {
                quote(f, *i);
                putc(' ', f);
        }
        fputs("\ns=$?\necho $s >", f);
        quote(f, t->directory);
        fputs("/status\nexit $s\n", f);
}

static int write_script_file(const Task *t) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return fail("make", "the script");
        write_script(f, t);
        if (fclose(f) < 0)
                return fail("make", "the script");
        return write_file(t->directory, "script", 0700, text, size);
}

/* Who owns the folder in which a job's is made could put another one in its place. */
static int check_folder(const Task *t) {
        _cleanup_free_ char *folder = strndup(t->directory, (size_t) (strrchr(t->directory, '/') - t->directory));
        struct stat st;

        if (!folder || lstat(folder, &st) < 0)
                return fail("look at", folder ?: t->directory);
        if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0)
                return 0;
        dprintf(STDERR_FILENO, "%s is not a folder of user %s alone\n", folder, t->owner.name);
        return 125;
}

/* One that is there already is of an attempt of this name, which is never asked for twice: so it is somebody else's. */
static int prepare(const Task *t) {
        json_object *inputs = link_get(t->order, "inputs");
        const char *text;
        int r;

        (void) umask(0077);
        r = make_directories(t->directory);
        if (r == 0)
                r = check_folder(t);
        if (r == 0 && mkdir(t->directory, 0700) < 0)
                r = fail("make", t->directory);
        if (r == 0)
                r = write_script_file(t);
        if (r == 0)
                r = write_file(t->directory, "payload", FILE_MODE, t->spec->payload, t->spec->payload_size);
        if (r == 0 && inputs) {
                text = json_object_to_json_string_ext(inputs, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
                r = write_file(t->directory, "inputs.json", FILE_MODE, text, strlen(text));
        }
        return r;
}

/* ---- options ---- */

/* Slurm replaces %…, and so do we %j. */
static char *file_of(const Task *t, const char *name) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (const char *p = name; *p; p++)
                if (p[0] == '%' && p[1] == 'j') {
                        fprintf(f, "%" PRIu64, t->id);
                        p++;
                } else if (p[0] == '%') {
                        fputs("%%", f);
                        p += p[1] == '%';
                } else
                        putc(*p, f);
        if (fclose(f) < 0)
                return mfree(text);
        return text;
}

static int add_stream(const Task *t, char ***argv, const char *key, const char *given, const char *name) {
        _cleanup_free_ char *path = given ? file_of(t, given) : NULL;

        if (given)
                return path ? strv_extendf(argv, "--%s=%s", key, path) : -ENOMEM;
        return strv_extendf(argv, "--%s=%s/%s", key, t->directory, name);
}

/* MemoryMax=, Nice=: what the adapter's file says it takes. */
static int add_property(char ***argv, const char *property) {
        const char *value = strchr(property, '=') + 1;
        uint64_t size;

        if (startswith(property, "MemoryMax="))
                return parse_size(value, 1024, &size) < 0 ? -EINVAL : strv_extendf(argv, "--mem=%" PRIu64, MAX((size + MIB - 1) / MIB, UINT64_C(1)));
        return startswith(property, "Nice=") ? strv_extendf(argv, "--nice=%s", value) : -EOPNOTSUPP;
}

int submit_check(const Task *t, char **ret_error) {
        _cleanup_strv_free_ char **unused = NULL;
        uint64_t n;

        STRV_FOREACH(p, t->spec->properties)
                if (add_property(&unused, *p) < 0)
                        return asprintf(ret_error, "%s: has no equivalent in Slurm", *p) < 0 ? -ENOMEM : -EINVAL;
        if (option(t, "CPUsPerSlot") && (parse_u64(option(t, "CPUsPerSlot"), &n) < 0 || n > 65536))
                return asprintf(ret_error, "CPUsPerSlot=%s: is no number", option(t, "CPUsPerSlot")) < 0 ? -ENOMEM : -EINVAL;
        return 0;
}

static int add_options(const Task *t, char ***argv) {
        static const char *const known[][2] = {
                { "Partition", "partition" }, { "Account", "account" }, { "QOS", "qos" }, { "Constraint", "constraint" }, { "Reservation", "reservation" },
                { "Licenses", "licenses" }, { "Gres", "gres" }, { "Memory", "mem" }, { "Nodelist", "nodelist" }, { "Exclude", "exclude" },
        };
        json_object *numbers = link_get(t->order, "slot_numbers");
        uint64_t cpus = 1, slots = json_object_is_type(numbers, json_type_array) ? json_object_array_length(numbers) : 1;
        int r = 0;

        FOREACH_ELEMENT(k, known)
                if (r >= 0 && option(t, (*k)[0]))
                        r = strv_extendf(argv, "--%s=%s", (*k)[1], option(t, (*k)[0]));
        if (option(t, "CPUsPerSlot"))
                (void) parse_u64(option(t, "CPUsPerSlot"), &cpus);
        if (r >= 0 && cpus > 0)
                r = strv_extendf(argv, "--cpus-per-task=%" PRIu64, cpus * MAX(slots, UINT64_C(1)));
        STRV_FOREACH(p, t->spec->properties)
                r = r < 0 ? r : add_property(argv, *p);
        return r;
}

static int make_argv(const Task *t, char ***ret) {
        /* --no-requeue: Slurm itself never runs it twice. NIL: nothing of our environment, and no log-in shell to make one. */
        static const char *const always[] = { "sbatch", "--parsable", "--no-requeue", "--export=NIL", "--ntasks=1", "--nodes=1" };
        usec_t timeout = link_get_number(t->order, "timeout_usec");
        _cleanup_strv_free_ char **l = NULL;
        int r = 0;

        FOREACH_ELEMENT(i, always)
                r = r < 0 ? r : strv_extend(&l, *i);
        if (r >= 0)
                r = strv_extendf(&l, "--job-name=%s", t->name);
        if (r >= 0)
                r = strv_extendf(&l, "--comment=jobmill %" PRIu64 " %s", t->id, strempty(link_get_text(t->order, "name")));
        if (r >= 0)
                r = strv_extendf(&l, "--chdir=%s", t->spec->cwd ?: t->owner.home);
        if (r >= 0)
                r = strv_extendf(&l, "--input=%s/payload", t->directory);
        if (r >= 0)
                r = add_stream(t, &l, "output", t->spec->output_file, "stdout");
        if (r >= 0)
                r = add_stream(t, &l, "error", t->spec->error_file, "stderr");
        if (r >= 0 && timeout > 0) /* the time-out itself is the daemon's, who knows parts of a minute */
                r = strv_extendf(&l, "--time=%" PRIu64, timeout / (60 * USEC_PER_SEC) + 2);
        if (r >= 0)
                r = add_options(t, &l);
        if (r >= 0)
                r = strv_extendf(&l, "%s/script", t->directory);
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

int submit_begin(Task *t, command_done_t done) {
        _cleanup_strv_free_ char **argv = NULL;
        int r;

        r = make_argv(t, &argv);
        return r < 0 ? r : command_run(t->slurm, &t->owner, argv, prepare, t, done);
}

/* ---- what it wrote ---- */

/* The parts of what output_begin() answers: their sizes come first. */
typedef struct Head {
        uint64_t n_out, n_err;
        int64_t status;
} Head;

static size_t tail_of(const Task *t, const char *name, char *data, size_t max) {
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        ssize_t n;

        if (asprintf(&path, "%s/%s", t->directory, name) < 0)
                return 0;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        n = pread(fd, data, max, MAX(st.st_size - (off_t) max, (off_t) 0));
        return n > 0 ? (size_t) n : 0;
}

static int send_output(const Task *t) {
        static char out[SLURM_TAIL_MAX], err[SLURM_TAIL_MAX], status[8];
        Head h = { .status = -1 };
        uint32_t n;

        h.n_out = tail_of(t, "stdout", out, sizeof(out));
        h.n_err = tail_of(t, "stderr", err, sizeof(err));
        status[tail_of(t, "status", status, sizeof(status) - 1)] = 0;
        status[strcspn(status, "\n")] = 0;
        if (parse_u32(status, &n) >= 0 && n < 256)
                h.status = n;
        else if (streq(status, STATUS_LOST))
                h.status = OUTPUT_LOST;
        if (write(STDOUT_FILENO, &h, sizeof(h)) != sizeof(h) || write(STDOUT_FILENO, out, h.n_out) != (ssize_t) h.n_out ||
            write(STDOUT_FILENO, err, h.n_err) != (ssize_t) h.n_err)
                return 1;
        return 0;
}

int output_begin(Task *t, command_done_t done) {
        return command_run(t->slurm, &t->owner, NULL, send_output, t, done);
}

bool output_read(const char *text, size_t size, Output *ret) {
        Head h;

        *ret = (Output) { .status = -1 };
        if (size < sizeof(h))
                return false;
        memcpy(&h, text, sizeof(h));
        if (h.n_out > SLURM_TAIL_MAX || h.n_err > SLURM_TAIL_MAX || size != sizeof(h) + h.n_out + h.n_err)
                return false;
        ret->out = text + sizeof(h);
        ret->n_out = h.n_out;
        ret->err = ret->out + h.n_out;
        ret->n_err = h.n_err;
        ret->status = (int) h.status;
        return true;
}

/* Only what we have made. */
static int remove_files(const Task *t) {
        static const char *const names[] = { "script", "payload", "inputs.json", "stdout", "stderr", "status", "lock" };
        _cleanup_close_ int fd = open(t->directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        FOREACH_ELEMENT(n, names)
                (void) unlinkat(fd, *n, 0);
        (void) unlinkat(fd, "started", AT_REMOVEDIR);
        (void) rmdir(t->directory);
        return 0;
}

int output_remove(Task *t, command_done_t done) {
        return command_run(t->slurm, &t->owner, NULL, remove_files, t, done);
}
