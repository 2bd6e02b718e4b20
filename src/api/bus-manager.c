/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.jobmill1.Manager: the list of its members (dbus/org.jobmill1.Manager.xml documents them), and subscribing. */

#include "api/methods.h"

static int handle_subscribe(Call *c, sd_bus_error *error) {
        if (!c->client->subscribed)
                c->api->n_subscribed++;
        c->client->subscribed = true;
        return sd_bus_reply_method_return(c->message, NULL);
}
static DEFINE_METHOD(subscribe);

static int handle_unsubscribe(Call *c, sd_bus_error *error) {
        if (c->client->subscribed)
                c->api->n_subscribed--;
        c->client->subscribed = false;
        return sd_bus_reply_method_return(c->message, NULL);
}
static DEFINE_METHOD(unsubscribe);

static int property_get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", JOBMILL_VERSION);
}

static int property_get_dispatch(sd_bus *bus, const char *path, const char *interface, const char *property,
                                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Api *a = userdata;

        return sd_bus_message_append(reply, "s", a->store ? strempty(a->model->dispatch_blocked) : "storage");
}

const sd_bus_vtable api_manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Submit", SD_BUS_ARGS("s", queue, "as", argv, "a{sv}", options), SD_BUS_RESULT("t", id, "o", job), method_submit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SubmitMany", SD_BUS_ARGS("aa{sv}", jobs), SD_BUS_RESULT("at", ids), method_submit_many, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SubmitFlow", SD_BUS_ARGS("s", json), SD_BUS_RESULT("t", flow, "a{st}", jobs), method_submit_flow, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PreviewUnit", SD_BUS_ARGS("s", queue, "as", argv, "a{sv}", options), SD_BUS_RESULT("s", unit_text), method_preview_unit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("WaitJob", SD_BUS_ARGS("t", id, "t", timeout_usec), SD_BUS_RESULT("s", state, "s", result, "a{sv}", outcome), method_wait_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetJob", SD_BUS_ARGS("t", id), SD_BUS_RESULT("o", job), method_get_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetJobInfo", SD_BUS_ARGS("t", id), SD_BUS_RESULT("a{sv}", info), method_get_job_info, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListJobs", SD_BUS_ARGS("a{sv}", filter, "s", cursor, "u", limit), SD_BUS_RESULT("aa{sv}", jobs, "s", next), method_list_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListAttempts", SD_BUS_ARGS("t", id), SD_BUS_RESULT("aa{sv}", attempts), method_list_attempts, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelJob", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_cancel_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("KillJob", SD_BUS_ARGS("t", id, "i", signal), SD_BUS_NO_RESULT, method_kill_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("HoldJob", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_hold_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReleaseJob", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_release_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("FreezeJob", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_freeze_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ThawJob", SD_BUS_ARGS("t", id), SD_BUS_NO_RESULT, method_thaw_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RetryJob", SD_BUS_ARGS("t", id, "a{sv}", options), SD_BUS_NO_RESULT, method_retry_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("UpdateJob", SD_BUS_ARGS("t", id, "a{sv}", changes), SD_BUS_NO_RESULT, method_update_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("MoveJob", SD_BUS_ARGS("t", id, "s", queue), SD_BUS_NO_RESULT, method_move_job, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CountJobs", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("t", count), method_count_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelJobs", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("t", count), method_cancel_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("HoldJobs", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("t", count), method_hold_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReleaseJobs", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("t", count), method_release_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RetryJobs", SD_BUS_ARGS("a{sv}", filter, "a{sv}", options), SD_BUS_RESULT("t", count), method_retry_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("UpdateJobs", SD_BUS_ARGS("a{sv}", filter, "a{sv}", changes), SD_BUS_RESULT("t", count), method_update_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PurgeJobs", SD_BUS_ARGS("a{sv}", filter), SD_BUS_RESULT("t", count), method_purge_jobs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListQueues", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(so)", queues), method_list_queues, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListTypes", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", types), method_list_types, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListSchedules", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", schedules), method_list_schedules, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetSchedule", SD_BUS_ARGS("s", name), SD_BUS_RESULT("a{sv}", schedule), method_get_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListFirings", SD_BUS_ARGS("s", schedule, "u", limit), SD_BUS_RESULT("aa{sv}", firings), method_list_firings, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetSchedule", SD_BUS_ARGS("s", name, "a{sv}", settings), SD_BUS_NO_RESULT, method_set_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveSchedule", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_remove_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PauseSchedule", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_pause_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResumeSchedule", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_resume_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("FireSchedule", SD_BUS_ARGS("s", name), SD_BUS_RESULT("t", id), method_fire_schedule, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetQueue", SD_BUS_ARGS("s", name, "a{sv}", settings, "b", runtime), SD_BUS_NO_RESULT, method_set_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("RemoveQueue", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT, method_remove_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("PauseQueue", SD_BUS_ARGS("s", queue), SD_BUS_NO_RESULT, method_pause_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ResumeQueue", SD_BUS_ARGS("s", queue), SD_BUS_NO_RESULT, method_resume_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DrainQueue", SD_BUS_ARGS("s", queue), SD_BUS_NO_RESULT, method_drain_queue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListWorkers", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", workers), method_list_workers, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DrainWorker", SD_BUS_ARGS("t", worker), SD_BUS_NO_RESULT, method_drain_worker, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetReport", SD_BUS_ARGS("a{sv}", filter, "s", group_by), SD_BUS_RESULT("aa{sv}", rows), method_get_report, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", metrics), method_get_metrics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", statistics), method_get_statistics, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenLog", SD_BUS_ARGS("t", id, "s", stream), SD_BUS_RESULT("h", log), method_open_log, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Backup", SD_BUS_ARGS("h", file), SD_BUS_NO_RESULT, method_backup, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckIntegrity", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", findings), method_check_integrity, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Repair", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", findings), method_repair, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("AcceptStore", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_accept_store, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Subscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_unsubscribe, SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("JobNew", SD_BUS_ARGS("t", id), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobChanged", SD_BUS_ARGS("t", id, "s", state), 0),
        SD_BUS_SIGNAL_WITH_ARGS("JobFinished", SD_BUS_ARGS("t", id, "u", attempt, "s", result), 0),
        SD_BUS_SIGNAL_WITH_ARGS("QueueChanged", SD_BUS_ARGS("s", queue), 0),

        SD_BUS_PROPERTY("Version", "s", property_get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Dispatch", "s", property_get_dispatch, 0, 0),
        SD_BUS_VTABLE_END,
};
