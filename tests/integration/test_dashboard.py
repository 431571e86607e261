# SPDX-License-Identifier: Apache-2.0
"""The dashboard in a real browser, and the events that it draws."""

import contextlib
import http.client
import json
import signal
import socket
import threading
import time

import pytest

import certs
import settings
from browser import Browser
from peers import LOOPBACK, Upstream, connect, eventually, free_port
from tls import client_context, listener_block
from weir import configuration

HOSTILE = b"<img src=x onerror=\"document.title='owned'\">"
CHECKS = {"interval": "200ms", "timeout": "1s", "fall": 1, "rise": 1}


@pytest.fixture
def backend():
    """Nothing here depends on the loops: one backend is enough."""
    return "auto"


@pytest.fixture(scope="module")
def browser():
    started = Browser()
    yield started
    started.quit()


@pytest.fixture
def page(browser):
    browser.show()
    yield browser
    browser.driver.get("about:blank")


def events(weir, count):
    """The first events that a newcomer gets: (kind, document). None: it is refused."""
    connection = http.client.HTTPConnection(*weir.admin[0].split(":"), timeout=settings.DEADLINE)
    connection.request("GET", "/api/v1/events")
    answer = connection.getresponse()
    if answer.status == 503:
        return None
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    kind, got = "message", []
    while len(got) < count:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            got.append((kind, json.loads(line[6:])))
            kind = "message"
    connection.close()
    return got


# Events


def test_a_newcomer_gets_the_past_and_then_an_event_every_second(balancer):
    with Upstream() as web, balancer(web) as weir:
        eventually(lambda: len(events(weir, 1)[0][1]) >= 2, step=0.5)
        weir.connect()
        started = time.monotonic()
        got = events(weir, 3)
        assert [kind for kind, _ in got] == ["past", "message", "message"]
        assert time.monotonic() - started > 0.1
        ups = [document["uptime"] for _, document in got[1:]]
        assert ups == sorted(set(ups))
        last = got[-1][1]
        assert last["now"]["active"] == 1 and last["listeners"][0]["active"] == 1
        assert last["pools"][0]["upstreams"][0]["health_history"][-1] == "u"


def test_watchers_are_bounded_and_do_not_keep_others_out(balancer):
    with Upstream() as web, balancer(web) as weir:
        port = int(weir.admin[0].split(":")[1])
        watchers = [connect(port) for _ in range(20)]
        for watcher in watchers:
            watcher.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        states = [watcher.recv(12) for watcher in watchers]
        assert sorted(states) == 16 * [b"HTTP/1.1 200"] + 4 * [b"HTTP/1.1 503"]
        weir.status()
        for watcher in watchers:
            watcher.close()
        eventually(lambda: events(weir, 1), step=0.5)  # they have left


def test_the_balancer_stops_while_somebody_watches(balancer):
    with Upstream() as web, balancer(web, rest=False) as weir:
        port = int(weir.admin[0].split(":")[1])
        with connect(port) as reader, connect(port) as sleeper:
            for watcher in reader, sleeper:
                watcher.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert watcher.recv(12) == b"HTTP/1.1 200"
            weir.stop()
            while reader.recv(1 << 16):
                pass
        weir.stopped_by_test = True


def test_an_event_stays_small_with_thousands_of_upstreams_and_clients(balancer):
    count = settings.amount(2000, 10000, 500)
    config = configuration([], admin={"http": f"{LOOPBACK}:{free_port()}"})
    config["pools"][0]["upstreams"] = [
        {"name": f"web{n}", "address": f"127.1.{n >> 8}.{n & 255}:9"} for n in range(count)]
    config["clients"] = [{"name": f"client{n}", "identity": [f"cidr:10.1.{n >> 8}.{n & 255}/32"]} for n in range(count)]
    with balancer(config=config) as weir:
        [_, (_, document)] = events(weir, 2)
        assert document["upstreams"]["total"] == document["clients"]["total"] == count
        assert len(document["pools"][0]["upstreams"]) == 64
        assert len(document["clients"]["by_active"]) == 16
        assert len(json.dumps(document)) < 64 << 10


# The page


@contextlib.contextmanager
def watched(weir, page):
    """The browser looks at a balancer. It keeps connections that it does not need, and closes them when it likes: the
    checks of descriptors and sockets would wait for it."""
    with weir:
        page.open(weir.admin[0])
        page.wait_live()
        yield weir
        weir.calm()
        weir.stop()
        weir.stopped_by_test = True


def clients_talk(weir, over, source=None):
    while not over.is_set():
        weir.ask(source=source)
        time.sleep(0.02)


