# SPDX-License-Identifier: Apache-2.0
"""Life of a connection with TLS on either side or on both: L1, L2, L7-L9, L11, B1-B3, R2."""

import socket
import threading
import time

import pytest

import settings
from peers import (
    answer, assert_prefix, assert_whole, background, connect, digest_of, echo, half_close, pieces,
    receive, receive_exactly, reset, resetter, send_data, source)
from settings import amount
from sides import Sides

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BULK = amount(32 * MIB, full=64 * MIB, slow=4 * MIB)


@pytest.fixture(params=["client", "upstream", "both"])
def sides(request):
    return Sides(request.param)


@pytest.fixture
def client_side():
    return Sides("client")


def test_upstream_answers_after_the_client_has_half_closed(balancer, sides):
    """L1: close_notify ends one direction; the other goes on."""
    with sides.before(answer(BULK, wait=2.0), balancer) as (weir, web):
        client = weir.connect()
        send_data(client, BULK)
        half_close(client)
        assert_whole(receive(client), BULK)
        assert_whole(web.result(), BULK)
        closed = weir.wait_closed(reason="done")
        assert (closed["to_upstream_bytes"], closed["to_client_bytes"]) == (BULK, BULK)
        assert closed["tls_version"] == ("TLSv1.3" if sides.client else "")


def test_client_goes_on_after_the_upstream_has_half_closed(balancer, sides):
    """L2"""
    with sides.before(source(BULK), balancer) as (weir, web):
        client = weir.connect()
        assert_whole(receive(client), BULK)
        send_data(client, BULK)
        half_close(client)
        assert_whole(web.result(), BULK)
        weir.wait_closed(reason="done")


@pytest.mark.parametrize("size", [0, 100, 4 * MIB])
def test_client_that_ends_without_close_notify(balancer, sides, size):
    """L7: what it sent is delivered, and the upstream sees no clean end."""
    if not sides.client:
        pytest.skip("a plain client's end is its end")
    with sides.before(lambda sock, _: receive(sock), balancer) as (weir, web):
        client = weir.connect()
        send_data(client, size)
        client.truncate()
        end = web.result()
        assert end.size == size and end.end in ("reset", "truncated"), end
        entry = weir.wait_closed(reason="tls_truncated")
        assert entry["level"] == "info" and entry["to_upstream_bytes"] == size
        assert weir.closed("tls_truncated") == 1
        assert receive(client).end != "clean"


def test_upstream_that_ends_without_close_notify(balancer, sides):
    """The mirror: the client must not take it for a clean end."""
    if not sides.upstream:
        pytest.skip("a plain upstream's end is its end")

    def serve(tls, _upstream):
        send_data(tls, 3 * MIB)
        tls.truncate()
        return receive(tls)

    with sides.before(serve, balancer) as (weir, _):
        client = weir.connect()
        received = receive(client)
        assert received == (3 * MIB, digest_of(3 * MIB), received.end) and received.end in ("reset", "truncated")
        weir.wait_closed(reason="upstream_reset")


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_clean_end_is_told_by_close_notify(balancer, client_side, who):
    """L8: a strict client sees close_notify and then TCP's end, whoever ends first."""

    def serve(sock, _upstream):
        if who == "upstream":
            sock.sendall(b"bye")
            half_close(sock)
        receive(sock)

    with client_side.before(serve, balancer) as (weir, _):
        client = weir.connect()
        if who == "client":
            half_close(client)
        assert receive(client).end == "clean"
        half_close(client)
        assert client.raw.recv(1) == b"", "something behind close_notify"
        weir.wait_closed(reason="done")


def test_one_byte_writes(balancer, sides):
    """L9"""
    count = amount(5000, full=100_000, slow=1000)
    with sides.before(echo, balancer) as (weir, _):
        client = weir.connect()
        received = background(receive, client)
        for piece in pieces(count):
            for offset in range(len(piece)):
                client.send(piece[offset : offset + 1])
        half_close(client)
        assert_whole(received(), count)
        weir.wait_closed(reason="done")


def test_client_that_leaves_before_its_handshake(balancer, client_side):
    """L11: no upstream is dialled."""
    with client_side.before(echo, balancer) as (weir, web):
        for leave in (reset, socket.socket.close) * 10:
            leave(connect(weir.port))
        weir.wait_closed(20)
        assert {entry["reason"] for entry in weir.entries("connection")} <= {"client_reset", "tls_error"}
        assert web.accepted == 0


