/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configuration files: what inih alone would cut, join or swallow arrives whole; what is wrong is refused
 * with its line; lookup, order, hiding and masking over three directories. */

#include "base/conf-file.h"
#include "base/strv.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

/* Every assignment becomes "line:Section.Key=value;" in one text, so that order is compared too. */
typedef struct Log {
        char *text;
        size_t n;
        FILE *f;
} Log;

static int on_assign(void *userdata,
                     const char *file,
                     unsigned line,
                     const char *section,
                     const char *key,
                     const char *value,
                     ConfError *error) {
        Log *log = userdata;

        if (streq(key, "Refuse"))
                return conf_error_set(error, file, line, "[%s] %s= is refused.", section, key);
        if (streq(key, "Memory"))
                return -ENOMEM;
        fprintf(log->f, "%u:%s.%s=%s;", line, section, key, value);
        return 0;
}

static void log_open(Log *log) {
        log->f = open_memstream(&log->text, &log->n);
        assert_non_null(log->f);
}

static void log_check(Log *log, const char *expect) {
        fclose(log->f);
        if (expect)
                assert_string_equal(log->text, expect);
        free(log->text);
}

/* Parse the text; compare return value, assignments (NULL: do not) and the error's line (0: no error
 * expected). */
static void check_n(const char *text, size_t n, int r, const char *expect, unsigned line) {
        _cleanup_fclose_ FILE *f = fmemopen((void *) text, n, "r");
        ConfError e = {};
        Log log;

        assert_non_null(f);
        log_open(&log);
        assert_int_equal(conf_parse_stream(f, "x.conf", on_assign, &log, &e), r);
        log_check(&log, expect);
        assert_int_equal(e.line, line);
        assert_int_equal(e.message != NULL, line > 0);
        if (line > 0)
                assert_string_equal(e.file, "x.conf");
        conf_error_done(&e);
        assert_null(e.message);
}

static void check(const char *text, const char *expect) {
        check_n(text, strlen(text), 0, expect, 0);
}

static void check_error(const char *text, const char *before, unsigned line) {
        check_n(text, strlen(text), -EBADMSG, before, line);
}

static void test_values(void **state) {
        check("\n", "");
        check("# only\n; comments\n", "");
        check("[A]\nKey=value\n", "2:A.Key=value;");
        check("[A]\nKey=value", "2:A.Key=value;"); /* no final newline */
        check("[A]\r\nKey=value\r\n", "2:A.Key=value;");
        check("  [A]  \n\t Key \t=\t value with  spaces \t\n", "2:A.Key=value with  spaces;");
        check("[A]\nKey=\n", "2:A.Key=;");
        check("[A]\nKey=", "2:A.Key=;");
        check("[A]\nKey= \t \n", "2:A.Key=;");
        check("[A]\nKey=a=b==c:d\n", "2:A.Key=a=b==c:d;");
        check("[A]\nK=2\nL=x\nK=1\nK=\nK=1\n",
              "2:A.K=2;3:A.L=x;4:A.K=1;5:A.K=;6:A.K=1;"); /* all, in order */
        check("[A]\nK=1\n[B]\nK=2\n[A]\nK=3\n[B]\n", "2:A.K=1;4:B.K=2;6:A.K=3;");
        check("[X-Section_1]\nX-Key_1=1\n", "2:X-Section_1.X-Key_1=1;");
        check("[A]\nK=Grüße, 世界 🚂\n", "2:A.K=Grüße, 世界 🚂;");
        check("\xef\xbb\xbf[A]\nK=1\n", "2:A.K=1;");           /* a BOM */
        check("[A]\nK=\xef\xbb\xbf\n", "2:A.K=\xef\xbb\xbf;"); /* not one */
        check("[A]\n  Indented=1\n  Again=2\n",
              "2:A.Indented=1;3:A.Again=2;"); /* no continuation in inih's sense */
        check("[A]\nK=\"quoted\" 'as is'\n", "2:A.K=\"quoted\" 'as is';");
}

static void test_comments(void **state) {
        check("[A]\n#K=1\n;K=2\n \t# K=3\n ; K=4\nK=5\n", "6:A.K=5;");
        check("[A]\nK=sh -c 'a ; b # c'\n", "2:A.K=sh -c 'a ; b # c';"); /* inih alone cuts at " ;" */
        check("[A]\nK=; all of it\nL=# this too\n", "2:A.K=; all of it;3:A.L=# this too;");
        check("[A] \nK=a\\;b\n", "2:A.K=a\\;b;");
}

