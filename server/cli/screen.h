/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

/* The terminal, while a command has the whole of it: another screen than the shell's, keys without return, no cursor.
 * One at a time. */

/* Takes the terminal of standard input and output; a crash gives it back too. Returns 0, or -1 with errno. */
int screen_enter(void);

/* Gives it back as it was. Does nothing if it is not taken. May be called by a signal's handler. */
void screen_leave(void);

/* How large it is now; 24 by 80 where nobody knows. */
void screen_size(unsigned *ret_rows, unsigned *ret_columns);

#endif
