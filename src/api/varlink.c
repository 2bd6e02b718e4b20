/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages of the socket: an object with a method and its parameters, and the list of methods. What they do is where the bus has it; here
 * they are found, and what is no method of ours is refused.
 *
 * json-c takes some hundred bytes for a bracket: what a message would cost is looked at before it is read. */

#include "api/varlink.h"

#include "api/methods.h"
#include "api/read-json.h"
#include "base/json-writer.h"
#include "queue/flow.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

static const char interface_description[] =
#include <org.jobmill.varlink.inc>
        ;

static const VarlinkMethod methods[] = {
        { "Submit", " job ", handle_submit, true },
        { "SubmitMany", " jobs ", handle_submit_many, true },
        { "SubmitFlow", " flow ", handle_submit_flow, true },
        { "Get", " id ", handle_get_job_info },
        { "List", " filter cursor limit ", handle_list_jobs },
        { "Wait", " id timeout_usec ", handle_wait_job },
        { "Cancel", " id ", handle_cancel_job, true },
        { "Hold", " id ", handle_hold_job, true },
        { "Release", " id ", handle_release_job, true },
        { "Retry", " id max_attempts delay_usec ", handle_retry_job, true },
        { "Events", " after ", handle_events },
        { "ListTypes", " ", handle_list_types },
        { "Statistics", " ", handle_get_statistics },
        { "ListSchedules", " ", handle_list_schedules },
        { "GetSchedule", " schedule ", handle_get_schedule },
        { "ListFirings", " schedule limit ", handle_list_firings },
        { "ListWorkers", " ", handle_list_workers },
        { "Register", " protocol queues slots name metadata token durable adapter ", handle_register, true },
        { "Complete", " token id attempt exit_status exit_signal result error verdict cpu_usec memory_peak tasks_peak io_read_bytes io_write_bytes started_usec finished_usec stdout stderr ", handle_complete, true },
        { "Progress", " token id attempt status ", handle_progress },
        { "Keep", " token id attempt engine started_usec ", handle_keep, true },
        { "Drain", " token idle ", handle_drain, true },
        { "Metrics", " ", handle_get_metrics },
        { "Report", " filter group_by ", handle_get_report },
        { "Run", " protocol token id job ", handle_run, true },
        { "Exited", " token id attempt exit_status exit_signal core_dump stopped error ", handle_exited, true },
};

/* ---- org.varlink.service ---- */

static int handle_get_info(Call *c, sd_bus_error *error) {
        static const char *const names[] = { VARLINK_SERVICE, JOBMILL_VARLINK_INTERFACE };
        Reply reply;
        int r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "vendor", "s", "jobmill");
        if (r >= 0)
                r = reply_append(&reply, "product", "s", "jobmilld");
        if (r >= 0)
                r = reply_append(&reply, "version", "s", JOBMILL_VERSION);
        if (r >= 0)
                r = reply_append(&reply, "url", "s", "");
        if (r >= 0)
                r = reply_open_array(&reply, "interfaces", "s");
        FOREACH_ELEMENT(name, names)
                if (r >= 0)
                        r = reply_append(&reply, NULL, "s", *name);
        if (r >= 0)
                r = reply_close_array(&reply);
        return call_send(c, &reply, r);
}

static const char service_description[] =
#include <org.varlink.service.varlink.inc>
        ;

static int handle_get_interface_description(Call *c, sd_bus_error *error) {
        const char *name;
        Reply reply;
        int r;

        r = read_json_string(c->parameters, "interface", NULL, &name, error);
        if (r < 0)
                return r;
        if (!streq(name, JOBMILL_VARLINK_INTERFACE) && !streq(name, VARLINK_SERVICE))
                return api_error(error, VARLINK_ERROR_INTERFACE_NOT_FOUND, "%s", name);
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "description", "s", streq(name, VARLINK_SERVICE) ? service_description : interface_description);
        return call_send(c, &reply, r);
}

static const VarlinkMethod service_methods[] = {
        { "GetInfo", " ", handle_get_info },
        { "GetInterfaceDescription", " interface ", handle_get_interface_description },
};

/* ---- messages ---- */

typedef struct Message {
        json_object *object, *parameters;
        const char *method;
        size_t cost; /* in memory */
        bool oneway, more;
} Message;

static void message_done(Message *m) {
        json_object_put(m->object);
}

static int take_flag(json_object *v, bool *ret) {
        if (!json_object_is_type(v, json_type_boolean))
                return -EBADMSG;
        *ret = json_object_get_boolean(v);
        return 0;
}