static void test_continuation(void **state) {
        check("[A]\nK=one\\\ntwo\nL=x\n", "2:A.K=one two;4:A.L=x;");
        check("[A]\nK=one \\\n   two \\\n\tthree\n", "2:A.K=one  two  three;");
        check("[A]\nK=one\\\n# a comment\\\n; another\ntwo\nL=x\n", "2:A.K=one two;6:A.L=x;");
        check("[A]\nK=one\\\n\nL=x\n", "2:A.K=one;4:A.L=x;"); /* an empty line ends it */
        check("[A]\nK=one\\", "2:A.K=one;");
        check("[A]\nK=one\\\n", "2:A.K=one;");
        check("[A]\nK=one\\\n# end\n", "2:A.K=one;");
        check("[A]\nK=\\\none\n", "2:A.K=one;");
        check("[A]\nK\\\n=one\n", "2:A.K=one;");
        check("[A]\nK=one\\\\\nL=x\n", "2:A.K=one\\\\;3:A.L=x;"); /* an escaped one continues nothing */
        check("[A]\nK=one\\\\\\\ntwo\n", "2:A.K=one\\\\ two;");
        check("[A]\nK=one\\ \nL=x\n", "2:A.K=one\\;3:A.L=x;"); /* white space behind it: neither */
        check("[A]\r\nK=one\\\r\ntwo\r\n", "2:A.K=one two;");
        check("[A]\nK=one\\\n[B]\nL=x\n", "2:A.K=one [B];4:A.L=x;");
        check("\\\n[A]\nK=1\n", "3:A.K=1;");
        check("# no continuation \\\n[A]\nK=1\n", "3:A.K=1;");
        check_error("[A]\nK=one\\\ntwo\\\nthree\nnothing\n", "2:A.K=one two three;", 5);
        check_error("[A]\nK=1\nnothing\\\nmore\n", "2:A.K=1;", 3); /* the line where it begins */
}

static void test_errors(void **state) {
        check_error("K=1\n", "", 1);
        check_error("\n\n# x\nK=1\n[A]\n", "", 4);
        check_error("[A]\nK=1\nnonsense\nL=2\n", "2:A.K=1;", 3); /* nothing is assigned behind it */
        check_error("[A]\n=1\n", "", 2);
        check_error("[A]\nK 2=1\n", "", 2);
        check_error("[A]\nK:x=1\n", "", 2); /* inih alone would take K */
        check_error("[A]\nKey : value\n", "", 2);
        check_error("[A]\nK ;x=1\n", "", 2);
        check_error("[A]\nK[de]=1\n", "", 2);
        check_error("[A]\nSchlüssel=1\n", "", 2);
        check_error("[A\nK=1\n", "", 1);
        check_error("[]\nK=1\n", "", 1);
        check_error("[A]x\nK=1\n", "", 1);
        check_error("[A] # comment\nK=1\n", "", 1);
        check_error("[A]]\nK=1\n", "", 1);
        check_error("[A B]\nK=1\n", "", 1);
        check_error("[", "", 1);
        check_error("[A]\nK=1\n[B\nK=2\n", "2:A.K=1;", 3);
        check_error("[A]\nK=\xff\n", "", 2);
        check_error("[A]\nK=a\\\n\xc3\n", "", 2);
        check_n("[A]\nK=1\nL=a\0b\nM=1\n", 18, -EBADMSG, "2:A.K=1;", 3);
        check_n("[A]\nL=a\0b", 9, -EBADMSG, "", 2);
        /* inih would cut these names without a word. */
        check("[A]\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=1\n",
              "2:A.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=1;");
        check("[AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]\nK=1\n",
              "2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.K=1;");
        check_error("[A]\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=1\n", "", 2);
        check_error("[AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA]\nK=1\n", "", 1);
}