def test_figures_move_an_upstream_that_dies_turns_red_and_a_refusal_is_explained(balancer, page):
    clients = [{"name": "alice", "identity": ["cidr:127.0.0.2/32"], "limits": {"connections": 1}},
               {"name": "bob", "identity": ["cidr:127.0.0.3/32"]}]
    policy = [{"allow": ["alice"], "to": ["web"]}]
    over = threading.Event()
    with Upstream() as web1, Upstream() as web2, watched(
            balancer(web1, web2, pool={"health": CHECKS}, clients=clients, policy=policy), page) as weir:
        page.wait("#tiles", "2 of 2", "all healthy")
        loaded = threading.Thread(target=clients_talk, args=(weir, over, "127.0.0.2"))
        loaded.start()
        try:
            page.wait("#listeners tbody tr", "edge")
            new = "#tiles > div:nth-child(2) dd"
            eventually(lambda: float(page.text(new) or 0) > 1, what=lambda: page.text("#tiles"), step=0.05)

            assert weir.is_cut(source="127.0.0.3")
            page.wait("#last li", "bob", "no rule lets the client reach an upstream", "not_authorized")
            page.wait("#reasons tbody", "not_authorized")
            page.wait("#clients .card:nth-child(2) tbody", "bob")

            row = "#pools tbody tr:nth-child(2)"
            page.wait(row, "web2", "up")
            web2.close()
            died = time.monotonic()
            page.wait(f"{row}.down", "down")
            assert time.monotonic() - died < (3 if settings.FULL and not settings.SLOW else settings.DEADLINE)
            page.wait("#tiles", "1 of 2", "1 in trouble")
            page.wait("#news", "web2 in pool web is down")
        finally:
            over.set()
            loaded.join()
        assert page.console() == []
        asked = page.requests()
        origin = f"http://{weir.admin[0]}/"
        assert {address.removeprefix(origin) for address in asked} == {
            "", "style.css", "app.js", "dygraph.js", "icon.svg", "api/v1/events"}


def test_a_strangers_name_is_shown_and_not_obeyed(balancer, page):
    stranger = certs.root().issue("stranger", san=[("dns", HOSTILE)])
    policy = [{"allow": ["alice"], "to": ["web"]}]
    clients = [{"name": "alice", "identity": ["dns:alice.example.com"]}]
    with Upstream() as web, watched(
            balancer(web, listener={"tls": listener_block()}, clients=clients, policy=policy), page) as weir:
        weir.refusal(tls=client_context(stranger))
        page.wait("#last li", HOSTILE.decode(), "unknown_client")
        assert page.run("return [document.images.length, document.title]") == [1, "Weir"]  # the sign in the head
        assert page.console() == []


def test_a_reload_says_what_it_has_changed_and_a_refused_one_why(balancer, page):
    with Upstream() as web1, Upstream(name="added") as web2, watched(balancer(web1), page) as weir:
        page.wait("#reloads", "None since the start.")
        weir.config["pools"][0]["upstreams"].append({"name": "added", "address": web2.address})
        weir.file.write_text(json.dumps(weir.config))
        weir.signal(signal.SIGHUP)
        page.wait("#reloads li:first-child", "done", "upstream added added")
        page.wait("#pools tbody tr:nth-child(2)", "added", "up")
        weir.file.write_text("nonsense")
        weir.signal(signal.SIGHUP)
        page.wait("#reloads > li:first-child", "refused", "weir.yaml:1:1")
        page.wait("#reloads > li:nth-child(2)", "done")
        assert page.console() == []


def test_it_fits_and_can_be_read_wide_and_narrow_light_and_dark(balancer, page):
    with Upstream() as web1, Upstream() as web2, watched(balancer(web1, web2, pool={"health": CHECKS}), page):
        web2.close()
        page.wait("#pools tbody tr:nth-child(2)", "down")
        for width, scheme in (1600, "light"), (400, "dark"), (400, "light"), (1600, "dark"):
            page.show(width=width, scheme=scheme)
            eventually(lambda: page.run("return document.documentElement.scrollWidth") <= width)
            assert page.poor_contrast() == []
        assert page.run("""
            return [...document.querySelectorAll("table")].every((table) => table.caption?.textContent &&
                [...table.querySelectorAll("th")].every((cell) => cell.scope))""")
        assert page.run("return ['header', 'main', 'footer', 'h1'].every((tag) => document.querySelector(tag))")


def test_it_says_that_the_balancer_is_gone_and_goes_on_with_the_next_one(balancer, page):
    with Upstream() as web:
        with watched(balancer(web), page) as weir:
            pass
        page.wait("#link", "Disconnected, trying again")
        again = balancer(config=weir.config).launch()
        try:
            page.wait_live()
            port = again.wait_log("listening")["address"].rsplit(":", 1)[1]
            with connect(int(port)):
                page.wait("#tiles > div:nth-child(1) dd", "1")
            again.stop()
        finally:
            again.kill()
