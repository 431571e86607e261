# SPDX-License-Identifier: Apache-2.0
"""Resets and time: R1-R4, R6, R8. (R5 is about handshakes, which a plain client has none of.)"""

import random
import time

import pytest

import netns
import settings
from peers import (
    Address, Hanger, Upstream, assert_prefix, echo, half_close, hears_end, mute, receive, reset, resetter, send_data,
    source)
from settings import amount

MIB = 1 << 20
ENDLESS = 1 << 40
SECOND = 1.0 if not settings.SLOW else 10.0


def endless_source(sock, _upstream):
    """Sends until it cannot; returns when that was."""
    try:
        send_data(sock, ENDLESS)
    except ConnectionError:
        return time.monotonic()


@pytest.mark.parametrize("reading", [True, False], ids=["that reads", "that has stopped"])
def test_upstream_knows_within_a_second_that_the_client_has_reset(balancer, reading):
    """R1: mid-download, while bytes flow and while the balancer's receiving is paused."""
    with Upstream(endless_source) as web, balancer(web) as weir:
        client = weir.connect()
        receive(client, 20 * MIB)
        if not reading:
            weir.wait_rest()
        before = time.monotonic()
        reset(client)
        assert web.result() - before < SECOND
        weir.wait_closed(reason="client_reset")


def test_client_resets_in_a_download(balancer):
    """R1, again and again: the upstream's sending fails by a reset; a broken pipe would mean an end before it."""
    with Upstream(source(ENDLESS)) as web, balancer(web) as weir:
        for count in range(1, amount(100, full=1000, slow=20) + 1):
            client = weir.connect()
            receive(client, random.randrange(1, MIB))
            reset(client)
            assert isinstance(web.result(), ConnectionResetError)
            weir.wait_closed(count, reason="client_reset")


def test_upstream_knows_of_a_reset_in_an_upload(balancer):
    """R1, the other way: what arrived is a beginning of what was sent, and no clean end."""

    def serve(sock, _upstream):
        return receive(sock), time.monotonic()

    with Upstream(serve) as web, balancer(web) as weir:
        client = weir.connect()
        send_data(client, 20 * MIB)
        before = time.monotonic()
        reset(client)
        received, after = web.result()
        assert_prefix(received)
        assert after - before < SECOND
        weir.wait_closed(reason="client_reset")


def test_client_of_an_upstream_that_resets_sees_no_clean_end(balancer):
    """R2: after 10 MiB."""
    with Upstream(resetter(after=10 * MIB)) as web, balancer(web) as weir:
        received = weir.hear()
        assert_prefix(received)
        weir.wait_closed(reason="upstream_reset")


def test_client_that_has_stopped_hears_of_the_upstreams_reset(balancer):
    """R3: the upstream resets while the balancer's receiving from it is paused."""

    def serve(sock, _upstream):
        sock.settimeout(1)
        try:
            send_data(sock, ENDLESS)
        except TimeoutError:
            reset(sock)

    with Upstream(serve) as web, balancer(web) as weir:
        client = weir.connect()
        assert hears_end(client, settings.DEADLINE)
        assert_prefix(receive(client))
        weir.wait_closed(reason="upstream_reset")


def test_idle_timeout_ends_a_silent_connection(balancer):
    """R4"""
    with Upstream(mute) as web, balancer(web, listener={"idle_timeout": "1s"}) as weir:
        client = weir.connect()
        start = time.monotonic()
        assert receive(client).size == 0
        assert time.monotonic() - start > 0.9
        assert weir.wait_closed(reason="idle_timeout")["duration_ms"] >= 1000


@pytest.mark.parametrize("sender", ["client", "upstream"])
def test_idle_timeout_never_ends_a_one_way_transfer(balancer, sender):
    """R4: a byte now and then, one way, for three times the timeout."""
    seconds = amount(3.0, full=10.0)

    def dribble(sock):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sock.sendall(b".")
            time.sleep(0.2)
        sock.sendall(b"!")

    def serve(sock, _upstream):
        if sender == "upstream":
            dribble(sock)
            half_close(sock)
        return receive(sock)

    with Upstream(serve) as web, balancer(web, listener={"idle_timeout": "1s"}) as weir:
        client = weir.connect()
        if sender == "client":
            dribble(client)
        else:
            assert receive(client).end == "clean"
        half_close(client)
        assert web.result().end == "clean"
        weir.wait_closed(reason="done")


@pytest.mark.parametrize("ended", ["client", "upstream"])
def test_half_closed_and_mute(balancer, ended):
    """R6"""

    def serve(sock, upstream):
        if ended == "upstream":
            half_close(sock)
        mute(sock, upstream)

    with Upstream(serve) as web:
        with balancer(web, listener={"half_close_timeout": "1s"}) as weir:
            client = weir.connect()
            if ended == "client":
                half_close(client)
            assert receive(client).size == 0
            assert weir.wait_closed(reason="half_close_timeout")["duration_ms"] >= 1000


def test_half_close_timeout_never_ends_a_transfer(balancer):
    """R6: the other direction goes on for longer than the timeout."""

    def serve(sock, _upstream):
        assert receive(sock).end == "clean"
        for _ in range(15):
            sock.sendall(b".")
            time.sleep(0.2)

    with Upstream(serve) as web, balancer(web, listener={"half_close_timeout": "1s"}) as weir:
        client = weir.connect()
        half_close(client)
        assert receive(client)[::2] == (15, "clean")
        weir.wait_closed(reason="done")


BLACKHOLES = {"full queue": Hanger, "dead neighbour": lambda: Address(f"{netns.dead_host(2)}:7000")}


@pytest.mark.parametrize("blackhole", BLACKHOLES.values(), ids=BLACKHOLES)
def test_another_upstream_is_tried_at_connect_timeout(balancer, blackhole):
    """R8"""
    with blackhole() as dead, Upstream(echo) as web:
        with balancer(dead, web, pool={"connect_timeout": "500ms"}) as weir:
            waits = []
            for _ in range(4):
                start = time.monotonic()
                weir.ask()
                waits.append(time.monotonic() - start)
            weir.wait_closed(4, reason="done", upstream=web.name)
            tries = sorted(entry["tries"] for entry in weir.entries("connection"))
            assert 2 in tries and max(waits) > 0.4
            assert settings.SLOW or max(waits) < 2.0, waits


def test_only_a_blackhole(balancer):
    """R8: nobody else is there to be tried."""
    with Hanger() as dead, balancer(dead, pool={"connect_timeout": "500ms"}) as weir:
        assert weir.is_cut()
        weir.wait_closed(reason="connect_timeout", tries=1)
