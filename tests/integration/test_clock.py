# SPDX-License-Identifier: Apache-2.0
"""Clock: C1, C3."""

import datetime
import signal
import time

import pytest

from peers import Upstream, background, echo, half_close, pieces, receive, receive_exactly
from settings import amount
from shims import WallClock

HOUR = 3600


@pytest.mark.parametrize("hours", [1, -1])
def test_wall_clock_jumps_an_hour(balancer, tmp_path, hours):
    """C1: no timer fires, up or down; the log's times follow the wall clock."""
    clock = WallClock(tmp_path)
    listener = {"idle_timeout": "30m", "half_close_timeout": "30m"}
    health = {"check": "connect", "interval": "500ms"}
    limits = {"connections": 10, "rate": "1000/s", "burst": 1000}
    with Upstream(echo) as web, balancer(web, env=clock.env, listener=listener, pool={"health": health},
                                         limits=limits) as weir:
        clients = [weir.connect() for _ in range(3)]
        half_close(clients[2])
        weir.ask()
        before = weir.wait_closed(reason="done")["ts"]
        clock.jump(hours * HOUR)
        time.sleep(1)  # a second in which nothing may happen
        for client in clients[:2]:
            client.sendall(b"still here")
            assert receive_exactly(client, 10) == b"still here"
        weir.ask()
        after = weir.wait_closed(3, reason="done")["ts"]
        moved = datetime.datetime.fromisoformat(after) - datetime.datetime.fromisoformat(before)
        assert abs(moved.total_seconds() - hours * HOUR) < 60
        assert {entry["reason"] for entry in weir.entries("connection")} == {"done"}
        assert not weir.entries("upstream down")


def test_stopped_for_a_while(balancer):
    """C3: SIGSTOP; flows that were active go on afterwards, although all the timeouts have passed."""
    seconds = amount(4, full=30)
    listener = {"idle_timeout": f"{seconds - 2}s", "half_close_timeout": f"{seconds - 2}s"}
    size = 100_000

    def trickle(client):
        for piece in pieces(size):
            for start in range(0, len(piece), 1000):
                client.sendall(piece[start : start + 1000])
                assert len(receive_exactly(client, min(1000, len(piece) - start)))
                time.sleep(0.01)
        half_close(client)
        return receive(client).end

    with Upstream(echo) as web, balancer(web, listener=listener) as weir:
        flows = [background(trickle, weir.connect(timeout=100)) for _ in range(30)]
        web.wait_active(30)
        time.sleep(0.2)
        weir.signal(signal.SIGSTOP)
        time.sleep(seconds)
        weir.signal(signal.SIGCONT)
        assert [flow() for flow in flows] == ["clean"] * 30
        weir.wait_closed(30, reason="done")
