/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A line of the journal, from wherever it came, and the ways to print it. */

#include "base/macro.h"

/* The words are journalctl's. */
typedef enum LogFormat {
        LOG_FORMAT_CAT,
        LOG_FORMAT_SHORT,
        LOG_FORMAT_SHORT_ISO,
        LOG_FORMAT_JSON,
        LOG_FORMAT_EXPORT,
        _LOG_FORMAT_MAX,
        _LOG_FORMAT_INVALID = -EINVAL,
} LogFormat;

const char *log_format_to_string(LogFormat f);
LogFormat log_format_from_string(const char *s);

typedef struct LogField {
        size_t at, name, size; /* in the text: NAME=value; size of both */
} LogField;

typedef struct LogEntry {
        char *text;
        size_t n_text, text_capacity;
        LogField *fields;
        size_t n, capacity;
        uint32_t attempt; /* of the job, as the daemon says; 0: it does not */
} LogEntry;

void log_entry_clear(LogEntry *e); /* keeps the memory */
void log_entry_done(LogEntry *e);
/* name and value are copied. */
int log_entry_add(LogEntry *e, const char *name, size_t n_name, const void *value, size_t n);
int log_entry_add_assignment(LogEntry *e, const void *data, size_t n); /* NAME=value */
/* The first value of that name; NULL: there is none. Not ended by a NUL. */
const char *log_entry_get(const LogEntry *e, const char *name, size_t *ret_n);
uint64_t log_entry_get_u64(const LogEntry *e, const char *name); /* UINT64_MAX: none */
/* Of which attempt of the job, as the daemon says, or its unit; 0: nobody knows. */
uint32_t log_entry_attempt(const LogEntry *e);

/* To standard output. */
int log_entry_print(const LogEntry *e, LogFormat f);

/* The Journal Export Format: one entry from the beginning of data. Bytes of it; 0: it is not whole yet; -EBADMSG. */
ssize_t log_entry_parse(LogEntry *e, const char *data, size_t n);
