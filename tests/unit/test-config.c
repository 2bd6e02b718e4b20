/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queue files into policies: what each key takes, what an error says, what stays when a file is bad or gone, and that what
 * a reload changes reaches the windows and slot numbers of the whole subtree. */

#include "model-util.h"

#include "base/log.h"
#include "daemon/config.h"

#include <sys/stat.h>

typedef struct Tree {
        char *path;
        char **directories;
        Model *m;
        char *error;
        char **files; /* to be removed, the newest first */
} Tree;

static int setup(void **state) {
        Tree *t = new0(Tree, 1);

        assert_non_null(t);
        t->path = strdup("/tmp/test-config-XXXXXX");
        assert_non_null(mkdtemp(t->path));
        assert_int_equal(strv_extendf(&t->directories, "%s/etc", t->path), 0);
        assert_int_equal(strv_extendf(&t->directories, "%s/usr", t->path), 0);
        t->m = make_model();
        *state = t;
        return 0;
}

static int teardown(void **state) {
        Tree *t = *state;

        for (size_t n = strv_length(t->files); n-- > 0;)
                (void) remove(t->files[n]);
        assert_int_equal(rmdir(t->path), 0);
        model_free(t->m);
        strv_free(t->files);
        strv_free(t->directories);
        free(t->error);
        free(t->path);
        free(t);
        return 0;
}

