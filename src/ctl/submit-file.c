/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit --file: many jobs, one JSON object a line. The options of the command line hold for every line;
 * what a line says itself goes before them, and its tags, environment and properties are added to theirs.
 *
 * Lines go to the daemon in chunks, each of which is taken whole or not at all. Memory does not grow with
 * the file. A regular file is read twice: nothing is submitted before all of its lines were found good.
 *
 * The request id of a chunk is made of one for the whole and of how many jobs were before it. So the same
 * command with the same --request-id goes on where it ended. For that the same lines must make the same
 * chunks again: what bounds a chunk is the text of the lines, and of the environment only how large it is,
 * roughly; where chunks differ all the same, the daemon's answer is of another length, and that is an error
 * here. */

#include "api/protocol.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/interrupt.h"
#include "ctl/linger.h"
#include "ctl/output.h"
#include "ctl/progress.h"
#include "ctl/submit-line.h"
#include "ctl/submit.h"
#include "ctl/terminal.h"
#include "queue/spec-json.h"
#include "queue/unit-property.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define CHUNK_TEXT_MAX (4U * 1024U * 1024U)
#define CHUNK_ENVIRONMENT_MAX (16U * 1024U * 1024U)
#define ENVIRONMENT_MIN (8U * 1024U)

typedef struct Submitter {
        const char *name; /* of the file, for messages */
        Reader reader;
        Progress progress;
        Request request;
        char *id;                      /* of the whole */
        JobSpec *defaults, *typed, *bare;      /* with and without what is inherited; made when needed */
        size_t chunk_max;              /* jobs */
        char *found;                   /* the command that was looked up last */
        uint64_t n_checked;            /* good lines */
        uint64_t n_submitted, through; /* jobs; the last line of them */
        uint64_t asked;                /* the last line of what was sent */
        uint64_t *ids;                 /* for --wait */
} Submitter;

typedef struct Chunk {
        sd_bus_message *call;
        uint64_t *lines; /* where each job comes from */
        size_t n, text;
} Chunk;

static void submitter_done(Submitter *s) {
        reader_done(&s->reader);
        request_done(&s->request);
        free(s->id);
        spec_free(s->defaults);
        spec_free(s->bare);
        spec_free(s->typed);
        free(s->found);
        free(s->ids);
}

static void chunk_done(Chunk *c) {
        sd_bus_message_unref(c->call);
        free(c->lines);
}

/* ---- from a line to a job ---- */

static int bad_line(const Submitter *s, const char *why) {
        return ctl_error(-EINVAL, "submit: %s:%" PRIu64 ": %s", s->name, s->reader.number, why);
}

static int check_properties(const Submitter *s, char *const *properties) {
        STRV_FOREACH (p, properties) {
                _cleanup_(unit_property_list_done) UnitPropertyList l = {};
                _cleanup_free_ char *error = NULL;
                int r;

                r = unit_property_parse_assignment(*p, true, UNIT_PROPERTY_SERVICE, &l, &error);
                if (r == -ENOMEM)
                        return ctl_oom();
                if (r < 0) {
                        char text[512];

                        snprintf(text, sizeof(text), "'properties': %s", strempty(error));
                        return bad_line(s, text);
                }
        }
        return 0;
}

/* The command is there? A file that runs one program a hundred thousand times needs one look. */
static int check_command(Submitter *s, const Line *l, bool usual) {
        char where[SPEC_QUOTE_MAX + 64];
        int r;

        if (l->merged.type)
                return 0;
        if (usual && s->found && streq(s->found, l->merged.argv[0]))
                return 0;
        snprintf(where, sizeof(where), "submit: %s:%" PRIu64, s->name, s->reader.number);
        r = submit_check_command(where, &l->merged);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        return usual && free_and_strdup(&s->found, l->merged.argv[0]) < 0 ? ctl_oom() : 0;
}

/* The options as they are for this line. */
static int get_defaults(Submitter *s, uint32_t uid, bool typed, const JobSpec **ret) {
        JobSpec **d = uid != UINT32_MAX ? &s->bare : typed ? &s->typed : &s->defaults;
        int r;

        if (!*d) {
                r = submit_new_spec(uid == UINT32_MAX ? arg_submit.uid : uid, typed, d);
                if (r != 0)
                        return r < 0 ? r : -ENOENT; /* of many jobs the exit status says no more */
        }
        *ret = *d;
        return 0;
}

