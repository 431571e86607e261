# SPDX-License-Identifier: Apache-2.0
"""Exhaustion: E1-E4."""

import os
import resource
import signal
import time

import pytest

import certs
import netns
import settings
from peers import Upstream, echo, eventually, half_close, is_served, receive, receive_exactly, send_data
from settings import amount
from shims import FailMalloc
from tls import TlsUpstream, pool_block, server_context

MIB = 1 << 20


def web_server(secure):
    if not secure:
        return Upstream(echo)
    return TlsUpstream(server_context(certs.servers().issue_server("web", san=["dns:web.test"])), echo)


def ping(client):
    client.sendall(b"ping")
    assert receive_exactly(client, 4) == b"ping"


def set_descriptor_limit(weir, limit):
    resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def highest_descriptor(weir):
    return max(int(name) for name in os.listdir(f"/proc/{weir.pid}/fd"))


def calm_under_pressure(weir, seconds=3):
    """Alive, under 5 % CPU, and at most a line of the log a second."""
    lines, ticks = len(weir.log), weir.cpu_ticks()
    time.sleep(seconds)
    assert settings.SLOW or weir.cpu_ticks() - ticks <= 5 * seconds
    assert len(weir.log) - lines <= seconds + 1, weir.log[lines:]


def assert_recovers(weir):
    """Newcomers are served within a second from now."""
    start = time.monotonic()
    eventually(weir.admits, what=weir.state)
    assert settings.SLOW or time.monotonic() - start < 1.0


def test_200_clients_where_64_descriptors_are_allowed(balancer):
    """E1: the limit stands from the start, so the balancer plans with it."""
    with Upstream(echo) as web, balancer(web, workers=1, nofile=64) as weir:
        live = weir.connect()
        ping(live)
        crowd = [weir.connect() for _ in range(200)]
        weir.wait_log("accepting paused")
        calm_under_pressure(weir)
        ping(live)
        for client in crowd:
            client.close()
        assert_recovers(weir)
        ping(live)


def test_200_clients_when_descriptors_run_out(balancer):
    """E1: the limit falls while the balancer runs, so that its calls fail."""
    with Upstream(echo) as web, balancer(web, workers=1) as weir:
        live = weir.connect()
        ping(live)
        set_descriptor_limit(weir, highest_descriptor(weir) + 31)
        crowd = [weir.connect() for _ in range(200)]
        eventually(lambda: weir.entries("accepting paused") or weir.entries("connection", reason="over_capacity"),
                   what=weir.state)
        weir.wait_rest()
        calm_under_pressure(weir)
        ping(live)
        for client in crowd:
            client.close()
        assert_recovers(weir)
        ping(live)


