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
 * simulator --seed S [--trace]: lives one, and tells it.
 * --tls: in any case with TLS, which else a part of the seeds has. */

#define USAGE "usage: simulator --seeds N [--from S] [--tls] | --seed S [--tls] [--trace]\n"

/* Every so many seeds, one is lived twice: the same must come out. */
#define TWICE_EVERY 32

static const char *program;
static bool tls;

/* What to say if the life that goes on now ends the program: the code under test asserts. */
static char last_words[512];

static void say_last_words(int number)
{
    ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_death(void)
{
    signal(SIGABRT, say_last_words);
    signal(SIGSEGV, say_last_words);
    signal(SIGBUS, say_last_words);
}

static bool live(uint64_t seed, bool trace, struct verdict *ret_verdict)
{
    struct verdict again;
    snprintf(last_words, sizeof last_words, "seed %" PRIu64 ": died\nreplay: %s --seed %" PRIu64 "%s --trace\n", seed,
             program, seed, tls ? " --tls" : "");
    world_live(seed, trace, tls, ret_verdict);
    if (ret_verdict->problem[0] == '\0' && !trace && seed % TWICE_EVERY == 0) {
        world_live(seed, false, tls, &again);
        if (again.digest != ret_verdict->digest)
            strcpy(ret_verdict->problem, "lived twice, it came out differently");
    }
    if (ret_verdict->problem[0] == '\0')
        return true;
    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 ": %s\nreplay: %s --seed %" PRIu64 "%s --trace\n", seed, ret_verdict->problem,
            program, seed, tls ? " --tls" : "");
    return false;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_reasons(const uint64_t *reasons)
{
    for (int reason = CLOSE_NONE + 1; reason < CLOSE_REASONS; reason++)
        printf("  %-20s %10" PRIu64 "\n", close_reason_label((enum close_reason)reason), reasons[reason]);
    printf("  %-20s %10" PRIu64 "\n", "never accepted", reasons[CLOSE_NONE]);
}

static int live_many(uint64_t from, uint64_t count, bool trace)
{
    uint64_t connections = 0, reasons[CLOSE_REASONS] = { 0 };
    double start = seconds();
    for (uint64_t n = 0; n < count; n++) {
        struct verdict verdict;
        if (!live(from + n, trace, &verdict)) {
            fprintf(stderr, "%" PRIu64 " seeds were good before it\n", n);
            return 1;
        }
        connections += verdict.connections;
        for (int reason = 0; reason < CLOSE_REASONS; reason++)
            reasons[reason] += verdict.reasons[reason];
    }
    printf("%" PRIu64 " seeds from %" PRIu64 ", all good, %.1f seconds; %" PRIu64 " connections:\n", count, from,
           seconds() - start, connections);
    print_reasons(reasons);
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
        else if (strcmp(argv[n], "--tls") == 0)
            tls = true;
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
    if (trace)
        setvbuf(stdout, NULL, _IOLBF, 0);
    return live_many(one ? seed : from, one ? 1 : seeds, trace);
}
