# SPDX-License-Identifier: Apache-2.0
"""Limits of clients that are known by certificate: Q1-Q4, Q6, Q7."""

import contextlib
import random
import socket
import ssl
import threading
import time

import pytest

import settings
from certs import alice, bob, impostor, root
from peers import (
    LOOPBACK, Upstream, connect, echo, eventually, half_close, in_threads, receive, receive_exactly, reset)
from settings import amount
from tls import Tls, client_context, listener_block
from weir import configuration

ALICE = {"name": "alice", "identity": ["dns:alice.example.com", "uri:spiffe://example.com/alice"]}
BOB = {"name": "bob", "identity": ["dns:bob.example.com"]}


def limited(balancer, web, *clients, **options):
    return balancer(web, listener={"tls": listener_block()}, clients=list(clients), tls=client_context(alice()),
                    **options)


def held(weir, client):
    return weir.metrics().sum("weir_client_connections_active", client=client)


def contend(weir, contenders, threads=8):
    """So many clients at once; returns how many were admitted, and stay."""
    together = threading.Barrier(threads)

    def client(number):
        together.wait(settings.DEADLINE)
        return sum(weir.admits() for _ in range(number, contenders, threads))

    return sum(in_threads(threads, client))


def test_exactly_as_many_as_the_limit_says(balancer):
    """Q1: limit N, many at once on two workers: exactly N; the others hear a clean end, without a byte."""
    limit, rounds = 8, amount(5, full=200, slow=2)
    with Upstream(echo) as web, limited(balancer, web, {**ALICE, "limits": {"connections": limit}}) as weir:
        for number in range(1, rounds + 1):
            assert contend(weir, 5 * limit) == limit
            assert held(weir, "alice") == limit
            assert weir.refusal() == "clean"
            weir.close_clients()
            weir.wait_closed(number * limit, reason="done")
        refused = (4 * limit + 1) * rounds
        assert weir.closed("client_limit") == refused
        assert weir.metrics().sum("weir_client_denied_total", client="alice", reason="client_limit") == refused
        assert web.accepted == rounds * limit


def leave_early(sock, tls, rng):
    """Any way for a client to go, at any time."""
    try:
        if rng.random() < 0.2:
            return
        while not tls.step():
            tls.flush()
            if rng.random() < 0.2:
                return
            tls.fill()
        tls.flush()
        if rng.random() < 0.3:
            return
        tls.sendall(b"x" * rng.randrange(1, 10_000))
        tls.recv(rng.randrange(1, 10_000))
        if rng.random() < 0.3:
            half_close(tls)
        elif rng.random() < 0.3:
            tls.truncate()
        elif rng.random() < 0.3:
            sock.sendall(b"\x17\x03\x03\x00\x20" + rng.randbytes(32))
    except OSError:
        pass  # broken meanwhile: what this is about
    finally:
        (reset if rng.random() < 0.5 else socket.socket.close)(sock)


