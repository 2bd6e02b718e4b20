/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit: one job from the words of the command line. It carries the caller's working directory, umask and
 * environment, unless the job is for another user or another machine: there they mean nothing, and nothing
 * is inherited. Prints the id alone. */

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/inherit.h"
#include "ctl/linger.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "queue/spec.h"
#include <fcntl.h>
#include <sys/stat.h>

/* What of the job does not stand in arg_submit as it goes out. */
typedef struct Submission {
        char *cwd;
        char **environment;
        char *payload;
        size_t payload_size;
} Submission;

static void submission_done(Submission *s) {
        free(s->cwd);
        strv_free(s->environment);
        free(s->payload);
}

static bool inherits(void) {
        return arg_submit.uid == UINT32_MAX && !bus_is_elsewhere();
}

static int check_arguments(int argc, char **argv) {
        if (arg_submit.at != USEC_INFINITY && arg_submit.in != USEC_INFINITY)
                return ctl_error(-EINVAL, "submit: --at and --in cannot be combined");
        if (!inherits() && arg_submit.env && !streq(arg_submit.env, "none"))
                return ctl_error(-EINVAL,
                                 "submit: nothing is inherited by a job of another %s; use -E NAME=VALUE",
                                 bus_is_elsewhere() ? "machine" : "user");
        for (int i = 0; i < argc; i++)
                if (!utf8_is_valid(argv[i], strlen(argv[i])))
                        return ctl_error(-EINVAL, "submit: word %i of the command is not UTF-8", i + 1);
        return 0;
}

/* What cannot start is a status of its own for those who wait. */
static int cannot_start(int r) {
        return arg_wait ? EXIT_NOT_STARTED : r;
}

static int find_cwd(char **ret) {
        _cleanup_free_ char *cwd = NULL;
        const char *d = arg_submit.directory;

        if (!inherits()) {
                if (d && d[0] != '/')
                        return ctl_error(-EINVAL, "submit: -C: not an absolute path: %s", d);
                return free_and_strdup(ret, d) < 0 ? ctl_oom() : 0;
        }
        cwd = d ? realpath(d, NULL) : get_current_dir_name();
        if (!cwd)
                return cannot_start(ctl_error(-errno, "submit: %s: %m", d ?: "the working directory"));
        if (d) {
                struct stat st;

                if (stat(cwd, &st) < 0 || !S_ISDIR(st.st_mode))
                        return cannot_start(ctl_error(-ENOTDIR, "submit: %s: %m", d));
        }
        if (!utf8_is_valid(cwd, strlen(cwd)))
                return ctl_error(-EINVAL, "submit: the name of the working directory is not UTF-8; use -C");
        *ret = TAKE_PTR(cwd);
        return 0;
}

static int find_environment(char ***ret) {
        _cleanup_strv_free_ char **left_out = NULL;
        const char *bad = NULL;
        int r;

        r = inherit_environment(environ, inherits() ? arg_submit.env : "none", arg_submit.set,
                                !arg_submit.directory, ret, &left_out, &bad);
        if (r == -ENXIO)
                return ctl_error(r, "submit: -E: %s is not set here", bad);
        if (r == -EINVAL)
                return ctl_error(r, "submit: -E: not NAME=VALUE in UTF-8: %s", bad);
        if (r < 0)
                return ctl_oom();
        if (left_out) {
                _cleanup_free_ char *names = strv_join(left_out, " ");
                _cleanup_free_ char *safe = names ? escape_controls(names, strlen(names)) : NULL;

                ctl_warning("These variables cannot be carried and are left out: %s", strempty(safe));
        }
        return 0;
}

