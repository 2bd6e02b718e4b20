/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Submit, SubmitMany and SubmitFlow: an untrusted message is read, what it asks for is done (submit.c), and the answer written. */

#include "api/methods.h"
#include "api/read-json.h"
#include "api/share.h"
#include "api/spec-bus.h"
#include "api/submit.h"
#include "base/crash-point.h"
#include "base/strv.h"
#include "queue/flow.h"


static int spec_error_to_bus(int r, const char *text, sd_bus_error *error) {
        if (r == -ENOMEM)
                return r;
        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text ?: "the request cannot be read");
}

/* Takes reply over. What is recorded already needs no commit. */
static int send_answer(Call *c, const Answer *a, int r, Reply *reply) {
        if (r < 0 || !a->recorded)
                return call_hold(c, reply, r);
        CRASH_POINT("same-answer-before");
        r = call_send(c, reply, r);
        CRASH_POINT("same-answer-after");
        return r;
}

/* The arguments of Submit. */
static int read_one(Call *c, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        const char *queue;
        int r;

        q->spec = spec_new();
        if (!q->spec)
                return -ENOMEM;
        if (!c->message)
                return read_json_request(c->parameters, "job", q, error);
        r = sd_bus_message_read_basic(c->message, 's', &queue);
        if (r < 0)
                return r;
        r = spec_read_bus_argv(c->message, q->spec, &text);
        if (r >= 0)
                r = spec_read_bus(c->message, q->spec, &q->given, NULL, &text);
        if (r < 0)
                return spec_error_to_bus(r, text, error);
        return free_and_strdup(&q->queue_name, queue);
}

int handle_submit(Call *c, sd_bus_error *error) {
        _cleanup_(answer_done) Answer a = {};
        Request q = {};
        char path[64];
        Reply reply;
        int r;

        r = read_one(c, &q, error);
        if (r >= 0)
                r = submit_all(c, &q, 1, ONE_JOB, &a, error);
        request_done(&q);
        if (r <= 0)
                return r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "id", "t", a.ids[0]);
        if (r >= 0 && reply.message) {
                snprintf(path, sizeof(path), JOBMILL_JOB_PATH_PREFIX "/%" PRIu64, a.ids[0]);
                r = sd_bus_message_append(reply.message, "o", path);
        }
        return send_answer(c, &a, r, &reply);
}
DEFINE_METHOD(submit);

/* All of Submit but submitting. */
static int handle_preview_unit(Call *c, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL, *why = NULL;
        Request q = {};
        int r;

        r = read_one(c, &q, error);
        if (r >= 0)
                r = request_check(c, &q, error);
        if (r > 0)
                r = c->api->preview(c->api->userdata,
                                    &(Preview) { .queue = q.queue,
                                                 .spec = q.spec,
                                                 .owner = q.owner,
                                                 .owner_name = q.owner_name,
                                                 .privileged = q.privileged },
                                    &text, &why);
        request_done(&q);
        if (why)
                return api_error(error, JOBMILL_ERROR_PROPERTY_NOT_ALLOWED, "properties: %s", why);
        return r < 0 || !text ? r : sd_bus_reply_method_return(c->message, "s", text);
}
DEFINE_METHOD(preview_unit);

static int read_entry(Call *c, Request *q, size_t i, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        *q = (Request) { .spec = spec_new() };
        if (!q->spec)
                return -ENOMEM;
        if (c->message) {
                r = spec_read_bus(c->message, q->spec, &q->given, &q->queue_name, &text);
                r = r < 0 ? spec_error_to_bus(r, text, error) : r;
        } else
                r = read_json_nth_request(c->parameters, "jobs", i, q, error);
        if (r >= 0 && i > 0 && q->spec->request_id)
                r = api_error(error, JOBMILL_ERROR_INVALID_SPEC,
                              "request_id: stands in the first job only, for all of them");
        return submit_name_job(r, q, i, BATCH, error);
}

/* Begins to read them. */
static int open_many(Call *c, size_t *ret_n, sd_bus_error *error) {
        *ret_n = SIZE_MAX; /* the message tells its end */
        return c->message ? sd_bus_message_enter_container(c->message, 'a', "a{sv}") :
                            read_json_length(c->parameters, "jobs", ret_n, error);
}

static bool is_last(Call *c, size_t i, size_t n) {
        return c->message ? sd_bus_message_at_end(c->message, false) != 0 : i >= n;
}

