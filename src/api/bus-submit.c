/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Submit and SubmitMany: from an untrusted message to jobs in the model. Everything is checked before the first job is made,
 * so a batch is taken whole or not at all. */

#include "api/methods.h"
#include "api/request.h"
#include "api/spec-bus.h"

static int submit_request(Call *c, Request *q, Job **ret, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = model_submit(c->api->model, q->queue, q->spec, q->owner, q->owner_name, &c->api->now, ret, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        q->spec = NULL;
        (*ret)->privileged = q->privileged;
        return 0;
}

static int spec_error_to_bus(int r, const char *text, sd_bus_error *error) {
        if (r == -ENOMEM)
                return r;
        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text ?: "the request cannot be read");
}

/* ---- methods ---- */

static int handle_submit(Call *c, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL;
        Request *q = new0(Request, 1);
        const char *queue;
        char path[64];
        Job *j;
        int r;

        if (!q || !(q->spec = spec_new())) {
                requests_free(q, 0);
                return -ENOMEM;
        }
        r = sd_bus_message_read_basic(c->message, 's', &queue);
        if (r >= 0)
                r = sd_bus_message_read_strv(c->message, &q->spec->argv);
        if (r >= 0) {
                r = spec_read_bus(c->message, q->spec, NULL, &text);
                if (r < 0)
                        r = spec_error_to_bus(r, text, error);
        }
        if (r >= 0)
                r = request_check(c, q, queue, error);
        if (r > 0)
                r = submit_request(c, q, &j, error);
        else if (r == 0)
                goto finish;
        if (r < 0)
                goto finish;

        snprintf(path, sizeof(path), JOBMILL_JOB_PATH_PREFIX "/%" PRIu64, j->id);
        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "to", j->id, path);
        if (r >= 0)
                r = call_hold(c, TAKE_PTR(reply));
finish:
        requests_free(q, 1);
        return r;
}
DEFINE_METHOD(submit);

/* Which of a batch it was. */
static int name_index(int r, size_t i, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error inner = SD_BUS_ERROR_NULL;

        if (r >= 0 || !sd_bus_error_is_set(error))
                return r;
        inner = *error;
        *error = SD_BUS_ERROR_NULL;
        return api_error(error, inner.name, "job %zu: %s", i, inner.message);
}

static int read_many(Call *c, Request **ret, size_t *ret_n, sd_bus_error *error) {
        sd_bus_message *m = c->message;
        Request *l = NULL;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                _cleanup_free_ char *queue = NULL, *text = NULL;

                if (n >= JOBMILL_SUBMIT_MANY_MAX) {
                        r = api_error(error, JOBMILL_ERROR_TOO_MANY, "More than %u jobs in one call", JOBMILL_SUBMIT_MANY_MAX);
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
                l[n] = (Request) { .spec = spec_new() };
                n++;
                if (!l[n - 1].spec) {
                        r = -ENOMEM;
                        break;
                }
                r = spec_read_bus(m, l[n - 1].spec, &queue, &text);
                if (r < 0)
                        r = spec_error_to_bus(r, text, error);
                if (r >= 0)
                        r = request_check(c, l + n - 1, queue, error);
                if (r <= 0) {
                        r = name_index(r, n - 1, error);
                        break;
                }
        }
        if (r <= 0) {
                requests_free(l, n);
                return r;
        }
        *ret = l;
        *ret_n = n;
        return 1;
}

static int handle_submit_many(Call *c, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        Request *l;
        size_t n;
        int r;

        r = read_many(c, &l, &n, error);
        if (r <= 0)
                return r;
        if (n == 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "jobs: the list is empty");
        ids = new0(uint64_t, n);
        if (!ids)
                r = -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                Job *j;
                r = submit_request(c, l + i, &j, error);
                if (r >= 0)
                        ids[i] = j->id;
        }
        requests_free(l, n);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 't', ids, n * sizeof(uint64_t));
        return r < 0 ? r : call_hold(c, TAKE_PTR(reply));
}
DEFINE_METHOD(submit_many);
