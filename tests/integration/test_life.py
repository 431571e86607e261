# SPDX-License-Identifier: Apache-2.0
"""Life of a connection: L1-L4, L9-L12."""

import random
import socket
import statistics
import time

import settings
from peers import (
    Hanger, Upstream, answer, assert_whole, background, banner, echo, eventually, half_close, in_threads, pieces,
    receive, receive_exactly, reset, send_data)
from settings import amount

MIB = 1 << 20
BULK = amount(64 * MIB, slow=8 * MIB)


def test_upstream_answers_two_seconds_after_the_client_has_half_closed(balancer):
    """L1"""
    with Upstream(answer(BULK, wait=2.0)) as web, balancer(web) as weir:
        client = weir.connect()
        send_data(client, BULK)
        half_close(client)
        assert_whole(receive(client), BULK)
        assert_whole(web.result(), BULK)
        closed = weir.wait_closed(reason="done")
        assert (closed["to_upstream_bytes"], closed["to_client_bytes"]) == (BULK, BULK)


def test_client_goes_on_after_the_upstream_has_half_closed(balancer):
    """L2"""

    def serve(sock, _upstream):
        send_data(sock, BULK)
        half_close(sock)
        return receive(sock)

    with Upstream(serve) as web, balancer(web) as weir:
        client = weir.connect()
        assert_whole(receive(client), BULK)
        send_data(client, BULK)
        half_close(client)
        assert_whole(web.result(), BULK)
        weir.wait_closed(reason="done")


def test_both_sides_end_at_once(balancer):
    """L3"""
    rounds = amount(1000, slow=200)

    def serve(sock, _upstream):
        sock.sendall(b"from the upstream")
        half_close(sock)
        return receive(sock)

    def client(_number, weir):
        for _ in range(rounds // 4):
            with weir.connect() as sock:
                sock.sendall(b"from the client")
                half_close(sock)
                assert receive(sock)[::2] == (17, "clean")

    with Upstream(serve) as web, balancer(web) as weir:
        in_threads(4, client, weir)
        for _ in range(rounds):
            assert web.result()[::2] == (15, "clean")
        weir.wait_closed(rounds, reason="done")


def test_a_banner_arrives_while_the_client_is_silent(balancer):
    """L4"""

    def wait_for_banner(weir):
        start = time.monotonic()
        with weir.connect() as client:
            assert receive_exactly(client, 6) == b"hello\n"
            return time.monotonic() - start

    with Upstream(banner(b"hello\n")) as web, balancer(web) as weir:
        waits = [wait_for_banner(weir) for _ in range(9)]
        assert settings.SLOW or statistics.median(waits) < 0.1, waits


def test_one_byte_writes(balancer):
    """L9"""
    count = amount(100_000, slow=10_000)

    with Upstream(echo) as web, balancer(web) as weir:
        client = weir.connect()
        received = background(receive, client)
        for piece in pieces(count):
            for offset in range(len(piece)):
                client.send(piece[offset : offset + 1])
        half_close(client)
        assert_whole(received(), count)
        weir.wait_closed(reason="done")


REQUEST, ANSWER = b"request" * 20, b"answer" * 200


def request_server(sock, _upstream):
    receive_exactly(sock, len(REQUEST))
    sock.sendall(ANSWER)
    return receive(sock)


def abandon(sock, stage):
    """Leaves at a stage of a request's life."""
    if stage in ("half a request", "half a request, reset"):
        sock.sendall(REQUEST[: len(REQUEST) // 2])
    elif stage not in ("connected", "connected, reset"):
        sock.sendall(REQUEST)
    if stage == "half an answer, reset":
        receive_exactly(sock, len(ANSWER) // 2)
    if stage == "half-closed, reset":
        half_close(sock)
    (reset if stage.endswith("reset") else socket.socket.close)(sock)


STAGES = ("connected", "connected, reset", "half a request", "half a request, reset", "request", "request, reset",
          "half an answer, reset", "half-closed, reset")


def test_short_connections_one_in_five_abandoned(balancer):
    """L10"""
    count, threads = amount(2000, full=20_000, slow=500), 10
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    def client(number, weir):
        rng = random.Random(seed + number)
        for _ in range(count // threads):
            sock = weir.connect()
            weir.clients.remove(sock)
            if rng.random() < 0.2:
                abandon(sock, rng.choice(STAGES))
                continue
            with sock:
                sock.sendall(REQUEST)
                assert receive_exactly(sock, len(ANSWER)) == ANSWER
                half_close(sock)
                assert receive(sock)[::2] == (0, "clean")

    with Upstream(request_server) as web, balancer(web) as weir:
        in_threads(threads, client, weir)
        eventually(lambda: len(weir.entries("connection")) == count, what=lambda: len(weir.entries("connection")))
        reasons = {entry["reason"] for entry in weir.entries("connection")}
        assert reasons <= {"done", "client_reset", "upstream_reset"}, reasons


def connecting(weir):
    """Sockets of the balancer that wait for its first upstream, a Hanger, to answer."""
    address = weir.upstreams[0].address
    lines = (line.split() for line in weir.sockets())
    return [words for words in lines if words[0] == "SYN-SENT" and words[4] == address]


def test_client_resets_while_the_connect_hangs(balancer):
    """L12: the connecting socket is gone within a second."""
    with Hanger() as dead, balancer(dead, pool={"connect_timeout": "1m"}) as weir:
        client = weir.connect()
        eventually(lambda: connecting(weir), what="no SYN-SENT")
        start = time.monotonic()
        reset(client)
        eventually(lambda: not connecting(weir), what="still SYN-SENT")
        assert settings.SLOW or time.monotonic() - start < 1.0
        weir.wait_closed(reason="client_reset")


def test_client_leaves_while_the_connect_hangs(balancer):
    """L11 for a plain client: its end alone may be a half-close, so the connect goes on, to connect_timeout at most."""
    with Hanger() as dead, balancer(dead, pool={"connect_timeout": "1s"}) as weir:
        client = weir.connect()
        eventually(lambda: connecting(weir), what="no SYN-SENT")
        client.close()
        weir.wait_closed(reason="connect_timeout")
        assert not connecting(weir)


def test_client_that_half_closed_before_the_connect_is_served(balancer):
    with Hanger() as dead, Upstream(answer(1000)) as web:
        with balancer(dead, web, pool={"connect_timeout": "300ms"}) as weir:
            for _ in range(2):  # one of them meets the dead one first
                client = weir.connect()
                client.sendall(b"all I have")
                half_close(client)
                assert_whole(receive(client), 1000)
                assert web.result().size == 10
