/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words of `set` into the changes of UpdateJob. The keys are submit's long options, and values are written as there; a key in
 * CamelCase is a unit property. What is empty is removed. */

#include "ctl/set.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include <ctype.h>

void settings_done(Settings *s) {
        free(s->name);
        free(s->queue);
        free(s->directory);
        free(s->output);
        free(s->error);
        free(s->unique);
        free(s->unique_scope);
        free(s->verify);
        free(s->to);
        strv_free(s->tags);
        strv_free(s->properties);
        strv_free(s->command);
        strv_free(s->retry_on);
}

static int set_text(const char *value, void *target) {
        return free_and_strdup(target, value);
}

static int set_i32(const char *value, void *target) {
        return parse_i32(value, target);
}

static int set_u32(const char *value, void *target) {
        return parse_u32(value, target);
}

static int set_boolean(const char *value, void *target) {
        int r = parse_boolean(value);

        if (r >= 0)
                *(bool *) target = r;
        return r;
}

static int set_factor(const char *value, void *target) {
        return parse_double(value, target);
}

static int set_backoff(const char *value, void *target) {
        return backoff_parse(value, target);
}

/* Without any: all. */
static int set_words(const char *value, void *target) {
        char **words = strv_split(value, ",");

        if (!words)
                return -ENOMEM;
        strv_free(*(char ***) target);
        *(char ***) target = words;
        return 0;
}

static int set_span(const char *value, void *target) {
        if (*value)
                return parse_span(value, target);
        *(usec_t *) target = USEC_INFINITY;
        return 0;
}

/* "infinity" would be taken for what the queue says. */
static int set_keep(const char *value, void *target) {
        int r = set_span(value, target);

        return r >= 0 && *value && *(usec_t *) target > INT64_MAX ? -EINVAL : r;
}

static int set_time(const char *value, void *target) {
        if (*value)
                return parse_timestamp(value, now_usec(CLOCK_REALTIME), target);
        *(usec_t *) target = USEC_INFINITY;
        return 0;
}

static int set_assignment(const char *value, void *target) {
        const char *e = strchr(value, '=');

        return e && e != value ? strv_extend(target, value) : -EINVAL;
}

#define AT(field) offsetof(Settings, field)

static const struct {
        const char *key, *wanted;
        int (*set)(const char *value, void *target);
        size_t offset;
        SetBits bit;
        const char *help;
} keys[] = {
        { "name", "NAME", set_text, AT(name), 0, "A name for people" },
        { "queue", "QUEUE", set_text, AT(queue), 0, "Where it waits" },
        { "priority", "a number", set_i32, AT(priority), SET_PRIORITY, "-1000 to 1000, higher first" },
        { "slots", "a number", set_u32, AT(slots), SET_SLOTS, "Slots it takes of the queue" },
        { "array-max", "a number", set_u32, AT(array_max), SET_ARRAY_MAX, "How many of its array run at a time" },
        { "at", "a time", set_time, AT(not_before), SET_NOT_BEFORE, "Not before this time" },
        { "in", "a time span", set_span, AT(delay), SET_DELAY,
          "Not before this much time has passed" },
        { "deadline", "a time", set_time, AT(deadline), SET_DEADLINE, "Start it by this time, or never" },
        { "timeout", "a time span", set_span, AT(timeout), SET_TIMEOUT, "End it when it runs longer" },
        { "stop-timeout", "a time span", set_span, AT(stop_timeout), SET_STOP_TIMEOUT, "From SIGTERM to SIGKILL" },
        { "keep", "a time span, or nothing", set_keep, AT(keep), SET_KEEP, "How long it stays listed once it is done" },
        { "attempts", "a number", set_u32, AT(attempts), SET_ATTEMPTS, "Try it so often until it succeeds" },
        { "backoff", BACKOFF_WORDS, set_backoff, AT(backoff), 0, "How long it waits in between" },
        { "retry-on", "RESULT,…", set_words, AT(retry_on), 0, "Try it again after these results only" },
        { "requeue-lost", "yes or no", set_boolean, AT(requeue_lost), SET_REQUEUE_LOST, "A lost attempt does not count" },
        { "memory-growth", "a number", set_factor, AT(memory_growth), SET_MEMORY_GROWTH,
          "After it ran out of memory its MemoryMax= is so many times as large" },
        { "freezable", "yes or no", set_boolean, AT(freezable), SET_FREEZABLE, "Allow `jobmill freeze` in spite of a time-out" },
        { "directory", "DIRECTORY", set_text, AT(directory), 0, "Where it runs" },
        { "output", "FILE", set_text, AT(output), 0, "Where standard output goes" },
        { "error", "FILE", set_text, AT(error), 0, "Where standard error goes" },
        { "unique", "KEY", set_text, AT(unique), 0, "Not while another of your jobs in the queue has this key" },
        { "unique-scope", "queued, live or a time span", set_text, AT(unique_scope), 0, "How long it has its key" },
        { "verify", "exit or verdict", set_text, AT(verify), 0, "When it is a success" },
        { "stdout", "journal or spool", set_text, AT(to), 0, "Where its output goes" },
        { "tag", "KEY=VALUE", set_assignment, AT(tags), 0, "A tag to find it by" },
        { "property", "PROPERTY=VALUE", set_assignment, AT(properties), 0, "A unit property" },
};

const char *settings_key(size_t i, const char **ret_help) {
        if (i >= ELEMENTSOF(keys))
                return NULL;
        *ret_help = keys[i].help;
        return keys[i].key;
}

