/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit-socket [--hold] SOCKET QUEUE JOBS: submits JOBS jobs of /bin/true by SubmitMany over the socket, 10,000 a call, the next call on its
 * way before the one before it is answered.
 *
 * Prints the seconds from the first call to the last answer, which comes when all are on disk. */

#include "varlink-client.h"

#define BATCH 10000U
#define IN_FLIGHT 2U

typedef struct Submitter {
        VarlinkClient client;
        const char *queue;
        bool hold;
        uint64_t n, sent, answered;
        char *text; /* of a whole batch */
        size_t size;
} Submitter;

static int send_batch(Submitter *s) {
        uint64_t n = MIN(s->n - s->sent, (uint64_t) BATCH);
        _cleanup_free_ char *last = NULL;
        size_t size;
        int r;

        if (n == BATCH)
                r = varlink_send(&s->client, s->text, s->size);
        else {
                last = submit_many_text(s->queue, s->hold, n, &size);
                r = last ? varlink_send(&s->client, last, size) : -ENOMEM;
        }
        s->sent += n;
        return r;
}

/* Ids are not looked at, but counted. */
static int read_answer(Submitter *s) {
        size_t size;
        char *text;
        int r;

        while (!(text = varlink_next(&s->client, &size))) {
                r = varlink_receive_some(&s->client);
                if (r <= 0)
                        return r < 0 ? r : -ECONNRESET;
        }
        if (!startswith(text, "{\"parameters\":{\"ids\":[")) {
                fprintf(stderr, "submit-socket: %.300s\n", text);
                return -EIO;
        }
        s->answered++;
        for (const char *p = text; (p = strchr(p, ',')); p++)
                s->answered++;
        return 0;
}

static int submit_all(Submitter *s) {
        int r = 0;

        while (r >= 0 && s->answered < s->n) {
                while (r >= 0 && s->sent < s->n && s->sent - s->answered < IN_FLIGHT * BATCH)
                        r = send_batch(s);
                if (r >= 0)
                        r = read_answer(s);
        }
        return r;
}

int main(int argc, char *argv[]) {
        bool hold = argc > 1 && streq(argv[1], "--hold");
        Submitter s = { .hold = hold };
        double begin;
        int r;

        argv += hold;
        argc -= hold;
        if (argc != 4 || (s.n = strtoull(argv[3], NULL, 10)) == 0) {
                fprintf(stderr, "usage: submit-socket [--hold] SOCKET QUEUE JOBS\n");
                return 2;
        }
        s.queue = argv[2];
        s.text = submit_many_text(s.queue, s.hold, BATCH, &s.size);
        r = s.text ? varlink_connect(&s.client, argv[1]) : -ENOMEM;
        begin = monotonic_seconds();
        if (r >= 0)
                r = submit_all(&s);
        if (r >= 0)
                printf("%.6f\n", monotonic_seconds() - begin);
        else
                fprintf(stderr, "submit-socket: %s\n", strerror(-r));
        varlink_done(&s.client);
        free(s.text);
        return r < 0;
}
