# SPDX-License-Identifier: Apache-2.0
"""Limits of clients, on real sockets: Q1-Q3, Q6."""

import random
import socket
import threading
import time

import pytest

import settings
from peers import Upstream, connect, echo, eventually, half_close, in_threads, is_served, reset
from settings import amount


def contend(weir, contenders, threads=8):
    """So many clients at once; returns how many were admitted, and stay."""
    together = threading.Barrier(threads)

    def client(number):
        together.wait(settings.DEADLINE)
        return sum(weir.admits() for _ in range(number, contenders, threads))

    return sum(in_threads(threads, client))


def test_exactly_as_many_as_the_limit_says(balancer):
    """Q1: limit N, 10 N clients at once on two workers: exactly N, again and again."""
    limit, rounds = 8, amount(20, full=200, slow=5)
    with Upstream(echo) as web, balancer(web, limits={"connections": limit}) as weir:
        for number in range(1, rounds + 1):
            assert contend(weir, 10 * limit) == limit
            weir.close_clients()
            weir.wait_closed(number * limit, reason="done")
        assert weir.closed("client_limit") == 9 * limit * rounds


def test_limit_is_exact_after_failures(balancer):
    """Q2: rounds through every failure that a client can have, then again exactly N."""
    limit, rounds = 10, amount(1000, full=10_000, slow=200)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")

    def misbehave(number):
        rng = random.Random(seed + number)
        for _ in range(rounds // 4):
            sock = connect(weir.port)
            try:
                if rng.random() < 0.5:
                    sock.sendall(b"x" * rng.randrange(1, 10_000))
                    sock.recv(rng.randrange(1, 10_000))
                if rng.random() < 0.3:
                    half_close(sock)
            except OSError:
                pass  # broken meanwhile: what this is about
            (reset if rng.random() < 0.5 else socket.socket.close)(sock)

    def moody(sock, _upstream):
        mood = random.random()
        if mood < 0.2:
            reset(sock)
        elif mood < 0.8:
            echo(sock)

    with Upstream(moody) as web, balancer(web, limits={"connections": limit}, listener={"idle_timeout": "2s"}) as weir:
        in_threads(4, misbehave)
        web.serve = echo
        eventually(lambda: not weir.check_figures(), what=weir.check_figures)
        assert contend(weir, 10 * limit) == limit


@pytest.mark.exact
def test_burst_then_rate(balancer):
    """Q3: rate R, burst B: B at once, then R a second."""
    rate, burst, seconds = 20, 10, amount(2.0, full=10.0)
    with Upstream(echo) as web, balancer(web, limits={"rate": f"{rate}/s", "burst": burst}) as weir:
        start = time.monotonic()
        served = 0
        while time.monotonic() - start < seconds:
            served += weir.admits()
            weir.close_clients()
        possible = burst + rate * (time.monotonic() - start)
        assert 0.8 * possible - 1 <= served <= possible + 1, (served, possible)
        weir.wait_closed(reason="client_rate")
        time.sleep(3 / rate)  # a token for the fresh client of the checks


def test_limits_of_one_client_are_nobody_elses(balancer):
    """Each address that no client of the configuration has is a client of its own, with the default limits."""
    with Upstream(echo) as web, balancer(web, limits={"connections": 1}) as weir:
        for number in range(1, 11):
            assert weir.admits(source=f"127.6.0.{number}")
            assert not weir.admits(source=f"127.6.0.{number}")


def test_clients_own_limits_and_the_default_ones(balancer):
    clients = [{"name": "office", "identity": ["cidr:127.7.0.0/24"], "limits": {"connections": 3}},
               {"name": "free", "identity": ["cidr:127.7.1.0/24"], "limits": {"connections": 0}}]
    with Upstream(echo) as web, balancer(web, limits={"connections": 1}, clients=clients) as weir:
        served = [weir.admits(source=f"127.7.0.{n}") for n in range(1, 6)]
        assert served == [True, True, True, False, False]
        assert all(weir.admits(source=f"127.7.1.{n}") for n in range(1, 6))
        assert weir.admits() and not weir.admits()
        metrics = weir.metrics()
        assert metrics.sum("weir_client_connections_active", client="office") == 3
        assert metrics.sum("weir_client_denied_total", client="office", reason="client_limit") == 2


def test_many_identities(balancer):
    """Q6: the table of unknown clients is bounded, and so is memory; at full size more of them come than it holds."""
    count, threads = amount(4000, full=100_000, slow=500), 8
    held = 65_536

    def visit(number):
        served = 0
        for n in range(number, count, threads):
            source = f"127.{8 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"
            with connect(weir.port, source=source) as sock:
                served += is_served(sock)
        return served

    limits = {"connections": 5, "rate": "1/h", "burst": 2}
    local = {"name": "local", "identity": ["cidr:127.0.0.1/32"], "limits": {"burst": 100}}
    with Upstream(echo) as web, balancer(web, limits=limits, clients=[local]) as weir:
        before = weir.anonymous_bytes()
        served = sum(in_threads(threads, visit))
        grown = weir.anonymous_bytes() - before
        assert settings.SLOW or grown < (64 << 20), f"{grown >> 10} KiB"
        assert served >= min(count, held) - 1
        if count > held:
            weir.wait_closed(reason="over_capacity")
