/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit: one job from the words of the command line or from a script; many from a file (submit-file.c), or
 * as a flow (submit-flow.c).
 * Prints ids and nothing else. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/interrupt.h"
#include "ctl/linger.h"
#include "ctl/output.h"
#include "ctl/submit.h"
#include "ctl/terminal.h"
#include "queue/spec-json.h"

/* What goes together, and what is needed. */
static int check_arguments(int argc, char **argv) {
        const SubmitArgs *a = &arg_submit;

        if (a->flow && (argc > 0 || a->script || a->payload || a->credentials || a->file || a->after || a->name))
                return ctl_error(-EINVAL, "submit: --flow takes no %s", argc > 0 ? "command" :
                                 "--script, --payload, --credential, --file, --after or --name: jobs say that themselves");
        if (a->file && (argc > 0 || a->script || a->payload || a->credentials))
                return ctl_error(-EINVAL, "submit: --file takes no %s",
                                 argc > 0 ? "command" : "--script, --payload or --credential");
        if (a->script && a->payload)
                return ctl_error(-EINVAL, "submit: --script and --payload cannot be combined");
        if (a->script && a->type)
                return ctl_error(-EINVAL, "submit: --script and --type cannot be combined: a type has a command");
        if (argc == 0 && !a->file && !a->flow && !a->script && !a->type)
                return ctl_error(-EINVAL, "submit: a command, --type, --script, --file or --flow is missing");
        if (a->at != USEC_INFINITY && a->in != USEC_INFINITY)
                return ctl_error(-EINVAL, "submit: --at and --in cannot be combined");
        if (!submit_inherits(a->uid) && a->env && !streq(a->env, "none"))
                return ctl_error(-EINVAL,
                                 "submit: --env: nothing is inherited by a job of another %s; use -E "
                                 "NAME=VALUE",
                                 bus_is_elsewhere() ? "machine" : "user");
        for (int i = 0; i < argc; i++)
                if (!utf8_is_valid(argv[i], strlen(argv[i])))
                        return ctl_error(-EINVAL, "submit: word %i of the command is not UTF-8", i + 1);
        return 0;
}

/* What the job is made of, besides the options. */
static int fill_spec(JobSpec *s, Script *script, char **argv) {
        int r = submit_set_credentials(s);

        if (r < 0)
                return r;
        if (arg_submit.script)
                return script_into_spec(script, argv, s);
        if (!(s->argv = strv_copy(argv)))
                return ctl_oom();
        r = submit_check_command("submit", s);
        if (r == 0 && arg_submit.payload) {
                r = submit_read_file("--payload", arg_submit.payload, (char **) &s->payload,
                                     &s->payload_size);
                s->has_payload = r == 0;
        }
        return r;
}

static int ask(Request *q, const char *member, const JobSpec *s, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = request_new_call(q, member, &call);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", strempty(arg_submit.queue));
        if (r >= 0)
                r = sd_bus_message_append_strv(call, s->argv);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = request_append_spec(call, s, submit_given(), false);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return ctl_error(r, "submit: the request cannot be made: %m");
        r = request_send(q, call, ret, &error);
        if (r < 0)
                return request_error(q, "submit", s->request_id, &error, r);
        return 0;
}

static int print_preview(Request *q, const JobSpec *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *json = NULL;
        struct json_object *o;
        const char *text;
        int r;

        r = ask(q, "PreviewUnit", s, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return ctl_error(r, "submit: cannot read the daemon's answer: %m");
        if (arg_json == JSON_OFF) {
                fputs(text, stdout);
                return 0;
        }
        r = spec_to_json(s, 0, &json);
        if (r < 0 || !(o = json_tokener_parse(json)))
                return ctl_oom();
        if (arg_submit.queue)
                json_object_object_add(o, "queue", json_object_new_string(arg_submit.queue));
        return json_print(o);
}

int submit_find_after(Request *q) {
        STRV_FOREACH (a, arg_submit.after) {
                const char *on = startswith(*a, "@last");
                uint64_t id;
                char *word;
                int r;

                if (!on)
                        continue;
                r = q->bus ? 0 : bus_open(&q->bus);
                if (r >= 0)
                        r = job_id_resolve(q->bus, "@last", &id);
                if (r < 0)
                        return r;
                if (asprintf(&word, "%" PRIu64 "%s", id, on) < 0)
                        return ctl_oom();
                free(*a);
                *a = word;
        }
        return 0;
}

static int submit(Request *q, JobSpec *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint64_t job;
        int r;

        r = request_make_id(&s->request_id);
        if (r >= 0)
                r = ask(q, "Submit", s, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "to", &job, NULL);
        if (r < 0)
                return ctl_error(r, "submit: cannot read the daemon's answer: %m");
        request_done(q);
        if (arg_wait)
                interrupt_tell("jobmill: job %" PRIu64
                               " goes on; to wait for it again: jobmill wait %" PRIu64 "\n",
                               job, job);
        printf("%" PRIu64 "\n", job);
        (void) output_flush();
        linger_hint_once();
        if (!arg_wait)
                return 0;
        r = submit_wait(&job, 1);
        interrupt_tell(NULL);
        return r;
}

int verb_submit(int argc, char **argv) {
        _cleanup_(request_done) Request q = {};
        _cleanup_(script_done) Script script = {};
        _cleanup_(spec_freep) JobSpec *s = NULL;
        int r;

        if (arg_submit.script && !arg_submit.file && !arg_submit.flow) {
                r = script_read(arg_submit.script, &script);
                if (r < 0)
                        return r;
        }
        r = check_arguments(argc, argv);
        if (r >= 0)
                r = submit_find_after(&q);
        if (r < 0)
                return r;
        if (arg_submit.flow)
                return submit_flow(arg_submit.flow);
        if (arg_submit.file)
                return submit_file(arg_submit.file);
        r = submit_new_spec(arg_submit.uid, arg_submit.type, &s);
        if (r == 0)
                r = fill_spec(s, &script, argv);
        if (r == 0)
                r = submit_validate("submit", s);
        if (r != 0)
                return r;
        return arg_submit.dry_run ? print_preview(&q, s) : submit(&q, s);
}
