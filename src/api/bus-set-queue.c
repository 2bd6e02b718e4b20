/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetQueue and RemoveQueue: read, checked and authorized here; daemon/, which has the files, does them in its turn and has them
 * answered. A manager of queues sets what queues are; whom they are for, and what their jobs may, needs the second right, too. */

#include "api/methods.h"
#include "api/spec-bus.h"

#include "base/strv.h"

/* Numbers come as people would write them. The largest of its type stands for "none", as in our properties. */
static int read_number(sd_bus_message *m, char type, char ***ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                int b;
        } v;
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 'b':
                return strv_extend(ret, v.b ? "yes" : "no");
        case 'y':
                return strv_extendf(ret, "%u", v.y);
        case 'n':
                return strv_extendf(ret, "%i", v.n);
        case 'q':
                return strv_extendf(ret, "%u", v.q);
        case 'i':
                return strv_extendf(ret, "%" PRIi32, v.i);
        case 'u':
                return v.u == UINT32_MAX ? 0 : strv_extendf(ret, "%" PRIu32, v.u);
        case 'x':
                return strv_extendf(ret, "%" PRIi64, v.x);
        default:
                return v.t == UINT64_MAX ? 0 : strv_extendf(ret, "%" PRIu64, v.t);
        }
}

int call_read_setting(Call *c, const char *word, char ***ret, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];
        const char *type, *s;
        int r;

        r = sd_bus_message_peek_type(c->message, NULL, &type);
        if (r >= 0)
                r = sd_bus_message_enter_container(c->message, 'v', type);
        if (r < 0)
                return r;
        if (streq(type, "as")) {
                r = bus_read_list(c->message, false, QUEUE_SETTING_VALUES_MAX, ret);
                if (r == -E2BIG)
                        return api_error(error, JOBMILL_ERROR_TOO_MANY, "%s: more than %u values",
                                         spec_quote(quoted, word, strlen(word)), QUEUE_SETTING_VALUES_MAX);
        } else if (streq(type, "s")) {
                r = sd_bus_message_read_basic(c->message, 's', &s);
                if (r >= 0)
                        r = strv_extend(ret, s);
        } else if (strlen(type) == 1 && strchr("bynqiuxt", *type))
                r = read_number(c->message, *type, ret);
        else
                return api_error(error, JOBMILL_ERROR_INVALID_SETTING, "%s: a string, a number, a boolean or a list of strings, not %s",
                                 spec_quote(quoted, word, strlen(word)), type);
        return r < 0 ? r : sd_bus_message_exit_container(c->message);
}

static int read_settings(Call *c, QueueEdit *e, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];
        const char *word;
        size_t size = 0;
        int r;

        r = sd_bus_message_enter_container(c->message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(c->message, 'e', "sv")) > 0) {
                QueueSetting *s;

                r = sd_bus_message_read_basic(c->message, 's', &word);
                if (r < 0)
                        return r;
                if (e->n_settings >= QUEUE_SETTINGS_MAX)
                        return api_error(error, JOBMILL_ERROR_TOO_MANY, "More than %u settings", QUEUE_SETTINGS_MAX);
                s = queue_edit_add(e, word);
                if (!s)
                        return -ENOMEM;
                r = call_read_setting(c, word, &s->values, error);
                STRV_FOREACH(v, s->values)
                        size += strlen(*v) + 1;
                if (r >= 0 && size > QUEUE_SETTING_SIZE_MAX)
                        return api_error(error, JOBMILL_ERROR_INVALID_SETTING, "%s: with it the values are longer than %u bytes",
                                         spec_quote(quoted, word, strlen(word)), QUEUE_SETTING_SIZE_MAX);
                if (r >= 0)
                        r = sd_bus_message_exit_container(c->message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(c->message);
}

static int check(Call *c, QueueEdit *e, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = c->api->check_edit(e, &text);
        return r < 0 && text ? api_error(error, api_edit_error(r), "%s", text) : r;
}

/* The right to manage queues, and the other one where a setting needs it; the error names that setting. */
static int authorize(Call *c, const QueueEdit *e, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error denied = SD_BUS_ERROR_NULL;
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, (const char *const[]) { "queue", e->name, NULL }, error);
        if (r <= 0)
                return r;
        for (size_t i = 0; i < e->n_settings; i++) {
                const char *word = e->settings[i].word;

                if (!e->settings[i].privileged)
                        continue;
                r = call_authorize(c, JOBMILL_ACTION_SET_PRIVILEGED_PROPERTIES,
                                   (const char *const[]) { "queue", e->name, "why", word, NULL }, &denied);
                if (r < 0 && sd_bus_error_is_set(&denied))
                        return api_error(error, denied.name, "%s: %s", word, denied.message);
                return r;
        }
        return 1;
}

/* Goes to daemon/; with 0 the call is run again, or answered later. */
static int edit(Call *c, QueueEdit *e, sd_bus_error *error) {
        _cleanup_(queue_edit_freep) QueueEdit *mine = e;
        int r;

        r = check(c, e, error);
        if (r >= 0)
                r = authorize(c, e, error);
        if (r <= 0)
                return r;
        c->edit = TAKE_PTR(mine);
        call_put_aside(c, CALL_EDITING);
        return 0;
}

static int handle_set_queue(Call *c, sd_bus_error *error) {
        _cleanup_(queue_edit_freep) QueueEdit *e = new0(QueueEdit, 1);
        const char *name;
        int runtime, r;

        if (!e)
                return -ENOMEM;
        r = sd_bus_message_read_basic(c->message, 's', &name);
        if (r >= 0)
                r = free_and_strdup(&e->name, name);
        if (r >= 0)
                r = read_settings(c, e, error);
        if (r >= 0)
                r = sd_bus_message_read_basic(c->message, 'b', &runtime);
        if (r < 0)
                return r;
        e->runtime = runtime;
        return edit(c, TAKE_PTR(e), error);
}
DEFINE_METHOD(set_queue);

static int handle_remove_queue(Call *c, sd_bus_error *error) {
        _cleanup_(queue_edit_freep) QueueEdit *e = new0(QueueEdit, 1);
        const char *name;
        int r;

        if (!e)
                return -ENOMEM;
        e->remove = true;
        r = sd_bus_message_read_basic(c->message, 's', &name);
        if (r < 0)
                return r;
        if (!model_queue(c->api->model, name))
                return api_error_no_such_queue(error, name);
        r = free_and_strdup(&e->name, name);
        return r < 0 ? r : edit(c, TAKE_PTR(e), error);
}
DEFINE_METHOD(remove_queue);
