# SPDX-License-Identifier: Apache-2.0
"""Upstream failures at every stage: P1-P5, P7, and what follows for the balance (H2, H10, H11)."""

import random
import subprocess
import sys
import time

import pytest

import netns
import settings
from peers import (
    Address, Refuser, Upstream, assert_prefix, assert_whole, echo, half_close, in_threads, receive, receive_exactly,
    reset, resetter, send_data, sink, take_and_break)
from settings import amount

MIB = 1 << 20


def test_refused_then_the_next(balancer):
    """P1"""
    with Refuser() as refuser, Upstream(echo) as web, balancer(refuser, web) as weir:
        for _ in range(10):
            weir.ask()
        weir.wait_closed(10, reason="done", upstream=web.name)
        assert max(entry["tries"] for entry in weir.entries("connection")) == 2
        failures = weir.metrics().sum("weir_upstream_failures_total", upstream=refuser.name, reason="refused")
        assert failures == sum(entry["tries"] - 1 for entry in weir.entries("connection"))


def test_all_refuse(balancer):
    """P1: each is tried once, and the client is told."""
    with Refuser() as one, Refuser() as two, balancer(one, two) as weir:
        assert weir.is_cut()
        weir.wait_closed(reason="connect_failed", tries=2)


def test_retries_are_bounded(balancer):
    with Refuser() as one, Refuser() as two, Refuser() as three, balancer(one, two, three, pool={"retries": 1}) as weir:
        assert weir.is_cut()
        weir.wait_closed(reason="connect_failed", tries=2)


def test_unreachable_then_the_next(balancer):
    """P2"""
    with Address(f"{netns.unreachable_host()}:7000") as nowhere, Upstream(echo) as web:
        with balancer(nowhere, web) as weir:
            for _ in range(4):
                weir.ask()
            weir.wait_closed(4, reason="done", upstream=web.name)
            assert weir.metrics().sum("weir_upstream_failures_total", upstream=nowhere.name, reason="unreachable") >= 1


def test_accepted_then_reset_before_data(balancer):
    """P3: a reset for the client too, each time. (One that overtakes connect() fails the connect.)"""
    with Upstream(resetter()) as web, balancer(web) as weir:
        for count in range(1, 21):
            assert weir.hear()[::2] == (0, "reset")
            assert weir.wait_closed(count)["reason"] in ("upstream_reset", "connect_failed")


def test_immediate_end(balancer):
    """P4: a clean end is a clean end."""
    with Upstream(lambda sock, _: None) as web, balancer(web) as weir:
        for count in range(1, 21):
            client = weir.connect()
            assert receive(client)[::2] == (0, "clean")
            half_close(client)
            weir.wait_closed(count, reason="done")


READER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sock, _ = server.accept()
sock.recv(1000)
print("started", flush=True)
time.sleep(1000)
"""


def test_upstream_dies_in_an_upload(balancer):
    """P5: killed with bytes unread; the client never sees a clean end."""
    process = subprocess.Popen([sys.executable, "-c", READER], stdout=subprocess.PIPE)
    try:
        with Address(f"127.0.0.1:{int(process.stdout.readline())}") as web, balancer(web) as weir:
            client = weir.connect()
            send_data(client, 8 * MIB // 4)
            assert process.stdout.readline() == b"started\n"
            process.kill()
            assert receive(client).end == "reset"
            weir.wait_closed(reason="upstream_reset")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_upstream_resets_in_an_upload(balancer):
    """P5: the client's sending fails by a reset; a broken pipe would mean that an end had come before it."""

    def serve(sock, _upstream):
        receive(sock, random.randrange(1, MIB))
        reset(sock)

    with Upstream(serve) as web, balancer(web) as weir:
        for count in range(1, amount(100, full=1000, slow=20) + 1):
            with pytest.raises(ConnectionResetError):
                send_data(weir.connect(), 1 << 40)
            weir.wait_closed(count, reason="upstream_reset")
            weir.close_clients()


def test_upstream_resets_in_a_download(balancer):
    """P5"""
    with Upstream(resetter(after=10 * MIB)) as web, balancer(web) as weir:
        for _ in range(5):
            assert_prefix(weir.hear())
        weir.wait_closed(5, reason="upstream_reset")


def test_nothing_is_retried_once_bytes_have_gone_out(balancer):
    """P7: an upstream that took the client's bytes and broke is the only one that saw them."""
    with Upstream(take_and_break) as one, Upstream(take_and_break) as two, balancer(one, two) as weir:
        for count in range(1, 11):
            client = weir.connect()
            client.sendall(b"payment")
            assert receive(client)[::2] == (0, "reset")
            weir.wait_closed(count, reason="upstream_reset", tries=1)
        assert one.accepted + two.accepted == 10


def test_bytes_sent_before_the_retry_arrive_once(balancer):
    """P7: what the client sent while the first upstream was tried is the second one's, whole."""
    with Refuser() as refuser, Upstream(sink) as web, balancer(refuser, web) as weir:
        for _ in range(10):
            client = weir.connect()
            send_data(client, MIB)
            half_close(client)
            assert receive(client).end == "clean"
            assert_whole(web.result(), MIB)


def test_upstream_that_only_resets_is_taken_out(balancer):
    """H2: real failures count, and the clients after `fall` of them go elsewhere."""
    health = {"check": "none", "passive": True, "fall": 3}
    with Upstream(take_and_break) as bad, Upstream(echo) as good, balancer(bad, good, pool={"health": health}) as weir:
        broken = 0
        for _ in range(50):
            broken += not weir.admits()
        assert 3 <= broken <= 5, broken
        assert bad.accepted <= 8


def test_balance_after_failures(balancer):
    """H10: after failures of every kind, held connections are spread evenly again."""
    with Upstream(echo) as one, Upstream(echo) as two, Refuser() as refuser, balancer(one, two, refuser) as weir:

        def fail(number):
            for step in range(25):
                client = weir.connect()
                client.sendall(b"x")
                (reset if (number + step) % 2 else lambda sock: sock.close())(client)

        in_threads(4, fail)
        weir.wait_closed(100)
        for _ in range(100):
            receive_exactly_after(weir.connect())
        assert (one.active, two.active) == (50, 50)


def receive_exactly_after(client):
    client.sendall(b"x")
    assert receive_exactly(client, 1) == b"x"


def test_saturated_upstreams_refuse_promptly(balancer):
    """H11"""
    with Upstream(echo) as web:
        place = {"name": "web1", "address": web.address, "max_connections": 3}
        with balancer(web, pool={"upstreams": [place]}) as weir:
            for _ in range(3):
                receive_exactly_after(weir.connect())
            start = time.monotonic()
            assert weir.is_cut()
            assert time.monotonic() - start < (10 if settings.SLOW else 1)
            weir.wait_closed(reason="no_upstream")
