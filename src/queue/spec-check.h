/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The checks of the field table, one for each kind of value: what its type and range do not say. 0; -EINVAL, -E2BIG, -ENOMEM with
 * *ret_error. */

#include "queue/spec.h"

bool type_name_is_valid(const char *s) _pure_; /* [a-z0-9_-]{1,64} */

int spec_check_name(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_cwd(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_argv(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_environment(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_tags(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_uid(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_properties(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_file(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_delay(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_retry_on(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_backoff(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_after(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_unique_key(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_unique_scope(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_array(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_type(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_callback_url(const SpecField *f, const JobSpec *s, char **ret_error);
bool spec_unit_name_is_valid(const char *s, bool is_template) _pure_; /* is_template: NAME@.TYPE, and not anything else */
int spec_check_units(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_callback_events(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_credentials(const SpecField *f, const JobSpec *s, char **ret_error);
int spec_check_request_id(const SpecField *f, const JobSpec *s, char **ret_error);