static int unknown_key(const char *word, int length) {
        _cleanup_strv_free_ char **all = NULL;
        _cleanup_free_ char *text = NULL;

        FOREACH_ELEMENT (k, keys)
                if (strv_extend(&all, k->key) < 0)
                        return ctl_oom();
        text = strv_join(all, ", ");
        return ctl_error(-EINVAL, "set: there is no key '%.*s'; there are: %s, and unit properties such as MemoryMax",
                         length, word, strempty(text));
}

int settings_read(Settings *s, const char *word) {
        int length = strcspn(word, "="), r;
        const char *value = word + length + 1;

        if (isupper((unsigned char) word[0]))
                return strv_extend(&s->properties, word) < 0 ? ctl_oom() : 0;
        FOREACH_ELEMENT (k, keys) {
                if ((int) strlen(k->key) != length || strncmp(k->key, word, length) != 0)
                        continue;
                r = k->set(value, (uint8_t *) s + k->offset);
                if (r == -ENOMEM)
                        return ctl_oom();
                if (r < 0)
                        return ctl_error(r, "set: %s: cannot make sense of '%s' (wanted: %s)", k->key, value,
                                         k->wanted);
                s->given |= k->bit;
                return 0;
        }
        return unknown_key(word, length);
}

static int append_texts(sd_bus_message *m, const Settings *s) {
        const struct {
                const char *key, *value;
        } texts[] = {
                { "name", s->name },         { "queue", s->queue },      { "cwd", s->directory },
                { "output_file", s->output }, { "error_file", s->error },
                { "unique_key", s->unique }, { "unique_scope", s->unique_scope },
                { "verify", s->verify },     { "stdout", s->to },
        };
        int r = 0;

        FOREACH_ELEMENT (t, texts)
                if (r >= 0 && t->value)
                        r = bus_append_string(m, t->key, t->value);
        return r;
}

static int append_numbers(sd_bus_message *m, const Settings *s) {
        const struct {
                SetBits bit;
                const char *key;
                usec_t value;
        } times[] = {
                { SET_NOT_BEFORE, "not_before_usec", s->not_before },
                { SET_DELAY, "delay_usec", s->delay },
                { SET_DEADLINE, "deadline_usec", s->deadline },
                { SET_TIMEOUT, "timeout_usec", s->timeout },
                { SET_STOP_TIMEOUT, "stop_timeout_usec", s->stop_timeout },
                { SET_KEEP, "keep_usec", s->keep },
        };
        int r = 0;

        if (s->given & SET_PRIORITY)
                r = sd_bus_message_append(m, "{sv}", "priority", "i", s->priority);
        if (r >= 0 && (s->given & SET_SLOTS))
                r = bus_append_u32(m, "slots", s->slots);
        if (r >= 0 && (s->given & SET_FREEZABLE))
                r = bus_append_boolean(m, "freezable", s->freezable);
        if (r >= 0 && (s->given & SET_ARRAY_MAX))
                r = bus_append_u32(m, "array_max_running", s->array_max);
        FOREACH_ELEMENT (t, times)
                if (r >= 0 && (s->given & t->bit))
                        r = bus_append_u64(m, t->key, t->value);
        return r;
}

/* As a whole: what is not said of it is as it would be without any. */
static int append_backoff(sd_bus_message *m, const Backoff *b) {
        usec_t max = b->max != USEC_INFINITY ? b->max : MAX(b->base, 3600 * USEC_PER_SEC);
        int r = 0;

        if (!b->given)
                return 0;
        r = bus_append_string(m, "backoff", spec_field_find("backoff")->words[b->mode]);
        if (r >= 0 && b->base != USEC_INFINITY) {
                r = bus_append_u64(m, "backoff_base_usec", b->base);
                if (r >= 0)
                        r = bus_append_u64(m, "backoff_max_usec", max);
        }
        return r < 0 ? r : sd_bus_message_append(m, "{sv}", "backoff_jitter", "d", MAX(b->jitter, 0.0));
}

static int append_retry(sd_bus_message *m, const Settings *s) {
        int r = 0;

        if (s->given & SET_ATTEMPTS)
                r = bus_append_u32(m, "max_attempts", s->attempts);
        if (r >= 0)
                r = append_backoff(m, &s->backoff);
        if (r >= 0 && s->retry_on)
                r = bus_append_strv(m, "retry_on", s->retry_on);
        if (r >= 0 && (s->given & SET_REQUEUE_LOST))
                r = bus_append_boolean(m, "requeue_lost", s->requeue_lost);
        if (r >= 0 && (s->given & SET_MEMORY_GROWTH))
                r = sd_bus_message_append(m, "{sv}", "memory_growth", "d", s->memory_growth);
        return r;
}

int set_append(sd_bus_message *call, const void *userdata) {
        const Settings *s = userdata;
        int r;

        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = append_texts(call, s);
        if (r >= 0)
                r = append_numbers(call, s);
        if (r >= 0)
                r = append_retry(call, s);
        if (r >= 0 && s->tags)
                r = bus_append_tags(call, "tags", s->tags);
        if (r >= 0 && s->properties)
                r = bus_append_strv(call, "properties", s->properties);
        if (r >= 0 && s->command)
                r = bus_append_strv(call, "argv", s->command);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

int move_append_one(sd_bus_message *call, const void *userdata) {
        return sd_bus_message_append(call, "s", (const char *) userdata);
}

int move_append_many(sd_bus_message *call, const void *userdata) {
        return sd_bus_message_append(call, "a{sv}", 1, "queue", "s", (const char *) userdata);
}
