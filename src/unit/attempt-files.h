/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of an attempt in RUN/attempt/ID-N/: "env" (root 0400), the job's environment, which PID 1 reads at the start
 * and which would be public as Environment=; "inputs.json" (the owner's, 0400), what the job is given of those that it came after. */

#include "queue/model.h"

/* *ret_env_file: NULL where the spec has no environment. Inputs are a's. Writing again (asked again) replaces. */
int attempt_files_write(const char *run_path, const Attempt *a, const JobSpec *s, char **ret_env_file);
/* Of these only the inputs. */
int attempt_inputs_write(const char *run_path, const Attempt *a);
/* NULL: out of memory */
char *attempt_inputs_path(const char *run_path, const Attempt *a);
/* It runs: PID 1 has read the environment. */
void attempt_files_started(const char *run_path, const Attempt *a);
void attempt_files_remove(const char *run_path, const Attempt *a);
/* "12-1" is of jobmill-job-12-1.service. NULL: nobody knows it. */
Attempt *attempt_of_folder(const Model *m, const char *folder);
/* What a daemon that was killed could not remove any more: of attempts that nobody knows. All units must be known by now. */
void attempt_files_sweep(const char *run_path, const Model *m);