static int read_many(Call *c, Request **ret, size_t *ret_n, sd_bus_error *error) {
        Request *l = NULL;
        size_t n = 0, n_all;
        int r;

        r = open_many(c, &n_all, error);
        while (r >= 0 && !is_last(c, n, n_all)) {
                if (n >= c->api->limits.submit_many_max) {
                        r = api_error(error, JOBMILL_ERROR_TOO_MANY, "More than %" PRIu64 " jobs in one call (SubmitManyMax=)",
                                      c->api->limits.submit_many_max);
                        break;
                }
                if ((n & (n + 1)) == 0) {
                        Request *p = realloc(l, (2 * n + 1) * sizeof(Request));
                        if (!p) {
                                r = -ENOMEM;
                                break;
                        }
                        l = p;
                }
                r = read_entry(c, l + n, n, error);
                n++;
        }
        call_costs(c, n / SHARE_JOBS);
        if (r >= 0 && n == 0)
                r = api_error(error, JOBMILL_ERROR_INVALID_SPEC, "jobs: the list is empty");
        if (r < 0) {
                requests_free(l, n);
                return r;
        }
        *ret = l;
        *ret_n = n;
        return 0;
}

static int append_ids(Reply *reply, const uint64_t *ids, size_t n) {
        int r;

        if (reply->message)
                return sd_bus_message_append_array(reply->message, 't', ids, n * sizeof(uint64_t));
        r = reply_open_array(reply, "ids", "t");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = reply_append(reply, NULL, "t", ids[i]);
        return r < 0 ? r : reply_close_array(reply);
}

int handle_submit_many(Call *c, sd_bus_error *error) {
        _cleanup_(answer_done) Answer a = {};
        Reply reply;
        Request *l;
        size_t n;
        int r;

        r = read_many(c, &l, &n, error);
        if (r < 0)
                return r;
        r = submit_all(c, l, n, BATCH, &a, error);
        requests_free(l, n);
        if (r <= 0)
                return r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = append_ids(&reply, a.ids, n);
        return send_answer(c, &a, r, &reply);
}
DEFINE_METHOD(submit_many);

/* ---- flows ---- */

static int flow_error(int r, const char *text, sd_bus_error *error) {
        if (r == -ENOMEM)
                return r;
        return api_error(error, r == -ELOOP ? JOBMILL_ERROR_CYCLE_IN_FLOW : JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
}

/* Its jobs as requests, which take the specs. */
static int flow_to_requests(Call *c, Flow *f, Request **ret, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        Request *l;
        int r;

        r = flow_fill_specs(f, c->api->limits.edges_max, &text);
        if (r == -E2BIG)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "%s", text);
        if (r < 0)
                return flow_error(r, text, error);
        l = new0(Request, f->n);
        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < f->n; i++)
                l[i] = (Request) { .spec = TAKE_PTR(f->jobs[i].spec), .given = f->jobs[i].given, .queue_name = TAKE_PTR(f->jobs[i].queue) };
        l[0].spec->request_id = TAKE_PTR(f->request_id);
        *ret = l;
        return 0;
}

static int read_flow(Call *c, Request **ret, size_t *ret_n, sd_bus_error *error) {
        _cleanup_(flow_freep) Flow *f = NULL;
        _cleanup_free_ char *text = NULL;
        const char *json;
        int r;

        r = c->message ? sd_bus_message_read_basic(c->message, 's', &json) : read_json_object_text(c->parameters, "flow", &json, error);
        if (r < 0)
                return r;
        call_costs(c, SHARE_OF_TURN);
        r = flow_from_json(json, strlen(json), c->api->limits.submit_many_max, &f, &text);
        read_json_trim(strlen(json));
        if (r < 0)
                return flow_error(r, text, error);
        r = flow_to_requests(c, f, ret, error);
        *ret_n = f->n;
        return r;
}

/* The specs are gone by then. */
static int copy_names(const Request *l, size_t n, char ***ret) {
        _cleanup_strv_free_ char **names = new0(char *, n + 1);

        for (size_t i = 0; names && i < n; i++) {
                names[i] = strdup(l[i].spec->name);
                if (!names[i])
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(names);
        return *ret ? 0 : -ENOMEM;
}

static int append_flow(Reply *reply, uint64_t flow, const uint64_t *ids, char *const *names) {
        int r;

        r = reply_append(reply, "flow", "t", flow);
        if (r >= 0 && reply->message)
                r = sd_bus_message_open_container(reply->message, 'a', "{st}");
        else if (r >= 0)
                r = reply_open_dict(reply, "jobs");
        for (size_t i = 0; r >= 0 && names[i]; i++)
                r = reply->message ? sd_bus_message_append(reply->message, "{st}", names[i], ids[i]) :
                                     dict_append(reply, names[i], "t", ids[i]);
        return reply_close_dict(reply, r);
}

int handle_submit_flow(Call *c, sd_bus_error *error) {
        _cleanup_strv_free_ char **names = NULL;
        _cleanup_(answer_done) Answer a = {};
        Request *l = NULL;
        Reply reply;
        size_t n = 0;
        int r;

        r = read_flow(c, &l, &n, error);
        if (r < 0)
                return r;
        r = copy_names(l, n, &names);
        if (r >= 0)
                r = submit_all(c, l, n, FLOW, &a, error);
        requests_free(l, n);
        if (r <= 0)
                return r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = append_flow(&reply, a.flow, a.ids, names);
        return send_answer(c, &a, r, &reply);
}
DEFINE_METHOD(submit_flow);
