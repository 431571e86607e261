# SPDX-License-Identifier: Apache-2.0
"""Failures of upstreams seen by TLS clients, and by TLS on both sides: P1-P5, P7, R8, H10, H11. An end that is not
clean is never told as one, and a refusal is: with close_notify."""

import random
import time

import pytest

import settings
from certs import alice
from failing import DeadHost
from peers import (
    Hanger, Refuser, assert_prefix, assert_whole, echo, eventually, half_close, in_threads, is_served, receive,
    reset, resetter, send_data, sink, take_and_break)
from settings import amount
from sides import POOL, Sides
from tls import client_context, listener_block

MIB = 1 << 20
SECOND = 10.0 if settings.SLOW else 1.0


@pytest.fixture(params=["client", "both"])
def sides(request):
    return Sides(request.param)


def options(sides, **pool):
    """A balancer's: TLS at its clients' side, and where wanted at the upstreams'."""
    return {"listener": {"tls": listener_block()}, "pool": {**(POOL if sides.upstream else {}), **pool},
            "tls": client_context(alice())}


BAD = {
    "refusing": Refuser,
    "vanished": DeadHost,
    "too slow to accept": Hanger,
}


@pytest.mark.parametrize("case", BAD)
def test_the_next_one_has_all_bytes(balancer, sides, case):
    """P1, P7, R8: what the client has sent before somebody took it arrives once, and whole."""
    with BAD[case]() as bad, sides.serve(sink) as web:
        with balancer(bad, web, **options(sides, connect_timeout="300ms")) as weir:
            for _ in range(2):
                client = weir.connect()
                send_data(client, MIB // 4)
                half_close(client)
                assert receive(client)[::2] == (0, "clean")
                assert_whole(web.result(), MIB // 4)
            weir.wait_closed(2, reason="done", upstream=web.name)
            assert max(entry["tries"] for entry in weir.entries("connection")) == 2


@pytest.mark.parametrize("case", ["refusing", "vanished", "too slow to accept"])
def test_nobody_takes_it(balancer, sides, case):
    """P1, R8: the client hears a clean end of TLS."""
    with BAD[case]() as bad, balancer(bad, **options(sides, connect_timeout="300ms")) as weir:
        assert weir.refusal() == "clean"
        weir.wait_closed(reason="connect_failed" if case == "refusing" else "connect_timeout", tries=1)


def test_broken_before_and_after_the_first_bytes(balancer, sides):
    """P3, P7: an upstream that broke is the only one that saw the bytes, and no clean end follows."""
    with sides.serve(take_and_break) as one, sides.serve(take_and_break) as two:
        with balancer(one, two, **options(sides)) as weir:
            for count in range(1, 6):
                client = weir.connect()
                client.sendall(b"payment")
                received = receive(client)
                assert received.size == 0 and received.end != "clean"
                weir.wait_closed(count, reason="upstream_reset", tries=1)
            assert one.accepted + two.accepted == 5


def test_immediate_end(balancer, sides):
    """P4: a clean end is a clean end."""
    with sides.serve(lambda sock, _: None) as web, balancer(web, **options(sides)) as weir:
        for count in range(1, 6):
            client = weir.connect()
            assert receive(client)[::2] == (0, "clean")
            half_close(client)
            weir.wait_closed(count, reason="done")


def test_upstream_resets_in_an_upload(balancer, sides):
    """P5: the client's sending fails; what it can still read does not end cleanly."""

    def serve(sock, _upstream):
        receive(sock, random.randrange(1, MIB))
        reset(sock)

    with sides.serve(serve) as web, balancer(web, **options(sides)) as weir:
        for count in range(1, amount(10, full=200, slow=3) + 1):
            client = weir.connect()
            with pytest.raises(OSError):
                send_data(client, 1 << 40)
            weir.wait_closed(count, reason="upstream_reset")
            weir.close_clients()


def test_upstream_resets_in_a_download(balancer, sides):
    """P5"""
    with sides.serve(resetter(2 * MIB)) as web, balancer(web, **options(sides)) as weir:
        received = weir.hear()
        assert received.end != "clean"
        assert_prefix(received, received.end)
        weir.wait_closed(reason="upstream_reset")


def test_balance_after_every_failure(balancer, sides):
    """H10: refused, reset, ended, cut and abandoned connections give back what they held: all are spread evenly."""
    clients = amount(100, slow=20)

    def moody(sock, upstream):
        (reset, lambda sock: take_and_break(sock, upstream), echo, lambda _: None)[upstream.accepted % 4](sock)

    with sides.serve(moody) as one, sides.serve(moody) as two, Refuser() as refuser:
        with balancer(one, two, refuser, **options(sides)) as weir:

            def misbehave(number):
                for step in range(amount(15, full=500, slow=5)):
                    try:
                        client = weir.connect()
                        client.sendall(b"x" * (1 + number * step))
                        if step % 3 == 0:
                            half_close(client)
                        if step % 3 == 1:
                            receive(client, 1)
                        (reset if step % 2 else lambda sock: sock.close())(client)
                    except OSError:
                        pass  # broken meanwhile: what this is about

            in_threads(4, misbehave)
            weir.close_clients()
            one.serve = two.serve = echo
            eventually(lambda: not weir.check_figures(), what=weir.check_figures)
            for _ in range(clients):
                assert weir.admits(), weir.state()
            assert (one.active, two.active) == (clients // 2, clients // 2)


def test_saturated_upstreams_refuse_promptly(balancer, sides):
    """H11: a clean end of TLS, at once."""
    with sides.serve(echo) as web:
        place = {"name": "web1", "address": web.address, "max_connections": 3}
        with balancer(web, **options(sides, upstreams=[place])) as weir:
            assert all(weir.admits() for _ in range(3))
            start = time.monotonic()
            assert weir.refusal() == "clean"
            assert time.monotonic() - start < SECOND
            weir.wait_closed(reason="no_upstream", tries=0)
            assert all(is_served(client) for client in weir.clients[:3])
