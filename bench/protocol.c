/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint8_t pattern[PATTERN_PERIOD + PATTERN_WINDOW];

void pattern_init(void)
{
    uint32_t state = 1;
    for (size_t n = 0; n < sizeof pattern; n++) {
        state = state * 1664525 + 1013904223;
        pattern[n] = n < PATTERN_PERIOD ? (uint8_t)(state >> 24) : pattern[n - PATTERN_PERIOD];
    }
}

const uint8_t *pattern_at(uint64_t offset)
{
    return pattern + offset % PATTERN_PERIOD;
}

void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct sockaddr_in address_of(const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    char host[INET_ADDRSTRLEN] = "";
    const char *colon = strrchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof host)
        memcpy(host, text, (size_t)(colon - text));
    long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;
    if (port < 1 || port > 65535 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        die(text);
    }
    address.sin_port = htons((uint16_t)port);
    return address;
}
