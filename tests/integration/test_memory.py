# SPDX-License-Identifier: Apache-2.0
"""Check 7: memory after many repetitions is at most 2 % above that after a few, and a little for high tides."""

import random

import pytest

from peers import Refuser, Upstream, connect, half_close, in_threads, receive, reset, send_data

THREADS, LIVES = 8, 12
FIRST, LAST = 10, 40  # repetitions after which memory is looked at
TIDE = 1 << 20  # of buffers that were never used before: 360 bytes for each connection between, less than any leaks
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
                for _ in range(LIVES):
                    live(rng, weir.port, f"127.10.0.{rng.randrange(1, 4)}")

            for repetition in range(1, LAST + 1):
                in_threads(THREADS, repeat)
                weir.wait_closed(THREADS * LIVES * repetition)
                if repetition == FIRST:
                    before = weir.anonymous_bytes()
            assert weir.anonymous_bytes() <= 1.02 * before + TIDE, (before, weir.anonymous_bytes())