def test_no_descriptor_for_the_upstreams_socket(balancer):
    """E2: only that client is closed."""
    nothing_else = {"health": {"check": "none"}}  # that takes a descriptor now and then
    with Upstream(echo) as web, balancer(web, workers=1, pool=nothing_else) as weir:
        live = weir.connect()
        ping(live)
        set_descriptor_limit(weir, highest_descriptor(weir) + 2)
        assert weir.is_cut()
        assert "LimitNOFILE" in weir.wait_closed(reason="over_capacity")["detail"]
        assert web.accepted == 1
        ping(live)
        set_descriptor_limit(weir, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        weir.ask()
        ping(live)


def test_no_descriptor_for_a_check(checked):
    """E2: that we cannot look says nothing about the upstream."""
    health = {"check": "connect", "interval": "20ms", "fall": 1, "passive": True}
    with Upstream(echo) as web, checked(web, workers=1, pool={"health": health}) as weir:
        live = weir.connect()
        ping(live)
        set_descriptor_limit(weir, 3)
        eventually(lambda: web.active == 1)
        seen = web.accepted
        time.sleep(0.1)  # for several checks
        assert web.accepted == seen
        ping(live)
        set_descriptor_limit(weir, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        web.wait_accepted(seen + 2)
        assert not weir.entries("upstream down")


def small_life(weir, timeout=settings.DEADLINE):
    """A client that may be refused or cut, but neither gets wrong bytes nor waits for ever. True: served in full."""
    try:
        with weir.connect(timeout=timeout) as client:
            weir.clients.clear()
            client.sendall(b"x" * 1000)
            if receive_exactly(client, 1000) != b"x" * 1000:
                raise AssertionError("wrong bytes")
            half_close(client)
            received = receive(client)
            assert received.size == 0
            return received.end == "clean"
    except (ConnectionError, EOFError):
        return False


def test_nth_allocation_of_a_connection_fails(balancer, tmp_path):
    """E3: one life for each n, until no allocation of a life is left to fail; a live flow goes on, and the next client
    is served."""
    failing = FailMalloc(tmp_path)
    most = amount(200, full=5000)
    with Upstream(echo) as web, balancer(web, workers=1, env=failing.env) as weir:
        live = weir.connect()
        ping(live)
        weir.clients.clear()
        untouched = 0
        for number in range(1, most + 1):
            failing.fail(number)
            small_life(weir)
            untouched = untouched + 1 if failing.stop() == 0 else 0
            ping(live)
            assert small_life(weir), f"the client after allocation {number} failed is not served\n{weir.state()}"
            if untouched > 5:
                break
        live.close()
        assert number > 6, "no allocation failed: the library was not preloaded"


def test_nth_allocation_fails_under_back_pressure(balancer, tmp_path):
    """E3: a fat sender and a reader that stops; what arrives is whole, or a beginning."""
    failing = FailMalloc(tmp_path)
    size = 8 * MIB

    def serve(sock, _upstream):
        send_data(sock, size)

    with Upstream(serve) as web, balancer(web, workers=1, env=failing.env) as weir:
        for number in range(1, amount(12, full=100)):
            failing.fail(number)
            client = weir.connect()
            weir.wait_rest()
            received = receive(client)
            failed = failing.stop()
            client.close()
            if received.end == "clean":
                assert received.size == size
            else:
                assert failed > 0
        assert {entry["reason"] for entry in weir.entries("connection")} <= {"done", "out_of_memory", "over_capacity"}


def test_no_memory_at_all_for_a_while(balancer, tmp_path):
    """E3: newcomers are turned away, live flows go on, and all is well afterwards."""
    failing = FailMalloc(tmp_path)
    with Upstream(echo) as web, balancer(web, workers=1, env=failing.env) as weir:
        live = weir.connect()
        ping(live)
        failing.fail_all(True)
        served = [small_life(weir) for _ in range(20)]
        ping(live)
        assert failing.stop() > 0
        assert not any(served)
        assert small_life(weir)
        ping(live)
        weir.clients.append(live)


def test_nth_allocation_fails_at_start(balancer, tmp_path):
    """E3: the program says so and ends with 1 or 2, or runs without what it could not have; it never dies of it.
    Without the sandbox: libseccomp, which works at the start only, looks at not all of its own allocations."""
    failing = FailMalloc(tmp_path)
    step = amount(23, full=1)
    untouched = False
    with Upstream(echo) as web:
        for number in range(1, 5000, step):
            failing.fail(number)
            weir = balancer(web, env=failing.env, sandbox="off")
            weir.launch()
            try:
                eventually(lambda: weir.process.poll() is not None or weir.entries("listening"), what=weir.state)
                untouched = failing.stop() == 0
                weir.signal(signal.SIGTERM)
                status = weir.wait_exit()
            finally:
                weir.kill()
            assert status in (0, 1, 2), f"allocation {number}: exit {status}\n{weir.state()}"
            if untouched:
                break
    assert untouched and number > 1


PORTS = 8


def crowded(weir, number):
    """A client that the balancer's own shortage of ports does not concern: it comes from an address of its own."""
    return weir.connect(source=f"127.4.0.{number}")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_local_ports_run_out(checked, secure):
    """E4: our fault, not the upstream's: it is not marked, the log says what to do, and open connections go on."""
    health = {"check": "connect", "interval": "20ms", "fall": 1, "passive": True}
    pool = {"health": health, **({"tls": pool_block(verify=["dns:web.test"])} if secure else {})}
    with web_server(secure) as web, checked(web, pool=pool) as weir:
        with netns.local_ports(PORTS):
            served = [client for client in (crowded(weir, n) for n in range(1, PORTS + 3)) if is_served(client)]
            assert len(served) <= PORTS
            entry = weir.wait_closed(reason="over_capacity", upstream=web.name)
            assert "net.ipv4.ip_local_port_range" in entry["detail"]
            time.sleep(0.1)  # checks have no port either
            for client in served:
                ping(client)
            served.pop().close()
            weir.wait_closed(reason="done")
        assert_recovers(weir)
        assert not weir.entries("upstream down") and not weir.entries("upstream ejected")
        assert weir.metrics().sum("weir_upstream_failures_total") == 0


def test_another_upstream_where_local_ports_run_out(balancer):
    """E4: ports are used up towards one address only; the other one is tried, and nobody is turned away."""
    with Upstream(echo, host="127.0.0.2") as one, Upstream(echo, host="127.0.0.3") as two:
        places = [{"name": "one", "address": one.address, "weight": 100}, {"name": "two", "address": two.address}]
        one.name, two.name = "one", "two"
        with balancer(one, two, pool={"upstreams": places}) as weir, netns.local_ports(PORTS):
            for number in range(1, PORTS + 4):
                assert is_served(crowded(weir, number))
            assert one.active == PORTS and two.active == 3
            assert weir.metrics().sum("weir_upstream_failures_total") == 0
