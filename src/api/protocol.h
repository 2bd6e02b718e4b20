/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names that programs outside rely on: shared by the daemon and the tool. docs and dbus XML say what they mean. */

#define JOBMILL_BUS_NAME "org.jobmill1"
#define JOBMILL_OBJECT_PATH "/org/jobmill1"
#define JOBMILL_QUEUE_PATH_PREFIX "/org/jobmill1/queue"
#define JOBMILL_JOB_PATH_PREFIX "/org/jobmill1/job"
#define JOBMILL_INTERFACE_MANAGER "org.jobmill1.Manager"
#define JOBMILL_INTERFACE_QUEUE "org.jobmill1.Queue"
#define JOBMILL_INTERFACE_JOB "org.jobmill1.Job"

/* Errors. The same table in api/errors.c maps errno to them. */
#define JOBMILL_ERROR_PREFIX "org.jobmill1.Error."
#define JOBMILL_ERROR_NO_SUCH_JOB JOBMILL_ERROR_PREFIX "NoSuchJob"
#define JOBMILL_ERROR_NO_SUCH_QUEUE JOBMILL_ERROR_PREFIX "NoSuchQueue"
#define JOBMILL_ERROR_NO_SUCH_TYPE JOBMILL_ERROR_PREFIX "NoSuchType"
#define JOBMILL_ERROR_TYPE_UNAVAILABLE JOBMILL_ERROR_PREFIX "TypeUnavailable"
#define JOBMILL_ERROR_NO_SUCH_SCHEDULE JOBMILL_ERROR_PREFIX "NoSuchSchedule"
#define JOBMILL_ERROR_INVALID_SPEC JOBMILL_ERROR_PREFIX "InvalidSpec"
#define JOBMILL_ERROR_INVALID_FILTER JOBMILL_ERROR_PREFIX "InvalidFilter"
#define JOBMILL_ERROR_PROPERTY_NOT_ALLOWED JOBMILL_ERROR_PREFIX "PropertyNotAllowed"
#define JOBMILL_ERROR_NOT_ALLOWED JOBMILL_ERROR_PREFIX "NotAllowed"
#define JOBMILL_ERROR_QUEUE_DRAINING JOBMILL_ERROR_PREFIX "QueueDraining"
#define JOBMILL_ERROR_QUEUE_FULL JOBMILL_ERROR_PREFIX "QueueFull"
#define JOBMILL_ERROR_JOB_FINISHED JOBMILL_ERROR_PREFIX "JobFinished"
#define JOBMILL_ERROR_JOB_LIVE JOBMILL_ERROR_PREFIX "JobLive"
#define JOBMILL_ERROR_JOB_NOT_RUNNING JOBMILL_ERROR_PREFIX "JobNotRunning"
#define JOBMILL_ERROR_JOB_NOT_FINISHED JOBMILL_ERROR_PREFIX "JobNotFinished"
#define JOBMILL_ERROR_NOT_UNIQUE JOBMILL_ERROR_PREFIX "NotUnique"
#define JOBMILL_ERROR_NOT_EDITABLE JOBMILL_ERROR_PREFIX "NotEditable"
#define JOBMILL_ERROR_NOT_FREEZABLE JOBMILL_ERROR_PREFIX "NotFreezable"
#define JOBMILL_ERROR_CYCLE_IN_FLOW JOBMILL_ERROR_PREFIX "CycleInFlow"
#define JOBMILL_ERROR_DEPENDENCY_FAILED JOBMILL_ERROR_PREFIX "DependencyFailed"
#define JOBMILL_ERROR_STORAGE_FULL JOBMILL_ERROR_PREFIX "StorageFull"
#define JOBMILL_ERROR_STORAGE JOBMILL_ERROR_PREFIX "StorageError"
#define JOBMILL_ERROR_INVALID_SETTING JOBMILL_ERROR_PREFIX "InvalidSetting"
#define JOBMILL_ERROR_QUEUE_NOT_EMPTY JOBMILL_ERROR_PREFIX "QueueNotEmpty"
#define JOBMILL_ERROR_TOO_MANY JOBMILL_ERROR_PREFIX "TooMany"
#define JOBMILL_ERROR_CONFIGURATION JOBMILL_ERROR_PREFIX "Configuration"
#define JOBMILL_ERROR_EVENTS_LOST JOBMILL_ERROR_PREFIX "EventsLost" /* of the socket */
#define JOBMILL_ERROR_NO_SUCH_WORKER JOBMILL_ERROR_PREFIX "NoSuchWorker" /* the next two of the socket */
#define JOBMILL_ERROR_NO_SUCH_ATTEMPT JOBMILL_ERROR_PREFIX "NoSuchAttempt"
#define JOBMILL_ERROR_FOREIGN_PROCESS JOBMILL_ERROR_PREFIX "ForeignProcess" /* of the socket */
#define JOBMILL_ERROR_ATTEMPT_FINISHED JOBMILL_ERROR_PREFIX "AttemptFinished"
#define JOBMILL_ERROR_INVALID_MESSAGE JOBMILL_ERROR_PREFIX "InvalidMessage" /* of the socket */
#define JOBMILL_ERROR_FAILED JOBMILL_ERROR_PREFIX "Failed" /* a bug */

/* The socket. Its errors have the same names: org.jobmill.NoSuchJob is org.jobmill1.Error.NoSuchJob. */
#define JOBMILL_VARLINK_INTERFACE "org.jobmill"
#define VARLINK_SERVICE "org.varlink.service"
#define VARLINK_ERROR_INTERFACE_NOT_FOUND VARLINK_SERVICE ".InterfaceNotFound"
#define VARLINK_ERROR_METHOD_NOT_FOUND VARLINK_SERVICE ".MethodNotFound"
#define VARLINK_ERROR_INVALID_PARAMETER VARLINK_SERVICE ".InvalidParameter"
#define VARLINK_ERROR_EXPECTED_MORE VARLINK_SERVICE ".ExpectedMore"

#define JOBMILL_ACTION_SUBMIT_AS "org.jobmill1.submit-as"
#define JOBMILL_ACTION_SET_PRIVILEGED_PROPERTIES "org.jobmill1.set-privileged-properties"
#define JOBMILL_ACTION_MANAGE_JOBS "org.jobmill1.manage-jobs"
#define JOBMILL_ACTION_MANAGE_QUEUES "org.jobmill1.manage-queues"
#define JOBMILL_ACTION_READ_ALL "org.jobmill1.read-all"

#define JOBMILL_SUBMIT_MANY_MAX 10000U
#define JOBMILL_SUBMIT_MANY_LEAST 1000U /* so many a call are taken whatever SubmitManyMax= says */
#define JOBMILL_LIST_MAX 1000U /* rows of one ListJobs page; a limit of 0 means this */