static int read_payload(const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buf = NULL;
        bool standard_input = streq(path, "-");
        size_t n = 0, size = 0;

        fd = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return ctl_error(-errno, "submit: --payload: %s: %m", path);
        for (;;) {
                ssize_t k;

                if (n == size) {
                        char *more = realloc(buf, size = MAX(size * 2, (size_t) 65536));

                        if (!more)
                                return ctl_oom();
                        buf = more;
                }
                k = read(fd, buf + n, size - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return ctl_error(-errno, "submit: --payload: %s: %m", path);
                if (k == 0)
                        break;
                n += k;
                if (n > SPEC_PAYLOAD_MAX)
                        return ctl_error(-EFBIG, "submit: --payload: %s: more than %u MiB", path,
                                         SPEC_PAYLOAD_MAX >> 20);
        }
        *ret = TAKE_PTR(buf);
        *ret_size = n;
        return 0;
}

static int check_command(const char *command, const Submission *s) {
        const char *path = strv_env_get(s->environment, "PATH");
        int r;

        if (!inherits() || (!path && !strchr(command, '/')))
                return 0; /* the daemon knows better */
        r = command_find(command, s->cwd, path);
        if (r >= 0)
                return 0;
        return cannot_start(ctl_error(r, "submit: %s: %s", command,
                                      r == -ENOENT && !strchr(command, '/') ? "command not found"
                                                                            : strerror(-r)));
}

static int append_payload(sd_bus_message *m, const Submission *s) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "payload");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', s->payload, s->payload_size);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_times(sd_bus_message *m) {
        const SubmitArgs *a = &arg_submit;
        int r = 0;

        if (a->at != USEC_INFINITY)
                r = bus_append_u64(m, "not_before_usec", a->at);
        if (r >= 0 && a->in != USEC_INFINITY)
                r = bus_append_u64(m, "not_before_usec", usec_add(now_usec(CLOCK_REALTIME), a->in));
        if (r >= 0 && a->timeout != USEC_INFINITY)
                r = bus_append_u64(m, "timeout_usec", a->timeout);
        if (r >= 0 && a->stop_timeout != USEC_INFINITY)
                r = bus_append_u64(m, "stop_timeout_usec", a->stop_timeout);
        return r;
}

static int append_options(sd_bus_message *m, const Submission *s) {
        const SubmitArgs *a = &arg_submit;
        mode_t mask = umask(0);
        int r = 0;

        (void) umask(mask);
        if (a->name)
                r = bus_append_string(m, "name", a->name);
        if (r >= 0 && s->cwd)
                r = bus_append_string(m, "cwd", s->cwd);
        if (r >= 0 && inherits())
                r = bus_append_u32(m, "umask", mask);
        if (r >= 0 && s->environment)
                r = bus_append_strv(m, "environment", s->environment);
        if (r >= 0 && s->payload)
                r = append_payload(m, s);
        if (r >= 0 && a->tags)
                r = bus_append_tags(m, "tags", a->tags);
        if (r >= 0 && a->priority != 0)
                r = sd_bus_message_append(m, "{sv}", "priority", "i", a->priority);
        if (r >= 0 && a->slots != UINT32_MAX)
                r = bus_append_u32(m, "slots", a->slots);
        if (r >= 0 && a->hold)
                r = bus_append_boolean(m, "hold", true);
        if (r >= 0 && a->uid != UINT32_MAX)
                r = bus_append_u32(m, "uid", a->uid);
        if (r >= 0 && a->properties)
                r = bus_append_strv(m, "properties", a->properties);
        return r < 0 ? r : append_times(m);
}

static int submit(char **argv, const Submission *s, uint64_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = bus_open(&bus);
        if (r < 0)
                return r;
        r = bus_new_call(bus, &call, "Submit");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", strempty(arg_submit.queue));
        if (r >= 0)
                r = sd_bus_message_append_strv(call, argv);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = append_options(call, s);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return ctl_error(r, "submit: an option cannot be sent: %m");
        r = bus_call(bus, call, &reply, "submit");
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "to", ret, NULL);
        return r < 0 ? ctl_error(r, "submit: cannot read the daemon's answer: %m") : 0;
}

int verb_submit(int argc, char **argv) {
        _cleanup_(submission_done) Submission s = {};
        uint64_t id;
        int r;

        r = check_arguments(argc, argv);
        if (r == 0)
                r = find_cwd(&s.cwd);
        if (r == 0)
                r = find_environment(&s.environment);
        if (r == 0)
                r = check_command(argv[0], &s);
        if (r != 0)
                return r;
        if (arg_submit.payload) {
                r = read_payload(arg_submit.payload, &s.payload, &s.payload_size);
                if (r < 0)
                        return r;
        }
        r = submit(argv, &s, &id);
        if (r < 0)
                return r;
        printf("%" PRIu64 "\n", id);
        (void) output_flush();
        linger_hint_once();
        return arg_wait ? wait_for_jobs(&id, 1, USEC_INFINITY, false) : 0;
}