static void test_handler_errors(void **state) {
        check_error("[A]\nK=1\nRefuse=1\nL=2\n", "2:A.K=1;", 3);
        check_n("[A]\nK=1\nMemory=1\nRefuse=1\n", 26, -ENOMEM, "2:A.K=1;", 0);

        /* The first error is kept; none is needed. */
        ConfError e = {};
        assert_int_equal(conf_error_set(&e, "a", 1, "first %i", 1), -EBADMSG);
        assert_int_equal(conf_error_set(&e, "b", 2, "second"), -EBADMSG);
        assert_string_equal(e.file, "a");
        assert_string_equal(e.message, "first 1");
        assert_int_equal(e.line, 1);
        conf_error_done(&e);
        assert_int_equal(conf_error_set(NULL, "b", 2, "nobody listens"), -EBADMSG);
}

/* "[A]\nK=" and n bytes of value, with a "\\\n" after each so many (0: none), then a good and a bad line. */
static char *long_text(size_t n, size_t every, size_t *ret_lines) {
        _cleanup_free_ char *text = NULL;
        size_t size, lines = 3;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        fputs("[A]\nK=", f);
        for (size_t i = 0; i < n; i++) {
                fputc('a' + (int) (i % 26), f);
                if (every > 0 && i % every == every - 1 && i + 1 < n) {
                        fputs("\\\n", f);
                        lines++;
                }
        }
        fputs("\nL=1\nbad", f);
        fclose(f);
        *ret_lines = lines;
        return TAKE_PTR(text);
}

typedef struct Sizes {
        size_t k, l;
} Sizes;

static int on_sizes(void *userdata,
                    const char *file,
                    unsigned line,
                    const char *section,
                    const char *key,
                    const char *value,
                    ConfError *error) {
        Sizes *sizes = userdata;

        *(streq(key, "K") ? &sizes->k : &sizes->l) += strlen(value);
        /* Letters in a row; a continuation puts a space between two. */
        for (const char *p = value, *before = p; streq(key, "K") && *p; p++)
                if (*p != ' ') {
                        if (p > value && *p != 'a' + (*before - 'a' + 1) % 26)
                                fail_msg("torn at byte %zi", p - value);
                        before = p;
                }
        return 0;
}

static void check_long(size_t n, size_t every, size_t expect_k, size_t expect_l, unsigned error_line) {
        size_t lines;
        _cleanup_free_ char *text = long_text(n, every, &lines);
        _cleanup_fclose_ FILE *f = fmemopen(text, strlen(text), "r");
        ConfError e = {};
        Sizes sizes = {};

        assert_int_equal(conf_parse_stream(f, "long", on_sizes, &sizes, &e), -EBADMSG);
        assert_int_equal(sizes.k, expect_k);
        assert_int_equal(sizes.l, expect_l);
        assert_int_equal(e.line, error_line ?: lines + 1);
        conf_error_done(&e);
}

static void test_long_lines(void **state) {
        static const size_t lengths[] = { 190, 194, 195, 196, 197, 198,  199,
                                          200, 201, 202, 398, 400, 4096, 65536 };

        FOREACH_ELEMENT(n, lengths)
                check_long(*n, 0, *n, 1, 0);
        check_long(CONF_LINE_MAX - 2, 0, CONF_LINE_MAX - 2, 1, 0); /* with "K=" just as long as may be */
        check_long(CONF_LINE_MAX - 1, 0, 0, 0, 2);
        check_long(10 * CONF_LINE_MAX, 0, 0, 0, 2);
        /* Continued: every joint counts as one space; the limit is that of the whole. */
        check_long(1000, 100, 1009, 1, 0);
        check_long(512 * 1024, 1024, 512 * 1024 + 511, 1, 0);
        check_long(2 * CONF_LINE_MAX, 1024, 0, 0, 2 + 1022);
}

/* A line without end must not take memory without end. */
static void test_endless(void **state) {
        _cleanup_fclose_ FILE *f = fopen("/dev/zero", "re");
        ConfError e = {};

        assert_int_equal(conf_parse_stream(f, "zero", on_assign, NULL, &e), -EBADMSG);
        assert_int_equal(e.line, 1);
        conf_error_done(&e);
}

static int on_count(void *userdata, const char *file, unsigned line, const char *section, const char *key,
                    const char *value, ConfError *error) {
        (*(size_t *) userdata)++;
        return 0;
}

/* Nor may a file of short lines. */
static void test_large(void **state) {
        _cleanup_free_ char *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size, n = 0, want = CONF_FILE_MAX / 4;
        ConfError e = {};
        FILE *w = open_memstream(&text, &size);

        assert_non_null(w);
        fputs("[A]\n", w);
        for (size_t i = 0; i < want + 10; i++)
                fputs("K=1\n", w);
        fclose(w);
        f = fmemopen(text, size, "r");
        assert_int_equal(conf_parse_stream(f, "large", on_count, &n, &e), -EBADMSG);
        assert_string_equal(e.message, "File is too large.");
        assert_true(n > want / 2 && n < want + 10);
        conf_error_done(&e);
}