/* FILE below the directory of the test, with all directories that it needs. */
static void put(Tree *t, const char *file, const char *text) {
        _cleanup_free_ char *path = NULL;
        FILE *f;

        assert_true(asprintf(&path, "%s/%s", t->path, file) > 0);
        for (char *p = strchr(path + strlen(t->path) + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = 0;
                if (mkdir(path, 0755) == 0)
                        assert_int_equal(strv_extend(&t->files, path), 0);
                *p = '/';
        }
        if (access(path, F_OK) < 0)
                assert_int_equal(strv_extend(&t->files, path), 0);
        f = fopen(path, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static void drop(Tree *t, const char *file) {
        _cleanup_free_ char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", t->path, file) > 0);
        assert_int_equal(unlink(path), 0);
}

/* said: NULL, all is well; else it is in the error. */
static void load(Tree *t, const char *said) {
        t->error = mfree(t->error);
        assert_int_equal(config_load_queues(t->m, NULL, t->directories, &t->error), 0);
        if (!said && t->error)
                fail_msg("%s", t->error);
        if (said && (!t->error || !strstr(t->error, said)))
                fail_msg("'%s' is not in: %s", said, t->error ?: "(no error)");
}

static Queue *queue(Tree *t, const char *name) {
        Queue *q = model_queue(t->m, name);

        assert_non_null(q);
        return q;
}

static const QueuePolicy *policy(Tree *t, const char *name) {
        return &queue(t, name)->policy;
}

static void test_all_keys(void **state) {
        Tree *t = *state;
        const QueuePolicy *p;

        put(t, "usr/queues/gpu-train.queue",
            "# a comment\n[Queue]\nSlots=4\nSlotVariable=CUDA_VISIBLE_DEVICES\nAllowUsers=alice 1000 *\nAllowUsers=bob\n"
            "AllowGroups=video\nMaxQueued=50\nMaxQueuedPerUser=0\nTimeoutSec=1h 30s\nStopTimeoutSec=5\nOverride=MemoryMax Nice\nPaused=yes\n"
            "[Slice]\nMemoryMax=1G\n[Service]\nNice=5\nUser=nobody\n");
        load(t, NULL);
        p = &queue(t, "gpu-train")->policy;
        assert_int_equal(p->slots, 4);
        assert_string_equal(p->slot_variable, "CUDA_VISIBLE_DEVICES");
        assert_int_equal(strv_length(p->allow_users), 4);
        assert_string_equal(p->allow_users[3], "bob");
        assert_string_equal(p->allow_groups[0], "video");
        assert_true(p->timeout_usec == 3630 * SEC);
        assert_true(p->stop_timeout_usec == 5 * SEC);
        assert_string_equal(p->overridable[1], "Nice");
        assert_true(p->queued_max == 50 && p->queued_per_user_max == 0);
        assert_int_equal(p->slice.n_values, 1);
        assert_true(unit_property_list_find(&p->slice, "MemoryMax")->u64 == UINT64_C(1) << 30);
        assert_int_equal(unit_property_list_find(&p->service, "Nice")->i32, 5);
        assert_non_null(unit_property_list_find(&p->service, "User")); /* files may */
        assert_true(queue(t, "gpu-train")->configured);
        assert_true(queue(t, "gpu-train")->paused);
        assert_true(queue(t, "gpu-train")->changed); /* a pause is recorded */
        /* The ancestor came with it, uncapped. */
        assert_false(queue(t, "gpu")->configured);
        assert_int_equal(queue(t, "gpu")->policy.slots, UINT32_MAX);
        assert_false(queue(t, "gpu")->paused);
}

static void test_defaults(void **state) {
        static const char *const names[] = { "q", "empty" };
        Tree *t = *state;
        const QueuePolicy *p;

        /* Set, and reset by a drop-in; of drop-ins the one in the first directory. */
        put(t, "usr/queues/q.queue",
            "[Queue]\nSlots=4\nSlotVariable=X\nAllowUsers=a b\nAllowGroups=c\nTimeoutSec=1\nStopTimeoutSec=1\nOverride=Nice\n"
            "Paused=yes\nMaxQueued=1\nMaxQueuedPerUser=2\n");
        put(t, "usr/queues/q.queue.d/10.conf",
            "[Queue]\nSlots=\nSlotVariable=\nAllowUsers=\nAllowGroups=\nTimeoutSec=\nStopTimeoutSec=\nOverride=\nPaused=\n"
            "MaxQueued=infinity\nMaxQueuedPerUser=\n");
        put(t, "usr/queues/empty.queue", "\n");
        load(t, NULL);
        FOREACH_ELEMENT(name, names) {
                p = &queue(t, *name)->policy;
                assert_int_equal(p->slots, UINT32_MAX);
                assert_null(p->slot_variable);
                assert_null(p->allow_users);
                assert_null(p->allow_groups);
                assert_null(p->overridable);
                assert_true(p->timeout_usec == USEC_INFINITY && p->stop_timeout_usec == USEC_INFINITY);
                assert_true(p->queued_max == UINT64_MAX && p->queued_per_user_max == UINT64_MAX);
                assert_true(queue(t, *name)->configured);
                assert_false(queue(t, *name)->paused);
        }
        put(t, "etc/queues/q.queue.d/10.conf", "[Queue]\nSlots=9\n");
        load(t, NULL);
        assert_int_equal(queue(t, "q")->policy.slots, 9);
        assert_string_equal(queue(t, "q")->policy.slot_variable, "X");
        put(t, "etc/queues/q.queue", "[Queue]\nSlots=7\n");
        drop(t, "etc/queues/q.queue.d/10.conf");
        drop(t, "usr/queues/q.queue.d/10.conf");
        load(t, NULL);
        assert_int_equal(queue(t, "q")->policy.slots, 7);
        assert_null(queue(t, "q")->policy.slot_variable);
}

static void test_slots(void **state) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        const struct {
                const char *value;
                uint32_t slots; /* 0: refused */
        } cases[] = {
                { "1", 1 },     { "65536", 65536 },  { "", UINT32_MAX },      { "0", 0 },       { "65537", 0 },
                { "-1", 0 },    { "4294967297", 0 }, { "1.5", 0 },            { "4 slots", 0 }, { "max", 0 },
                { "0x4", 0 },   { "%", 0 },          { "4294967295%", 0 },    { "50.5%", 0 },   { "-5%", 0 },
                { "100%", (uint32_t) cpus },         { "200%", (uint32_t) cpus * 2 },
                { "1%", MAX((uint32_t) cpus / 100, 1U) },                     { "50%", MAX((uint32_t) cpus / 2, 1U) },
        };
        Tree *t = *state;

        FOREACH_ELEMENT(c, cases) {
                _cleanup_free_ char *text = NULL, *name = NULL, *file = NULL;

                /* Each has a queue of its own, or the last good one would count. */
                assert_true(asprintf(&name, "q%zu", (size_t) (c - cases)) > 0);
                assert_true(asprintf(&file, "etc/queues/%s.queue", name) > 0);
                assert_true(asprintf(&text, "[Queue]\nSlots=%s\n", c->value) > 0);
                put(t, file, text);
                load(t, c->slots > 0 ? NULL : "[Queue] Slots=: '");
                if (c->slots > 0 ? queue(t, name)->policy.slots != c->slots : queue(t, name)->configured)
                        fail_msg("Slots=%s is %" PRIu32, c->value, queue(t, name)->policy.slots);
                drop(t, file);
        }
}

static void test_slot_variable(void **state) {
        static const char *const good[] = { "CUDA_VISIBLE_DEVICES", "_", "A1", "PATHS", "HOMES", "LD", "_LD_", "JOBMILL" };
        static const char *const bad[] = { "PATH", "HOME", "LD_PRELOAD", "LD_", "JOBMILL_SLOTS", "JOBMILL_", "1A", "a",
                                           "A-B", "A=B", "A B", "Ä" };
        Tree *t = *state;

        FOREACH_ELEMENT(v, good) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "[Queue]\nSlotVariable=%s\n", *v) > 0);
                put(t, "etc/queues/q.queue", text);
                load(t, NULL);
                assert_string_equal(queue(t, "q")->policy.slot_variable, *v);
        }
        FOREACH_ELEMENT(v, bad) {
                _cleanup_free_ char *text = NULL;

                assert_true(asprintf(&text, "[Queue]\n\nSlotVariable=%s\n", *v) > 0);
                put(t, "etc/queues/q.queue", text);
                load(t, "q.queue:3: [Queue] SlotVariable=: '");
                assert_string_equal(queue(t, "q")->policy.slot_variable, "JOBMILL"); /* the last good one */
        }
}

