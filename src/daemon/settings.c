/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in jobmill.conf: one table of keys, each with its default and its range. What the kernel, D-Bus or systemd
 * bound is no setting. tests/lint/check-man-keys.py reads the table and compares it with jobmill.conf(5), a unit test with
 * units/jobmill.conf. */

#include "daemon/settings.h"

#include "api/protocol.h"
#include "base/parse.h"
#include "base/time-util.h"
#include "queue/callback.h"
#include "queue/durable.h"
#include "queue/spec-credential.h"
#include "queue/receipt.h"
#include "queue/spec.h"
#include "unit/units.h"

static const char *const storage_table[] = {
        [STORAGE_PERSISTENT] = "persistent",
        [STORAGE_VOLATILE] = "volatile",
};

const char *storage_to_string(Storage s) {
        return storage_table[s];
}

static int parse_storage(const char *value, uint64_t *ret) {
        for (size_t i = 0; i < ELEMENTSOF(storage_table); i++)
                if (streq(storage_table[i], value)) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

static int parse_word(const char *field, const char *value, uint64_t *ret) {
        int i = spec_field_word(spec_field_find(field), value);

        if (i <= 0) /* "" is no setting */
                return -EINVAL;
        *ret = i;
        return 0;
}

static int parse_output(const char *value, uint64_t *ret) {
        return parse_word("stdout", value, ret);
}

static int parse_verify(const char *value, uint64_t *ret) {
        return parse_word("verify", value, ret);
}

static int parse_number(const char *value, uint64_t *ret) {
        if (streq(value, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        return parse_u64(value, ret);
}

static int parse_bytes(const char *value, uint64_t *ret) {
        return parse_size(value, 1024, ret);
}

static int parse_room(const char *value, uint64_t *ret) {
        return streq(value, "infinity") ? parse_number(value, ret) : parse_bytes(value, ret);
}

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define DAY (24 * 60 * 60 * USEC_PER_SEC)
#define INFINITE UINT64_MAX

static const struct Setting {
        const char *key;
        int (*parse)(const char *value, uint64_t *ret);
        size_t offset;
        uint64_t fallback, min, max; /* INFINITE as max: "infinity" is allowed */
        const char *allowed;
} daemon_keys[] = {
        { "Storage", parse_storage, offsetof(Settings, storage), STORAGE_PERSISTENT, 0, STORAGE_VOLATILE,
          "persistent or volatile" },
        { "DefaultTimeoutSec", parse_span, offsetof(Settings, timeout_usec), INFINITE, USEC_PER_MSEC, INFINITE,
          "a time span of at least 1ms, or infinity" },
        { "DefaultStopTimeoutSec", parse_span, offsetof(Settings, stop_timeout_usec), STOP_TIMEOUT_DEFAULT, USEC_PER_MSEC,
          INFINITE - 1, "a time span of at least 1ms" },
        { "DefaultStdout", parse_output, offsetof(Settings, output), OUTPUT_JOURNAL, OUTPUT_JOURNAL, OUTPUT_SPOOL, "journal or spool" },
        { "DefaultVerify", parse_verify, offsetof(Settings, verify), VERIFY_EXIT, VERIFY_EXIT, VERIFY_VERDICT, "exit or verdict" },
        { "IoTailMax", parse_bytes, offsetof(Settings, api.io_tail_max), 4 * KIB, 0, 64 * KIB, "0…64K" },
        { "MaxQueued", parse_number, offsetof(Settings, queued_max), 10000000, 0, INFINITE, "a number, or infinity" },
        { "MaxQueuedPerUser", parse_number, offsetof(Settings, queued_per_user_max), 1000000, 0, INFINITE,
          "a number, or infinity" },
        { "QueuesMax", parse_number, offsetof(Settings, queues_max), 4096, 1, 65536, "1…65536" },
        { "PoisonAttempts", parse_number, offsetof(Settings, poison_max), 5, 1, INFINITE, "a number from 1, or infinity" },
        { "SubmitManyMax", parse_number, offsetof(Settings, api.submit_many_max), JOBMILL_SUBMIT_MANY_MAX, JOBMILL_SUBMIT_MANY_LEAST, 100000,
          "1000…100000" },
        { "ArrayMax", parse_number, offsetof(Settings, api.array_max), 10000, 1, SPEC_ARRAY_MAX, "1…1000000" },
        { "EdgesMax", parse_number, offsetof(Settings, api.edges_max), 100000, SPEC_AFTER_MAX, 1000000, "10000…1000000" },
        { "ListPageMax", parse_number, offsetof(Settings, api.list_page_max), JOBMILL_LIST_MAX, 10, 10000, "10…10000" },
        { "PendingCallsPerUserMax", parse_number, offsetof(Settings, api.pending_calls_max), 4096, 64, 1000000,
          "64…1000000" },
        { "PendingCallsSizePerUserMax", parse_bytes, offsetof(Settings, api.pending_size_max), 64 * MIB, MIB, 1024 * MIB, "1M…1G" },
        { "OpenLogsMax", parse_number, offsetof(Settings, api.logs_max), 64, 1, 256, "1…256" },
        { "OpenLogsPerUserMax", parse_number, offsetof(Settings, api.logs_per_user_max), 8, 1, 256, "1…256" },
        { "PayloadMax", parse_bytes, offsetof(Settings, api.payload_max), SPEC_PAYLOAD_MAX, 0, SPEC_PAYLOAD_MAX, "0…16M" },
        { "EnvironmentMax", parse_bytes, offsetof(Settings, api.environment_max), SPEC_ENVIRONMENT_MAX, 4 * KIB,
          SPEC_ENVIRONMENT_MAX, "4K…1M" },
        { "CredentialsMax", parse_number, offsetof(Settings, api.credentials_max), 16, 0, CREDENTIALS_MAX, "0…64" },
        { "CredentialMax", parse_bytes, offsetof(Settings, api.credential_max), 64 * KIB, KIB, MIB, "1K…1M" },
        { "CredentialsPerUserMax", parse_bytes, offsetof(Settings, api.credentials_per_user_max), 4 * MIB, 0, 1024 * MIB, "0…1G" },
        { "StoredBytesPerUserMax", parse_room, offsetof(Settings, api.stored_per_user_max), 4096 * MIB, 64 * KIB, INFINITE, "a size of at least 64K, or infinity" },
        { "CallbackURLMax", parse_bytes, offsetof(Settings, api.callback_url_max), CALLBACK_URL_MAX, 64, CALLBACK_URL_MAX, "64…2K" },
        { "CallbackBodyMax", parse_bytes, offsetof(Settings, api.callback_body_max), MIB, 64 * KIB, 4 * MIB, "64K…4M" },
        { "EventsMax", parse_number, offsetof(Settings, events_max), 50000, 1000, 10000000, "1000…10000000" },
        { "AccountMinutesSec", parse_span, offsetof(Settings, usage_minutes), 2 * DAY, 60 * 60 * USEC_PER_SEC, 31 * DAY, "1h…31days" },
        { "AccountHoursSec", parse_span, offsetof(Settings, usage_hours), 60 * DAY, DAY, 731 * DAY, "1day…2years" },
        { "AccountDaysSec", parse_span, offsetof(Settings, usage_days), 3653 * DAY, 31 * DAY, INFINITE, "a time span of at least 31days, or infinity" },
        { "AccountRowsMax", parse_number, offsetof(Settings, usage_rows_max), 25000, 1000, 1000000, "1000…1000000" },
        { "SocketConnectionsMax", parse_number, offsetof(Settings, api.connections_max), 4096, 16, 65536, "16…65536" },
        { "SocketConnectionsPerUserMax", parse_number, offsetof(Settings, api.connections_per_user_max), 256, 1, 65536, "1…65536" },
        { "WorkersMax", parse_number, offsetof(Settings, api.workers_max), 1024, 1, 65536, "1…65536" },
        { "WorkersPerUserMax", parse_number, offsetof(Settings, api.workers_per_user_max), 128, 1, 65536, "1…65536" },
        { "AdapterTimeoutSec", parse_span, offsetof(Settings, adapter_timeout), ADAPTER_TIMEOUT_DEFAULT, USEC_PER_SEC, INFINITE, "a time span of at least 1s, or infinity" },
        { "SchedulesPerUserMax", parse_number, offsetof(Settings, api.timers_per_user_max), 100, 0, 10000, "0…10000" },
        { "ScheduleJobMax", parse_bytes, offsetof(Settings, api.timer_job_max), 64 * KIB, KIB, MIB, "1K…1M" },
        { "ScheduleFiringsMax", parse_number, offsetof(Settings, firings_max), 100, 1, 10000, "1…10000" },
        { "PoolIdleSec", parse_span, offsetof(Settings, pool_idle_usec), 60 * USEC_PER_SEC, USEC_PER_MSEC, INFINITE - 1, "a time span of at least 1ms" },
        { "PoolMaxSec", parse_span, offsetof(Settings, pool_max_usec), DAY, USEC_PER_MSEC, INFINITE, "a time span of at least 1ms, or infinity" },
        { "SocketMessageMax", parse_bytes, offsetof(Settings, api.socket_message_max), 32 * MIB, 64 * KIB, 128 * MIB, "64K…128M" },
        { "SocketBuffersPerUserMax", parse_bytes, offsetof(Settings, api.socket_buffers_max), 64 * MIB, MIB, 1024 * MIB, "1M…1G" },
        { "RequestIdsPerUserMax", parse_number, offsetof(Settings, api.request_ids_max), RECEIPTS_PER_CALLER_MAX, 1000,
          RECEIPTS_PER_CALLER_MAX, "1000…1000000" },
        { "StartsInFlightMax", parse_number, offsetof(Settings, in_flight_max), UNITS_IN_FLIGHT, 1, UNITS_IN_FLIGHT, "1…32" },
};

static uint64_t *value_of(Settings *s, const struct Setting *k) {
        return (uint64_t *) ((uint8_t *) s + k->offset);
}

void settings_init(Settings *s) {
        FOREACH_ELEMENT(k, daemon_keys)
                *value_of(s, k) = k->fallback;
}

int settings_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                    ConfError *error) {
        Settings *s = userdata;

        if (!streq(section, "Daemon"))
                return conf_error_set(error, file, line, "[%s]: unknown section", section);
        FOREACH_ELEMENT(k, daemon_keys) {
                uint64_t v = k->fallback;

                if (!streq(k->key, key))
                        continue;
                if (!isempty(value) && (k->parse(value, &v) < 0 || v < k->min || v > k->max))
                        return conf_error_set(error, file, line, "[Daemon] %s=: '%s' is not allowed (%s)", key, value,
                                              k->allowed);
                *value_of(s, k) = v;
                return 0;
        }
        return conf_error_set(error, file, line, "[Daemon] %s=: unknown key", key);
}
