/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A spec as a message of the bus, with keys and types that the caller chose. A line of the input is an entry of the dictionary: KEY, TAB,
 * the signature of its value, and behind a TAB each the words that its strings, numbers and bytes are made of, as many as there are.
 *
 * A value of another type than the table's is never read, and what is refused is refused by the name of a key that is there. */

#include "fuzz.h"

#include "api/spec-bus.h"
#include "base/strv.h"
#include "queue/spec-change.h"
#include "queue/spec-credential.h"

#define SIGNATURE_MAX 16U

typedef struct Entry {
        char *key, *signature, *words;
} Entry;

static char *next_word(char **words) {
        char *w = strsep(words, "\t");

        return w && utf8_is_valid(w, strlen(w)) ? w : (char *) "";
}

static int append(sd_bus_message *m, const char *signature, char **words);

/* Up to the end of the words; an array of arrays has one that takes all of them. */
static int append_array(sd_bus_message *m, const char *of, char **words) {
        int r;

        r = sd_bus_message_open_container(m, 'a', of);
        while (r >= 0 && *words)
                r = append(m, of, words);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* "(…)" or "{…}" */
static int append_container(sd_bus_message *m, const char *signature, char **words) {
        char of[SIGNATURE_MAX + 1];
        size_t n = strlen(signature) - 2;
        int r;

        memcpy(of, signature + 1, n);
        of[n] = 0;
        r = sd_bus_message_open_container(m, *signature == '(' ? 'r' : 'e', of);
        if (r >= 0)
                r = append(m, of, words);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_basic(sd_bus_message *m, char type, const char *word) {
        union {
                int b;
                uint8_t y;
                int16_t n;
                uint32_t u;
                uint64_t t;
                double d;
        } v = {};

        switch (type) {
        case 's':
        case 'o':
        case 'g':
                return sd_bus_message_append_basic(m, type, word);
        case 'd':
                v.d = strtod(word, NULL);
                break;
        case 'b':
                v.b = streq(word, "1");
                break;
        default:
                v.t = *word == '-' ? (uint64_t) strtoll(word, NULL, 10) : strtoull(word, NULL, 10);
        }
        return sd_bus_message_append_basic(m, type, &v);
}

/* The length of the first complete type. */
static size_t type_length(const char *signature) {
        size_t n = strspn(signature, "a"), depth = 0;

        do {
                depth += signature[n] == '(' || signature[n] == '{';
                depth -= depth > 0 && (signature[n] == ')' || signature[n] == '}');
                n += signature[n] != 0;
        } while (depth > 0 && signature[n]);
        return n;
}

/* Types one behind the other. -errno: that is no signature, and the message cannot be sent. */
static int append(sd_bus_message *m, const char *signature, char **words) {
        for (size_t n; *signature; signature += n) {
                char one[SIGNATURE_MAX + 1];
                const char *word;
                int r;

                n = type_length(signature);
                memcpy(one, signature, n);
                one[n] = 0;
                if (streq(one, "ay"))
                        word = next_word(words), r = sd_bus_message_append_array(m, 'y', word, strlen(word));
                else if (*one == 'a')
                        r = append_array(m, one + 1, words);
                else if (n > 2 && (*one == '(' || *one == '{'))
                        r = append_container(m, one, words);
                else if (*one == 'v')
                        r = sd_bus_message_append(m, "v", "s", next_word(words));
                else if (n == 1 && strchr("ybnqiuxtdsog", *one))
                        r = append_basic(m, *one, next_word(words));
                else
                        r = -EINVAL;
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool append_entry(sd_bus_message *m, Entry e) {
        return sd_bus_message_open_container(m, 'e', "sv") >= 0 && sd_bus_message_append_basic(m, 's', e.key) >= 0 &&
               sd_bus_message_open_container(m, 'v', e.signature) >= 0 && append(m, e.signature, &e.words) >= 0 &&
               sd_bus_message_close_container(m) >= 0 && sd_bus_message_close_container(m) >= 0;
}

/* The bits of the keys, as far as each may be read; *ret_wrong: one may not. */
static uint64_t expect(const Entry *entries, size_t n, bool *ret_wrong) {
        uint64_t fields = 0;
        bool queue = false;

        *ret_wrong = false;
        for (size_t i = 0; i < n; i++) {
                const SpecField *f = spec_field_of_caller(entries[i].key);
                bool is_queue = streq(entries[i].key, "queue");
                uint64_t bit = f ? spec_field_bit(f) : 0;

                if (is_queue ? queue : !f || (fields & bit))
                        *ret_wrong = true;
                if (!streq(entries[i].signature, is_queue ? "s" : f ? spec_type_signature(f->type) : ""))
                        *ret_wrong = true;
                queue = queue || is_queue;
                fields |= bit;
        }
        return fields;
}

static void check_refused(int r, const char *error, const Entry *entries, size_t n) {
        check(r == -EINVAL || r == -ERANGE || r == -E2BIG);
        check_message(error);
        for (size_t i = 0; i < n; i++) {
                char q[SPEC_QUOTE_MAX];

                if (strstr(error, spec_quote(q, entries[i].key, strlen(entries[i].key))))
                        return;
        }
        fprintf(stderr, "%s\n", error);
        abort();
}

static void read_request(sd_bus_message *m, const Entry *entries, size_t n) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t fields, expected;
        bool wrong;
        int r;

        expected = expect(entries, n, &wrong);
        r = spec_read_bus(m, s, &fields, &queue, &error);
        if (r < 0) {
                check_refused(r, error, entries, n);
                return;
        }
        check(!wrong && fields == expected && !error);
        check(!s->credentials == !s->secrets);
        if (spec_validate(s, NULL) >= 0) /* what is not valid need not be JSON: of a job 0, for one */
                there_and_back(s);
}

/* Where the command is an argument of the method, none may stand in the dictionary. */
static void read_behind_command(sd_bus_message *m) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t fields;

        check(spec_set_strv(s, spec_field_find("argv"), strv_copy((char *const[]) { (char *) "/bin/true", NULL }), NULL) >= 0);
        if (spec_read_bus(m, s, &fields, &queue, &error) >= 0)
                check(streq(*s->argv, "/bin/true") && !s->argv[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_message_new();
        _cleanup_free_ char *text = copy_text(data, size);
        Entry entries[64];
        size_t n = 0;
        char *p = text;

        check(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        for (char *line; n < ELEMENTSOF(entries) && (line = strsep(&p, "\n")); n++) {
                entries[n].key = next_word(&line);
                entries[n].signature = next_word(&line);
                entries[n].words = line;
                if (strlen(entries[n].signature) > SIGNATURE_MAX || !append_entry(m, entries[n]))
                        return 0; /* nobody can send that */
        }
        check(sd_bus_message_close_container(m) >= 0);
        bus_message_turn(m);
        read_request(m, entries, n);
        check(sd_bus_message_rewind(m, true) >= 0);
        read_behind_command(m);
        return 0;
}