typedef struct Told {
        char *text;
        size_t n;
        FILE *f;
} Told;

static void on_told(ConfError *e) {
        Told *t = e->userdata;

        fprintf(t->f, "%u:%s;", e->line, e->message);
}

/* All that is wrong, not just the first; what is good is still read. */
static void test_tell(void **state) {
        static const char text[] = "K=0\n[A]\nK=1\nnonsense\n[B\nRefuse=1\nK=\xff\n[]\nbad key=1\nK=2\n";
        _cleanup_fclose_ FILE *f = fmemopen((void *) text, strlen(text), "r");
        Told told = {};
        ConfError e = { .tell = on_told, .userdata = &told };
        Log log;

        log_open(&log);
        told.f = open_memstream(&told.text, &told.n);
        assert_int_equal(conf_parse_stream(f, "x", on_assign, &log, &e), 0);
        log_check(&log, "3:A.K=1;10:A.K=2;");
        fclose(told.f);
        assert_string_equal(told.text, "1:'K=' outside of a section.;4:Missing '='.;5:Invalid section header.;"
                                       "6:[A] Refuse= is refused.;7:Line is not valid UTF-8.;8:Invalid section header.;"
                                       "9:Invalid key 'bad key'.;");
        free(told.text);
        assert_null(e.message);
}

static uint32_t any(uint32_t *seed) {
        *seed = *seed * 1664525U + 1013904223U;
        return *seed >> 8;
}

static int on_any(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                  ConfError *error) {
        assert_true(*section && *key && strlen(section) < 50 && strlen(key) < 50);
        assert_null(strpbrk(value, "\n"));
        assert_true(line > 0 && strspn(value, " \t") == 0);
        return strlen(value) % 7 == 6 ? conf_error_set(error, file, line, "seven") : 0;
}

/* Whatever the bytes are: nothing breaks (the sanitizers watch), and what is said is that all is well or that a line is bad. */
static void test_random(void **state) {
        static const char *const words[] = { "[A]\n", "[", "]", "K=", "=", "\n", "\\\n", "\r\n", "#", ";", " ", "value",
                                             "\xef\xbb\xbf", "\xff", "\xc3\xa4", "\\", "\t", "K=1\n" };
        uint32_t seed = 4711;

        for (unsigned i = 0; i < 20000; i++) {
                char text[256];
                size_t n = 0, length = 1 + any(&seed) % 200;
                ConfError e = {};

                while (n < length)
                        if (any(&seed) % 8 == 0)
                                text[n++] = (char) any(&seed);
                        else {
                                const char *w = words[any(&seed) % ELEMENTSOF(words)];
                                memcpy(text + n, w, strlen(w));
                                n += strlen(w);
                        }
                FILE *f = fmemopen(text, n, "r");
                int r = conf_parse_stream(f, "random", on_any, NULL, &e);
                fclose(f);
                assert_true(r == 0 || r == -EBADMSG);
                assert_int_equal(e.message != NULL, r != 0);
                conf_error_done(&e);
        }
}

/* ---- files ---- */

static char root[] = "/tmp/test-conf-file-XXXXXX";
static char *directories[4]; /* etc, run, usr/lib: the first wins */

static char *make_path(const char *name) {
        char *path;

        assert_true(asprintf(&path, "%s/%s", root, name) > 0);
        for (char *p = path + sizeof(root); (p = strchr(p, '/')); *p++ = '/') {
                *p = '\0';
                assert_true(mkdir(path, 0755) >= 0 || errno == EEXIST);
        }
        return path;
}

static void put(const char *name, const char *content) {
        _cleanup_free_ char *path = make_path(name);
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        assert_non_null(f);
        fputs(content, f);
}