def test_silent_client_dies_at_the_handshake_deadline(balancer, client_side):
    """R5: at an absolute deadline, whatever it sends meanwhile."""
    with client_side.before(echo, balancer, listener={"handshake_timeout": "1s"}) as (weir, web):
        silent = weir.connect(tls=None)
        assert receive(silent).size == 0
        entry = weir.wait_closed(reason="handshake_timeout")
        assert 900 <= entry["duration_ms"] < 5000
        assert web.accepted == 0


PER_CONNECTION = 2 * 64 * KIB + 16 * 16 * KIB + 100 * KIB  # overflow and loans of a turn, as records; TLS's own


@pytest.mark.parametrize("count", [1, 30])
def test_reader_of_one_kib_a_second(balancer, sides, count):
    """B1: memory stays within the bound of each connection, and nothing works while nothing can go on."""

    def serve(sock, _upstream):
        try:
            send_data(sock, GIB)
        except ConnectionError:
            return "broken"

    with sides.before(source(MIB), balancer) as (weir, web):
        for client in [weir.connect() for _ in range(40)]:
            assert receive(client).end == "clean"
            client.close()
        web.wait_active(0)
        while not web.results.empty():
            web.result()
        web.serve = serve
        before = weir.anonymous_bytes()
        clients = [weir.connect() for _ in range(count)]
        web.wait_active(count)
        weir.wait_rest()
        ticks = weir.cpu_ticks()
        for _ in range(amount(2, full=30)):
            for client in clients:
                receive_exactly(client, KIB)
            time.sleep(1)
        used = weir.cpu_ticks() - ticks
        assert settings.SLOW or used <= 4 * amount(2, full=30), f"{used} ticks"
        grown = weir.anonymous_bytes() - before
        print(f"{grown >> 10} KiB for {count} connections")
        assert settings.SLOW or grown < MIB + count * PER_CONNECTION, f"{grown >> 10} KiB for {count} connections"
        for client in clients:
            reset(client)
        assert [web.result() for _ in clients] == ["broken"] * count
        weir.wait_closed(count, reason="client_reset")


def test_both_sides_write_before_either_reads(balancer, sides):
    """B2"""
    size = amount(16 * MIB, full=50 * MIB, slow=8 * MIB)
    read_now = threading.Event()

    def talk(sock):
        def write():
            send_data(sock, size)
            half_close(sock)

        written = background(write)
        read_now.wait(settings.DEADLINE)
        received = receive(sock)
        written()
        return received

    with sides.before(lambda sock, _: talk(sock), balancer) as (weir, web):
        received = background(talk, weir.connect())
        web.wait_active(1)
        weir.wait_rest()
        weir.assert_idle(0.5)
        read_now.set()
        assert_whole(received(), size)
        assert_whole(web.result(), size)
        weir.wait_closed(reason="done")


def test_reader_that_stops_and_half_closes(balancer, sides):
    """B3"""
    with sides.before(answer(16 * MIB), balancer) as (weir, web):
        client = weir.connect()
        half_close(client)
        weir.wait_rest()
        weir.assert_idle(0.5)
        assert_whole(receive(client), 16 * MIB)
        assert web.result().size == 0
        weir.wait_closed(reason="done")


def test_upstream_that_resets_after_much(balancer, sides):
    """R2: the client must not see a clean end."""
    with sides.before(resetter(10 * MIB), balancer) as (weir, _):
        received = receive(weir.connect())
        assert received.end != "clean"
        assert_prefix(received, received.end)
        weir.wait_closed(reason="upstream_reset")


def test_client_that_resets(balancer, sides):
    """R1: the upstream knows within a second."""

    def serve(sock, _upstream):
        try:
            send_data(sock, GIB)
        except ConnectionError:
            return time.monotonic()

    with sides.before(serve, balancer) as (weir, web):
        client = weir.connect()
        receive(client, MIB)
        start = time.monotonic()
        reset(client)
        assert settings.SLOW or web.result() - start < 1.0
        weir.wait_closed(reason="client_reset")


def test_many_short_connections_leave_nothing_behind(balancer, sides):
    """Memory after many is that after few."""

    def some(count):
        for _ in range(count):
            weir.ask(b"x" * 1000)

    with sides.before(echo, balancer, workers=1) as (weir, _):
        some(400)  # most buffers have been used; the last ones take a thousand, and some 200 KiB
        before = weir.anonymous_bytes()
        some(amount(400, full=3000, slow=60))
        grown = weir.anonymous_bytes() - before
        assert settings.SLOW or grown <= before // 50 + 320 * KIB, f"{grown >> 10} KiB"
