/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sequences are those that every terminal of today has (ECMA-48, and xterm's ?1049, ?25, ?2026); terminfo would be one more library to
 * learn the same. */

#include "ctl/screen.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include <poll.h>
#include <stdlib.h>
#include <termios.h>

#define SEQUENCE_MAX 16U

static struct termios before;
static bool is_open;
static char typed[64]; /* not decoded yet */
static size_t n_typed;

bool screen_is_there(void) {
        return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !streq(getenv("TERM") ?: "dumb", "dumb");
}

int screen_open(void) {
        static bool registered;
        struct termios raw;

        if (tcgetattr(STDIN_FILENO, &before) < 0)
                return ctl_error(-errno, "Cannot set up the terminal: %m");
        raw = before;
        raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
                return ctl_error(-errno, "Cannot set up the terminal: %m");
        is_open = true;
        if (!registered && atexit(screen_close) == 0)
                registered = true;
        fputs("\033[?1049h\033[?25l", stdout);
        return output_flush();
}

void screen_close(void) {
        if (!is_open)
                return;
        is_open = false;
        fputs("\033[?25h\033[?1049l", stdout);
        (void) fflush(stdout);
        (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

void screen_begin(void) {
        fputs("\033[?2026h\033[H\033[2J", stdout);
}

int screen_end(void) {
        fputs("\033[?2026l", stdout);
        return output_flush();
}

/* ---- keys ---- */

static const struct {
        const char *sequence; /* behind the escape */
        Key key;
} sequences[] = {
        { "[A", KEY_UP },       { "OA", KEY_UP },    { "[B", KEY_DOWN }, { "OB", KEY_DOWN }, { "[5~", KEY_PAGE_UP }, { "[6~", KEY_PAGE_DOWN },
        { "[H", KEY_HOME },     { "OH", KEY_HOME },  { "[1~", KEY_HOME }, { "[7~", KEY_HOME }, { "[F", KEY_END },      { "OF", KEY_END },
        { "[4~", KEY_END },     { "[8~", KEY_END },
};

/* How many bytes the sequence has behind its escape; 0: its end has not come yet. */
static size_t sequence_length(const char *s, size_t n) {
        if (n == 0 || (*s != '[' && *s != 'O'))
                return 0;
        for (size_t i = 1; i < n; i++)
                if (s[i] >= 0x40 && s[i] <= 0x7e)
                        return i + 1;
        return 0;
}

/* 0: more must come. An escape by itself is the key; with something unfinished behind it, too, once that is too long for any. */
static size_t next_key(const char *s, size_t n, Key *ret) {
        size_t length;

        *ret = (unsigned char) *s;
        if (*s == '\r')
                *ret = KEY_ENTER;
        else if (*s == '\b')
                *ret = KEY_BACKSPACE;
        if (*s != KEY_ESCAPE || n == 1 || (s[1] != '[' && s[1] != 'O'))
                return 1;
        length = sequence_length(s + 1, n - 1);
        if (length == 0)
                return n > SEQUENCE_MAX ? 1 : 0;
        *ret = KEY_OTHER;
        FOREACH_ELEMENT (k, sequences)
                if (strlen(k->sequence) == length && strncmp(k->sequence, s + 1, length) == 0)
                        *ret = k->key;
        return 1 + length;
}

int screen_read_keys(Key *keys, size_t n) {
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        size_t done = 0, got = 0, length;
        ssize_t l;

        if (n_typed < sizeof(typed) && poll(&p, 1, 0) > 0) {
                l = read(STDIN_FILENO, typed + n_typed, sizeof(typed) - n_typed);
                if (l == 0)
                        return -EIO;
                if (l < 0)
                        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
                n_typed += l;
        }
        while (got < n && done < n_typed && (length = next_key(typed + done, n_typed - done, keys + got)) > 0) {
                done += length;
                got++;
        }
        n_typed -= done;
        memmove(typed, typed + done, n_typed);
        return got;
}