static int line_check(Submitter *s, Line *l, uint64_t keys) {
        _cleanup_free_ char *error = NULL;
        const char *queue = l->queue ?: arg_submit.queue;
        int r;

        if (line_has_key(keys, "request_id"))
                return bad_line(s, "'request_id' is for the whole: --request-id");
        if (queue && !queue_name_is_valid(queue))
                return bad_line(s, "'queue' is not the name of a queue: a-z 0-9 _ joined by -, at most 64");
        submit_has_array = submit_has_array || l->merged.array > 0;
        r = spec_validate(&l->merged, &error);
        if (r < 0)
                return r == -ENOMEM ? ctl_oom() : bad_line(s, strempty(error));
        if (line_has_key(keys, "properties")) {
                r = check_properties(s, l->own->properties);
                if (r < 0)
                        return r;
        }
        return check_command(s, l,
                             !line_has_key(keys, "cwd") && !line_has_key(keys, "environment") &&
                                             !line_has_key(keys, "uid"));
}

/* Everything that can be said about a line without the daemon. 0, or negative and said. */
static int line_read(Submitter *s, const char *text, size_t n, Line *ret) {
        _cleanup_free_ char *error = NULL;
        const JobSpec *defaults;
        uint64_t keys;
        int r;

        ret->own = spec_new();
        if (!ret->own)
                return ctl_oom();
        r = spec_read_json(text, n, ret->own, &ret->queue, &keys, &error);
        if (r < 0)
                return r == -ENOMEM ? ctl_oom() : bad_line(s, strempty(error));
        r = get_defaults(s, ret->own->uid, ret->own->type || arg_submit.type, &defaults);
        if (r != 0)
                return r;
        ret->given = keys;
        if (line_merge(ret, defaults, keys) < 0)
                return ctl_oom();
        return line_check(s, ret, keys);
}

/* The next line that is not blank. 1, 0 at the end, EXIT_NOT_STARTED or negative, and said. */
static int next_line(Submitter *s, const char **ret, size_t *ret_n) {
        int r;

        while ((r = reader_next(&s->reader, ret, ret_n)) > 0)
                for (size_t i = 0; i < *ret_n; i++)
                        if (!strchr(" \t\r", (*ret)[i]) || !(*ret)[i])
                                return 1;
        if (r == -E2BIG)
                return bad_line(s, "the line is longer than 32 MiB");
        return r < 0 ? ctl_error(r, "submit: --file: %s: %m", s->name) : 0;
}

static int check_all(Submitter *s) {
        const char *text;
        size_t n;
        int r;

        while ((r = next_line(s, &text, &n)) > 0) {
                _cleanup_(line_done) Line l = {};

                r = line_read(s, text, n, &l);
                if (r < 0)
                        break;
                s->n_checked++;
                progress_update(&s->progress, s->n_checked, s->reader.bytes);
        }
        progress_clear(&s->progress);
        return r;
}

/* ---- chunks ---- */

static int chunk_new(Submitter *s, Chunk *c) {
        int r;

        c->lines = new0(uint64_t, s->chunk_max);
        if (!c->lines)
                return ctl_oom();
        r = request_new_call(&s->request, "SubmitMany", &c->call);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(c->call, 'a', "a{sv}");
        return r < 0 ? ctl_error(r, "Cannot create a message: %m") : 0;
}

static int chunk_add(Submitter *s, Chunk *c, Line *l, size_t text) {
        const char *queue = l->queue ?: arg_submit.queue;
        char id[SPEC_REQUEST_ID_MAX + 1];
        int r;

        if (c->n == 0) {
                snprintf(id, sizeof(id), "%s.%" PRIu64, s->id, s->n_submitted);
                l->merged.request_id = id;
        }
        r = sd_bus_message_open_container(c->call, 'a', "{sv}");
        if (r >= 0 && queue)
                r = bus_append_string(c->call, "queue", queue);
        if (r >= 0)
                r = request_append_spec(c->call, &l->merged, l->given | submit_given(), true);
        if (r >= 0)
                r = sd_bus_message_close_container(c->call);
        if (r < 0)
                return ctl_error(r, "submit: %s:%" PRIu64 ": cannot be sent: %m", s->name, s->reader.number);
        c->lines[c->n++] = s->reader.number;
        c->text += text;
        return 0;
}

