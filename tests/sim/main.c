/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

/* simulator --seeds N [--from S]: lives the lives of N seeds; stops at the first one with a problem.
 * simulator --seed S [--trace]: lives one, and tells it. */

#define USAGE "usage: simulator --seeds N [--from S] | --seed S [--trace]\n"

/* Every so many seeds, one is lived twice: the same must come out. */
#define TWICE_EVERY 32

static const char *program;
static uint64_t current_seed;

static void print_replay(FILE *stream)
{
    fprintf(stream, "replay: %s --seed %" PRIu64 " --trace\n", program, current_seed);
}

/* The code under test asserts: say which life that was before the program dies. */
static void died(int number)
{
    signal(number, SIG_DFL);
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": died of signal %d\n", current_seed, number);
    print_replay(stderr);
    raise(number);
}

static void watch_for_death(void)
{
    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    signal(SIGBUS, died);
}

static bool live(uint64_t seed, bool trace)
{
    char problem[512];
    uint64_t digest, again;
    current_seed = seed;
    bool good = world_live(seed, trace, &digest, problem, sizeof problem);
    if (good && !trace && seed % TWICE_EVERY == 0) {
        good = world_live(seed, false, &again, problem, sizeof problem);
        if (good && digest != again) {
            good = false;
            snprintf(problem, sizeof problem, "lived twice, it came out differently");
        }
    }
    if (!good) {
        fflush(stdout);
        fprintf(stderr, "seed %" PRIu64 ": %s\n", seed, problem);
        print_replay(stderr);
    }
    return good;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int live_many(uint64_t from, uint64_t count, bool trace)
{
    double start = seconds();
    for (uint64_t n = 0; n < count; n++)
        if (!live(from + n, trace)) {
            fprintf(stderr, "(%" PRIu64 " seeds were good before it)\n", n);
            return 1;
        }
    printf("%" PRIu64 " seeds from %" PRIu64 ", all good, %.1f seconds\n", count, from, seconds() - start);
    return 0;
}

static bool read_number(const char *text, uint64_t *ret_number)
{
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    *ret_number = strtoull(text, &end, 10);
    return *end == '\0';
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, from = 1, seed = 0;
    bool trace = false, one = false, good = true;
    program = argv[0];
    for (int n = 1; n < argc && good; n++) {
        if (strcmp(argv[n], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[n], "--seeds") == 0)
            good = read_number(argv[++n], &seeds);
        else if (strcmp(argv[n], "--from") == 0)
            good = read_number(argv[++n], &from);
        else if (strcmp(argv[n], "--seed") == 0)
            good = one = read_number(argv[++n], &seed);
        else
            good = false;
    }
    if (!good || one == (seeds > 0)) {
        fputs(USAGE, stderr);
        return 2;
    }
    watch_for_death();
    return live_many(one ? seed : from, one ? 1 : seeds, trace);
}
