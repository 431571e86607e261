# SPDX-License-Identifier: Apache-2.0
"""Start and stop: U4, signals, ports, max_connections."""

import signal
import socket
import time

import pytest

import settings
from peers import (
    LOOPBACK, Refuser, Upstream, banner, echo, eventually, free_port, half_close, mute, receive, receive_exactly,
    source)
from settings import amount

MIB = 1 << 20


def ended_by_test(weir, status=0):
    """Waits for the end that the test has asked for, instead of the checks after a scenario."""
    weir.stopped_by_test = True
    assert weir.wait_exit() == status, weir.state()
    assert status != 0 or weir.stderr() == "", weir.stderr()


def listening(weir):
    """The balancer's own listening sockets."""
    address = f"{LOOPBACK}:{weir.port}"
    lines = (line.split() for line in weir.sockets())
    return [words for words in lines if words[0] == "LISTEN" and words[3] == address]


def test_sigterm_during_a_transfer_drains(balancer):
    """U4: what is open goes on to its own end; nothing new is taken; then it ends with 0."""
    size = amount(200 * MIB, slow=20 * MIB)
    with Upstream(source(size)) as web, balancer(web) as weir:
        client = weir.connect()
        assert receive(client, MIB).size == MIB
        weir.signal(signal.SIGTERM)
        eventually(lambda: not listening(weir), what="still listens")
        with pytest.raises(AssertionError):
            weir.wait_exit(timeout=0.3)
        rest = receive(client)
        assert (rest.size, rest.end) == (size - MIB, "clean")
        client.sendall(b"thanks")
        half_close(client)
        assert web.result().size == 6
        ended_by_test(weir)
        weir.wait_closed(reason="done")


def test_queued_connections_are_not_lost_at_sigterm(balancer):
    """What the kernel has accepted before the drain is served."""
    with Upstream(banner(b"hello")) as web, balancer(web) as weir:
        clients = [weir.connect() for _ in range(200)]
        weir.signal(signal.SIGTERM)
        for client in clients:
            assert receive_exactly(client, 5) == b"hello"
            client.close()
        ended_by_test(weir)


def test_drain_timeout_ends_the_rest(balancer):
    with Upstream(mute) as web, balancer(web, drain_timeout="1s") as weir:
        client = weir.connect()
        web.wait_active(1)
        start = time.monotonic()
        weir.signal(signal.SIGTERM)
        assert receive(client).end == "reset"
        assert time.monotonic() - start > 0.9
        ended_by_test(weir)
        weir.wait_closed(reason="drain_timeout")


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT),
                                           (signal.SIGINT, None)])
def test_impatient_signals_end_at_once(balancer, first, second):
    with Upstream(mute) as web, balancer(web) as weir:
        clients = [weir.connect() for _ in range(20)]
        web.wait_active(20)
        weir.signal(first)
        if second is not None:
            weir.wait_log("draining")
            weir.signal(second)
        ended_by_test(weir)
        for client in clients:
            assert receive(client).end == "reset"
        weir.wait_closed(20, reason="drain_timeout")


def test_sigterm_without_connections_ends_at_once(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        start = time.monotonic()
        weir.signal(signal.SIGTERM)
        ended_by_test(weir)
        assert settings.SLOW or time.monotonic() - start < 2


def test_port_of_another_process_is_refused(balancer):
    """Even one that shares its port by SO_REUSEPORT: a strangers' half of the connections would be lost."""
    with socket.socket() as other, Refuser() as web:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((LOOPBACK, 0))
        other.listen()
        weir = balancer(web, listener={"address": "%s:%d" % other.getsockname()})
        weir.launch()
        assert weir.wait_exit() == 1
        assert weir.entries("cannot listen", listener="edge"), weir.state()


def test_second_balancer_on_the_same_port_is_refused(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        second = balancer(web, listener={"address": f"{LOOPBACK}:{weir.port}"})
        second.launch()
        assert second.wait_exit() == 1
        weir.ask()


def test_address_that_is_not_ours_is_refused(balancer):
    with Refuser() as web:
        weir = balancer(web, listener={"address": "192.0.2.1:7000"})
        weir.launch()
        assert weir.wait_exit() == 1


def test_restart_on_the_same_port_does_not_wait_for_old_connections(balancer):
    with Upstream(banner(b"hello")) as web:
        port = free_port()
        for _ in range(2):
            with balancer(web, listener={"address": f"{LOOPBACK}:{port}"}) as weir:
                web.serve = banner(b"hello")
                client = weir.connect()
                assert receive_exactly(client, 5) == b"hello"
                weir.signal(signal.SIGINT)
                ended_by_test(weir)


def test_workers_share_the_choice_of_port_0(balancer):
    """All workers listen on one port, and both of two serve."""
    with Upstream(echo) as web, balancer(web, workers=2) as weir:
        assert len(listening(weir)) == 2
        for _ in range(40):
            weir.ask()


def test_accepting_pauses_at_max_connections(balancer):
    """Who comes too many waits in the kernel's queue, and is served when there is room."""
    with Upstream(echo) as web, balancer(web, workers=1, max_connections=5) as weir:
        clients = [weir.connect() for _ in range(8)]
        for client in clients:
            client.sendall(b"x")
        for client in clients[:5]:
            assert receive_exactly(client, 1) == b"x"
        weir.assert_idle()
        assert web.active == 5
        for number in range(3):
            clients[number].close()
            assert receive_exactly(clients[5 + number], 1) == b"x"
        web.wait_active(5)


def test_max_connections_above_the_descriptor_limit_is_an_error(balancer):
    with Refuser() as web:
        weir = balancer(web, max_connections=10_000, nofile=1000)
        weir.launch()
        assert weir.wait_exit() in (1, 2)
        text = weir.stderr() + str(weir.log)
        assert "max_connections" in text and "weir.yaml" in text


def test_figure_for_max_connections_is_said(balancer):
    with Upstream(echo) as web, balancer(web, nofile=1000) as weir:
        assert 300 < weir.wait_log("descriptor budget")["max_connections"] < 500


def test_missing_file_is_wrong_use(balancer):
    with Refuser() as web:
        weir = balancer(web)
        weir.config = {}
        weir.launch()
        assert weir.wait_exit() == 2
        assert "weir.yaml:" in weir.stderr()
