/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cancel, kill, hold, release, retry, purge, set, move: what is the same for all of them. Ids: one call each, a failure is
 * said and the rest goes on. A filter: one call, for the jobs that the verb makes sense for, and on a terminal the number of
 * them is asked about first. */

#include "api/protocol.h"
#include "base/bus-util.h"
#include "base/strv.h"
#include "ctl/bulk.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include <ctype.h>

/* ---- ids ---- */

static int new_call_for(sd_bus *bus, const Bulk *b, uint64_t id, const void *userdata, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = bus_new_call(bus, &call, b->one);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "t", id);
        if (r >= 0 && b->append_one)
                r = b->append_one(call, userdata);
        if (r < 0)
                return ctl_error(r, "%s: this cannot be sent: %m", b->verb);
        *ret = TAKE_PTR(call);
        return 0;
}

static int act_on(sd_bus *bus, const Bulk *b, uint64_t id, const void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = new_call_for(bus, b, id, userdata, &call);
        return r < 0 ? r : bus_call(bus, call, NULL, "job %" PRIu64, id);
}

static int run_each(sd_bus *bus, const Bulk *b, int n, char **words, const void *userdata) {
        int r, worst = 0;

        for (int i = 0; i < n; i++) {
                uint64_t id;

                r = job_id_resolve(bus, words[i], &id);
                if (r >= 0)
                        r = act_on(bus, b, id, userdata);
                if (r < 0)
                        worst = r;
        }
        return worst;
}

/* ---- the filter ---- */

static int append_ids(sd_bus_message *m, const uint64_t *ids, size_t n) {
        int r;

        r = bus_open_value(m, 'e', "ids", "at");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 't', ids, n * sizeof(uint64_t));
        return bus_close_value(m, r);
}

/* A call with a filter: either these ids, or what f says. */
static int new_call(sd_bus *bus, const Bulk *b, const char *member, const uint64_t *ids, size_t n, const Filter *f,
                    sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = bus_new_call(bus, &call, member);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = n > 0 ? append_ids(call, ids, n) : filter_append(call, f);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r < 0)
                return ctl_error(r, "%s: this filter cannot be sent: %m", b->verb);
        *ret = TAKE_PTR(call);
        return 0;
}

static int call_for_count(sd_bus *bus, const Bulk *b, sd_bus_message *call, uint64_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = bus_call(bus, call, &reply, "%s", b->verb);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "t", ret);
        return r < 0 ? ctl_error(r, "%s: cannot read the daemon's answer: %m", b->verb) : 0;
}

/* The states that are asked for and that the verb makes sense for. Words that are no states stay: the daemon says so. */
static int narrow(const Bulk *b, const Filter *f, Filter *ret, char ***ret_states) {
        _cleanup_strv_free_ char **states = NULL;
        int r;

        *ret = *f;
        ret->dead = f->dead || b->dead;
        if (!f->states) {
                ret->states = (char **) b->states;
                return 0;
        }
        STRV_FOREACH (s, f->states)
                if (strv_contains((char **) b->states, *s) || !strv_contains((char **) job_states, *s)) {
                        r = strv_extend(&states, *s);
                        if (r < 0)
                                return ctl_oom();
                }
        if (!states) {
                _cleanup_free_ char *can = strv_join((char **) b->states, ", ");

                return ctl_error(-EINVAL, "%s: no job in such a state can be %s; only: %s", b->verb, b->participle,
                                 strempty(can));
        }
        ret->states = *ret_states = TAKE_PTR(states);
        return 0;
}

/* ---- asking ---- */

/* 1: yes, or there is nobody to be asked. 0: there is nothing to do. */
static int confirm(sd_bus *bus, const Bulk *b, const Filter *f) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        char answer[16] = "";
        uint64_t n;
        int r;

        if (arg_yes || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return 1;
        r = new_call(bus, b, "CountJobs", NULL, 0, f, &call);
        if (r >= 0)
                r = call_for_count(bus, b, call, &n);
        if (r < 0)
                return r;
        if (n == 0)
                return 0;
        fprintf(stderr, "%s %" PRIu64 " job%s? [y/N] ", b->what, n, n == 1 ? "" : "s");
        if (!fgets(answer, sizeof(answer), stdin))
                fputc('\n', stderr);
        if (tolower((unsigned char) answer[0]) == 'y')
                return 1;
        return ctl_error(-ECANCELED, "%s: nothing was done", b->verb);
}

/* ---- doing ---- */