static void put_link(const char *name, const char *target) {
        _cleanup_free_ char *path = make_path(name);

        assert_int_equal(symlink(target, path), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int setup(void **state) {
        static const char *const names[] = { "etc/", "run/", "usr/lib/" };

        strcpy(root + sizeof(root) - 7, "XXXXXX");
        assert_non_null(mkdtemp(root));
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                directories[i] = make_path(names[i]);
                directories[i][strlen(directories[i]) - 1] = '\0';
        }
        return 0;
}

static int teardown(void **state) {
        for (size_t i = 0; i < 3; i++)
                directories[i] = mfree(directories[i]);
        return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void check_files(const char *name, const char *expect) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_int_equal(conf_files_for(directories, name, &l), 0);
        STRV_FOREACH(i, l) {
                const char *rest = startswith(*i, root);

                assert_non_null(rest);
                memmove(*i, rest + 1, strlen(rest));
        }
        joined = strv_join(l, " ");
        assert_string_equal(joined, expect);
}

static void check_names(const char *subdir, const char *suffix, const char *expect) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_int_equal(conf_list_names(directories, subdir, suffix, &l), 0);
        joined = strv_join(l, " ");
        assert_string_equal(joined, expect);
}

static void check_object(const char *name, int r, const char *expect) {
        ConfError e = {};
        Log log;

        log_open(&log);
        assert_int_equal(conf_parse_object(directories, name, on_assign, &log, NULL, &e), r);
        log_check(&log, expect);
        assert_int_equal(e.message != NULL, r < 0);
        conf_error_done(&e);
}

static void test_lookup(void **state) {
        check_files("queues/a.queue", "");
        check_object("queues/a.queue", 1, "");

        put("usr/lib/queues/a.queue", "[Q]\nK=usr\n");
        check_files("queues/a.queue", "usr/lib/queues/a.queue");
        put("run/queues/a.queue", "[Q]\nK=run\n");
        put("etc/queues/a.queue", "[Q]\n\nK=etc\n");
        check_files("queues/a.queue", "etc/queues/a.queue");
        check_object("queues/a.queue", 0, "3:Q.K=etc;");

        /* A dangling link is no file. */
        put_link("etc/queues/b.queue", "/nowhere/at/all");
        put("usr/lib/queues/b.queue", "[Q]\nK=b\n");
        check_files("queues/b.queue", "usr/lib/queues/b.queue");
        check_files("nowhere/b.queue", "");
        check_files("queues/a.queue/x", "");

        char *none[] = { NULL };
        _cleanup_strv_free_ char **l = NULL;
        assert_int_equal(conf_files_for(none, "queues/a.queue", &l), 0);
        assert_int_equal(strv_length(l), 0);
}

static void test_dropins(void **state) {
        put("usr/lib/queues/a.queue", "[Q]\nK=main\n");
        put("etc/queues/a.queue.d/20-b.conf", "[Q]\nK=etc20b\n");
        put("etc/queues/a.queue.d/50.conf", "[Q]\nK=etc50\n");
        put("run/queues/a.queue.d/10.conf", "[Q]\nK=run10\n");
        put("run/queues/a.queue.d/50.conf", "[Q]\nK=hidden\n");
        put("usr/lib/queues/a.queue.d/20-a.conf", "[Q]\nK=usr20a\n");
        put("usr/lib/queues/a.queue.d/10.conf", "[Q]\nK=hidden\n");
        put("usr/lib/queues/a.queue.d/99.conf", "[Q]\nK=usr99\n");
        /* None of these is read. */
        put("etc/queues/a.queue.d/.60.conf", "[Q]\nK=dot\n");
        put("etc/queues/a.queue.d/60.conf~", "[Q]\nK=backup\n");
        put("etc/queues/a.queue.d/60.conf.rpmnew", "[Q]\nK=new\n");
        put("etc/queues/ab.queue.d/60.conf", "[Q]\nK=other\n");
        put("etc/queues/a.queue.d/README", "no configuration");

        check_files("queues/a.queue",
                    "usr/lib/queues/a.queue run/queues/a.queue.d/10.conf usr/lib/queues/a.queue.d/20-a.conf "
                    "etc/queues/a.queue.d/20-b.conf etc/queues/a.queue.d/50.conf "
                    "usr/lib/queues/a.queue.d/99.conf");
        check_object("queues/a.queue", 0,
                     "2:Q.K=main;2:Q.K=run10;2:Q.K=usr20a;2:Q.K=etc20b;2:Q.K=etc50;2:Q.K=usr99;");

        /* A drop-in alone makes an object. */
        check_files("queues/ab.queue", "etc/queues/ab.queue.d/60.conf");
        check_object("queues/ab.queue", 0, "2:Q.K=other;");
        check_names("queues", ".queue", "a ab");
}

