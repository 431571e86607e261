# SPDX-License-Identifier: Apache-2.0
"""Check 7: memory after repetition 30 is at most 2 % above repetition 3, and a little for the allocator."""

import random

import pytest

from peers import Refuser, Upstream, connect, half_close, in_threads, receive, reset, send_data

REPETITIONS = 30
SLACK = 512 << 10  # what the allocator may keep of a higher tide: 200 bytes for each connection between the two looks
BULK = 4 << 20


def moody(sock, upstream):
    """By the client's first byte: an echo of all, bulk, a reset, silence to the client's end."""
    mood = sock.recv(1)
    if mood == b"b":
        send_data(sock, BULK)
    elif mood == b"r":
        reset(sock)
    elif mood == b"e":
        while data := sock.recv(1 << 16):
            sock.sendall(data)


def live(rng, port, source):
    """One of the lives that a client may have; all of them take what a balancer has: overflow, retries, refusals."""
    with connect(port, source=source) as sock:
        mood = rng.choice(["e", "e", "b", "B", "r", "s"])
        try:
            sock.sendall(mood.lower().encode() + b"x" * rng.randrange(100_000))
            if mood == "B":
                reset(sock)  # in the middle of bulk
            elif mood != "s":
                half_close(sock)
                receive(sock)
        except OSError:
            pass  # broken: that is what it is about


@pytest.mark.exact
def test_lives_of_all_kinds_leave_no_memory_behind(balancer):
    limits = {"connections": 3}
    with Upstream(moody) as one, Upstream(moody) as two, Refuser() as refuser:
        with balancer(one, two, refuser, limits=limits) as weir:

            def repeat(number):
                rng = random.Random(number)  # the same in each repetition
                for _ in range(12):
                    live(rng, weir.port, f"127.10.0.{rng.randrange(1, 4)}")

            for repetition in range(1, REPETITIONS + 1):
                in_threads(8, repeat)
                weir.wait_closed(8 * 12 * repetition)
                if repetition == 3:
                    before = weir.anonymous_bytes()
            assert weir.anonymous_bytes() <= 1.02 * before + SLACK, (before, weir.anonymous_bytes())