def test_limit_is_exact_after_failures(balancer):
    """Q2: rounds through every failure that a TLS client can have, then again exactly N."""
    limit, rounds = 10, amount(400, full=10_000, slow=100)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    contexts = [client_context(alice()), client_context(alice(), key=impostor(alice().key)), client_context(),
                client_context(bob())]

    def misbehave(number):
        rng = random.Random(seed + number)
        for _ in range(rounds // 4):
            with contextlib.suppress(ConnectionError):
                sock = connect(weir.port)
                leave_early(sock, Tls(sock, rng.choice(contexts)), rng)

    def moody(sock, _upstream):
        mood = random.random()
        if mood < 0.2:
            reset(sock)
        elif mood < 0.8:
            echo(sock)

    with Upstream(moody) as web, limited(balancer, web, ALICE, limits={"connections": limit}) as weir:
        in_threads(4, misbehave)
        web.serve = echo
        eventually(lambda: not weir.check_figures(), what=weir.check_figures)
        assert contend(weir, 5 * limit) == limit


@pytest.mark.exact
def test_burst_then_rate(balancer):
    """Q3: rate R, burst B: B at once, then R a second."""
    rate, burst, seconds = 10, 10, amount(2.0, full=10.0)
    client = {**ALICE, "limits": {"rate": f"{rate}/s", "burst": burst}}
    with Upstream(echo) as web, limited(balancer, web, client) as weir:
        start = time.monotonic()
        served = 0
        while time.monotonic() - start < seconds:
            served += weir.admits()
            weir.close_clients()
        possible = burst + rate * (time.monotonic() - start)
        assert 0.8 * possible - 1 <= served <= possible + 1, (served, possible)
        weir.wait_closed(reason="client_rate")
        time.sleep(3 / rate)  # a token for the fresh client of the checks


def test_limits_are_shared_by_listeners_and_certificates(balancer):
    """Q4: whatever matches alice, wherever it comes in, takes from the same slots; bob has his own."""
    other = root().issue("other", san=["uri:spiffe://example.com/alice"])
    with Upstream(echo) as web:
        config = configuration([web], listener={"tls": listener_block()}, limits={"connections": 2},
                               clients=[{**ALICE, "limits": {"connections": 3}}, BOB])
        config["listeners"].append({**config["listeners"][0], "name": "second"})
        with balancer(web, config=config, tls=client_context(alice())) as weir:
            assert [weir.admits(), weir.admits(tls=client_context(other)), weir.admits(listener="second")] == [True] * 3
            assert not weir.admits() and not weir.admits(listener="second", tls=client_context(other))
            assert held(weir, "alice") == 3
            served = [weir.admits(tls=client_context(bob())) for _ in range(3)]
            assert served == [True, True, False]


def test_unknown_certificates_have_limits_of_their_own(balancer):
    """Each goes by its own name; without a name, by its fingerprint."""
    strangers = [root().issue(f"stranger{n}", san=[f"dns:stranger{n}.example.com"]) for n in range(3)]
    strangers += [root().issue(f"stranger {n}") for n in range(2)] + [root().issue("") for _ in range(2)]
    with Upstream(echo) as web, limited(balancer, web, ALICE, limits={"connections": 1}) as weir:
        for stranger in strangers:
            context = client_context(stranger)
            assert weir.admits(tls=context) and not weir.admits(tls=context)
        assert held(weir, "other") == len(strangers)
        weir.wait_closed(len(strangers), reason="client_limit")
        names = {entry["identity"] for entry in weir.entries("connection", reason="client_limit")}
        assert {"dns:stranger0.example.com", "cn:stranger 0", f"sha256:{strangers[-1].fingerprint}"} <= names


def test_many_identities(balancer):
    """Q6, scaled: many certificates that nobody knows, one visit each; memory stays small."""
    count, threads = amount(150, full=5000, slow=30), 4
    key = alice().key
    strangers = [client_context(root().issue(f"s{n}", san=[f"dns:s{n}.example.com"], key=key)) for n in range(count)]

    def visit(number):
        for context in strangers[number::threads]:
            weir.ask(tls=context)

    with Upstream(echo) as web, limited(balancer, web, ALICE, limits={"connections": 5, "rate": "1/h", "burst": 2},
                                        workers=1) as weir:
        in_threads(threads, visit)
        before = weir.anonymous_bytes()
        in_threads(threads, visit)
        grown = weir.anonymous_bytes() - before
        assert settings.SLOW or grown < 4 << 20, f"{grown >> 10} KiB"
        assert weir.refusal(tls=strangers[0]) == "clean"
        weir.wait_closed(reason="client_rate")


def test_flood_without_keys_takes_no_slot(balancer):
    """Q7: alice's certificate is public. Those who show it without having its key, or stop before they prove it, use up
    neither her slots nor her rate."""
    client = {**ALICE, "limits": {"connections": 2, "rate": "10/m", "burst": 4}}
    stop = threading.Event()
    forged = client_context(alice(), key=impostor(alice().key))

    def flood(number):
        count = 0
        while not stop.is_set():
            sock = connect(weir.port)
            tls = Tls(sock, forged)
            with contextlib.suppress(OSError):
                while not tls.step():
                    tls.flush()
                    tls.fill()
                if number % 2:
                    tls.flush()
                    tls.recv(1)
            sock.close()
            count += 1
        return count

    with Upstream(echo) as web, limited(balancer, web, client) as weir:
        flooding = threading.Thread(target=lambda: counts.extend(in_threads(4, flood)))
        counts = []
        flooding.start()
        try:
            eventually(lambda: len(weir.entries("connection")) > 50)
            mine = [weir.connect() for _ in range(2)]
            for sock in mine:
                sock.sendall(b"hello")
                assert receive_exactly(sock, 5) == b"hello"
            assert held(weir, "alice") == 2
        finally:
            stop.set()
            flooding.join()
        assert sum(counts) > 50 and web.accepted == 2
        assert weir.refusal() == "clean"
        weir.wait_closed(reason="client_limit")
        assert weir.metrics().sum("weir_client_denied_total", client="alice") == 1


def test_refused_after_its_handshake_with_much_unread(balancer):
    """Who is over the limit hears a clean end, even with much on its way."""
    with Upstream(echo) as web, limited(balancer, web, {**ALICE, "limits": {"connections": 1}}) as weir:
        assert weir.admits()
        for _ in range(5):
            sock = weir.connect()
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                sock.sendall(bytes(200_000))
            assert receive(sock)[::2] == (0, "clean")
        assert LOOPBACK in weir.wait_closed(5, reason="client_limit")["peer"]