static void test_masking(void **state) {
        put("usr/lib/queues/null.queue", "[Q]\nK=1\n");
        put("usr/lib/queues/null.queue.d/10.conf", "[Q]\nK=2\n");
        put_link("etc/queues/null.queue", "/dev/null");
        put("usr/lib/queues/empty.queue", "[Q]\nK=1\n");
        put("run/queues/empty.queue", "");
        put("etc/queues/late.queue", "[Q]\nK=1\n");
        put_link("run/queues/late.queue", "/dev/null"); /* too late, the first directory has one */
        check_object("queues/null.queue", 1, "");
        check_object("queues/empty.queue", 1, "");
        check_object("queues/late.queue", 0, "2:Q.K=1;");
        check_names("queues", ".queue", "late");

        /* A drop-in is masked by its name. */
        put("usr/lib/queues/late.queue.d/10.conf", "[Q]\nK=10\n");
        put("usr/lib/queues/late.queue.d/20.conf", "[Q]\nK=20\n");
        put("usr/lib/queues/late.queue.d/30.conf", "[Q]\nK=30\n");
        put_link("etc/queues/late.queue.d/10.conf", "/dev/null");
        put("run/queues/late.queue.d/20.conf", "");
        check_object("queues/late.queue", 0, "2:Q.K=1;2:Q.K=30;");
        check_files("queues/late.queue", "etc/queues/late.queue usr/lib/queues/late.queue.d/30.conf");

        /* Nothing but masked drop-ins is nothing. A masked main file leaves the drop-ins to those who want them. */
        put("usr/lib/queues/none.queue.d/10.conf", "[Q]\nK=10\n");
        put_link("run/queues/none.queue.d/10.conf", "/dev/null");
        check_object("queues/none.queue", 1, "");
        check_names("queues", ".queue", "late");
        _cleanup_strv_free_ char **l = NULL;
        assert_int_equal(conf_files_for(directories, "queues/null.queue", &l), 1);
        assert_int_equal(strv_length(l), 1);
}

static void test_list_names(void **state) {
        check_names("queues", ".queue", "");
        put("usr/lib/queues/zeta.queue", "[Q]\n");
        put("run/queues/alpha.queue", "[Q]\n");
        put("etc/queues/mid-dle.queue", "[Q]\n");
        put("etc/queues/alpha.queue", "[Q]\n");
        put("etc/queues/.hidden.queue", "[Q]\n");
        put("etc/queues/note.txt", "[Q]\n");
        put("etc/queues/old.queue~", "[Q]\n");
        put_link("etc/queues/dangling.queue", "/nowhere/at/all");
        check_names("queues", ".queue", "alpha mid-dle zeta");
        check_names("jobs", ".job", "");
}

static void test_bad_files(void **state) {
        _cleanup_free_ char *path = NULL;
        ConfError e = {};
        Log log;

        put("etc/queues/a.queue", "[Q]\nK=1\n");
        put("etc/queues/a.queue.d/10.conf", "[Q]\nK=2\nnonsense\n");
        put("etc/queues/a.queue.d/20.conf", "[Q]\nK=3\n");

        log_open(&log);
        assert_int_equal(conf_parse_object(directories, "queues/a.queue", on_assign, &log, NULL, &e), -EBADMSG);
        log_check(&log, "2:Q.K=1;2:Q.K=2;");
        assert_non_null(endswith(e.file, "/etc/queues/a.queue.d/10.conf"));
        assert_int_equal(e.line, 3);
        conf_error_done(&e);

        /* A directory where a file should be: the errno, and the error names it. */
        path = make_path("etc/queues/dir.queue/");
        path[strlen(path) - 1] = '\0';
        log_open(&log);
        assert_int_equal(conf_parse_object(directories, "queues/dir.queue", on_assign, &log, NULL, &e), -EISDIR);
        log_check(&log, "");
        assert_string_equal(e.file, path);
        conf_error_done(&e);

        /* A link that leads in a circle cannot be looked at, and no lower directory may step in. */
        put_link("etc/queues/loop.queue", "loop.queue");
        put("run/queues/loop.queue", "[Q]\nK=1\n");
        assert_int_equal(conf_parse_object(directories, "queues/loop.queue", on_assign, NULL, NULL, NULL), -ELOOP);

        /* No FIFO, and nothing may block. A device is masked, whatever it would give. */
        path = mfree(path);
        path = make_path("etc/queues/fifo.queue");
        assert_int_equal(mkfifo(path, 0600), 0);
        log_open(&log);
        assert_int_equal(conf_parse_object(directories, "queues/fifo.queue", on_assign, &log, NULL, &e), -EBADMSG);
        log_check(&log, "");
        assert_string_equal(e.message, "Not a regular file.");
        conf_error_done(&e);
        put_link("etc/queues/zero.queue", "/dev/zero");
        check_object("queues/zero.queue", 1, "");
        assert_int_equal(conf_parse_file("/dev/zero", on_assign, NULL, NULL), 0);

        /* Loops among drop-ins, a directory among them. */
        put("etc/queues/c.queue", "[Q]\nK=1\n");
        put_link("etc/queues/c.queue.d/10.conf", "10.conf");
        check_object("queues/c.queue", -ELOOP, "2:Q.K=1;");
        put("etc/queues/d.queue", "[Q]\nK=1\n");
        put("etc/queues/d.queue.d/10.conf/x.conf", "[Q]\nK=2\n");
        check_object("queues/d.queue", -EISDIR, "2:Q.K=1;");

        /* A drop-in directory that is a file is none. */
        put("etc/queues/b.queue", "[Q]\nK=1\n");
        put("etc/queues/b.queue.d", "a file");
        check_object("queues/b.queue", 0, "2:Q.K=1;");
}

