# SPDX-License-Identifier: Apache-2.0
"""Everything at once on two workers: also what scripts/check runs in the build with the thread sanitizer."""

import random
import socket
import threading
import time

from peers import Upstream, background, connect, echo, half_close, in_threads, receive, reset
from settings import amount

SECONDS = amount(3, full=60)


def moody(sock, _upstream):
    """An upstream that breaks now and then, at any stage."""
    mood = random.random()
    if mood < 0.1:
        reset(sock)
    elif mood < 0.2:
        sock.sendall(sock.recv(1000))
        reset(sock)
    elif mood > 0.3:
        echo(sock)


def live(rng, port):
    """A client's life, good or bad; wrong bytes are an error, an end never is."""
    sock = connect(port, source=f"127.9.0.{rng.randrange(1, 20)}")
    try:
        data, heard = rng.randbytes(rng.choice([1, 100, 100_000])), 0
        for _ in range(rng.randrange(5)):
            sock.sendall(data)
            received = sock.recv(len(data))
            assert received == (data * 2)[heard : heard + len(received)]
            heard = (heard + len(received)) % len(data)
        if rng.random() < 0.5:
            half_close(sock)
            receive(sock)
    except OSError:
        pass  # broken meanwhile
    (reset if rng.random() < 0.3 else socket.socket.close)(sock)


def test_many_things_at_once(balancer):
    over = threading.Event()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    def client(number):
        rng = random.Random(seed + number)
        while not over.is_set():
            live(rng, weir.port)

    def look():
        while not over.wait(0.05):
            weir.metrics()
            weir.status()

    health = {"check": "connect", "interval": "100ms", "timeout": "100ms", "fall": 1, "rise": 1}
    limits = {"connections": 3, "rate": "100/s", "burst": 20}
    with Upstream(moody) as one, Upstream(moody) as two, Upstream(echo) as three:
        with balancer(one, two, three, pool={"health": health}, limits=limits) as weir:
            looked = background(look)
            threading.Timer(SECONDS, over.set).start()
            in_threads(8, client)
            looked()
            reasons = {entry["reason"] for entry in weir.entries("connection")}
            assert {"done", "client_reset"} <= reasons, reasons
            time.sleep(0.5)  # tokens and probes for the fresh client of the checks