static void test_errors(void **state) {
        static const struct {
                const char *text, *said;
        } cases[] = {
                { "[Queue]\nSlots=4\nSlotz=3\n", "/etc/queues/q.queue:3: [Queue] Slotz=: unknown key" },
                { "[Queue]\nslots=4\n", ":2: [Queue] slots=: unknown key" },
                { "[Queues]\nSlots=4\n", ":2: [Queues]: unknown section" },
                { "Slots=4\n", ":1: 'Slots=' outside of a section" },
                { "[Queue\n", ":1: Invalid section header" },
                { "[Queue]\nSlots\n", ":2: Missing '='" },
                { "[Queue]\nTimeoutSec=soon\n", ":2: [Queue] TimeoutSec=: 'soon' is not allowed (a time span of at least 1ms, or infinity)" },
                { "[Queue]\nTimeoutSec=0\n", ":2: [Queue] TimeoutSec=: '0'" },
                { "[Queue]\nStopTimeoutSec=infinity\n", ":2: [Queue] StopTimeoutSec=: 'infinity' is not allowed" },
                { "[Queue]\nStopTimeoutSec=-1\n", ":2: [Queue] StopTimeoutSec=: '-1'" },
                { "[Queue]\nMaxQueued=-1\n", ":2: [Queue] MaxQueued=: '-1' is not allowed (a number, or infinity)" },
                { "[Queue]\nMaxQueuedPerUser=x\n", ":2: [Queue] MaxQueuedPerUser=: 'x' is not allowed" },
                { "[Queue]\nBackoffMaxSec=1s\nBackoffBaseSec=1h\n", "/q.queue: [Queue] BackoffMaxSec= is less than BackoffBaseSec=" },
                { "[Queue]\nPaused=perhaps\n", ":2: [Queue] Paused=: 'perhaps' is not allowed (a boolean)" },
                { "[Queue]\nAllowUsers=a\x01\n", ":2: [Queue] AllowUsers=:" },
                { "[Slice]\nMemoryMax=much\n", ":2: [Slice] MemoryMax=" },
                { "[Slice]\nNice=5\n", ":2: [Slice] Nice=" },           /* is not for slices */
                { "[Service]\n\nExecStart=/bin/sh\n", ":3: [Service] ExecStart=" }, /* ours */
                { "[Service]\nSlice=system.slice\n", ":2: [Service] Slice=" },
                { "[Service]\nNoSuchThing=1\n", ":2: [Service] NoSuchThing=" },
                { "[Queue]\nSlots=\\\n\\\nno\n", ":2: [Queue] Slots=: 'no'" }, /* where the line begins */
        };
        Tree *t = *state;

        put(t, "etc/queues/q.queue", "[Queue]\nSlots=3\nAllowUsers=alice\n[Slice]\nMemoryMax=1G\n");
        load(t, NULL);
        FOREACH_ELEMENT(c, cases) {
                put(t, "etc/queues/q.queue", c->text);
                load(t, c->said);
                assert_non_null(strstr(t->error, t->path));
                assert_non_null(strstr(t->error, "keeps what it had"));
                /* All of it is what it was. */
                assert_true(queue(t, "q")->configured);
                assert_false(queue(t, "q")->broken);
                assert_int_equal(queue(t, "q")->policy.slots, 3);
                assert_string_equal(queue(t, "q")->policy.allow_users[0], "alice");
                assert_int_equal(queue(t, "q")->policy.slice.n_values, 1);
        }
        /* Whichever is said first. */
        put(t, "etc/queues/q.queue", "[Queue]\nBackoffBaseSec=1h\nBackoffMaxSec=2h\nBackoffBaseSec=3h\nBackoffMaxSec=4h\nSlots=5\n");
        load(t, NULL);
        assert_int_equal(queue(t, "q")->policy.slots, 5);
        assert_null(queue(t, "q")->policy.allow_users);

        /* The drop-in is named, not the file; the first error is told, the others are read all the same. */
        put(t, "usr/queues/q.queue.d/x.conf", "[Queue]\nSlots=x\n");
        put(t, "usr/queues/r.queue", "[Queue]\nSlots=y\n");
        put(t, "usr/queues/s.queue", "[Queue]\nSlots=1\n");
        load(t, "/usr/queues/q.queue.d/x.conf:2: [Queue] Slots=: 'x'");
        assert_int_equal(queue(t, "s")->policy.slots, 1);
        assert_int_equal(queue(t, "q")->policy.slots, 5);
}

