/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#define SHOWN_EXPECTED 48
#define SHOWN_REPLY 120

static struct reply *of_sink(struct weir_sink *sink)
{
    return (struct reply *)((char *)sink - offsetof(struct reply, sink));
}

static bool is_kept(const struct reply *reply)
{
    return reply->expect->size > 0 && !reply->found && !reply_is_full(reply);
}

static uint8_t *reserve(struct weir_sink *sink, uint32_t *ret_room)
{
    struct reply *reply = of_sink(sink);
    *ret_room = is_kept(reply) ? REPLY_BYTES_MAX - reply->size : sizeof reply->dropped;
    return is_kept(reply) ? reply->bytes + reply->size : reply->dropped;
}

/* What is expected may have begun in an earlier piece. */
static int commit(struct weir_sink *sink, uint32_t size)
{
    struct reply *reply = of_sink(sink);
    const struct check_bytes *expect = reply->expect;
    if (!is_kept(reply))
        return 0;
    uint32_t from = reply->size < expect->size ? 0 : reply->size - (expect->size - 1);
    reply->size += size;
    reply->found = memmem(reply->bytes + from, reply->size - from, expect->data, expect->size) != NULL;
    return 0;
}

void reply_init(struct reply *reply, const struct check_bytes *expect)
{
    reply->sink = (struct weir_sink){ .reserve = reserve, .commit = commit };
    reply->expect = expect;
}

bool reply_is_full(const struct reply *reply)
{
    return reply->size == REPLY_BYTES_MAX;
}

/* One byte as C would write it. */
static void escape(uint8_t byte, char text[5])
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt";
    const char *letter = letters;
    while (letter[0] != '\0' && (uint8_t)letter[0] != byte)
        letter += 2;
    if (byte != 0 && letter[0] != '\0')
        snprintf(text, 5, "\\%c", letter[1]);
    else
        snprintf(text, 5, byte >= ' ' && byte < 0x7f ? "%c" : "\\x%02x", byte);
}

/* Between double quotes, cut to fit. Returns `text`. */
static char *quote(const uint8_t *bytes, uint32_t count, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "\"");
    for (uint32_t n = 0; n < count; n++) {
        char escaped[5];
        escape(bytes[n], escaped);
        bool fits = used + strlen(escaped) + sizeof "...\"" <= size;
        used += (size_t)snprintf(text + used, size - used, "%s", fits ? escaped : "...");
        if (!fits)
            break;
    }
    snprintf(text + used, size - used, "\"");
    return text;
}

void reply_describe(const struct reply *reply, enum reply_end end, char *text, size_t size)
{
    static const char *const ends[] = {
        [REPLY_TIMED_OUT] = "until the timeout",
        [REPLY_ENDED] = "and ended the connection",
        [REPLY_BROKE] = "and reset the connection",
        [REPLY_FULL] = "and more than a check reads",
    };
    char expected[SHOWN_EXPECTED], sent[SHOWN_REPLY] = "nothing";
    if (reply->size > 0)
        quote(reply->bytes, reply->size, sent, sizeof sent);
    snprintf(text, size, "expected %s, but the upstream sent %s %s",
             quote(reply->expect->data, reply->expect->size, expected, sizeof expected), sent, ends[end]);
}
