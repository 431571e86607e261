# SPDX-License-Identifier: Apache-2.0
"""Which upstream is chosen when some have failed, are back, or were set aside by hand (H2, H7, H11)."""

import signal
import time

import yaml

from admin import admin_at, ask_json, over_socket, socket_path  # noqa: F401 (a fixture)
from failing import Phoenix
from peers import Refuser, Upstream, echo, is_served, take_and_break
from test_health import checking, ejecting, held, hold


def set_state(weir, name, state):
    ask_json(over_socket(weir), f"/api/v1/upstreams/{name}", "POST", body=f'{{"state": "{state}"}}')


def test_the_log_says_why_nobody_can_be_chosen(checked, socket_path):  # noqa: F811
    """At most once a second, and how many were left out; the connection's own line says it too."""
    with Refuser() as down, Upstream() as draining, Upstream() as disabled, Upstream() as full:
        upstreams = [{"name": name, "address": upstream.address}
                     for name, upstream in zip(("one", "two", "three", "four"), (down, draining, disabled, full))]
        upstreams[3]["max_connections"] = 1
        pool = checking(interval="50ms", timeout="10s", fall=1, upstreams=upstreams)
        with checked(down, draining, disabled, full, pool=pool, admin=admin_at(socket_path)) as weir:
            weir.wait_log("upstream down", upstream="one")
            set_state(weir, "two", "drain")
            set_state(weir, "three", "disabled")
            hold(weir, 1)
            begin, refusals = time.monotonic(), 0
            while len(weir.entries("no upstream available")) < 3:
                assert weir.is_cut()
                refusals += 1
                weir.wait_closed(refusals, reason="no_upstream")
            took = time.monotonic() - begin
            lines = weir.entries("no upstream available")
            why = "one down: the connection was refused; two draining; three disabled; four full (1 of 1)"
            assert {(line["level"], line["pool"], line["why"]) for line in lines} == {("warn", "web", why)}
            assert [line["left_out"] for line in lines[:1]] == [0]
            assert len(lines) + sum(line["left_out"] for line in lines) == refusals
            assert took > 1.9 and refusals >= 3
            assert weir.entries("connection", reason="no_upstream")[0]["detail"] == why
            for name in ("two", "three"):
                set_state(weir, name, "enabled")


def test_an_upstream_disabled_by_hand_loses_its_connections(balancer, socket_path):  # noqa: F811
    with Upstream() as one, Upstream() as two:
        with balancer(one, two, admin=admin_at(socket_path)) as weir:
            hold(weir, 8)
            set_state(weir, "web1", "drain")
            assert all(is_served(client) for client in weir.clients)
            hold(weir, 2)
            assert held(weir, one, two) == [4, 6]
            set_state(weir, "web1", "disabled")
            weir.wait_closed(4, reason="admin_closed", upstream=one.name)
            assert held(weir, one, two) == [0, 6]
            set_state(weir, "web1", "enabled")
            hold(weir, 6)
            assert held(weir, one, two) == [6, 6]
            for message in ("upstream draining", "upstream disabled", "upstream enabled"):
                weir.wait_log(message)
                assert [line["upstream"] for line in weir.entries(message, cause="set by hand")] == ["web1"]


def test_the_first_byte_of_a_long_connection_proves_health(balancer):
    """Failures before it do not count together with those after it."""
    serve = [take_and_break]
    with Upstream(lambda sock, upstream: serve[0](sock, upstream)) as web:
        with balancer(web, pool=ejecting(fall=3)) as weir:
            for step in range(3):
                serve[0] = take_and_break
                for _ in range(2):
                    assert not weir.admits()
                weir.wait_closed(2 * (step + 1), reason="upstream_reset")
                assert not weir.entries("upstream ejected")
                serve[0] = echo
                hold(weir, 1)
            serve[0] = take_and_break
            for _ in range(3):
                assert not weir.admits()
            ejected = weir.wait_log("upstream ejected")
            assert ejected["cause"] == "3 connections in a row failed: connection reset before its first byte"


def test_failing_fast_does_not_attract(balancer):
    """Least connections would send everybody to who refuses at once and so never has any."""
    with Refuser() as fast, Upstream() as one, Upstream() as two:
        with balancer(fast, one, two, pool=ejecting(fall=3)) as weir:
            hold(weir, 30)
            assert held(weir, fast, one, two) == [0, 15, 15]
            assert weir.metrics().sum("weir_upstream_failures_total", upstream=fast.name) == 3


def test_who_comes_back_is_not_stampeded(checked):
    """H7: with slow_start it gets its turn and no more; without, all that come until it has as many as the others."""
    for slow_start, least, most in (("24h", 9, 11), ("0s", 30, 30)):
        with Phoenix(name="phoenix") as phoenix, Upstream(name="one") as one, Upstream(name="two") as two:
            phoenix.die()
            with checked(phoenix, one, two, pool=checking(timeout="10s", slow_start=slow_start)) as weir:
                weir.wait_log("upstream down")
                hold(weir, 80)
                phoenix.rise()
                weir.wait_log("upstream up")
                hold(weir, 30)
                assert least <= held(weir, phoenix)[0] <= most
                assert sum(held(weir, phoenix, one, two)) == 110


def reload(weir, change):
    """Changes the pool and lets the balancer read it anew."""
    before = len(weir.entries("configuration reloaded"))
    document = yaml.safe_load(weir.file.read_text())
    change(document["pools"][0])
    weir.file.write_text(yaml.dump(document))
    weir.signal(signal.SIGHUP)
    weir.wait_log("configuration reloaded", before + 1)


def test_who_joins_by_reload_is_not_stampeded(balancer):
    """H7: and a later reload does not end its slow start."""
    with Upstream(name="one") as one, Upstream(name="two") as two, Upstream(name="three") as three:
        with balancer(one, two, pool={"slow_start": "24h"}) as weir:
            hold(weir, 60)
            reload(weir, lambda pool: pool["upstreams"].append({"name": "three", "address": three.address}))
            hold(weir, 30)
            assert 9 <= held(weir, three)[0] <= 11
            reload(weir, lambda pool: pool.update(retries=1))
            hold(weir, 30)
            assert 18 <= held(weir, three)[0] <= 22
            assert sum(held(weir, one, two, three)) == 120
