/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tables. A library that lays out a whole table at once (libsmartcols) cannot print one that is too long for
 * memory, nor leave out what matters least; so the layout is made here, from the first piece. */

#include "ctl/table.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

typedef struct Cell {
        char *text;
        const char *color;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns;
        size_t *widths; /* 0: left out */
        bool *hidden;
        size_t width, indent;
        bool headless, keep_all, expect_more, has_layout;
        Cell *cells;
        size_t n_cells, capacity;
};

Table *table_new(const Column *columns, size_t n) {
        Table *t = new0(Table, 1);

        if (!t)
                return NULL;
        t->columns = columns;
        t->n_columns = n;
        t->widths = new0(size_t, n);
        t->hidden = new0(bool, n);
        t->width = terminal_is_output() ? terminal_width() : TABLE_ANY_WIDTH;
        return t->widths && t->hidden ? t : table_free(t);
}

static void forget_cells(Table *t, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(t->cells[i].text);
        t->n_cells -= n;
        if (t->n_cells > 0)
                memmove(t->cells, t->cells + n, t->n_cells * sizeof(Cell));
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        forget_cells(t, t->n_cells);
        free(t->cells);
        free(t->hidden);
        free(t->widths);
        return mfree(t);
}

void table_set_width(Table *t, size_t width) {
        t->width = width;
}

void table_set_indent(Table *t, size_t indent) {
        t->indent = indent;
}

void table_without_header(Table *t) {
        t->headless = true;
}

void table_keep_all(Table *t) {
        t->keep_all = true;
}

void table_expect_more(Table *t) {
        t->expect_more = true;
}

void table_hide(Table *t, size_t column) {
        assert(column < t->n_columns);
        t->hidden[column] = true;
}

int table_add(Table *t, const char *value, const char *color) {
        char *text = text_safe(value ?: "-");

        if (t->n_cells == t->capacity) {
                size_t capacity = MAX(t->capacity * 2, (size_t) 64);
                Cell *more = reallocarray(t->cells, capacity, sizeof(Cell));

                if (!more)
                        text = mfree(text);
                else {
                        t->cells = more;
                        t->capacity = capacity;
                }
        }
        if (!text)
                return -ENOMEM;
        t->cells[t->n_cells++] = (Cell){ text, color };
        return 0;
}

static size_t least_width(const Column *c, size_t width) {
        return c->min > 0 ? MIN(width, (size_t) c->min) : width;
}

/* Of all columns that are there, with one space between them; least: were all cut as far as they can be. */
static size_t sum_widths(const Column *columns, size_t n, const size_t *widths, bool least) {
        size_t sum = 0;

        for (size_t i = 0; i < n; i++)
                if (widths[i] > 0)
                        sum += (sum > 0) + (least ? least_width(columns + i, widths[i]) : widths[i]);
        return sum;
}

void table_layout(const Column *columns, size_t n, size_t limit, bool keep_all, size_t *widths) {
        while (!keep_all && sum_widths(columns, n, widths, true) > limit) {
                size_t least = n, left = 0;

                for (size_t i = 0; i < n; i++) {
                        left += widths[i] > 0;
                        if (widths[i] > 0 && (least == n || columns[i].keep < columns[least].keep))
                                least = i;
                }
                if (left <= 1)
                        break;
                widths[least] = 0;
        }
        while (sum_widths(columns, n, widths, false) > limit) {
                size_t widest = n;

                for (size_t i = 0; i < n; i++)
                        if (widths[i] > least_width(columns + i, widths[i]) &&
                            (widest == n || widths[i] > widths[widest]))
                                widest = i;
                if (widest == n)
                        break;
                widths[widest]--;
        }
}

static void make_layout(Table *t) {
        size_t limit = t->width == TABLE_ANY_WIDTH ? SIZE_MAX : t->width - MIN(t->width, t->indent);

        for (size_t i = 0; i < t->n_columns; i++)
                t->widths[i] = t->hidden[i] ? 0
                                            : MAX(text_width(t->columns[i].name),
                                                  (size_t) (t->expect_more ? t->columns[i].usual : 1));
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t column = i % t->n_columns;

                if (!t->hidden[column])
                        t->widths[column] = MAX(t->widths[column], text_width(t->cells[i].text));
        }
        table_layout(t->columns, t->n_columns, limit, t->keep_all, t->widths);
        t->has_layout = true;
}

/* Spaces are owed until something follows them, so that no line ends in one. */
static int print_cell(Table *t, size_t column, const char *text, const char *sequence, size_t *owed) {
        const Column *c = t->columns + column;
        bool cut = t->width != TABLE_ANY_WIDTH && c->keep < TABLE_KEEP_WHOLE;
        _cleanup_free_ char *fit = cut ? text_cut(text, t->widths[column]) : strdup(text);
        size_t width, pad;

        if (!fit)
                return -ENOMEM;
        width = text_width(fit);
        pad = t->widths[column] - MIN(width, t->widths[column]);
        if (c->right)
                *owed += pad;
        if (*fit) {
                printf("%*s%s%s%s", (int) *owed, "", color(sequence), fit, sequence ? color(COLOR_OFF) : "");
                *owed = 0;
        }
        *owed += (c->right ? 0 : pad) + 1;
        return 0;
}

static int print_line(Table *t, const Cell *cells) {
        size_t owed = t->indent;
        int r = 0;

        for (size_t i = 0; i < t->n_columns && r >= 0; i++)
                if (t->widths[i] > 0)
                        r = print_cell(t, i, cells ? cells[i].text : t->columns[i].name,
                                       cells ? cells[i].color : NULL, &owed);
        return r;
}

static int print_header(Table *t) {
        int r;

        fputs(color(COLOR_UNDERLINE), stdout);
        r = print_line(t, NULL);
        fputs(color(COLOR_OFF), stdout);
        putchar('\n');
        return r;
}

int table_print_lines(Table *t, size_t n) {
        size_t end = n * t->n_columns;
        int r = 0;

        assert(t->n_cells % t->n_columns == 0 && end <= t->n_cells);
        if (end == 0)
                return 0;
        if (!t->has_layout) {
                make_layout(t);
                if (arg_legend && !t->headless)
                        r = print_header(t);
        }
        for (size_t i = 0; i < end && r >= 0; i += t->n_columns) {
                r = print_line(t, t->cells + i);
                if (putchar('\n') == EOF)
                        output_check();
        }
        forget_cells(t, end);
        return r;
}

int table_print_list(Table *t, JsonArray *a) {
        pager_open();
        if (arg_json == JSON_OFF)
                return table_print(t) < 0 ? ctl_oom() : 0;
        json_array_end(a);
        return 0;
}

int table_print(Table *t) {
        return table_print_lines(t, t->n_cells / t->n_columns);
}
