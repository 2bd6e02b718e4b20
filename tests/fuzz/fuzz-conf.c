/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A configuration file: as any file of that form, as a queue's and as jobmill.conf. What is read, written out and read again is the same; an
 * error names a line that is there; what SetQueue() would write can be read. */

#include "fuzz.h"

#include "base/strv.h"
#include "daemon/queue-file.h"
#include "daemon/queue-write.h"
#include "daemon/settings.h"
#include "queue/spec-json.h"

static unsigned n_lines(const char *text, size_t size) {
        unsigned n = 1;

        for (size_t i = 0; i < size; i++)
                n += text[i] == '\n';
        return n;
}

static int parse(const char *text, size_t size, conf_assign_t assign, void *userdata, ConfError *error) {
        FILE *f = size > 0 ? fmemopen((char *) text, size, "r") : fopen("/dev/null", "re");
        int r;

        check(f);
        r = conf_parse_stream(f, "file", assign, userdata, error);
        fclose(f);
        return r;
}

/* 0, or -EBADMSG with an error that says where. */
static bool parsed(const char *text, size_t size, conf_assign_t assign, void *userdata) {
        _cleanup_(conf_error_done) ConfError error = {};
        int r = parse(text, size, assign, userdata, &error);

        check(r == 0 || r == -EBADMSG);
        check((r == 0) == !error.message);
        if (r == 0)
                return true;
        check(streq(error.file, "file") && error.line >= 1 && error.line <= n_lines(text, size));
        check(*error.message && utf8_is_valid(error.message, strlen(error.message)));
        return false;
}

/* ---- any file ---- */

static int collect(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value, ConfError *error) {
        char ***l = userdata;

        check(*section && *key && utf8_is_valid(value, strlen(value)) && !strchr(value, '\n'));
        check(strv_extend(l, section) >= 0 && strv_extend(l, key) >= 0 && strv_extend(l, value) >= 0);
        return 0;
}

static void written_again(char *const *l) {
        _cleanup_strv_free_ char **again = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        for (char *const *i = l; i && *i; i += 3)
                fprintf(f, "[%s]\n%s=%s\n", i[0], i[1], i[2]);
        check(fclose(f) == 0);
        check(parsed(text, size, collect, &again));
        check(strv_equal((char *const *) l, again));
}

static unsigned n_told;

static void tell(ConfError *e) {
        check(!isempty(e->message));
        n_told++;
}

static void all_told(const char *text, size_t size, conf_assign_t assign, void *userdata, bool good) {
        _cleanup_(conf_error_done) ConfError error = { .tell = tell };

        n_told = 0;
        check(parse(text, size, assign, userdata, &error) == 0);
        check((n_told == 0) == good);
}

/* ---- a queue's ---- */

static void check_policy(const QueuePolicy *p) {
        check(p->slots == UINT32_MAX || (p->slots >= 1 && p->slots <= SPEC_SLOTS_MAX));
        check(p->stop_timeout_usec != USEC_INFINITY && (p->rate.n == 0 || p->rate.span >= USEC_PER_MSEC));
        FOREACH_ELEMENT(m, p->pressure_max)
                check(*m >= 1 && (*m <= 10000 || *m == PRESSURE_NO_LIMIT));
        if (p->defaults) {
                _cleanup_free_ char *error = NULL;

                p->defaults->argv = strv_split("true", " ");
                if (spec_validate(p->defaults, &error) < 0) {
                        fprintf(stderr, "%s\n", error);
                        abort();
                }
                p->defaults->argv = strv_free(p->defaults->argv);
        }
}

