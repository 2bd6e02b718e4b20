/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A request that makes jobs, sent until it is answered. It carries a request id, and the daemon gives the
 * same answer to the same id again; so where the answer was lost (the daemon or the bus went away meanwhile)
 * the tool asks again, and no job is made twice. A daemon that was not there in the first place is not
 * waited for. */

#include "api/protocol.h"
#include "base/bus-util.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/output.h"
#include "ctl/job-dict.h"
#include "ctl/submit.h"
#include "queue/spec-credential.h"
#include "queue/spec-change.h"
#include <systemd/sd-id128.h>

#define PAUSE_MIN_USEC (100 * USEC_PER_MSEC)
#define PAUSE_MAX_USEC (2 * USEC_PER_SEC)

void request_done(Request *q) {
        q->bus = sd_bus_flush_close_unref(q->bus);
}

int request_new_call(Request *q, const char *member, sd_bus_message **ret) {
        int r;

        if (!q->bus) {
                r = bus_open(&q->bus);
                if (r < 0)
                        return r;
        }
        return bus_new_call(q->bus, ret, member);
}

/* ---- a spec as a{sv}, by the field table ---- */

static int append_tags(sd_bus_message *m, const char *key, char *const *pairs) {
        int r;

        r = bus_open_value(m, 'e', key, "a{ss}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        STRV_FOREACH_PAIR (k, v, pairs)
                if (r >= 0)
                        r = sd_bus_message_append(m, "{ss}", *k, *v);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

static int append_bytes(sd_bus_message *m, const char *key, const JobSpec *s) {
        int r;

        r = bus_open_value(m, 'e', key, "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', s->payload, s->payload_size);
        return bus_close_value(m, r);
}

static int append_edges(sd_bus_message *m, const char *key, const JobSpec *s) {
        int r;

        r = bus_open_value(m, 'e', key, "a(ts)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ts)");
        for (size_t i = 0; r >= 0 && i < s->n_after; i++)
                r = sd_bus_message_append(m, "(ts)", s->after[i].id, after_word(s->after[i].condition, s->after[i].otherwise));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

static int append_credentials(sd_bus_message *m, const char *key, const JobSpec *s) {
        int r;

        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = bus_open_value(m, 'e', key, "a{say}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{say}");
        for (size_t i = 0; r >= 0 && s->secrets && s->credentials[i]; i++) {
                r = sd_bus_message_open_container(m, 'e', "say");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', s->credentials[i]);
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', s->secrets[i]->data, s->secrets[i]->size);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

static int append_field(sd_bus_message *m, const JobSpec *s, const SpecField *f) {
        switch (f->type) {
        case SPEC_STRING:
                return bus_append_string(m, f->name, spec_field_ptr(char *, s, f));
        case SPEC_STRV:
                return bus_append_strv(m, f->name, spec_field_ptr(char **, s, f));
        case SPEC_TAGS:
                return append_tags(m, f->name, spec_field_ptr(char **, s, f));
        case SPEC_BYTES:
                return append_bytes(m, f->name, s);
        case SPEC_BOOL:
                return bus_append_boolean(m, f->name, spec_field_ptr(bool, s, f));
        case SPEC_I32:
                return sd_bus_message_append(m, "{sv}", f->name, "i", spec_field_ptr(int32_t, s, f));
        case SPEC_U32:
                return bus_append_u32(m, f->name, spec_field_ptr(uint32_t, s, f));
        case SPEC_USEC:
                return bus_append_u64(m, f->name, spec_field_ptr(usec_t, s, f));
        case SPEC_ENUM:
                return bus_append_string(m, f->name, f->words[spec_field_ptr(uint32_t, s, f)]);
        case SPEC_DOUBLE:
                return sd_bus_message_append(m, "{sv}", f->name, "d", spec_field_ptr(double, s, f));
        case SPEC_EDGES:
                return append_edges(m, f->name, s);
        case SPEC_CREDENTIALS:
                return append_credentials(m, f->name, s);
        }
        return -EINVAL;
}

/* What is given counts against a type, also where it is what holds without one. */
static bool is_to_be_sent(const JobSpec *s, const SpecField *f, uint64_t given) {
        bool number = f->type == SPEC_I32 || f->type == SPEC_U32 || f->type == SPEC_BOOL;

        return !spec_field_is_default(s, f) || (number && s->type && (given & spec_field_bit(f)));
}

int request_append_spec(sd_bus_message *m, const JobSpec *s, uint64_t given, bool argv) {
        const SpecField *fields;
        size_t n;
        int r = 0;

        fields = spec_field_table(&n);
        for (const SpecField *f = fields; f < fields + n && r >= 0; f++)
                if (is_to_be_sent(s, f, given) && (argv || f->offset != offsetof(JobSpec, argv)))
                        r = append_field(m, s, f);
        return r;
}

/* ---- sending ---- */

int request_make_id(char **ret) {
        char *id = arg_submit.request_id ? strdup(arg_submit.request_id) : malloc(SD_ID128_STRING_MAX);
        sd_id128_t random;
        int r;

        if (!id)
                return ctl_oom();
        if (!arg_submit.request_id) {
                r = sd_id128_randomize(&random);
                if (r < 0) {
                        free(id);
                        return ctl_error(r, "Cannot make a random request id: %m");
                }
                sd_id128_to_string(random, id);
        }
        *ret = id;
        return 0;
}

/* It cannot have arrived: nobody was there to take it. */
static bool was_not_delivered(const sd_bus_error *e) {
        return !sd_bus_error_is_set(e) || sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               startswith(e->name, "org.freedesktop.DBus.Error.Spawn.");
}

/* Once more on a new connection; the message cannot change its bus. */
static int
send_again(Request *q, sd_bus_message *call, usec_t timeout, sd_bus_message **ret, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *copy = NULL;
        int r;

        q->bus = sd_bus_close_unref(q->bus);
        r = bus_open_quietly(&q->bus);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(q->bus, &copy, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                           JOBMILL_INTERFACE_MANAGER, sd_bus_message_get_member(call));
        if (r >= 0)
                r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_copy(copy, call, true);
        return r < 0 ? r : bus_send_within(q->bus, copy, timeout, ret, error);
}

int request_send(Request *q, sd_bus_message *call, sd_bus_message **ret, sd_bus_error *error) {
        usec_t deadline = 0, now, pause = PAUSE_MIN_USEC;
        int r;

        q->lost = false;
        r = bus_send(q->bus, call, ret, error);
        while (r < 0 && bus_error_is_transient(error, r)) {
                if (!was_not_delivered(error))
                        q->lost = true;
                if (!q->reached && !q->lost)
                        return r;
                now = now_usec(CLOCK_MONOTONIC);
                if (deadline == 0)
                        deadline = now + REQUEST_RETRY_USEC;
                if (now + pause >= deadline)
                        return r;
                (void) usleep(pause);
                pause = MIN(pause * 2, PAUSE_MAX_USEC);
                sd_bus_error_free(error);
                r = send_again(q, call, deadline - now, ret, error);
        }
        q->reached = true;
        return r < 0 ? r : 0;
}

int request_error(const Request *q, const char *where, const char *id, const sd_bus_error *error, int r) {
        if (!id || !q->lost || !bus_error_is_transient(error, r))
                return ctl_error(r, "%s: %s", where, bus_error_text(error, r));
        return ctl_error(r, "%s: %s. It may have been taken; it is safe to repeat it with --request-id=%s",
                         where, bus_error_text(error, r), id);
}

/* The answer has the id of an array only. */
static int add_array(sd_bus *bus, uint64_t id, uint64_t **ids, size_t *n) {
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        size_t n_jobs;
        uint64_t *more;
        int r;

        r = job_info_get(bus, id, &j);
        if (r < 0)
                return r;
        n_jobs = j.array == id ? j.array_size : 1;
        more = reallocarray(*ids, *n + n_jobs, sizeof(uint64_t));
        if (!more)
                return ctl_oom();
        *ids = more;
        for (size_t i = 0; i < n_jobs; i++)
                more[(*n)++] = id + i;
        return 0;
}

int submit_wait(const uint64_t *ids, size_t n) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_free_ uint64_t *all = NULL;
        size_t n_all = 0;
        int r;

        if (!submit_has_array)
                return wait_for_jobs(ids, n, USEC_INFINITY, false);
        r = bus_open(&bus);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = add_array(bus, ids[i], &all, &n_all);
        return r < 0 ? r : wait_for_jobs(all, n_all, USEC_INFINITY, false);
}
