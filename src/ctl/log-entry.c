/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A line of the journal: its fields, reading it from the Journal Export Format, and printing it as journalctl(1) does in the
 * formats that are worth it here. What goes to a terminal has no control characters. */

#include "ctl/log-entry.h"

#include "base/parse.h"
#include "base/string-table.h"
#include "ctl/output.h"

#include <endian.h>
#include <time.h>
#include <unistd.h>

#define FIELD_MAX (1024U * 1024 * 1024) /* journald's own limit is below */

static const char *const log_format_table[_LOG_FORMAT_MAX] = {
        [LOG_FORMAT_CAT] = "cat",   [LOG_FORMAT_SHORT] = "short",   [LOG_FORMAT_SHORT_ISO] = "short-iso",
        [LOG_FORMAT_JSON] = "json", [LOG_FORMAT_EXPORT] = "export",
};
DEFINE_STRING_TABLE_LOOKUP(log_format, LogFormat);

/* ---- fields ---- */

void log_entry_clear(LogEntry *e) {
        e->n = e->n_text = e->attempt = 0;
}

void log_entry_done(LogEntry *e) {
        free(e->text);
        free(e->fields);
        *e = (LogEntry){};
}

static int grow(void *p, size_t size, size_t *capacity, size_t wanted) {
        size_t c = MAX(*capacity * 2, (size_t) 64);
        void **memory = p, *bigger;

        if (wanted <= *capacity)
                return 0;
        c = MAX(c, wanted);
        bigger = realloc(*memory, c * size);
        if (!bigger)
                return -ENOMEM;
        *memory = bigger;
        *capacity = c;
        return 0;
}

int log_entry_add(LogEntry *e, const char *name, size_t n_name, const void *value, size_t n) {
        if (grow(&e->text, 1, &e->text_capacity, e->n_text + n_name + 1 + n + 1) < 0 ||
            grow(&e->fields, sizeof(LogField), &e->capacity, e->n + 1) < 0)
                return -ENOMEM;
        e->fields[e->n++] = (LogField){ e->n_text, n_name, n_name + 1 + n };
        memcpy(e->text + e->n_text, name, n_name);
        e->text[e->n_text + n_name] = '=';
        if (n > 0)
                memcpy(e->text + e->n_text + n_name + 1, value, n);
        e->n_text += n_name + 1 + n;
        e->text[e->n_text] = 0; /* nothing needs it, but the functions for strings may look so far */
        return 0;
}

int log_entry_add_assignment(LogEntry *e, const void *data, size_t n) {
        const char *p = data, *equals = memchr(p, '=', n);

        return equals ? log_entry_add(e, p, equals - p, equals + 1, n - (equals - p) - 1) : -EBADMSG;
}

static const char *field_value(const LogEntry *e, const LogField *f, size_t *ret_n) {
        *ret_n = f->size - f->name - 1;
        return e->text + f->at + f->name + 1;
}

const char *log_entry_get(const LogEntry *e, const char *name, size_t *ret_n) {
        size_t n = strlen(name);

        for (size_t i = 0; i < e->n; i++)
                if (e->fields[i].name == n && memcmp(e->text + e->fields[i].at, name, n) == 0)
                        return field_value(e, e->fields + i, ret_n);
        return NULL;
}

/* As text; false: it is not there, or too long for any that is asked for so. */
static bool get_text(const LogEntry *e, const char *name, char *buf, size_t size) {
        size_t n;
        const char *value = log_entry_get(e, name, &n);

        if (!value || n >= size)
                return false;
        memcpy(buf, value, n);
        buf[n] = 0;
        return true;
}

uint64_t log_entry_get_u64(const LogEntry *e, const char *name) {
        char text[DECIMAL_MAX];
        uint64_t v;

        return get_text(e, name, text, sizeof(text)) && parse_u64(text, &v) >= 0 ? v : UINT64_MAX;
}