static void test_names(void **state) {
        Tree *t = *state;

        put(t, "etc/queues/GPU.queue", "[Queue]\nSlots=1\n");
        load(t, "queues/GPU.queue: not the name of a queue");
        assert_null(t->m->queues);
        drop(t, "etc/queues/GPU.queue");
        put(t, "etc/queues/a--b.queue", "[Queue]\n");
        load(t, "queues/a--b.queue: not the name");
        drop(t, "etc/queues/a--b.queue");
        put(t, "etc/queues/README", "not ours\n");
        put(t, "etc/queues/masked.queue", "");
        load(t, NULL);
        assert_null(t->m->queues);
}

/* A file that never was good: nobody knows the cap, so neither its jobs start nor those below it. */
static void test_broken(void **state) {
        Tree *t = *state;
        _cleanup_free_ char *reason = NULL;
        Candidate c;
        Queue *q;
        Job *j;

        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=two\n");
        put(t, "etc/queues/gpu-a.queue", "[Queue]\nSlots=4\n");
        put(t, "etc/queues/cpu.queue", "[Queue]\nSlots=4\n");
        load(t, "wait until it is mended");
        assert_false(queue(t, "gpu")->configured);
        assert_true(queue(t, "gpu")->broken);
        queue(t, "gpu-a")->level.all.window_more = queue(t, "cpu")->level.all.window_more = false;
        j = submit(t->m, queue(t, "gpu-a"), 1, 10);
        submit(t->m, queue(t, "cpu"), 1, 0);
        schedule_begin(t->m);
        assert_true(schedule_next(t->m, &c, &q));
        assert_ptr_equal(q, queue(t, "cpu"));
        start(t->m, model_job(t->m, c.id));
        assert_false(schedule_next(t->m, &c, &q));
        reason = schedule_reason(t->m, j, j->queue, &now);
        assert_string_equal(reason, "the file of queue gpu is bad");

        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=2\n");
        load(t, NULL);
        assert_false(queue(t, "gpu")->broken);
        assert_int_equal(queue(t, "gpu")->policy.slots, 2);
        /* Gone is not bad. */
        put(t, "etc/queues/x.queue", "[Queue]\nSlots=two\n");
        load(t, "x.queue:2");
        drop(t, "etc/queues/x.queue");
        load(t, NULL);
        assert_false(queue(t, "x")->broken);
        assert_false(queue(t, "x")->configured);
}