static int take_apart(Message *m, char **ret_error) {
        char quoted[SPEC_QUOTE_MAX];
        const char *wrong = NULL;
        int r;

        json_object_object_foreach(m->object, key, value) {
                r = -EBADMSG;
                if (streq(key, "method")) {
                        m->method = spec_json_text(value);
                        r = m->method ? 0 : -EBADMSG;
                } else if (streq(key, "parameters") && (!value || json_object_is_type(value, json_type_object))) {
                        m->parameters = value;
                        r = 0;
                } else if (streq(key, "oneway"))
                        r = take_flag(value, &m->oneway);
                else if (streq(key, "more"))
                        r = take_flag(value, &m->more);
                wrong = r < 0 ? key : wrong;
        }
        if (wrong)
                return spec_error(ret_error, EBADMSG, "'%s' is none of a call, or of another type", spec_quote(quoted, wrong, strlen(wrong)));
        return m->method ? 0 : spec_error(ret_error, EBADMSG, "'method' is missing");
}

static int parse(const Api *a, const char *text, size_t size, Message *m, char **ret_error) {
        int r;

        m->cost = json_cost(text, size);
        if (m->cost - size > FLOW_COST_MAX(a->limits.submit_many_max))
                return spec_error(ret_error, E2BIG, "More JSON values than %" PRIu64 " jobs need (SubmitManyMax=)", a->limits.submit_many_max);
        r = spec_parse_object(text, size, &m->object, ret_error);
        if (r >= 0)
                r = take_apart(m, ret_error);
        return r == -EINVAL ? -EBADMSG : r;
}

/* ---- calls ---- */

static const VarlinkMethod *find(const VarlinkMethod *l, size_t n, const char *name) {
        for (const VarlinkMethod *m = l; m < l + n; m++)
                if (streq(m->name, name))
                        return m;
        return NULL;
}

static int find_method(const char *name, const VarlinkMethod **ret, sd_bus_error *error) {
        const char *dot = strrchr(name, '.');
        size_t n = dot ? (size_t) (dot - name) : 0;

        if (n == strlen(JOBMILL_VARLINK_INTERFACE) && startswith(name, JOBMILL_VARLINK_INTERFACE))
                *ret = find(methods, ELEMENTSOF(methods), dot + 1);
        else if (n == strlen(VARLINK_SERVICE) && startswith(name, VARLINK_SERVICE))
                *ret = find(service_methods, ELEMENTSOF(service_methods), dot + 1);
        else
                return api_error(error, VARLINK_ERROR_INTERFACE_NOT_FOUND, "%.*s", (int) n, name);
        return *ret ? 0 : api_error(error, VARLINK_ERROR_METHOD_NOT_FOUND, "%s", name);
}

static int check_parameters(const Message *m, const VarlinkMethod *method, sd_bus_error *error) {
        if (!m->parameters)
                return 0;
        json_object_object_foreach(m->parameters, key, value) {
                const char *p = method->parameters;
                size_t n = strlen(key);

                if (n == 0 || strchr(key, ' '))
                        return invalid_parameter(error, key);
                while ((p = strstr(p + 1, key)) && (p[-1] != ' ' || p[n] != ' '))
                        ;
                if (!p)
                        return invalid_parameter(error, key);
        }
        return 0;
}

int varlink_receive(Client *cl, const char *text, size_t size, bool holds, bool hung_up, char **ret_error) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        ReplyTo to = { .connection = cl->connection };
        _cleanup_(message_done) Message m = {};
        const VarlinkMethod *method;
        json_object *parameters;
        int r;

        r = parse(cl->api, text, size, &m, ret_error);
        if (r < 0)
                return r;
        to.oneway = m.oneway;
        r = find_method(m.method, &method, &error);
        if (r >= 0)
                r = check_parameters(&m, method, &error);
        if (r < 0) {
                (void) reply_send_error(&to, &error);
                return 1;
        }
        if (!method->changes && (m.oneway || hung_up))
                return 1; /* nobody hears of it */
        if (!method->changes && holds)
                return 0;
        parameters = m.parameters ? json_object_get(m.parameters) : json_object_new_object();
        if (!parameters)
                return -ENOMEM;
        call_dispatch_json(cl, &(Call) { .parameters = parameters, .oneway = m.oneway, .more = m.more, .size = m.cost, .handler = method->handler });
        json_object_put(TAKE_PTR(m.object));
        read_json_trim(size);
        return 1;
}
