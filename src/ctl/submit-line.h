/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines of a file of jobs: reading them in bounded memory, and what one says on top of the options. */

#include "queue/spec.h"

typedef struct Reader {
        int fd;
        char *buf;
        size_t size, begin, end; /* what is read and not yet handed out lies in between */
        uint64_t number, bytes;  /* of the line handed out last; of all handed out */
        bool eof;
} Reader;

void reader_done(Reader *r);
/* 1: a line without its end, valid until the next call; 0: there is none any more; -E2BIG: too long. */
int reader_next(Reader *r, const char **ret, size_t *ret_n);

typedef struct Line {
        JobSpec *own; /* what it says itself */
        uint64_t given; /* … which fields */
        char *queue;
        JobSpec merged; /* … on top of the options. Owns nothing but these lists, whose words are the
                           others': */
        char **tags, **environment, **properties;
} Line;

void line_done(Line *l);
/* Is it among the keys that spec_read_json() saw? */
bool line_has_key(uint64_t keys, const char *key);
/* Fills l->merged from l->own and what the options say. */
int line_merge(Line *l, const JobSpec *defaults, uint64_t keys);