static void test_vanished(void **state) {
        Tree *t = *state;
        Candidate c;
        Queue *q;

        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=2\nSlotVariable=X\n");
        put(t, "etc/queues/gpu-a.queue", "[Queue]\nSlots=4\n");
        load(t, NULL);
        queue(t, "gpu-a")->level.all.window_more = false;
        submit(t->m, queue(t, "gpu"), 1, 0);
        run(t->m, submit(t->m, queue(t, "gpu-a"), 1, 0));
        drop(t, "etc/queues/gpu.queue");
        load(t, NULL);
        assert_false(queue(t, "gpu")->configured);
        assert_int_equal(queue(t, "gpu")->policy.slots, UINT32_MAX);
        assert_null(queue(t, "gpu")->policy.slot_variable);
        assert_true(queue(t, "gpu-a")->configured);
        assert_int_equal(queue(t, "gpu")->count[JOB_READY], 1);
        assert_int_equal(queue(t, "gpu")->slots_used, 1);
        check_slots(t->m, true);
        /* Its own jobs wait. */
        schedule_begin(t->m);
        assert_false(schedule_next(t->m, &c, &q));
        assert_false(t->m->schedule.wanted == &queue(t, "gpu")->level.all);
        /* And it comes back. */
        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=3\n");
        load(t, NULL);
        assert_true(queue(t, "gpu")->configured);
        schedule_begin(t->m);
        assert_false(schedule_next(t->m, &c, &q));
        assert_true(t->m->schedule.wanted == &queue(t, "gpu")->level.all); /* the store has it */
}

/* What was too wide for the old cap may fit the new one, and the windows below were read with the old one; others stay. */
static void test_windows(void **state) {
        Tree *t = *state;

        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=2\n");
        put(t, "etc/queues/gpu-a.queue", "[Queue]\nSlots=8\n");
        put(t, "etc/queues/cpu.queue", "[Queue]\nSlots=8\n");
        load(t, NULL);
        queue(t, "gpu-a")->level.all.window_more = queue(t, "gpu")->level.all.window_more = queue(t, "cpu")->level.all.window_more = false;
        submit(t->m, queue(t, "gpu-a"), 1, 0);
        submit(t->m, queue(t, "cpu"), 1, 0);
        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=4\n");
        load(t, NULL);
        assert_int_equal(queue(t, "cpu")->level.all.n_window, 1);
        assert_true(queue(t, "gpu-a")->level.all.window_more);
        assert_int_equal(queue(t, "gpu-a")->level.all.n_window, 0);
}

/* SlotVariable= moves up while jobs run: their numbers are not given out again below it. */
static void test_slot_owner(void **state) {
        Tree *t = *state;
        Attempt *a, *b, *c;

        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=8\n");
        put(t, "etc/queues/gpu-a.queue", "[Queue]\nSlotVariable=X\n");
        put(t, "etc/queues/gpu-b.queue", "[Queue]\n");
        load(t, NULL);
        a = run(t->m, submit(t->m, queue(t, "gpu-a"), 2, 0));
        b = run(t->m, submit(t->m, queue(t, "gpu-b"), 1, 0));
        assert_int_equal(a->slot_numbers[0], 0);
        assert_int_equal(b->slot_numbers[0], 0);
        put(t, "etc/queues/gpu.queue", "[Queue]\nSlots=8\nSlotVariable=X\n");
        put(t, "etc/queues/gpu-a.queue", "[Queue]\n");
        load(t, NULL);
        assert_ptr_equal(a->slot_owner, queue(t, "gpu"));
        assert_ptr_equal(b->slot_owner, queue(t, "gpu"));
        c = run(t->m, submit(t->m, queue(t, "gpu-b"), 1, 0));
        assert_int_equal(c->slot_numbers[0], 2);
        /* The first of two holders goes. */
        end(t->m, b, JOB_SUCCESS);
        model_attempt_gone(t->m, b);
        assert_int_equal(run(t->m, submit(t->m, queue(t, "gpu-a"), 1, 0))->slot_numbers[0], 3);
        assert_int_equal(queue(t, "gpu")->slots_used, 4);
        check_slots(t->m, true);
}

