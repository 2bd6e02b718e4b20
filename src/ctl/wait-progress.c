/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* "7 of 20 done, 2 failed, 3 running". Answers to WaitJob come for as many jobs at a time as are asked for,
 * so the counts are kept by themselves: read once, page by page, and then by the signals JobChanged and
 * JobFinished. Should one be lost, the line is behind, and nothing else: who waits goes by the answers
 * alone. */

#include "ctl/wait-progress.h"
#include "api/protocol.h"
#include "base/bus-util.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/progress.h"

#define N_SLOTS 2

typedef enum Stage {
        STAGE_BEFORE, /* not started */
        STAGE_RUNNING,
        STAGE_DONE,
        STAGE_FAILED,
        _STAGE_MAX,
} Stage;

typedef struct Entry {
        uint64_t id;
        Stage stage;
} Entry;

struct WaitProgress {
        Progress line;
        char text[128];
        Entry *entries; /* by id */
        size_t n, counts[_STAGE_MAX];
        sd_bus_slot *slots[N_SLOTS];
        bool changed; /* since it was drawn */
};

static int compare_entries(const void *a, const void *b) {
        uint64_t x = ((const Entry *) a)->id, y = ((const Entry *) b)->id;

        return x < y ? -1 : x > y;
}

WaitProgress *wait_progress_new(const uint64_t *ids, size_t n) {
        WaitProgress *p;

        if (n <= 1)
                return NULL;
        p = new0(WaitProgress, 1);
        if (!p)
                return NULL;
        p->line = progress_new(p->text, n);
        p->entries = new0(Entry, n);
        if (!p->line.enabled || !p->entries)
                return wait_progress_free(p);
        for (size_t i = 0; i < n; i++)
                p->entries[i].id = ids[i];
        qsort(p->entries, n, sizeof(Entry), compare_entries);
        p->n = n;
        p->counts[STAGE_BEFORE] = n;
        p->changed = true;
        return p;
}

WaitProgress *wait_progress_free(WaitProgress *p) {
        if (!p)
                return NULL;
        wait_progress_disconnect(p);
        progress_clear(&p->line);
        free(p->entries);
        return mfree(p);
}

void wait_progress_disconnect(WaitProgress *p) {
        for (size_t i = 0; p && i < N_SLOTS; i++)
                p->slots[i] = sd_bus_slot_unref(p->slots[i]);
}

void wait_progress_clear(WaitProgress *p) {
        if (!p)
                return;
        progress_clear(&p->line);
        p->changed = true;
}

bool wait_progress_draw(WaitProgress *p) {
        usec_t before;
        size_t done;
        int l;

        if (!p || !p->changed)
                return true;
        done = p->counts[STAGE_DONE] + p->counts[STAGE_FAILED];
        l = snprintf(p->text, sizeof(p->text), "of %zu done", p->n);
        if (p->counts[STAGE_FAILED] > 0)
                l += snprintf(p->text + l, sizeof(p->text) - l, ", %zu failed", p->counts[STAGE_FAILED]);
        if (p->counts[STAGE_RUNNING] > 0)
                snprintf(p->text + l, sizeof(p->text) - l, ", %zu running", p->counts[STAGE_RUNNING]);
        before = p->line.drawn;
        progress_update(&p->line, done, done); /* not if it was drawn just now */
        p->changed = p->line.drawn == before;
        return !p->changed;
}

static void set_stage(WaitProgress *p, uint64_t id, Stage stage) {
        Entry wanted = { .id = id }, *e = bsearch(&wanted, p->entries, p->n, sizeof(Entry), compare_entries);

        if (!e || e->stage == stage)
                return;
        /* The same id may have been given twice: bsearch finds one of them. */
        while (e > p->entries && e[-1].id == id)
                e--;
        for (; e < p->entries + p->n && e->id == id; e++) {
                p->counts[e->stage]--;
                e->stage = stage;
                p->counts[stage]++;
                p->changed = true;
        }
}

static Stage stage_of(const char *state, const char *result) {
        static const char *const live[] = { "starting", "running", "stopping", NULL };

        if (streq(state, "done"))
                return streq(strempty(result), "success") ? STAGE_DONE : STAGE_FAILED;
        return strv_contains((char **) live, state) ? STAGE_RUNNING : STAGE_BEFORE;
}

void wait_progress_done(WaitProgress *p, uint64_t id, bool failed) {
        if (p)
                set_stage(p, id, failed ? STAGE_FAILED : STAGE_DONE);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *state;
        uint64_t id;

        /* How it ended JobFinished tells. */
        if (sd_bus_message_read(m, "ts", &id, &state) >= 0 && !streq(state, "done"))
                set_stage(userdata, id, stage_of(state, NULL));
        return 0;
}

static int on_finished(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *result;
        uint64_t id;

        if (sd_bus_message_read(m, "tus", &id, NULL, &result) >= 0)
                set_stage(userdata, id, stage_of("done", result));
        return 0;
}

static int append_ids(sd_bus_message *m, const Entry *entries, size_t n) {
        int r;

        r = bus_open_value(m, 'e', "ids", "at");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "t");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append(m, "t", entries[i].id);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* Some of them, with whatever the daemon does not know left as it is. */
static int look_at(WaitProgress *p, sd_bus *bus, const Entry *entries, size_t n) {
        static const char *const fields[] = { "id", "state", "result", NULL };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(job_info_done) JobInfo j = JOB_INFO_INIT;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                           JOBMILL_INTERFACE_MANAGER, "ListJobs");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = append_ids(call, entries, n);
        if (r >= 0)
                r = bus_append_strv(call, "fields", (char **) fields);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "su", "", (uint32_t) n);
        if (r >= 0)
                r = sd_bus_call(bus, call, 0, NULL, &reply);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
        while (r >= 0 && (r = job_info_read(reply, &j)) > 0)
                set_stage(p, j.id, stage_of(strempty(j.state), j.result));
        return r;
}

void wait_progress_connect(WaitProgress *p, sd_bus *bus) {
        static const struct {
                const char *member;
                sd_bus_message_handler_t handler;
        } signals[N_SLOTS] = { { "JobChanged", on_changed }, { "JobFinished", on_finished } };
        int r = 0;

        if (!p)
                return;
        for (size_t i = 0; i < N_SLOTS; i++)
                (void) sd_bus_match_signal_async(bus, p->slots + i, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                                 JOBMILL_INTERFACE_MANAGER, signals[i].member,
                                                 signals[i].handler, NULL, p);
        (void) sd_bus_call_method_async(bus, NULL, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH,
                                        JOBMILL_INTERFACE_MANAGER, "Subscribe", NULL, NULL, "");
        for (size_t i = 0; i < p->n && r >= 0; i += JOBMILL_LIST_MAX)
                r = look_at(p, bus, p->entries + i, MIN(p->n - i, (size_t) JOBMILL_LIST_MAX));
}