uint32_t log_entry_attempt(const LogEntry *e) {
        char unit[128];
        uint32_t n;
        char *dash;

        if (e->attempt > 0)
                return e->attempt;
        if (!get_text(e, "_SYSTEMD_USER_UNIT", unit, sizeof(unit)) && !get_text(e, "_SYSTEMD_UNIT", unit, sizeof(unit)))
                (void) snprintf(unit, sizeof(unit), "jobmill-pool-"); /* its process was gone too soon */
        if (startswith(unit, "jobmill-pool-") && (!get_text(e, "SYSLOG_IDENTIFIER", unit, sizeof(unit)) || !startswith(unit, "jobmill-job-")))
                return 0;
        dash = strrchr(unit, '-');
        if (!dash)
                return 0;
        dash[1 + strspn(dash + 1, "0123456789")] = 0;
        return parse_u32(dash + 1, &n) < 0 ? 0 : n;
}

/* ---- printing ---- */

static int print_text(const char *text, size_t n) {
        _cleanup_free_ char *safe = NULL;

        if (!isatty(STDOUT_FILENO)) {
                fwrite(text, 1, n, stdout);
                return 0;
        }
        safe = escape_controls(text, n);
        if (!safe)
                return -ENOMEM;
        fputs(safe, stdout);
        return 0;
}

static int print_field(const LogEntry *e, const char *name, const char *otherwise) {
        size_t n;
        const char *value = log_entry_get(e, name, &n);

        return value ? print_text(value, n) : otherwise ? print_field(e, otherwise, NULL) : print_text("-", 1);
}

static int print_short(const LogEntry *e, const char *format) {
        uint64_t t = log_entry_get_u64(e, "_SOURCE_REALTIME_TIMESTAMP");
        char text[64], pid[DECIMAL_MAX];
        struct tm tm;
        time_t s;
        int r;

        if (t == UINT64_MAX)
                t = log_entry_get_u64(e, "__REALTIME_TIMESTAMP");
        s = t / USEC_PER_SEC;
        if (!localtime_r(&s, &tm) || strftime(text, sizeof(text), format, &tm) == 0)
                return -EINVAL;
        printf("%s ", text);
        r = print_field(e, "_HOSTNAME", NULL);
        putchar(' ');
        if (r >= 0)
                r = print_field(e, "SYSLOG_IDENTIFIER", "_COMM");
        if (get_text(e, "_PID", pid, sizeof(pid)))
                printf("[%s]", pid);
        fputs(": ", stdout);
        return r < 0 ? r : print_field(e, "MESSAGE", NULL);
}

/* As journalctl: what is no text becomes an array of numbers, fields that come several times one of values. */
static struct json_object *value_to_json(const char *value, size_t n) {
        struct json_object *o;

        if (utf8_is_valid(value, n) && !memchr(value, 0, n))
                return json_object_new_string_len(value, (int) n);
        o = json_object_new_array();
        for (size_t i = 0; o && i < n; i++)
                json_object_array_add(o, json_object_new_int((unsigned char) value[i]));
        return o;
}

static bool same_name(const LogEntry *e, size_t a, size_t b) {
        return e->fields[a].name == e->fields[b].name &&
               memcmp(e->text + e->fields[a].at, e->text + e->fields[b].at, e->fields[a].name) == 0;
}

/* All values of the name of field i; NULL: an earlier field has shown them. */
static struct json_object *values_to_json(const LogEntry *e, size_t i) {
        struct json_object *list, *value;
        size_t n, more = 0;
        const char *text;

        for (size_t k = 0; k < e->n; k++)
                if (k != i && same_name(e, k, i)) {
                        if (k < i)
                                return NULL;
                        more++;
                }
        text = field_value(e, e->fields + i, &n);
        value = value_to_json(text, n);
        if (more == 0)
                return value;
        list = json_object_new_array();
        json_object_array_add(list, value);
        for (size_t k = i + 1; k < e->n; k++)
                if (same_name(e, k, i)) {
                        text = field_value(e, e->fields + k, &n);
                        json_object_array_add(list, value_to_json(text, n));
                }
        return list;
}