/* A directory of which nobody knows what is in it. */
static void test_unlistable(void **state) {
        Tree *t = *state;
        _cleanup_free_ char *link = NULL;
        _cleanup_model_ Model *old = NULL;

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=3\n");
        put(t, "etc/x", "");
        load(t, NULL);
        assert_true(asprintf(&link, "%s/etc/queues", t->path) > 0);
        assert_int_equal(symlink("queues", link), 0);
        load(t, "The directories of queues cannot be read: Too many levels of symbolic links; all queues keep what they had");
        assert_int_equal(policy(t, "q")->slots, 3);
        assert_true(queue(t, "q")->configured);

        old = t->m;
        t->m = model_new();
        t->error = mfree(t->error);
        assert_int_equal(config_load_queues(t->m, old, t->directories, &t->error), 0);
        assert_non_null(t->error);
        assert_true(queue(t, "q")->configured);
        assert_int_equal(policy(t, "q")->slots, 3);
        assert_int_equal(unlink(link), 0);
        load(t, NULL);
}

/* The model is loaded again after a failed commit, while a file is bad: the old one knows what was good. */
static void test_old_model(void **state) {
        Tree *t = *state;
        _cleanup_model_ Model *old = t->m;
        Queue *q;

        put(t, "etc/queues/q.queue", "[Queue]\nSlots=3\nSlotVariable=X\n");
        load(t, NULL);
        t->m = model_new();
        put(t, "etc/queues/q.queue", "[Queue]\nSlots=none\n");
        t->error = mfree(t->error);
        assert_int_equal(config_load_queues(t->m, old, t->directories, &t->error), 0);
        assert_non_null(strstr(t->error, "keeps what it had"));
        q = queue(t, "q");
        assert_true(q->configured);
        assert_int_equal(q->policy.slots, 3);
        assert_string_equal(q->policy.slot_variable, "X");
        /* It was taken out of the old one, of which nothing starts any more. */
        assert_false(model_queue(old, "q")->configured);
        assert_true(model_queue(old, "q")->broken);
}

/* A queue is a main file or a drop-in, in whichever directory each of them lies; what is masked is not there. */
static void test_places(void **state) {
        Tree *t = *state;

        /* Main file below, drop-in above, and the other way round. */
        put(t, "usr/queues/a.queue", "[Queue]\nSlots=1\nAllowUsers=x\n");
        put(t, "etc/queues/a.queue.d/50.conf", "[Queue]\nSlots=2\nAllowUsers=y\n");
        put(t, "etc/queues/b.queue", "[Queue]\nSlots=1\nAllowUsers=x\n");
        put(t, "usr/queues/b.queue.d/50.conf", "[Queue]\nSlots=2\nAllowUsers=\nAllowUsers=y\n");
        /* Drop-ins alone. */
        put(t, "usr/queues/c.queue.d/50.conf", "[Queue]\nSlots=3\n");
        put(t, "etc/queues/c.queue.d/60.conf", "[Queue]\nSlots=4\n");
        /* None of these is a queue: all masked, nothing there, main file masked. */
        put(t, "usr/queues/d.queue.d/50.conf", "[Queue]\nSlots=3\n");
        put(t, "etc/queues/d.queue.d/50.conf", "");
        put(t, "etc/queues/e.queue.d/README", "nothing for us\n");
        put(t, "usr/queues/f.queue", "[Queue]\nSlots=3\n");
        put(t, "usr/queues/f.queue.d/50.conf", "[Queue]\nSlots=3\n");
        put(t, "etc/queues/f.queue", "");
        load(t, NULL);
        assert_int_equal(policy(t, "a")->slots, 2);
        assert_int_equal(strv_length(policy(t, "a")->allow_users), 2);
        assert_int_equal(policy(t, "b")->slots, 2);
        assert_int_equal(strv_length(policy(t, "b")->allow_users), 1);
        assert_string_equal(policy(t, "b")->allow_users[0], "y");
        assert_true(queue(t, "c")->configured);
        assert_int_equal(policy(t, "c")->slots, 4);
        assert_null(model_queue(t->m, "d"));
        assert_null(model_queue(t->m, "e"));
        assert_null(model_queue(t->m, "f"));

        /* The main file goes, the drop-in stays: so does the queue. The drop-in too: it has none. */
        drop(t, "usr/queues/a.queue");
        load(t, NULL);
        assert_true(queue(t, "a")->configured);
        assert_int_equal(policy(t, "a")->slots, 2);
        assert_int_equal(strv_length(policy(t, "a")->allow_users), 1);
        drop(t, "etc/queues/a.queue.d/50.conf");
        load(t, NULL);
        assert_false(queue(t, "a")->configured);
        /* Masked while it is in use. */
        put(t, "etc/queues/b.queue", "");
        load(t, NULL);
        assert_false(queue(t, "b")->configured);
        put(t, "etc/queues/X!.queue.d/50.conf", "[Queue]\nSlots=3\n");
        load(t, "queues/X!.queue: not the name of a queue");
        drop(t, "etc/queues/X!.queue.d/50.conf");
}