static int refused(const Submitter *s, const Chunk *c, sd_bus_error *e, int r) {
        char where[SPEC_QUOTE_MAX + 64];
        int skip = 0;
        size_t i;

        if (e->message && sscanf(e->message, "job %zu: %n", &i, &skip) == 1 && skip > 0 && i < c->n)
                return ctl_error(r, "submit: %s:%" PRIu64 ": %s", s->name, c->lines[i], e->message + skip);
        snprintf(where, sizeof(where), "submit: %s", s->name);
        return request_error(&s->request, where, NULL, e, r);
}

static int print_ids(Submitter *s, const uint64_t *ids, size_t n) {
        progress_clear(&s->progress);
        for (size_t i = 0; i < n; i++)
                printf("%" PRIu64 "\n", ids[i]);
        if (arg_wait) {
                uint64_t *more = reallocarray(s->ids, s->n_submitted, sizeof(uint64_t));

                if (!more)
                        return ctl_oom();
                s->ids = more;
                memcpy(s->ids + s->n_submitted - n, ids, n * sizeof(uint64_t));
        }
        return output_flush(); /* says what is wrong; to repeat it with the request id prints them again */
}

/* How far it has come, and how to go on. unsure: what was asked for last may have been taken, too. */
static void format_how_far(const Submitter *s, bool unsure, char *buf, size_t n) {
        char sure[128] = "", perhaps[128] = "";

        if (s->n_submitted > 0)
                snprintf(sure, sizeof(sure), "%" PRIu64 " job%s submitted, of the lines up to %" PRIu64,
                         s->n_submitted, s->n_submitted == 1 ? " was" : "s were", s->through);
        if (unsure && s->asked > s->through)
                snprintf(perhaps, sizeof(perhaps), "%s those of the lines up to %" PRIu64 "%s",
                         *sure ? ", and perhaps" : "perhaps", s->asked, *sure ? "" : " were submitted");
        snprintf(buf, n, "submit: %s: %s%s. To go on, repeat it with --request-id=%s", s->name, sure,
                 perhaps, s->id);
}

/* For those who interrupt. */
static void prepare_last_word(const Submitter *s) {
        char text[512];

        format_how_far(s, true, text, sizeof(text));
        interrupt_tell("jobmill: %s\n", text);
}

static int chunk_send(Submitter *s, Chunk *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const void *ids;
        size_t size;
        int r;

        r = sd_bus_message_close_container(c->call);
        if (r < 0)
                return ctl_error(r, "Cannot create a message: %m");
        s->asked = c->lines[c->n - 1];
        prepare_last_word(s);
        r = request_send(&s->request, c->call, &reply, &error);
        if (r < 0)
                return refused(s, c, &error, r);
        r = sd_bus_message_read_array(reply, 't', &ids, &size);
        if (r < 0)
                return ctl_error(r, "submit: cannot read the daemon's answer: %m");
        if (size / sizeof(uint64_t) != c->n)
                return ctl_error(-EBADMSG,
                                 "submit: %s:%" PRIu64
                                 ": request id %s stands for other jobs: it came with another file, "
                                 "other options or another environment",
                                 s->name, c->lines[0], s->id);
        s->n_submitted += c->n;
        s->through = s->asked;
        prepare_last_word(s);
        r = print_ids(s, ids, c->n);
        if (r < 0)
                return r;
        progress_update(&s->progress, s->n_submitted, s->reader.bytes);
        return 0;
}

/* A line that is one too many for this chunk stays in *text for the next. 1: there may be more. */
static int submit_chunk(Submitter *s, const char **text, size_t *n) {
        _cleanup_(chunk_done) Chunk c = {};
        int r = 1;

        while (c.n < s->chunk_max) {
                _cleanup_(line_done) Line l = {};

                if (!*text) {
                        r = next_line(s, text, n);
                        if (r <= 0)
                                break;
                }
                if (c.n > 0 && c.text + *n > CHUNK_TEXT_MAX)
                        break;
                r = line_read(s, *text, *n, &l);
                if (r == 0 && !c.call)
                        r = chunk_new(s, &c);
                if (r == 0)
                        r = chunk_add(s, &c, &l, *n);
                if (r < 0)
                        return r;
                *text = NULL;
                r = 1;
                progress_update(&s->progress, s->n_submitted, s->reader.bytes);
        }
        if (r < 0)
                return r;
        if (c.n > 0) {
                int k = chunk_send(s, &c);

                if (k < 0)
                        return k;
        }
        return r;
}

