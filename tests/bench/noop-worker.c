/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* noop-worker SOCKET QUEUE SLOTS JOBS: a worker that is done with a job as soon as it is given it, and does not wait until one is
 * recorded before it reports the next. It reads assignments as any worker in C would.
 *
 * Prints the seconds from its registration until the last of JOBS results is recorded. */

#include "varlink-client.h"

#include <poll.h>

typedef struct Worker {
        VarlinkClient orders, reports;
        char token[64];
        uint64_t n, taken, recorded;
        size_t size;
} Worker;

static int registered(Worker *w, json_object *parameters) {
        json_object *token;

        if (!json_object_object_get_ex(parameters, "token", &token))
                return -EPROTO;
        snprintf(w->token, sizeof(w->token), "%s", json_object_get_string(token));
        return 0;
}

static int complete(Worker *w, json_object *assign, FILE *f) {
        json_object *id, *attempt, *job, *argv;

        if (!json_object_object_get_ex(assign, "id", &id) || !json_object_object_get_ex(assign, "attempt", &attempt) ||
            !json_object_object_get_ex(assign, "job", &job) || !json_object_object_get_ex(job, "argv", &argv))
                return -EPROTO;
        w->taken++;
        fprintf(f, "{\"method\":\"org.jobmill.Complete\",\"parameters\":{\"token\":\"%s\",\"id\":%" PRIi64 ",\"attempt\":%d}}",
                w->token, json_object_get_int64(id), json_object_get_int(attempt));
        fputc(0, f);
        return 0;
}

static int take_order(Worker *w, json_tokener *tokener, const char *text, size_t size, FILE *f) {
        json_object *order, *parameters, *assign;
        int r = -EPROTO;

        json_tokener_reset(tokener);
        order = json_tokener_parse_ex(tokener, text, size + 1);
        if (order && json_object_object_get_ex(order, "parameters", &parameters) && !json_object_object_get_ex(order, "error", NULL)) {
                if (!*w->token)
                        r = registered(w, parameters);
                else if (json_object_object_get_ex(parameters, "assign", &assign))
                        r = complete(w, assign, f);
        }
        if (r < 0)
                fprintf(stderr, "noop-worker: %.300s\n", text);
        json_object_put(order);
        return r;
}

/* All that has come: what is reported of it goes out at once. */
static int take_orders(Worker *w, json_tokener *tokener) {
        size_t size, out_size;
        char *text, *out = NULL;
        FILE *f;
        int r;

        r = varlink_receive_some(&w->orders);
        if (r <= 0)
                return r < 0 ? r : -ECONNRESET;
        f = open_memstream(&out, &out_size);
        if (!f)
                return -ENOMEM;
        while (r >= 0 && (text = varlink_next(&w->orders, &size)))
                r = take_order(w, tokener, text, size, f);
        if (fclose(f) != 0)
                r = -ENOMEM;
        if (r >= 0)
                r = varlink_send(&w->reports, out, out_size);
        free(out);
        return r;
}

static int take_answers(Worker *w) {
        size_t size;
        char *text;
        int r;

        r = varlink_receive_some(&w->reports);
        if (r <= 0)
                return r < 0 ? r : -ECONNRESET;
        while ((text = varlink_next(&w->reports, &size))) {
                if (!streq(text, "{\"parameters\":{}}")) {
                        fprintf(stderr, "noop-worker: %.300s\n", text);
                        return -EIO;
                }
                w->recorded++;
        }
        return 0;
}

static int serve(Worker *w, const char *queue, unsigned slots) {
        struct pollfd fds[] = { { .fd = w->orders.fd, .events = POLLIN }, { .fd = w->reports.fd, .events = POLLIN } };
        json_tokener *tokener = json_tokener_new();
        char text[512];
        int n, r;

        if (!tokener)
                return -ENOMEM;
        n = snprintf(text, sizeof(text),
                     "{\"method\":\"org.jobmill.Register\",\"more\":true,\"parameters\":{\"protocol\":1,\"queues\":[\"%s\"],\"slots\":%u}}",
                     queue, slots);
        r = varlink_send(&w->orders, text, n + 1);
        while (r >= 0 && w->recorded < w->n) {
                if (poll(fds, ELEMENTSOF(fds), -1) < 0)
                        r = errno == EINTR ? 0 : -errno;
                if (r >= 0 && fds[0].revents)
                        r = take_orders(w, tokener);
                if (r >= 0 && fds[1].revents)
                        r = take_answers(w);
        }
        json_tokener_free(tokener);
        return r;
}

int main(int argc, char *argv[]) {
        Worker w = { .orders.fd = -1, .reports.fd = -1 };
        double begin;
        unsigned slots;
        int r;

        if (argc != 5 || (slots = strtoul(argv[3], NULL, 10)) == 0 || (w.n = strtoull(argv[4], NULL, 10)) == 0) {
                fprintf(stderr, "usage: noop-worker SOCKET QUEUE SLOTS JOBS\n");
                return 2;
        }
        r = varlink_connect(&w.orders, argv[1]);
        if (r >= 0)
                r = varlink_connect(&w.reports, argv[1]);
        begin = monotonic_seconds();
        if (r >= 0)
                r = serve(&w, argv[2], slots);
        if (r >= 0)
                printf("%.6f\n", monotonic_seconds() - begin);
        else
                fprintf(stderr, "noop-worker: %s\n", strerror(-r));
        varlink_done(&w.orders);
        varlink_done(&w.reports);
        return r < 0;
}