/* 1; 0: it has changed since it was listed, or, with *ret_refused, it was refused, which is said. */
static int act_on_listed(sd_bus *bus, const Bulk *b, uint64_t id, const void *userdata, int *ret_refused) {
        static const char *const changed[] = { JOBMILL_ERROR_NO_SUCH_JOB, JOBMILL_ERROR_JOB_FINISHED,
                                               JOBMILL_ERROR_JOB_NOT_RUNNING };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        r = new_call_for(bus, b, id, userdata, &call);
        if (r < 0)
                return r;
        r = bus_send(bus, call, NULL, &e);
        if (r >= 0)
                return 1;
        FOREACH_ELEMENT (name, changed)
                if (sd_bus_error_has_name(&e, *name))
                        return 0;
        *ret_refused = bus_error_tell(&e, r, "job %" PRIu64, id);
        return bus_error_is_transient(&e, r) ? r : 0;
}

/* One by one, for verbs of which the daemon knows no other way. */
static int run_listed(sd_bus *bus, const Bulk *b, const Filter *filter, const void *userdata, uint64_t *ret) {
        static const char *const fields[] = { "id", NULL };
        _cleanup_free_ char *cursor = NULL;
        uint64_t count = 0;
        int refused = 0, r;

        do {
                _cleanup_free_ char *next = NULL;
                JobInfo *jobs = NULL;
                size_t n = 0;

                r = job_list_page(bus, filter, (char *const *) fields, strempty(cursor), JOBMILL_LIST_MAX, &jobs, &n,
                                  &next);
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        r = act_on_listed(bus, b, jobs[i].id, userdata, &refused);
                        count += r > 0;
                }
                job_info_array_free(jobs, n);
                if (r < 0)
                        return r;
                free(cursor);
                cursor = TAKE_PTR(next);
        } while (cursor);
        *ret = count;
        return refused;
}

static int run_many(sd_bus *bus, const Bulk *b, const uint64_t *ids, size_t n, const Filter *f, const void *userdata,
                    uint64_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        r = new_call(bus, b, b->many, ids, n, f, &call);
        if (r < 0)
                return r;
        r = b->append_many ? b->append_many(call, userdata) : 0;
        if (r < 0)
                return ctl_error(r, "%s: this cannot be sent: %m", b->verb);
        return call_for_count(bus, b, call, ret);
}

static int print_count(const Bulk *b, uint64_t count) {
        struct json_object *o;

        if (arg_json == JSON_OFF) {
                if (!arg_quiet)
                        printf("%" PRIu64 " job%s %s\n", count, count == 1 ? "" : "s", b->participle);
                return 0;
        }
        o = json_object_new_object();
        json_object_object_add(o, "count", json_object_new_uint64(count));
        return json_print(o);
}

static int run_filter(sd_bus *bus, const Bulk *b, const void *userdata) {
        _cleanup_strv_free_ char **states = NULL;
        uint64_t count = 0;
        Filter f;
        int r;

        r = narrow(b, &arg_filter, &f, &states);
        if (r >= 0)
                r = confirm(bus, b, &f);
        if (r > 0)
                r = b->many ? run_many(bus, b, NULL, 0, &f, userdata, &count) :
                              run_listed(bus, b, &f, userdata, &count);
        if (r < 0 && count == 0)
                return r;
        return print_count(b, count) < 0 ? -EIO : MIN(r, 0);
}

/* All ids in one call: what is not there, or is not of a state that it makes sense for, is not counted. */
static int run_ids(sd_bus *bus, const Bulk *b, int n, char **words, const void *userdata) {
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t count;
        int r;

        r = job_ids_resolve(bus, n, words, &ids);
        if (r >= 0)
                r = run_many(bus, b, ids, n, NULL, userdata, &count);
        if (r >= 0)
                r = print_count(b, count);
        if (r >= 0 && count < (uint64_t) n)
                return n == 1 ? ctl_error(-ENOENT, "%s: the job is not there, not done, not yours, or still needed by another one", b->verb)
                              : ctl_error(-ENOENT, "%s: %" PRIu64 " of the %i jobs are not there, not done, not yours, or still needed by others",
                                          b->verb, n - count, n);
        return r;
}

int bulk_run(const Bulk *b, int n_ids, char **ids, const void *userdata) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if ((n_ids == 0) == filter_is_empty(&arg_filter))
                return ctl_error(-EINVAL,
                                 n_ids == 0 ? "%s: which jobs? Give ids or a filter (jobmill help %s)"
                                            : "%s: ids and a filter cannot be combined",
                                 b->verb, b->verb);
        r = bus_open(&bus);
        if (r < 0)
                return r;
        if (n_ids == 0)
                return run_filter(bus, b, userdata);
        return b->one ? run_each(bus, b, n_ids, ids, userdata) : run_ids(bus, b, n_ids, ids, userdata);
}
