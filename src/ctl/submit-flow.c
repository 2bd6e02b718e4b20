/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit --flow: jobs that wait for one another, from a JSON document. The options hold for every job that does not say otherwise: they
 * go into the document as its defaults. The daemon takes it whole or not at all; what can be known without it is told before. */

#include "base/strv.h"
#include "ctl/interrupt.h"
#include "ctl/linger.h"
#include "ctl/output.h"
#include "ctl/submit.h"
#include "ctl/terminal.h"
#include "queue/flow.h"
#include "queue/spec-json.h"

static int bad_document(const char *name, int r, const char *why) {
        return r == -ENOMEM ? ctl_oom() : ctl_error(-EINVAL, "submit: %s: %s", name, strempty(why));
}

/* Then it inherits nothing, as no job of a type does. What is wrong with it is told later. */
static bool has_types(const char *text, size_t size) {
        _cleanup_(flow_freep) Flow *f = NULL;

        if (flow_from_json(text, size, SIZE_MAX, &f, NULL) < 0)
                return false;
        for (const FlowJob *j = f->jobs; j < f->jobs + f->n; j++)
                if (j->spec->type)
                        return true;
        return false;
}

/* With all that the options say. *ret_n: so many jobs. */
static int complete(const char *name, const char *text, size_t size, const char *id, char **ret, size_t *ret_n) {
        _cleanup_free_ char *defaults = NULL, *error = NULL, *found = NULL;
        _cleanup_(spec_freep) JobSpec *s = NULL;
        _cleanup_(flow_freep) Flow *f = NULL;
        int r;

        r = submit_new_spec(arg_submit.uid, arg_submit.type || has_types(text, size), &s);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        if (spec_to_json(s, 0, &defaults) < 0)
                return ctl_oom();
        r = flow_json_complete(text, size, defaults, arg_submit.queue, id, ret, &error);
        if (r >= 0)
                r = flow_from_json(*ret, strlen(*ret), SIZE_MAX, &f, &error);
        if (r < 0)
                return bad_document(name, r, error);
        for (const FlowJob *j = f->jobs; j < f->jobs + f->n; j++) {
                char where[SPEC_QUOTE_MAX + 128], q[SPEC_QUOTE_MAX];

                snprintf(where, sizeof(where), "submit: %s: job '%s'", name, spec_quote(q, j->spec->name, strlen(j->spec->name)));
                r = submit_validate(where, j->spec);
                if (r >= 0 && !j->spec->type && !streq_ptr(found, j->spec->argv[0])) {
                        r = submit_check_command(where, j->spec);
                        if (r == 0 && free_and_strdup(&found, j->spec->argv[0]) < 0)
                                r = ctl_oom();
                }
                if (r != 0)
                        return r < 0 ? r : -ENOENT;
        }
        *ret_n = f->n;
        return 0;
}

/* ids: the jobs', by name. */
static int read_answer(sd_bus_message *reply, uint64_t *ret_flow, uint64_t **ret_ids, size_t *ret_n, struct json_object **ret) {
        struct json_object *o = json_object_new_object(), *jobs = json_object_new_object();
        uint64_t *ids = NULL, id;
        const char *name;
        size_t n = 0;
        int r;

        r = sd_bus_message_read_basic(reply, 't', ret_flow);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "{st}");
        while (r >= 0 && (r = sd_bus_message_read(reply, "{st}", &name, &id)) > 0) {
                uint64_t *l = reallocarray(ids, n + 1, sizeof(uint64_t));

                if (!l) {
                        r = -ENOMEM;
                        break;
                }
                ids = l;
                ids[n++] = id;
                json_object_object_add(jobs, name, json_object_new_uint64(id));
        }
        json_object_object_add(o, "flow", json_object_new_uint64(*ret_flow));
        json_object_object_add(o, "jobs", jobs);
        if (r < 0) {
                json_object_put(o);
                free(ids);
                return ctl_error(r, "submit: cannot read the daemon's answer: %m");
        }
        *ret_ids = ids;
        *ret_n = n;
        *ret = o;
        return 0;
}

static int send(Request *q, const char *name, const char *id, const char *text, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char where[SPEC_QUOTE_MAX + 64];
        int r;

        r = request_new_call(q, "SubmitFlow", &call);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "s", text);
        if (r < 0)
                return ctl_error(r, "submit: the request cannot be made: %m");
        r = request_send(q, call, ret, &error);
        if (r >= 0)
                return 0;
        snprintf(where, sizeof(where), "submit: %s", name);
        return request_error(q, where, id, &error, r);
}

int submit_flow(const char *path) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL, *whole = NULL, *id = NULL;
        const char *name;
        char quoted[SPEC_QUOTE_MAX];
        _cleanup_(request_done) Request q = {};
        _cleanup_free_ uint64_t *ids = NULL;
        struct json_object *o = NULL;
        uint64_t flow = 0;
        size_t size, n = 0;
        int r;

        name = streq(path, "-") ? "standard input" : spec_quote(quoted, path, strlen(path));
        r = submit_read_file("--flow", path, &text, &size);
        if (r == 0)
                r = request_make_id(&id);
        if (r == 0)
                r = complete(name, text, size, id, &whole, &n);
        if (r < 0)
                return r;
        if (arg_submit.dry_run) {
                printf("%zu job%s, not submitted\n", n, n == 1 ? "" : "s");
                return 0;
        }
        r = send(&q, name, id, whole, &reply);
        if (r >= 0)
                r = read_answer(reply, &flow, &ids, &n, &o);
        if (r < 0)
                return r;
        request_done(&q);
        if (arg_json != JSON_OFF)
                (void) json_print(o);
        else {
                json_object_put(o);
                printf("%" PRIu64 "\n", flow);
        }
        (void) output_flush();
        linger_hint_once();
        if (!arg_wait)
                return 0;
        interrupt_tell("jobmill: the flow goes on; jobmill show --tree %" PRIu64 " shows it\n", flow);
        r = submit_wait(ids, n);
        interrupt_tell(NULL);
        return r;
}
