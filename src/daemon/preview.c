/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PreviewUnit: a job and an attempt that the model never sees, made into the text of their unit. */

#include "daemon/manager.h"

static int preview_slots(Queue *q, Attempt *a, uint32_t slots) {
        a->queue = q;
        a->slot_owner = queue_slot_owner(q);
        a->slots = slots;
        a->slot_numbers = new0(uint32_t, slots);
        for (uint32_t i = 0; a->slot_numbers && i < slots; i++)
                a->slot_numbers[i] = i;
        return a->slot_numbers ? 0 : -ENOMEM;
}

int manager_preview(void *userdata, const Preview *p, char **ret, char **ret_error) {
        _cleanup_(attempt_freep) Attempt *a = attempt_new(0, 1);
        _cleanup_(job_freep) Job *j = job_new();
        Manager *m = userdata;
        int r;

        if (!a || !j || free_and_strdup(&j->owner_name, p->owner_name) < 0 || free_and_strdup(&j->name, p->spec->name) < 0 ||
            free_and_strdup(&j->type, p->spec->type) < 0)
                return -ENOMEM;
        j->owner = p->owner;
        j->timeout_usec = p->spec->timeout_usec;
        j->stop_timeout_usec = p->spec->stop_timeout_usec;
        j->output = p->spec->output;
        j->privileged = p->privileged;
        j->queue = p->queue;
        a->job = j;
        r = preview_slots(p->queue, a, p->spec->slots);
        if (r < 0)
                return r;
        j->spec = p->spec;
        r = units_preview(m->units, m->api->bus, a, ret, ret_error);
        j->spec = NULL;
        return r;
}
