/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/health.h>

#include <assert.h>

void weir_health_init(struct weir_health *health, const struct weir_health_options *options)
{
    assert(options->fall >= 1 && options->rise >= 1);
    *health = (struct weir_health){ .options = *options };
}

/* What real connections told counts no more. */
static void forget_traffic(struct weir_health *health)
{
    health->ejected = false;
    health->failure_streak = 0;
    health->ejections = 0;
}

enum weir_health_change weir_health_check(struct weir_health *health, bool good, uint64_t now_ns)
{
    (void)now_ns;
    if (good != health->down) {
        health->check_streak = 0;
        return WEIR_HEALTH_SAME;
    }
    uint32_t needed = health->down ? health->options.rise : health->options.fall;
    if (++health->check_streak < needed)
        return WEIR_HEALTH_SAME;
    health->check_streak = 0;
    health->down = !good;
    forget_traffic(health);
    return good ? WEIR_HEALTH_CAME_UP : WEIR_HEALTH_WENT_DOWN;
}

/* The ejection ends within the last quarter of its length, so that upstreams that failed together return one by one. */
static void eject(struct weir_health *health, uint64_t now_ns, uint32_t jitter)
{
    uint64_t length = health->options.eject_ns, longest = health->options.eject_max_ns;
    for (uint32_t i = 0; i < health->ejections && length < longest; i++)
        length = length > longest / 2 ? longest : 2 * length;
    if (length > longest)
        length = longest;
    uint64_t early = (uint64_t)((unsigned __int128)(length / 4) * jitter >> 32);
    health->ejected = true;
    health->ejections++;
    health->ejected_until_ns = now_ns + length - early;
}

enum weir_health_change weir_health_traffic(struct weir_health *health, bool good, uint64_t now_ns, uint32_t jitter)
{
    if (good) {
        bool returned = health->ejected;
        forget_traffic(health);
        return returned ? WEIR_HEALTH_RETURNED : WEIR_HEALTH_SAME;
    }
    if (health->down || health->ejected || health->options.eject_after == 0)
        return WEIR_HEALTH_SAME;
    if (health->failure_streak < health->options.eject_after)
        health->failure_streak++;
    if (health->failure_streak < health->options.eject_after)
        return WEIR_HEALTH_SAME;
    eject(health, now_ns, jitter);
    return WEIR_HEALTH_EJECTED;
}

enum weir_health_change weir_health_tick(struct weir_health *health, uint64_t now_ns)
{
    if (!health->ejected || now_ns < health->ejected_until_ns)
        return WEIR_HEALTH_SAME;
    health->ejected = false;
    return WEIR_HEALTH_RETURNED;
}

enum weir_place_health weir_health_place(const struct weir_health *health)
{
    if (health->down)
        return WEIR_PLACE_DOWN;
    return health->ejected ? WEIR_PLACE_EJECTED : WEIR_PLACE_UP;
}