static void test_unreadable(void **state) {
        static const char *const names[] = { "run/queues/a.queue.d/10.conf", "etc/queues/a.queue" };
        static const char *const before[] = { "2:Q.K=1;", "" };
        bool privileged = geteuid() == 0; /* root reads everything */

        put("etc/queues/a.queue", "[Q]\nK=1\n");
        put("run/queues/a.queue.d/10.conf", "[Q]\nK=2\n");
        assert_int_equal(chmod(root, 0755), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *path = make_path(names[i]);

                assert_int_equal(chmod(path, 0), 0);
                assert_true(!privileged || seteuid(65534) >= 0);
                check_object("queues/a.queue", -EACCES, before[i]);
                assert_true(!privileged || seteuid(0) >= 0);
        }
}

/* Files that go away between the listing and the reading: the assignment of one removes the next. */
static int on_assign_remove(void *userdata,
                            const char *file,
                            unsigned line,
                            const char *section,
                            const char *key,
                            const char *value,
                            ConfError *error) {
        Log *log = userdata;
        _cleanup_free_ char *path = make_path("run/queues/a.queue.d/20.conf");

        assert_true(unlink(path) >= 0 || errno == ENOENT);
        return on_assign(log, file, line, section, key, value, error);
}

static void test_vanishing(void **state) {
        ConfError e = {};
        Log log;

        put("etc/queues/a.queue", "[Q]\nK=1\n");
        put("run/queues/a.queue.d/20.conf", "[Q]\nK=gone\n");
        put("run/queues/a.queue.d/30.conf", "[Q]\nK=3\n");
        put_link("run/queues/a.queue.d/40.conf", "/nowhere/at/all");
        log_open(&log);
        assert_int_equal(conf_parse_object(directories, "queues/a.queue", on_assign_remove, &log, NULL, &e), 0);
        log_check(&log, "2:Q.K=1;2:Q.K=3;");
        assert_null(e.message);

        assert_int_equal(conf_parse_file("/nowhere/at/all", on_assign, NULL, &e), -ENOENT);
        assert_null(e.message);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_comments),
                cmocka_unit_test(test_continuation),
                cmocka_unit_test(test_errors),
                cmocka_unit_test(test_handler_errors),
                cmocka_unit_test(test_long_lines),
                cmocka_unit_test(test_endless),
                cmocka_unit_test(test_large),
                cmocka_unit_test(test_tell),
                cmocka_unit_test(test_random),
                cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
                cmocka_unit_test_setup_teardown(test_dropins, setup, teardown),
                cmocka_unit_test_setup_teardown(test_masking, setup, teardown),
                cmocka_unit_test_setup_teardown(test_list_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
                cmocka_unit_test_setup_teardown(test_vanishing, setup, teardown),
        };

        return cmocka_run_group_tests_name("conf-file", tests, NULL, NULL);
}