/* The daemon's defaults are for queues that do not say; "infinity" says. */
static void test_timeouts(void **state) {
        Tree *t = *state;

        t->m->timeout_default = 60 * SEC;
        t->m->stop_timeout_default = 20 * SEC;
        put(t, "etc/queues/none.queue", "[Queue]\nSlots=1\n");
        put(t, "etc/queues/reset.queue", "[Queue]\nTimeoutSec=1\nTimeoutSec=\nStopTimeoutSec=1\nStopTimeoutSec=\n");
        put(t, "etc/queues/own.queue", "[Queue]\nTimeoutSec=infinity\nStopTimeoutSec=1ms\n");
        load(t, NULL);
        assert_true(policy(t, "none")->timeout_usec == 60 * SEC && policy(t, "none")->stop_timeout_usec == 20 * SEC);
        assert_true(policy(t, "reset")->timeout_usec == 60 * SEC && policy(t, "reset")->stop_timeout_usec == 20 * SEC);
        assert_true(policy(t, "own")->timeout_usec == USEC_INFINITY && policy(t, "own")->stop_timeout_usec == USEC_PER_MSEC);
        /* One without a file: its jobs, which still run, are given the daemon's time. */
        drop(t, "etc/queues/own.queue");
        load(t, NULL);
        assert_true(policy(t, "own")->stop_timeout_usec == 20 * SEC);
}

/* A pause of the file is for a new queue; what an operator said since stands. */
static void test_paused(void **state) {
        Tree *t = *state;

        put(t, "etc/queues/q.queue", "[Queue]\nPaused=yes\n");
        load(t, NULL);
        assert_true(queue(t, "q")->paused);
        model_recorded(t->m);
        model_queue_pause(t->m, queue(t, "q"), false);
        model_recorded(t->m);
        load(t, NULL);
        assert_false(queue(t, "q")->paused);
}

static void expect_directories(bool user, const char *text) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *joined = NULL;

        assert_int_equal(config_directories(user, &l), 0);
        joined = strv_join(l, ":");
        assert_string_equal(joined, text);
}

static void test_directories(void **state) {
        unsetenv("JOBMILL_CONFIG_PATH");
        unsetenv("XDG_CONFIG_HOME");
        unsetenv("XDG_RUNTIME_DIR");
        setenv("HOME", "/home/alice", true);
        expect_directories(false, "/etc/jobmill:/run/jobmill:/usr/lib/jobmill");
        expect_directories(true, "/home/alice/.config/jobmill:/usr/lib/jobmill");
        setenv("XDG_CONFIG_HOME", "/c", true);
        setenv("XDG_RUNTIME_DIR", "/r", true);
        expect_directories(true, "/c/jobmill:/r/jobmill:/usr/lib/jobmill");
        setenv("JOBMILL_CONFIG_PATH", "/x:/y", true);
        expect_directories(true, "/x:/y");
        expect_directories(false, "/x:/y");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_all_keys),    TEST(test_defaults),   TEST(test_slots),     TEST(test_slot_variable),
                TEST(test_errors),      TEST(test_names),      TEST(test_broken),    TEST(test_vanished),
                TEST(test_windows),     TEST(test_slot_owner), TEST(test_old_model), TEST(test_paused),
                TEST(test_unlistable),
                TEST(test_places),      TEST(test_timeouts),
                cmocka_unit_test(test_directories),
        };

        log_set_target(LOG_TARGET_NULL);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