static void tell_how_far(const Submitter *s) {
        char text[512];

        if (s->n_submitted == 0 && !s->request.lost)
                (void) ctl_error(0, "submit: %s: nothing was submitted", s->name);
        else {
                format_how_far(s, s->request.lost, text, sizeof(text));
                (void) ctl_error(0, "%s", text);
        }
}

static int submit_all(Submitter *s) {
        const char *text = NULL;
        size_t n = 0;
        int r;

        do
                r = submit_chunk(s, &text, &n);
        while (r > 0);
        progress_clear(&s->progress);
        interrupt_tell(NULL);
        if (r < 0)
                tell_how_far(s);
        else if (s->n_submitted == 0)
                ctl_warning("%s has no jobs", s->name);
        return r;
}

/* See the head of this file. */
static int set_chunk_size(Submitter *s) {
        const JobSpec *defaults;
        size_t size = 0, rounded = ENVIRONMENT_MIN;
        int r;

        r = get_defaults(s, UINT32_MAX, arg_submit.type, &defaults);
        if (r != 0)
                return r;
        STRV_FOREACH (i, defaults->environment)
                size += strlen(*i) + 8;
        while (rounded < size)
                rounded *= 2;
        s->chunk_max = MAX(MIN(CHUNK_ENVIRONMENT_MAX / rounded, (size_t) JOBMILL_SUBMIT_MANY_LEAST),
                           (size_t) 1);
        return 0;
}

static int open_file(Submitter *s, const char *path, bool *ret_regular, off_t *ret_start) {
        struct stat st;

        s->reader.fd = streq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (s->reader.fd < 0 || fstat(s->reader.fd, &st) < 0)
                return ctl_error(-errno, "submit: --file: %s: %m", path);
        if (S_ISDIR(st.st_mode))
                return ctl_error(-EISDIR, "submit: --file: %s: %m", path);
        *ret_start = lseek(s->reader.fd, 0, SEEK_CUR);
        *ret_regular = S_ISREG(st.st_mode) && *ret_start >= 0;
        if (isatty(s->reader.fd))
                ctl_warning("type the jobs, each one a JSON object on a line; ^D ends them");
        s->progress = progress_new("lines checked", *ret_regular ? (uint64_t) (st.st_size - *ret_start) : 0);
        return 0;
}

/* All lines first. 1: go on. */
static int look_through(Submitter *s, bool regular, off_t start) {
        int r;

        r = check_all(s);
        if (r != 0) {
                tell_how_far(s);
                return r;
        }
        if (arg_submit.dry_run) {
                printf("%" PRIu64 " job%s, not submitted\n", s->n_checked, s->n_checked == 1 ? "" : "s");
                return 0;
        }
        if (regular && lseek(s->reader.fd, start, SEEK_SET) < 0)
                return ctl_error(-errno, "submit: --file: %s: %m", s->name);
        s->reader = (Reader){ .fd = s->reader.fd, .buf = s->reader.buf, .size = s->reader.size };
        return 1;
}

int submit_file(const char *path) {
        _cleanup_(submitter_done) Submitter s = { .reader.fd = -EBADF };
        char name[SPEC_QUOTE_MAX];
        bool regular = false;
        off_t start = 0;
        int r;

        s.name = streq(path, "-") ? "standard input" : spec_quote(name, path, strlen(path));
        if (arg_submit.request_id && strlen(arg_submit.request_id) > SPEC_REQUEST_ID_MAX - 24)
                return ctl_error(-EINVAL, "submit: --request-id: at most %u bytes with --file",
                                 SPEC_REQUEST_ID_MAX - 24);
        r = open_file(&s, path, &regular, &start);
        if (r == 0)
                r = request_make_id(&s.id);
        if (r == 0)
                r = set_chunk_size(&s);
        if (r != 0)
                return r;
        if (regular || arg_submit.dry_run) {
                r = look_through(&s, regular, start);
                if (r <= 0)
                        return r;
        }
        /* Into a pipe that closes, ids cannot be printed; amidst the lines that is said, and how to go on. */
        (void) signal(SIGPIPE, SIG_IGN);
        s.progress = progress_new("jobs", s.progress.size);
        r = submit_all(&s);
        request_done(&s.request);
        if (s.n_submitted > 0)
                linger_hint_once();
        if (r < 0 || !arg_wait || s.n_submitted == 0)
                return r;
        interrupt_tell("jobmill: the jobs go on; jobmill list shows them\n");
        r = submit_wait(s.ids, s.n_submitted);
        interrupt_tell(NULL);
        return r;
}
