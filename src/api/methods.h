/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "api/api.h"

/* Handlers (call_handler_t) and the vtable functions in front of them, by file. */
#define DECLARE_METHOD(name) int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error)
#define DEFINE_METHOD(name)                                                                                  \
        int method_##name(sd_bus_message *m, void *userdata, sd_bus_error *error) {                          \
                return call_dispatch(userdata, m, handle_##name);                                            \
        }                                                                                                    \
        struct _semicolon_

DECLARE_METHOD(submit); /* bus-submit.c */
DECLARE_METHOD(submit_many);
DECLARE_METHOD(wait_job); /* bus-read.c */
DECLARE_METHOD(get_job);
DECLARE_METHOD(get_job_info);
DECLARE_METHOD(list_jobs);
DECLARE_METHOD(list_attempts);
DECLARE_METHOD(list_queues);
DECLARE_METHOD(get_statistics);
DECLARE_METHOD(cancel_job); /* bus-control.c */
DECLARE_METHOD(kill_job);
DECLARE_METHOD(hold_job);
DECLARE_METHOD(release_job);
DECLARE_METHOD(retry_job);
DECLARE_METHOD(purge_jobs);
DECLARE_METHOD(pause_queue);
DECLARE_METHOD(resume_queue);
DECLARE_METHOD(drain_queue);
DECLARE_METHOD(reload);
