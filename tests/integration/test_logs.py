# SPDX-License-Identifier: Apache-2.0
"""The log: its formats and levels, and that a reader that is slow costs lines and never time."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
import urllib.request

import pytest
import yaml

import settings
from peers import LOOPBACK, Refuser, Upstream, connect, eventually, free_port, receive_exactly, reset
from settings import DEADLINE
from weir import Metrics, configuration

CONNECTION_FIELDS = {
    "ts": str, "level": str, "msg": str, "id": int, "listener": str, "client": str, "identity": str, "peer": str,
    "upstream": str, "upstream_address": str, "reason": str, "to_upstream_bytes": int, "to_client_bytes": int,
    "duration_ms": float, "connect_ms": float, "handshake_ms": float, "tls_version": str, "tls_cipher": str, "tries": int,
}
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{%d}Z"
PIPE_AND_QUEUE_LINES = 8000  # more than a pipe (64 KiB) and the queue (1 MiB) hold


@pytest.fixture
def backend():
    return "auto"


@contextlib.contextmanager
def running(folder, *upstreams, stdout=subprocess.PIPE, **top):
    """A process whose standard output belongs to the test; `process.port` is where it listens."""
    config = configuration(upstreams, **top)
    port = free_port()
    config["listeners"][0]["address"] = f"{LOOPBACK}:{port}"
    file = folder / "weir.yaml"
    file.write_text(yaml.safe_dump(config))
    process = subprocess.Popen([str(settings.BINARY), "run", "-c", str(file)], stdout=stdout, text=stdout == -1,
                               env={**os.environ, **settings.SANITIZER_OPTIONS})
    process.port = port
    process.admin = config["admin"]["http"]
    try:
        eventually(lambda: answers(process), what="does not answer")
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def get(process, path):
    with urllib.request.urlopen(f"http://{process.admin}{path}", timeout=DEADLINE) as answer:
        return answer.read().decode()


def answers(process):
    assert process.poll() is None
    try:
        return get(process, "/healthz")
    except OSError:
        return None


def metric(process, name):
    return Metrics(get(process, "/metrics")).sum(name)


def ask(process):
    with connect(process.port) as sock:
        sock.sendall(b"x")
        assert receive_exactly(sock, 1) == b"x"


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) == 0


# JSON


def test_the_line_of_a_connection_has_its_fields_with_their_types(balancer):
    with Upstream() as web, balancer(web) as weir:
        sock = weir.connect()
        sock.sendall(b"12345")
        assert receive_exactly(sock, 5) == b"12345"
        peer = "{}:{}".format(*sock.getsockname())
        weir.close_clients()
        entry = weir.wait_closed()
        assert {key: type(value) for key, value in entry.items()} == CONNECTION_FIELDS
        assert re.fullmatch(RFC3339 % 6, entry["ts"])
        expected = {"level": "info", "listener": "edge", "client": LOOPBACK, "identity": LOOPBACK, "peer": peer,
                    "upstream": "web1", "upstream_address": web.address, "to_upstream_bytes": 5, "to_client_bytes": 5,
                    "tries": 1}
        assert expected.items() <= entry.items()


def test_a_refusal_says_why_in_words(balancer):
    with Refuser() as dead, balancer(dead, pool={"retries": 0}) as weir:
        assert weir.is_cut()
        entry = weir.wait_closed(reason="connect_failed")
        assert entry["level"] == "warn" and "upstream" in entry["cause"]


def test_lines_of_one_process_are_in_the_order_of_their_time(balancer):
    with Upstream() as web, balancer(web, workers=1) as weir:
        for _ in range(200):
            weir.ask()
        weir.wait_closed(200)
        times = [entry["ts"] for entry in weir.entries("connection")]
        assert times == sorted(times)


# Formats and levels


def test_text_is_for_people(tmp_path):
    with Upstream() as web, running(tmp_path, web, log={"format": "text"}) as process:
        ask(process)
        stop(process)
        lines = process.stdout.read().splitlines()
    head = re.compile(RFC3339 % 3 + r" (debug|info |warn |error) \S.*")
    assert all(head.fullmatch(line) for line in lines), lines
    assert any(f" listening listener=edge address={LOOPBACK}:{process.port} " in line for line in lines), lines
    assert any(" connection id=" in line and " reason=" in line for line in lines), lines
    assert "\033" not in "".join(lines)


def test_a_terminal_gets_text_with_colours(tmp_path):
    ours, theirs = pty.openpty()
    with Upstream() as web, running(tmp_path, web, stdout=theirs, log={}) as process:
        os.close(theirs)
        stop(process)
        text = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 65536):
                text += part
    os.close(ours)
    assert b"\033[32minfo \033[0m listening \033[36mlistener=\033[0medge" in text, text


def test_levels_below_the_chosen_one_are_silent(tmp_path):
    log = {"format": "json", "level": "warn"}
    with Upstream() as web, running(tmp_path, web, log=log, limits={"connections": 1}) as process:
        ask(process)
        eventually(lambda: metric(process, "weir_connections_active") == 0)
        with connect(process.port) as first:
            first.sendall(b"x")
            assert receive_exactly(first, 1) == b"x"
            with contextlib.suppress(ConnectionError):  # cut before connect() has returned
                connect(process.port).close()
            eventually(lambda: metric(process, "weir_client_denied_total") == 1)
        stop(process)
        entries = [json.loads(line) for line in process.stdout]
    assert {entry["level"] for entry in entries} == {"warn"}
    assert {entry["reason"] for entry in entries if entry["msg"] == "connection"} == {"client_limit"}


def test_ordinary_connections_may_be_left_out(balancer):
    with Upstream() as web, balancer(web, log={"format": "json", "connections": False},
                                     limits={"connections": 1}) as weir:
        weir.ask()
        weir.connect().sendall(b"x")
        web.wait_active(1)
        assert weir.is_cut()
        weir.wait_closed(reason="client_limit")
        assert len(weir.entries("connection")) == 1


# Slow readers


def make_lines(process, count):
    for _ in range(count):
        reset(connect(process.port))


def dropped(process):
    return metric(process, "weir_log_lines_dropped_total")


def make_it_drop(process):
    """Nobody reads: goes on until lines are dropped, and a good client is served all the same."""
    for _ in range(20):
        make_lines(process, PIPE_AND_QUEUE_LINES // 4)
        start = time.monotonic()
        ask(process)
        assert time.monotonic() - start < (10 if settings.SLOW else 2)
        if dropped(process) > 0:
            return
    raise AssertionError("no line was dropped")


def test_a_slow_reader_costs_lines_that_are_counted_and_reported(tmp_path):
    with Upstream() as web, running(tmp_path, web) as process:
        make_it_drop(process)
        entries = []
        reader = threading.Thread(target=lambda: entries.extend(json.loads(line) for line in process.stdout))
        reader.start()
        eventually(lambda: any(entry["msg"] == "log lines dropped" for entry in entries), what="no report")
        make_lines(process, 10)
        stop(process)
        reader.join(DEADLINE)
        closed = sum(entry["msg"] == "connection" for entry in entries)
        reports = [entry for entry in entries if entry["msg"] == "log lines dropped"]
        assert closed > 1000 and all(entry["level"] == "warn" and entry["lines"] > 0 for entry in reports)
        assert "stopped" in [entry["msg"] for entry in entries[-2:]]


def test_a_stuck_reader_does_not_hold_up_the_end(tmp_path):
    with Upstream() as web, running(tmp_path, web) as process:
        make_it_drop(process)
        start = time.monotonic()
        stop(process)
        assert time.monotonic() - start < (20 if settings.SLOW else 5)


def test_a_reader_that_went_away_does_no_harm(tmp_path):
    with Upstream() as web, running(tmp_path, web) as process:
        process.stdout.close()
        for _ in range(10):
            ask(process)
        eventually(lambda: dropped(process) > 0)
        stop(process)
