/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports. Who may not read what others' jobs are called gets sums of his own alone: what somebody did over years is more than what
 * the list tells of jobs that are still in it. */

#include "api/dict.h"
#include "api/filter.h"
#include "api/methods.h"
#include "api/read-json.h"
#include "api/share.h"

#include "base/strv.h"

#define ROWS_MAX 10000U

static int parse_groups(const char *text, unsigned *ret, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];

        *ret = 0;
        for (const char *p = text; *p;) {
                size_t n = strcspn(p, ",");
                _cleanup_free_ char *word = strndup(p, n);
                ReportGroup g;

                if (!word)
                        return -ENOMEM;
                g = report_group_from_string(word);
                if (g < 0)
                        return api_error(error, JOBMILL_ERROR_INVALID_FILTER,
                                         "group_by: '%s' is none, only queue, type, owner, day, hour, minute are", spec_quote(quoted, word, n));
                *ret |= 1U << g;
                p += n;
                p += *p == ',';
        }
        return 0;
}

/* What the accounts do not know of jobs cannot be asked of them. */
static int check_filter(const ListOptions *o, sd_bus_error *error) {
        const JobFilter *f = &o->filter;

        if (f->n_ids > 0 || f->states || f->results || f->name || f->tags || f->array > 0 || f->collapse || f->dead >= 0 || f->flow > 0 ||
            o->fields || o->order != JOB_ORDER_NEWEST)
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "a report can be of queue, type, owner, since_usec and until_usec");
        return 0;
}

static int read_report(Call *c, ListOptions *o, unsigned *ret_groups, sd_bus_error *error) {
        const char *groups;
        int r;

        if (c->message) {
                r = filter_read(c->message, false, o, error);
                if (r >= 0)
                        r = sd_bus_message_read_basic(c->message, 's', &groups);
        } else {
                r = filter_read_json(c->parameters, "filter", o, error);
                if (r >= 0)
                        r = read_json_string(c->parameters, "group_by", "", &groups, error);
        }
        if (r >= 0)
                r = check_filter(o, error);
        return r < 0 ? r : parse_groups(groups, ret_groups, error);
}

typedef struct Report {
        Reply reply;
        unsigned groups;
} Report;

static int append_groups(Report *l, const ReportRow *row) {
        Reply *d = &l->reply;
        int r = 0;

        if (l->groups & (1U << REPORT_DAY))
                r = dict_append(d, "day", "s", strempty(row->day));
        if (r >= 0 && l->groups & (1U << REPORT_MINUTE))
                r = dict_append(d, "minute_usec", "t", row->minute);
        if (r >= 0 && l->groups & (1U << REPORT_HOUR))
                r = dict_append(d, "hour_usec", "t", row->hour);
        if (r >= 0 && l->groups & (1U << REPORT_QUEUE))
                r = dict_append(d, "queue", "s", strempty(row->queue));
        if (r >= 0 && l->groups & (1U << REPORT_TYPE))
                r = dict_append(d, "type", "s", strempty(row->type));
        if (r >= 0 && l->groups & (1U << REPORT_OWNER))
                r = dict_append(d, "owner", "u", row->owner);
        return r;
}

static int append_row(void *userdata, const ReportRow *row) {
        Report *l = userdata;
        int r;

        r = reply_open_dict(&l->reply, NULL);
        if (r >= 0)
                r = append_groups(l, row);
        for (UsageValue v = 0; v < _USAGE_MAX && r >= 0; v++)
                /* What nobody measured is not known. */
                if (v != USAGE_CPU_USEC || row->values[USAGE_MEASURED] > 0 || row->values[USAGE_ATTEMPTS] == 0)
                        r = dict_append(&l->reply, usage_value_to_string(v), "t", row->values[v]);
        return reply_close_dict(&l->reply, r);
}

static int report_rows(Call *c, const JobFilter *f, Report *l, sd_bus_error *error) {
        int r;

        r = reply_open_array(&l->reply, "rows", "a{sv}");
        if (r >= 0)
                r = history_report(c->api->store, f, l->groups, ROWS_MAX, append_row, l);
        if (r == -E2BIG)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "The report has more than %u rows: ask for less time, or group by less", ROWS_MAX);
        if (r < 0)
                return api_error_store(c->api, error, r);
        return reply_close_array(&l->reply);
}

int handle_get_report(Call *c, sd_bus_error *error) {
        _cleanup_(list_options_done) ListOptions o = {};
        bool reads_all = true;
        Report l = {};
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = read_report(c, &o, &l.groups, error);
        if (r >= 0 && !filter_is_own(&o.filter, c->client->uid)) {
                /* Who asks for others is told that he may not; who asks for all gets what is his. */
                r = o.filter.n_owners > 0 ? call_authorize(c, JOBMILL_ACTION_READ_ALL, NULL, error) :
                                            call_may(c, JOBMILL_ACTION_READ_ALL, false, &reads_all);
                if (r <= 0)
                        return r;
        }
        if (r < 0)
                return r;
        if (!reads_all && !filter_only_own(&o.filter, c->client->uid))
                return -ENOMEM;
        r = call_reply(c, &l.reply);
        if (r >= 0)
                r = report_rows(c, &o.filter, &l, error);
        return call_send(c, &l.reply, r);
}
DEFINE_METHOD(get_report);
