/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Readers of the values of options: 0; -EINVAL, -ERANGE, -ENOENT: what is not allowed; -ENOMEM. target is what the name says: of words a char *, of
 * lists a char **, of numbers, times and flags themselves. */

int option_true(const char *value, void *target);
int option_false(const char *value, void *target);
int option_boolean(const char *value, void *target);
int option_string(const char *value, void *target);
int option_append(const char *value, void *target);
int option_tag(const char *value, void *target);
int option_new_tag(const char *value, void *target);
int option_credential(const char *value, void *target);
int option_queue(const char *value, void *target);
int option_type(const char *value, void *target);
int option_types(const char *value, void *target);
int option_name(const char *value, void *target);
int option_file(const char *value, void *target);
int option_job_file(const char *value, void *target);
int option_environment(const char *value, void *target);
int option_variable(const char *value, void *target);
int option_property(const char *value, void *target);
int option_priority(const char *value, void *target);
int option_slots(const char *value, void *target);
int option_timeout(const char *value, void *target);
int option_stop_timeout(const char *value, void *target);
int option_keep(const char *value, void *target);
int option_request_id(const char *value, void *target);
int option_unique(const char *value, void *target);
int option_unique_policy(const char *value, void *target);
int option_unique_scope(const char *value, void *target);
int option_array(const char *value, void *target);
int option_after(const char *value, void *target);
int option_id(const char *value, void *target);
int option_words(const char *value, void *target);
int option_queues(const char *value, void *target);
int option_states(const char *value, void *target);
int option_results(const char *value, void *target), option_callback(const char *value, void *target), option_callback_events(const char *value, void *target);
int option_units(const char *value, void *target);
extern const char *const callback_event_words[];
int option_groups(const char *value, void *target);
int option_u32(const char *value, void *target);
int option_from_one(const char *value, void *target);
int option_verify(const char *value, void *target);
int option_stdout(const char *value, void *target);
int option_attempts(const char *value, void *target);
int option_backoff(const char *value, void *target);
int option_memory_growth(const char *value, void *target);
int option_log_format(const char *value, void *target);
int option_span(const char *value, void *target);
int option_time(const char *value, void *target);
int option_signal(const char *value, void *target);
int option_order(const char *value, void *target);
int option_oldest(const char *value, void *target);
int option_user(const char *value, void *target);
int option_users(const char *value, void *target);
int option_json(const char *value, void *target);
