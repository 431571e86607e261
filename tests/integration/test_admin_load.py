# SPDX-License-Identifier: Apache-2.0
"""The admin side under load, and the load under the admin side."""

import contextlib
import json
import socket
import statistics
import threading
import time

import pytest

import settings
from admin import admin_at, ask, ask_json, over_http, over_socket, socket_path, ways  # noqa: F401 (a fixture)
from peers import LOOPBACK, Address, Upstream, eventually, free_port, in_threads

STUCK = 100
LINE = b"x" * (1 << 20)


@contextlib.contextmanager
def repeated(work):
    """Does something again and again in a thread of its own; what it raises is raised at the end."""
    stop, errors, rounds = threading.Event(), [], [0]

    def run():
        try:
            while not stop.is_set():
                work()
                rounds[0] += 1
        except Exception as error:  # pylint: disable=broad-except
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join(settings.DEADLINE)
    assert not errors, errors


def stuck_client(path, number):
    """One that never finishes its request, or begins with a line of 1 MiB; None: there is no room for it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(path)
        sock.send(LINE if number % 2 else b"GET /metrics HT")
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    return sock


def test_stuck_clients_of_the_socket_are_not_noticed_elsewhere(balancer, socket_path):
    with Upstream() as web, balancer(web, admin=admin_at(socket_path)) as weir:
        client = weir.connect()
        stuck = [stuck_client(socket_path, number) for number in range(STUCK)]
        slowest = 0.0
        for _ in range(200):
            start = time.monotonic()
            client.sendall(b"ping")
            assert client.recv(4) == b"ping"
            slowest = max(slowest, time.monotonic() - start)
        assert slowest < 10
        assert ask(over_http(weir), "/metrics")[0].status == 200
        weir.ask()
        weir.wait_rest()
        for sock in stuck:
            sock.close()
        assert ask(over_socket(weir), "/metrics")[0].status == 200


def test_whoever_looks_while_upstreams_come_and_go_sees_sense(balancer, socket_path):
    health = {"interval": "50ms", "timeout": "1s", "fall": 1, "rise": 1}

    def look():
        for way in ways(weir):
            status = ask_json(way, "/api/v1/status")
            assert {entry["name"] for entry in status["upstreams"]} == {"web1", "web2"}
            assert {entry["health"] for entry in status["pools"][0]["upstreams"]} <= {"up", "ejected", "down"}
            assert ask(way, "/readyz")[0].status in (200, 503)
            ask_json(way, "/api/v1/connections")

    def state():
        return [entry["health"] for entry in weir.status()["pools"][0]["upstreams"]]

    port = free_port()
    with Address(f"{LOOPBACK}:{port}", "web1") as gone, Upstream(name="web2") as web:
        with balancer(gone, web, admin=admin_at(socket_path), pool={"health": health}) as weir:
            with repeated(look) as rounds:
                for _ in range(settings.amount(3, full=30)):
                    eventually(lambda: state() == ["down", "up"])
                    with Upstream(port=port):
                        eventually(lambda: state() == ["up", "up"])
                        weir.ask()
            assert rounds[0] > 0


def test_whoever_looks_while_the_configuration_changes_sees_sense(balancer, socket_path):
    """Half of the reloads take an upstream, a client and a listener away, the other half bring them back."""
    carol = {"name": "carol", "identity": ["cidr:127.0.0.4/32"], "limits": {"connections": 3}}

    def look():
        status = ask_json(over_http(weir), "/api/v1/status")
        assert len(status["upstreams"]) == len(status["pools"][0]["upstreams"]) == len(status["listeners"])
        assert len(status["upstreams"]) == len(status["clients"])
        assert ask(over_http(weir), "/api/v1/explain?client=carol")[0].status in (200, 404)
        assert "weir_upstream_up" in ask(over_http(weir), "/metrics")[1]
        ask_json(over_http(weir), "/api/v1/connections")

    with Upstream() as one, Upstream() as two:
        with balancer(one, two, admin=admin_at(socket_path), clients=[carol]) as weir:
            small, large = (json.loads(json.dumps(weir.config)) for _ in range(2))
            del small["pools"][0]["upstreams"][1]
            small["clients"] = []
            large["listeners"].append({**large["listeners"][0], "name": "side"})

            def reload(config):
                weir.file.write_text(json.dumps(config))
                assert ask_json(over_socket(weir), "/api/v1/reload", "POST")["result"] == "done"

            client = weir.connect()
            reload(small)
            with repeated(look) as rounds:
                for number in range(settings.amount(10, full=200)):
                    reload(small if number % 2 else large)
                    client.sendall(b"ping")
                    assert client.recv(4) == b"ping"
            assert rounds[0] > 0


def test_connections_are_listed_while_thousands_come_and_go(balancer, socket_path):
    """Those that stay are on every list, once; the others do no harm."""
    with Upstream() as web, balancer(web, admin=admin_at(socket_path)) as weir:
        stayers = [weir.connect(source="127.0.0.2") for _ in range(50)]
        for sock in stayers:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        peers = {"%s:%d" % sock.getsockname() for sock in stayers}
        with repeated(weir.ask):
            for _ in range(settings.amount(10, full=300)):
                seen, after = [], 0
                while after is not None:
                    page = ask_json(over_http(weir), f"/api/v1/connections?limit=20&after={after}")
                    seen += [entry["peer"] for entry in page["connections"]]
                    after = page["next"]
                assert len(seen) == len(set(seen)) and peers <= set(seen)
            found = ask_json(over_http(weir), "/api/v1/connections?client=127.0.0.2&limit=1000")
            assert {entry["peer"] for entry in found["connections"]} == peers


def test_many_connections_are_ended_by_hand_while_they_work(balancer, socket_path):
    with Upstream() as web, balancer(web, admin=admin_at(socket_path)) as weir:
        clients = [weir.connect() for _ in range(40)]
        for sock in clients:
            sock.sendall(b"x")
        web.wait_active(40)
        ids = [entry["id"] for entry in ask_json(over_http(weir), "/api/v1/connections")["connections"]]

        def end(number):
            for identity in ids[number::4]:
                assert ask(over_socket(weir), f"/api/v1/connections/{identity}", "DELETE")[0].status == 200

        in_threads(4, end)
        weir.wait_closed(40, reason="admin_closed")
        assert ask_json(over_http(weir), "/api/v1/connections")["connections"] == []


# Ten thousand of each


def many(upstream, count):
    """A configuration with `count` upstreams and clients beside the one upstream that is used."""
    def host(number):
        return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"

    others = [{"name": f"u{n}", "address": f"10.{host(n)}:7000"} for n in range(count)]
    return {
        "workers": 2,
        "log": {"format": "json"},
        "admin": {"http": f"{LOOPBACK}:{free_port()}"},
        "listeners": [{"name": "edge", "address": f"{LOOPBACK}:0", "pool": "web"}],
        "pools": [{"name": "web", "upstreams": [{"name": "web1", "address": upstream.address}]},
                  {"name": "others", "upstreams": others, "health": {"check": "none"}}],
        "clients": [{"name": f"c{n}", "identity": [f"cidr:172.{host(n)}/32"]} for n in range(count)],
    }


def rounds_of(client, seconds):
    """The times of round trips, in seconds."""
    times, end = [], time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        client.sendall(b"x" * 64)
        assert client.recv(64) == b"x" * 64
        times.append(time.monotonic() - start)
    return times


def test_many_upstreams_and_clients_are_told_soon_and_move_nobody_s_p99(balancer):
    count = settings.amount(1000, full=10000)
    with Upstream() as web, balancer(web, config=many(web, count)) as weir:
        text = weir.get("/metrics")
        assert text.count("weir_upstream_up{") == count + 1
        assert text.count("weir_client_connections_active{") == count + 1
        if not settings.FULL or settings.SLOW:
            return

        def scrape():
            start = time.monotonic()
            ask(over_http(weir), "/metrics")
            time.sleep(max(0, start + 0.1 - time.monotonic()))

        client, quiet, scraped = weir.connect(), [], []
        for _ in range(5):  # by turns, so that a noisy machine is noisy for both
            quiet.append(statistics.quantiles(rounds_of(client, 4), n=100)[98])
            with repeated(scrape):
                scraped.append(statistics.quantiles(rounds_of(client, 4), n=100)[98])
        print(f"p99 of an echo: {min(quiet) * 1e6:.0f} us; scraped 10 times a second: {min(scraped) * 1e6:.0f} us")
        assert min(scraped) < 1.2 * min(quiet)
