/* SPDX-License-Identifier: Apache-2.0 */
#include "party.h"

#include <stddef.h>

#include <weir/errors.h>

#include "stream.h"

#define PIECE_BYTES (64u << 10)

static uint8_t piece[PIECE_BYTES];

static void leave(struct party *party, bool reset)
{
    party->gone = true;
    sim_cancel(party->sim, &party->act);
    sim_cancel(party->sim, &party->impatience);
    sim_cancel(party->sim, &party->death);
    if (party->channel != NULL)
        channel_close(party->channel);
    net_close(party->end, reset);
    party->over(party);
}

static void break_off(struct party *party, bool reset)
{
    party->broke = true;
    leave(party, reset);
}

static void progress(struct party *party)
{
    party->progress_ns = party->sim->now_ns;
}

static uint32_t bounded(uint64_t size, uint32_t max)
{
    uint64_t bound = max < PIECE_BYTES ? max : PIECE_BYTES;
    return (uint32_t)(size < bound ? size : bound);
}

static void act_by(struct party *party, uint64_t at_ns)
{
    sim_by(party->sim, &party->act, at_ns);
}

/* With TLS or without */

static int get(struct party *party, void *data, uint32_t size)
{
    return party->channel != NULL ? channel_read(party->channel, data, size) : net_read(party->end, data, size);
}

static int give(struct party *party, const void *data, uint32_t size)
{
    return party->channel != NULL ? channel_write(party->channel, data, size) : net_write(party->end, data, size);
}

static void end_side(struct party *party)
{
    if (party->channel != NULL)
        channel_shutdown(party->channel);
    else
        net_shutdown(party->end);
}

/* Nothing waits that it has said. */
static bool gave_all(struct party *party)
{
    return party->channel == NULL || (party->channel->established && channel_flush(party->channel));
}

/* Reading */

static bool may_read(struct party *party)
{
    const struct party_script *script = &party->script;
    if (!party->rested && script->rest_ns > 0 && party->received >= script->rests_at) {
        party->rested = true;
        party->read_ns = party->sim->now_ns + script->rest_ns;
    }
    if (party->saw_end || party->saw_break)
        return false;
    if (party->read_ns > party->sim->now_ns) {
        act_by(party, party->read_ns);
        return false;
    }
    return true;
}

static void take_in(struct party *party, const uint8_t *data, uint32_t size)
{
    if (party->matched == party->received && party->expects != 0)
        party->matched += stream_match(party->expects, party->received, data, size);
    party->received += size;
}

static void read_some(struct party *party)
{
    if (!may_read(party))
        return;
    int status = get(party, piece, bounded(UINT64_MAX, party->script.read_max));
    if (status == WEIR_EAGAIN)
        return;
    progress(party);
    party->read_ns = party->sim->now_ns + party->script.read_pause_ns;
    act_by(party, party->read_ns);
    if (status > 0)
        take_in(party, piece, (uint32_t)status);
    party->saw_end = status == 0;
    party->saw_break = status < 0;
}

/* Writing */

static uint64_t left_to_send(const struct party *party)
{
    const struct party_script *script = &party->script;
    if (script->echo)
        return party->received - party->sent;
    bool waits = party->received < script->after_bytes || script->after_end;
    return waits && !party->saw_end ? 0 : script->bytes - party->sent;
}

static bool said_all(const struct party *party)
{
    const struct party_script *script = &party->script;
    if (script->echo ? !party->saw_end || party->sent < party->received : party->sent < script->bytes)
        return false;
    return party->saw_end || !script->ends_last;
}

static void write_some(struct party *party)
{
    uint64_t left = left_to_send(party);
    if (left == 0 || party->shut || party->saw_break)
        return;
    if (party->write_ns > party->sim->now_ns) {
        act_by(party, party->write_ns);
        return;
    }
    uint32_t size = bounded(left, party->script.write_max);
    stream_fill(party->sends, party->sent, piece, size);
    int status = give(party, piece, size);
    if (status == WEIR_EAGAIN)
        return;
    progress(party);
    if (status < 0) {
        party->saw_break = true;
        return;
    }
    party->sent += (uint32_t)status;
    party->write_ns = party->sim->now_ns + party->script.write_pause_ns;
    act_by(party, party->write_ns);
}

/* Ending */

static void end_by_manner(struct party *party)
{
    switch (party->script.manner) {
    case PARTY_SHUTS:
        party->shut = true;
        end_side(party);
        break;
    case PARTY_CLOSES:
        party->shut = party->end->rx.size == 0 && party->saw_end;
        if (party->channel != NULL)
            end_side(party);
        break_off(party, false);
        break;
    case PARTY_RESETS:
        break_off(party, true);
        break;
    case PARTY_LINGERS:
        break;
    }
}

static void maybe_end(struct party *party)
{
    bool gave = gave_all(party);
    if (party->saw_break || (party->shut && party->saw_end && gave))
        leave(party, false);
    else if (party->channel != NULL && channel_quits(party->channel))
        break_off(party, party->script.manner != PARTY_CLOSES);
    else if (party->sent + party->received >= party->script.dies_after)
        break_off(party, true);
    else if (!party->shut && said_all(party) && gave)
        end_by_manner(party);
}

static void act(struct sim_event *event)
{
    struct party *party = (struct party *)((char *)event - offsetof(struct party, act));
    int status = party->end->connect_status;
    if (status == WEIR_EAGAIN)
        return;
    if (status < 0)
        party->saw_break = true;
    read_some(party);
    write_some(party);
    maybe_end(party);
    if (party->shut && party->saw_end && !party->gone && gave_all(party))
        act_by(party, party->sim->now_ns);
}

static void lose_patience(struct sim_event *event)
{
    struct party *party = (struct party *)((char *)event - offsetof(struct party, impatience));
    uint64_t until_ns = party->progress_ns + party->script.patience_ns;
    if (until_ns > party->sim->now_ns) {
        sim_at(party->sim, event, until_ns);
        return;
    }
    party->impatient = true;
    break_off(party, true);
}

static void die(struct sim_event *event)
{
    break_off((struct party *)((char *)event - offsetof(struct party, death)), true);
}

static void changed(struct net_end *end)
{
    struct party *party = end->owner;
    act_by(party, party->sim->now_ns);
}

void party_start(struct party *party)
{
    party->end->owner = party;
    party->end->changed = changed;
    party->act.run = act;
    party->impatience.run = lose_patience;
    party->death.run = die;
    progress(party);
    act_by(party, party->sim->now_ns);
    sim_after(party->sim, &party->impatience, party->script.patience_ns);
    if (party->script.dies_ns != 0)
        sim_after(party->sim, &party->death, party->script.dies_ns);
}