static int print_json(const LogEntry *e) {
        struct json_object *o = json_object_new_object();

        if (!o)
                return -ENOMEM;
        for (size_t i = 0; i < e->n; i++) {
                _cleanup_free_ char *name = strndup(e->text + e->fields[i].at, e->fields[i].name);
                struct json_object *value = values_to_json(e, i);

                if (name && value)
                        json_object_object_add(o, name, value);
        }
        fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), stdout);
        json_object_put(o);
        return 0;
}

static int print_export(const LogEntry *e) {
        for (size_t i = 0; i < e->n; i++) {
                const LogField *f = e->fields + i;
                uint64_t size;
                size_t n;
                const char *value = field_value(e, f, &n);
                bool text = utf8_is_valid(value, n);

                for (size_t k = 0; text && k < n; k++)
                        text = ((unsigned char) value[k] >= ' ' && value[k] != 0x7f) || value[k] == '\t';
                fwrite(e->text + f->at, 1, text ? f->size : f->name, stdout);
                if (!text) {
                        putchar('\n');
                        size = htole64(n);
                        fwrite(&size, 1, sizeof(size), stdout);
                        fwrite(value, 1, n, stdout);
                }
                putchar('\n');
        }
        return 0;
}

int log_entry_print(const LogEntry *e, LogFormat f) {
        size_t n;
        int r;

        switch (f) {
        case LOG_FORMAT_SHORT:
                r = print_short(e, "%b %d %H:%M:%S");
                break;
        case LOG_FORMAT_SHORT_ISO:
                r = print_short(e, "%Y-%m-%dT%H:%M:%S%z");
                break;
        case LOG_FORMAT_JSON:
                r = print_json(e);
                break;
        case LOG_FORMAT_EXPORT:
                r = print_export(e);
                break;
        default: {
                const char *message = log_entry_get(e, "MESSAGE", &n);

                if (!message)
                        return 0;
                r = print_text(message, n);
        }
        }
        putchar('\n');
        return r;
}

/* ---- the Journal Export Format ---- */

/* The one field that is not the journal's (OpenLog). */
static bool parse_attempt(LogEntry *e, const char *data, size_t n) {
        static const char name[] = "__JOBMILL_ATTEMPT=";
        char text[DECIMAL_MAX];

        n -= MIN(n, strlen(name));
        if (n == 0 || n >= sizeof(text) || memcmp(data, name, strlen(name)) != 0)
                return false;
        memcpy(text, data + strlen(name), n);
        text[n] = 0;
        return parse_u32(text, &e->attempt) >= 0;
}

/* A field; bytes of it, 0: not whole. */
static ssize_t parse_field(LogEntry *e, const char *data, size_t n) {
        const char *end = memchr(data, '\n', n), *equals;
        uint64_t size;
        size_t name;
        int r;

        if (!end)
                return 0;
        name = end - data;
        equals = memchr(data, '=', name);
        if (equals && parse_attempt(e, data, name))
                return (ssize_t) name + 1;
        if (equals) {
                r = log_entry_add_assignment(e, data, name);
                return r < 0 ? r : (ssize_t) name + 1;
        }
        if (n < name + 1 + sizeof(size))
                return 0;
        memcpy(&size, end + 1, sizeof(size));
        size = le64toh(size);
        if (size > FIELD_MAX)
                return -EBADMSG;
        if (n < name + 1 + sizeof(size) + size + 1)
                return 0;
        if (end[1 + sizeof(size) + size] != '\n')
                return -EBADMSG;
        r = log_entry_add(e, data, name, end + 1 + sizeof(size), size);
        return r < 0 ? r : (ssize_t) (name + 1 + sizeof(size) + size + 1);
}

ssize_t log_entry_parse(LogEntry *e, const char *data, size_t n) {
        size_t at = 0;

        log_entry_clear(e);
        while (at < n) {
                ssize_t l;

                if (data[at] == '\n')
                        return (ssize_t) at + 1;
                l = parse_field(e, data + at, n - at);
                if (l <= 0)
                        return l;
                at += l;
        }
        return 0;
}
