/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Completion: what could stand where the cursor is. complete.c reads the line, complete-value.c knows the
 * kinds of values. */

#include "ctl/ctl.h"

typedef struct Completion {
        const char *verb;   /* NULL: none yet */
        const char *before; /* of the word under the cursor, what stands before the value: "--queue=", "a,b,"
                             */
        int before_length;
        const char *word;    /* what is typed of the value: candidates begin so */
        char *const *taken;  /* values that are on the line already, and not offered again */
        char **told;         /* what was offered */
        bool begun;          /* the first line is out */
        const char *unknown; /* a word of the tables that says nothing to completion: a bug */
        int unknown_length;
} Completion;

/* One candidate; description may be NULL. */
void complete_candidate(Completion *c, const char *value, const char *description);
/* The same for text that others wrote, which may be anything: what cannot be typed as it is stays out. */
void complete_foreign(Completion *c, const char *value, const char *description);
/* All that ARGUMENT stands for: "FILE|-", "QUEUE,…", "all|none|VARIABLE,…". The first line says what the
 * shell itself is to add. */
void complete_value(Completion *c, const char *argument, int length);

/* jobmill __complete [--] WORD…: the words behind "jobmill" up to the cursor. */
int complete_line(const Verb *verbs, size_t n_verbs, int argc, char **argv);