/* What people are shown of it says it all. */
static void shown_again(const QueueFile *f) {
        _cleanup_(conf_error_done) ConfError error = {};
        _cleanup_free_ char *x = NULL, *y = NULL;
        QueueFile again;

        queue_file_init(&again, NULL);
        for (char **i = f->policy.settings; i && *i; i += 3) {
                const char *key = strchr(i[0], '.');
                _cleanup_free_ char *section = strndup(i[0], key ? (size_t) (key - i[0]) : 0);

                key = key ? key + 1 : i[0];
                check(queue_file_assign(&again, i[2], 1, key != i[0] ? section : queue_file_has_key(key) ? "Queue" : "Slice", key, i[1], &error) >= 0);
        }
        check(again.policy.slots == f->policy.slots && again.policy.rate.n == f->policy.rate.n && again.policy.keep_max == f->policy.keep_max);
        check(again.policy.timeout_usec == f->policy.timeout_usec && again.policy.fair == f->policy.fair);
        check(strv_equal(again.policy.allow_users, f->policy.allow_users) && streq_ptr(again.policy.gate_unit, f->policy.gate_unit));
        check(again.policy.service.n_values == f->policy.service.n_values && again.policy.slice.n_values == f->policy.slice.n_values);
        if (f->policy.defaults && again.policy.defaults)
                check(spec_to_json(f->policy.defaults, 0, &x) >= 0 && spec_to_json(again.policy.defaults, 0, &y) >= 0 && streq(x, y));
        queue_policy_done(&again.policy);
}

static void as_queue(const char *text, size_t size) {
        QueueFile f, g;
        bool good;

        queue_file_init(&f, NULL);
        queue_file_init(&g, NULL);
        good = parsed(text, size, queue_file_assign, &f);
        all_told(text, size, queue_file_assign, &g, good);
        queue_policy_done(&g.policy);
        if (good && queue_file_check(&f, (char *[]) { (char *) "file", NULL }, NULL) >= 0) {
                shown_again(&f);
                queue_file_complete(&f, USEC_INFINITY, 90 * USEC_PER_SEC);
                check_policy(&f.policy);
        }
        queue_policy_done(&f.policy);
}

/* ---- SetQueue() ---- */

/* One setting for each section and key, with the values of all its lines. */
static QueueEdit *make_edit(char *const *l) {
        QueueEdit *e = new0(QueueEdit, 1);

        e->name = strdup("q");
        for (char *const *i = l; i && *i && e->n_settings < QUEUE_SETTINGS_MAX; i += 3) {
                _cleanup_free_ char *word = NULL;
                QueueSetting *s = e->settings;

                check(asprintf(&word, "%s.%s", i[0], i[1]) > 0);
                while (s < e->settings + e->n_settings && !streq(s->word, word))
                        s++;
                if (s == e->settings + e->n_settings)
                        s = queue_edit_add(e, word);
                check(s && strv_extend(&s->values, i[2]) >= 0);
        }
        return e;
}

static void as_edit(char *const *l) {
        _cleanup_(queue_edit_freep) QueueEdit *e = make_edit(l);
        _cleanup_free_ char *error = NULL, *text = NULL;
        size_t size;
        QueueFile q;
        FILE *f;

        if (queue_edit_check(e, &error) < 0) {
                check_message(error);
                return;
        }
        f = open_memstream(&text, &size);
        for (const QueueSetting *s = e->settings; s < e->settings + e->n_settings; s++)
                STRV_FOREACH(v, s->values)
                        fprintf(f, "[%s]\n%s=%s\n", s->section, s->key, *v);
        check(fclose(f) == 0);
        queue_file_init(&q, NULL);
        check(parsed(text, size, queue_file_assign, &q));
        queue_policy_done(&q.policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size);
        _cleanup_strv_free_ char **l = NULL, **m = NULL;
        Settings s;
        bool good;

        good = parsed(text, size, collect, &l);
        all_told(text, size, collect, &m, good);
        if (good) {
                written_again(l);
                as_edit(l);
        }
        as_queue(text, size);
        settings_init(&s);
        if (parsed(text, size, settings_assign, &s))
                check(s.stop_timeout_usec != USEC_INFINITY && s.in_flight_max >= 1 && s.in_flight_max <= 32 && s.api.list_page_max >= 10);
        return 0;
}
