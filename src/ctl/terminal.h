/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal that standard output is, and the pager in front of it. */

#include "base/macro.h"

/* Standard output is a terminal, or a pager that was opened in front of one. */
bool terminal_is_output(void);
/* $COLUMNS and $LINES count more than what the terminal says. */
size_t terminal_width(void);
size_t terminal_height(void);
void terminal_resized(void); /* they are asked for anew */

/* What is printed from now on goes through a pager, as with systemctl(1); nothing where none is wanted. */
void pager_open(void);
/* Waits until the person has seen enough. */
void pager_close(void);

/* What was printed so far is out. Negative: it cannot be written; said once, here. -EPIPE: the reader wants
 * no more, which is said to nobody where the reader was the pager. */
int output_flush(void);
/* Right after much was printed: remembers why it could not be. */
void output_check(void);
bool pager_was_left(void);

/* Descriptors 0, 1 and 2 are there, so that no connection gets their numbers; writing to one that was closed
 * fails. */
void terminal_claim_streams(void);
