/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ctl/overview.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

#define BAR_WIDTH 10U

static size_t room(void) {
        return terminal_is_output() ? terminal_width() : SIZE_MAX;
}

void print_cut(const char *text) {
        _cleanup_free_ char *cut = text_cut(text, room() - 2);

        puts(strempty(cut));
}

void overview_print_heading(const Statistics *s, const char *hint) {
        _cleanup_free_ char *safe = s->dispatch ? text_safe(s->dispatch) : NULL,
                            *dispatch = safe ? text_cut(safe, room() - MIN(room(), strlen("  nothing is started: "))) : NULL;
        const struct {
                uint64_t n;
                const char *word;
        } counts[] = {
                { s->starting + s->running + s->stopping, "running" },
                { s->ready, "ready" },
                { s->waiting, "waiting" },
                { s->held, "held" },
                { s->dead, "dead" },
        };
        char text[512], *p = text;

        p += snprintf(text, sizeof(text), "jobmilld%s %.32s%s%.64s:", arg_user ? " --user" : "",
                      s->version ?: "?", bus_is_elsewhere() ? " on " : "",
                      arg_host ?: strempty(arg_machine));
        FOREACH_ELEMENT (c, counts)
                if (c->n > 0)
                        p += sprintf(p, "%s %" PRIu64 " %s", p[-1] == ':' ? "" : ",", c->n, c->word);
        if (p[-1] == ':')
                strcpy(p, " nothing to do");
        printf("%s%s%s ", color(s->dispatch ? COLOR_YELLOW : COLOR_GREEN), glyph(GLYPH_LIVE),
               color(COLOR_OFF));
        print_cut(text);
        if (dispatch)
                printf("%s  nothing is started: %s%s\n", color(COLOR_YELLOW), dispatch, color(COLOR_OFF));
        if (hint)
                print_cut(hint);
}

#define COLUMN_MARK 0
static const Column queue_columns[] = {
        { "", TABLE_KEEP_WHOLE, 0, false },
        { "QUEUE", 99, 8, false },  { "", 35, 0, false },       { "SLOTS", 80, 0, true },
        { "READY", 70, 0, true },   { "WAITING", 30, 0, true }, { "HELD", 20, 0, true },
        { "RUNNING", 60, 0, true }, { "DEAD", 40, 0, true },  { "STATE", 95, 6, false },
};

static char *bar(const QueueInfo *q) {
        size_t full = q->slots == 0 ? BAR_WIDTH
                                    : MIN((uint64_t) BAR_WIDTH,
                                          (uint64_t) q->slots_used * BAR_WIDTH / q->slots);
        char *text = malloc(BAR_WIDTH * 4 + 1), *p = text;

        if (q->slots_used > 0 && full == 0)
                full = 1;
        for (size_t i = 0; i < BAR_WIDTH && text && q->slots != UINT32_MAX; i++)
                p = stpcpy(p, glyph(i < full ? GLYPH_FULL : GLYPH_EMPTY));
        if (text)
                *p = 0;
        return text;
}

static int add_queue(Table *t, const QueueInfo *q, bool selected) {
        const uint64_t counts[] = { q->ready, q->waiting, q->held, queue_info_live(q), q->dead };
        _cleanup_free_ char *b = bar(q);
        char buf[2 * DECIMAL_MAX];
        int r;

        if (!b)
                return -ENOMEM;
        if (q->slots == UINT32_MAX)
                snprintf(buf, sizeof(buf), "%" PRIu32, q->slots_used);
        else
                snprintf(buf, sizeof(buf), "%" PRIu32 "/%" PRIu32, q->slots_used, q->slots);
        r = table_add(t, selected ? ">" : "", NULL);
        if (r >= 0)
                r = table_add(t, q->name, NULL);
        if (r >= 0)
                r = table_add(t, b, q->slots_used >= q->slots ? COLOR_YELLOW : COLOR_GREEN);
        if (r >= 0)
                r = table_add(t, buf, NULL);
        for (size_t i = 0; i < ELEMENTSOF(counts) && r >= 0; i++) {
                snprintf(buf, sizeof(buf), "%" PRIu64, counts[i]);
                r = table_add(t, counts[i] > 0 ? buf : NULL,
                              i + 1 == ELEMENTSOF(counts) && counts[i] > 0 ? COLOR_RED : NULL);
        }
        return r < 0 ? r : table_add(t, queue_info_state(q), queue_info_color(q));
}

static bool queue_is_busy(const QueueInfo *q) {
        return queue_info_live(q) > 0 || q->ready > 0 || q->slots_used > 0;
}

int overview_print_queues(const QueueInfo *queues, size_t n, const char *selected) {
        _cleanup_table_ Table *t = table_new(queue_columns, ELEMENTSOF(queue_columns));
        int r = 0;

        if (!t)
                return -ENOMEM;
        if (!selected)
                table_hide(t, COLUMN_MARK);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_queue(t, queues + i, selected && streq(selected, queues[i].name));
        return r < 0 ? r : table_print(t);
}

/* As `queue list` does, of those that are none any more. */
void overview_sort_queues(QueueInfo *queues, size_t *n) {
        size_t left = 0, busy = 0;

        for (size_t i = 0; i < *n; i++)
                if (queue_info_is_past(queues + i))
                        queue_info_done(queues + i);
                else
                        queues[left++] = queues[i];
        *n = left;
        for (size_t i = 0; i < left; i++)
                if (queue_is_busy(queues + i)) {
                        QueueInfo q = queues[i];

                        memmove(queues + busy + 1, queues + busy, (i - busy) * sizeof(q));
                        queues[busy++] = q;
                }
}
