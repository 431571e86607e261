# SPDX-License-Identifier: Apache-2.0
"""The admin side: what it answers, to whom, and what hostile clients of it can do."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess

import pytest

from admin import UnixConnection, admin_at, ask, is_error, socket_path, ways  # noqa: F401 (a fixture)
from peers import LOOPBACK, Refuser, Upstream, eventually, half_close
from weir import configuration

PATHS = {
    "/": "text/html; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/app.js": "text/javascript; charset=utf-8",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/healthz": "application/json",
    "/readyz": "application/json",
    "/api/v1/status": "application/json",
}
CLIENTS_MAX = 64  # of each way in


@pytest.fixture
def backend():
    """The admin side does no I/O of its own through the loops: one backend is enough."""
    return "auto"


@pytest.fixture
def weir(balancer, socket_path):
    with Upstream() as web, balancer(web, admin=admin_at(socket_path)) as weir:
        yield weir


# Requests


def test_every_path_answers_on_both_ways(weir):
    for way in ways(weir):
        for path, kind in PATHS.items():
            answer, body = ask(way, path)
            assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
            assert body.endswith("\n")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_head_is_get_without_a_body(weir):
    for way in ways(weir):
        for path, kind in PATHS.items():
            answer, body = ask(way, path, "HEAD")
            assert (answer.status, answer.headers["Content-Type"], body) == (200, kind, "")
            assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("path", ["/nope", "/metrics/", "//metrics", "/api/v1/status/x", "/../metrics", "/metrics%00x"])
def test_an_unknown_path_is_not_found(weir, path):
    for way in ways(weir):
        for method in "GET", "POST", "DELETE":
            answer, body = ask(way, path, method)
            assert answer.status == 404 and is_error(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_what_can_only_be_read_says_so(weir, method):
    for way in ways(weir):
        for path in PATHS:
            answer, body = ask(way, path, method, body="x" * 100)
            assert answer.status == 405 and is_error(body)
            assert answer.headers["Allow"] == "GET, HEAD"


def test_an_endless_body_is_not_waited_for(weir):
    for way in ways(weir):
        connection = way()
        connection.connect()
        connection.sock.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        assert connection.sock.recv(100).startswith(b"HTTP/1.1 413")
        connection.close()


def test_a_connection_serves_several_requests(weir):
    for way in ways(weir):
        connection = way()
        for path in PATHS:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
        connection.close()


def test_queries_are_ignored(weir):
    for way in ways(weir):
        assert ask(way, "/healthz?verbose=1")[0].status == 200


# What it says


def test_status_follows_connections(balancer, socket_path):
    alice = {"name": "alice", "identity": ["cidr:127.0.0.2/32"]}
    admin = admin_at(socket_path)
    with Upstream() as web, balancer(web, admin=admin, clients=[alice]) as weir:
        before = weir.status()
        assert before["version"] and before["workers"] == 2 and before["io"] in ("io_uring", "epoll")
        assert not before["draining"] and before["max_connections"] > 0
        assert before["listeners"] == [{"name": "edge", "address": f"{LOOPBACK}:{weir.port}", "pool": "web", "active": 0}]
        assert before["pools"] == [
            {"name": "web", "upstreams": [{"name": "web1", "health": "up", "weight": 1, "backup": False}]}]
        assert before["upstreams"] == [
            {"name": "web1", "address": web.address, "state": "enabled", "active": 0, "max_connections": 0}]
        assert before["clients"] == [
            {"name": "alice", "active": 0, "limit": 0}, {"name": "other", "active": 0, "limit": 0}]
        for source in "127.0.0.2", "127.0.0.2", "127.0.0.3":
            weir.connect(source=source).sendall(b"x")
        web.wait_active(3)
        now = weir.status()
        assert now["uptime"] > before["uptime"]
        assert now["listeners"][0]["active"] == 3 and now["upstreams"][0]["active"] == 3
        assert [(entry["name"], entry["active"]) for entry in now["clients"]] == [("alice", 2), ("other", 1)]


def test_metrics_follow_traffic(balancer, socket_path):
    clients = [{"name": "alice", "identity": ["cidr:127.0.0.2/32"], "limits": {"connections": 1}}]
    with Upstream() as web, balancer(web, clients=clients) as weir:
        weir.ask(b"12345")
        weir.wait_closed(reason="done")
        weir.connect(source="127.0.0.2").sendall(b"x")
        web.wait_active(1)
        assert weir.is_cut(source="127.0.0.2")
        weir.wait_closed(reason="client_limit")
        metrics = weir.metrics()
        assert metrics.sum("weir_connections_total", listener="edge") == 3
        assert metrics.sum("weir_connections_active", listener="edge") == 1
        assert metrics.sum("weir_connections_closed_total", reason="done") == 1
        assert metrics.sum("weir_connections_closed_total", reason="client_limit") == 1
        assert metrics.sum("weir_bytes_total", direction="to_upstream") >= 5
        assert metrics.sum("weir_bytes_total", direction="to_client") >= 5
        assert metrics.sum("weir_upstream_connections_total", upstream="web1") == 2
        assert metrics.sum("weir_upstream_up", pool="web", upstream="web1") == 1
        assert metrics.sum("weir_upstream_state", upstream="web1") == 1
        assert metrics.sum("weir_client_connections_active", client="alice") == 1
        assert metrics.sum("weir_client_denied_total", client="alice", reason="client_limit") == 1
        assert metrics.sum("weir_connection_seconds_count", listener="edge") == 2
        assert metrics.sum("weir_connect_seconds_count", pool="web") == 2
        assert {labels["worker"] for labels, _ in metrics.each("weir_worker_busy_ratio")} == {"0", "1"}
        assert [labels for labels, _ in metrics.each("weir_build_info")][0]["tls"].startswith("OpenSSL 3.")


def test_prometheus_finds_no_fault_with_the_metrics(weir):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    weir.ask()
    check = subprocess.run(["promtool", "check", "metrics"], input=weir.get("/metrics"), capture_output=True, text=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_it_is_not_ready_while_a_pool_has_no_available_upstream(balancer, socket_path):
    health = {"interval": "100ms", "timeout": "1s", "fall": 1, "rise": 1}
    admin = admin_at(socket_path)
    with Refuser() as dead, balancer(dead, admin=admin, pool={"health": health}) as weir:
        for way in ways(weir):
            eventually(lambda: ask(way, "/readyz")[0].status == 503)
            answer, body = ask(way, "/readyz")
            assert is_error(body) and "pool web has no available upstream" in body
            assert ask(way, "/healthz")[0].status == 200
        assert weir.metrics().sum("weir_upstream_up", upstream="web1") == 0
        assert weir.status()["pools"][0]["upstreams"][0]["health"] == "down"


def test_it_is_not_ready_while_it_drains(weir):
    for way in ways(weir):
        assert ask(way, "/readyz")[0].status == 200
    client = weir.connect()
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    weir.stopped_by_test = True
    weir.signal(signal.SIGTERM)
    weir.wait_log("draining")
    for way in ways(weir):
        eventually(lambda: ask(way, "/readyz")[0].status == 503)
        answer, body = ask(way, "/readyz")
        assert is_error(body) and "draining" in body
        assert json.loads(ask(way, "/api/v1/status")[1])["draining"]
    half_close(client)
    assert client.recv(1) == b""
    assert weir.wait_exit() == 0


# The socket's file


def test_the_socket_is_its_owner_s_alone_and_goes_with_the_process(balancer, socket_path):
    with Upstream() as web, balancer(web, admin={"socket": socket_path}) as weir:
        weir.wait_log("admin listening", socket=socket_path)
        mode = os.stat(socket_path).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        weir.stopped_by_test = True
        weir.stop()
    assert not os.path.exists(socket_path)


def test_a_dead_process_s_socket_is_replaced(balancer, socket_path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(socket_path)
    dead.listen()
    dead.close()
    with Upstream() as web, balancer(web, admin={"socket": socket_path}) as weir:
        weir.wait_log("admin listening")
        assert ask(lambda: UnixConnection(socket_path), "/healthz")[0].status == 200


def fails_to_start(balancer, web, admin, **fields):
    second = balancer(web, admin=admin).launch()
    assert second.wait_exit() == 1
    return second.wait_log("cannot open the admin socket", **fields)


def test_a_living_process_s_socket_is_left_alone(weir, balancer, socket_path):
    with Upstream() as web:
        entry = fails_to_start(balancer, web, {"socket": socket_path}, socket=socket_path)
    assert "running already" in entry["hint"]
    assert ask(ways(weir)[0], "/healthz")[0].status == 200


def test_a_file_that_is_no_socket_is_left_alone(balancer, socket_path):
    with open(socket_path, "w") as file:
        file.write("dear diary")
    with Upstream() as web:
        assert "no socket" in fails_to_start(balancer, web, {"socket": socket_path})["hint"]
    with open(socket_path) as file:
        assert file.read() == "dear diary"


def test_a_missing_folder_is_named(balancer, socket_path):
    with Upstream() as web:
        assert "folder" in fails_to_start(balancer, web, {"socket": f"{socket_path}/no/admin.sock"})["hint"]


def test_another_process_s_socket_is_not_removed_at_the_end(balancer, socket_path):
    with Upstream() as web, balancer(web, admin={"socket": socket_path}) as weir:
        weir.wait_log("admin listening")
        os.unlink(socket_path)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(socket_path)
            weir.stopped_by_test = True
            weir.stop()
    assert os.path.exists(socket_path)


def test_a_port_in_use_is_said(balancer):
    with Upstream() as web, socket.create_server((LOOPBACK, 0)) as other:
        address = f"{LOOPBACK}:{other.getsockname()[1]}"
        second = balancer(web, admin={"http": address}).launch()
        assert second.wait_exit() == 1
        assert second.wait_log("cannot listen for HTTP", address=address)


# Hostile clients of the admin side


def test_strangers_that_fill_http_lock_nobody_out_of_the_socket(weir):
    host, port = weir.config["admin"]["http"].split(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(CLIENTS_MAX + 10)]
    over_socket, over_http = ways(weir)
    for _ in range(5):
        assert ask(over_socket, "/metrics")[0].status == 200
    weir.ask()
    weir.assert_idle()
    for sock in idle:
        sock.close()
    assert ask(over_http, "/metrics")[0].status == 200


@pytest.mark.parametrize("nonsense", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 100000 + b"\r\n\r\n",
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"\r\n" * 5000,
    b"GET /\x00\xff\x1b[31m HTTP/1.1\r\nHost: \x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
], ids=["tls", "long-header", "long-path", "version", "empty-lines", "bytes", "chunk-size"])
def test_nonsense_harms_nobody(weir, nonsense):
    for way in ways(weir):
        connection = way()
        connection.connect()
        with contextlib.suppress(OSError):  # being cut off is as good an answer as any
            connection.sock.sendall(nonsense)
        assert ask(way, "/healthz")[0].status == 200
        connection.close()
        assert ask(way, "/healthz")[0].status == 200


@pytest.mark.full
def test_idle_clients_are_sent_away(weir):
    for way in ways(weir):
        connection = way()
        connection.connect()
        connection.sock.sendall(b"GET / HT")
        connection.sock.settimeout(60)
        assert connection.sock.recv(1000) == b""
        connection.close()


def test_without_admin_nothing_listens(balancer):
    config = configuration([])
    del config["admin"]
    with Upstream(name="web1") as web:
        config["pools"][0]["upstreams"] = [{"name": "web1", "address": web.address}]
        with balancer(web, config=config) as weir:
            weir.ask()
            assert weir.entries("admin listening") == []
