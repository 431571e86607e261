/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

static const int crashes[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };

static struct termios before;
static volatile sig_atomic_t taken;

static void say(const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t done = write(STDOUT_FILENO, text, size);
        if (done <= 0)
            return;
        text += done;
        size -= (size_t)done;
    }
}

static void crash(int number)
{
    screen_leave();
    signal(number, SIG_DFL);
    raise(number);
}

int screen_enter(void)
{
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return -1;
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    for (size_t n = 0; n < sizeof crashes / sizeof crashes[0]; n++)
        signal(crashes[n], crash);
    taken = 1;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0)
        return -1;
    say(ENTER);
    return 0;
}

void screen_leave(void)
{
    if (!taken)
        return;
    taken = 0;
    say(LEAVE);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

void screen_size(unsigned *ret_rows, unsigned *ret_columns)
{
    struct winsize size = { 0 };
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    *ret_rows = known ? size.ws_row : 24;
    *ret_columns = known ? size.ws_col : 80;
}
