# SPDX-License-Identifier: Apache-2.0
"""Reload: U1, U3, U5, U7, Z8, Q5, H8, and what else a new configuration changes or leaves alone."""

import copy
import os
import signal
import socket
import threading

import pytest
import yaml

import certs
from certs import alice, bob, root
from peers import (
    LOOPBACK, Refuser, Upstream, echo, eventually, free_port, half_close, in_threads, is_served, receive,
    receive_exactly, sink)
from settings import DEADLINE, amount
from tls import client_context, listener_block
from weir import Dumper, configuration

DONE, REFUSED = "configuration reloaded", "reload refused"
SECOND = 1 / 86400  # in days


def write(weir, config):
    """Puts a configuration where the balancer will read it, as careful editors do."""
    weir.config = config
    new = weir.file.with_suffix(".new")
    new.write_text(yaml.dump(config, Dumper=Dumper, sort_keys=False))
    new.rename(weir.file)


def ask_for(weir, config, answer):
    if config is not None:
        write(weir, config)
    before = len(weir.entries(answer))
    weir.signal(signal.SIGHUP)
    return weir.wait_log(answer, before + 1)


def reload(weir, config=None):
    """Returns what has changed."""
    return ask_for(weir, config, DONE)["changes"]


def refused(weir, config):
    """The configuration is refused, and another one put back. Returns the first error."""
    good = weir.config
    error = ask_for(weir, config, REFUSED)["error"]
    write(weir, good)
    return error


def changed(weir):
    return copy.deepcopy(weir.config)


def places(*upstreams):
    return [{"name": upstream.name, "address": upstream.address} for upstream in upstreams]


def named(*names):
    return [Upstream(echo, name=name) for name in names]


# Upstreams


def test_upstreams_come_and_go_and_connections_go_on(balancer):
    with Upstream(echo, name="old") as old, Upstream(echo, name="new") as new, balancer(old) as weir:
        weir.upstreams.append(new)
        client = weir.connect()
        assert is_served(client)
        config = changed(weir)
        config["pools"][0]["upstreams"] = places(new)
        assert reload(weir, config) == "pool web changed; upstream new added; upstream old removed"
        weir.ask()
        assert (old.accepted, new.accepted) == (1, 1)
        assert is_served(client)
        config["pools"][0]["upstreams"] = places(old, new)
        reload(weir, config)
        assert {row["name"]: row["active"] for row in weir.status()["upstreams"]} == {"old": 1, "new": 0}
        half_close(client)
        assert receive(client)[::2] == (0, "clean")
        assert weir.wait_closed(reason="done", upstream="old")["upstream_address"] == old.address


def test_counts_and_states_live_on(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        weir.ask()
        weir.ask()
        config = changed(weir)
        config["pools"][0]["upstreams"][0]["weight"] = 7
        config["clients"] = [{"name": "local", "identity": ["cidr:127.0.0.0/8"]}]
        assert reload(weir, config) == "pool web changed; client local added"
        weir.ask()
        weir.wait_closed(3, reason="done")
        metrics = weir.metrics()
        assert metrics.sum("weir_upstream_connections_total", upstream="web1") == 3
        assert metrics.sum("weir_connections_total", listener="edge") == 3
        assert reload(weir) == "nothing has changed"


def test_a_broken_upstream_stays_out(balancer):
    """What health knows of a place outlives a reload."""
    health = {"check": "none", "fall": 1, "interval": "1h"}
    with Upstream(echo, name="good") as good, Refuser(name="gone") as gone, \
            balancer(good, gone, pool={"health": health}) as weir:
        in_threads(4, lambda _: weir.ask())
        weir.wait_log("upstream ejected", upstream="gone")
        config = changed(weir)
        config["pools"][0]["retries"] = 0
        reload(weir, config)
        for _ in range(4):
            weir.ask()


def test_upstream_removed_during_its_check(balancer):
    """H8: nothing is said of it any more, and nothing is left of the check."""
    check = {"check": {"expect": "+PONG"}, "interval": "50ms", "timeout": "1h", "fall": 1}
    with Upstream(echo, name="good") as good, Upstream(sink, name="mute") as silent:
        config = configuration([good, silent])
        config["pools"][0]["upstreams"] = places(good)
        config["pools"].append({"name": "slow", "upstreams": places(silent), "health": check})
        with balancer(good, silent, config=config) as weir:
            silent.wait_accepted(1)
            config = changed(weir)
            config["pools"].pop()
            assert reload(weir, config) == "pool slow removed; upstream mute removed"
            silent.wait_active(0)
            weir.ask()
            assert not weir.entries("upstream down")


# Listeners


def test_listeners_come_and_go(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        port = free_port()
        client = weir.connect()
        assert is_served(client)
        config = changed(weir)
        config["listeners"].append({"name": "side", "address": f"{LOOPBACK}:{port}", "pool": "web"})
        assert reload(weir, config) == "listener side added"
        weir.ports["side"] = port
        weir.ask(listener="side")
        weir.ask()
        gone = weir.ports["edge"]
        config["listeners"].pop(0)
        assert reload(weir, config) == "listener edge removed"
        eventually(lambda: not listens(gone), what=weir.state)
        assert is_served(client)
        weir.main = "side"
        half_close(client)
        assert receive(client)[::2] == (0, "clean")
        weir.wait_closed(reason="done", listener="edge")


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex((LOOPBACK, port)) == 0


def test_a_listener_that_cannot_be_opened_refuses_the_reload(balancer):
    with Upstream(echo) as web, socket.create_server((LOOPBACK, 0)) as taken, balancer(web) as weir:
        address = "%s:%d" % taken.getsockname()
        config = changed(weir)
        config["listeners"].append({"name": "side", "address": address, "pool": "web"})
        error = refused(weir, config)
        assert f"listener side cannot listen on {address}" in error and error.startswith(str(weir.file))
        weir.ask()


# Refusals


def test_a_bad_configuration_changes_nothing(balancer, tmp_path):
    """U3: a broken file, certificate or CA: the old ones serve, the log says why, and the next good one works."""
    files = {word: tmp_path / f"{word}.pem" for word in ("certificate", "client_ca")}
    block = listener_block()
    for word, path in files.items():
        path.write_bytes(open(block[word], "rb").read())
    block.update({word: str(path) for word, path in files.items()})
    with Upstream(echo) as web, balancer(web, listener={"tls": block}, tls=client_context(alice())) as weir:
        config = changed(weir)
        config["listeners"][0]["pool"] = "wed"
        assert 'did you mean "web"?' in refused(weir, config)
        weir.ask()
        for word, path in files.items():
            good = path.read_bytes()
            path.write_bytes(b"nonsense")
            assert str(path) in refused(weir, changed(weir))
            weir.ask()
            path.write_bytes(good)
        config = changed(weir)
        config["expect"] = ["* cannot web"]
        assert "against this expectation" in refused(weir, config)
        config["expect"] = ["* can web"]
        reload(weir, config)
        weir.ask()


RESTARTS = {"workers": 1, "io": "auto", "user": "nobody", "sandbox": "best-effort", "admin": {"http": "127.0.0.1:0"}}


@pytest.mark.parametrize("key", RESTARTS)
def test_some_settings_need_a_restart(balancer, key):
    with Upstream(echo) as web, balancer(web) as weir:
        config = {**changed(weir), key: RESTARTS[key]}
        error = refused(weir, config)
        lines = yaml.dump(config, Dumper=Dumper, sort_keys=False).splitlines()
        line = next(number for number, text in enumerate(lines, 1) if text.startswith(f"{key}:"))
        assert f"{key} cannot be changed by a reload" in error
        assert error.startswith(f"{weir.file}:{line + 1 if key == 'admin' else line}:")  # where its value begins
        weir.ask()


def test_a_drain_refuses_reloads(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        client = weir.connect()
        assert is_served(client)
        weir.stopped_by_test = True
        weir.signal(signal.SIGTERM)
        weir.wait_log("draining")
        assert "draining" in refused(weir, changed(weir))
        assert is_served(client)
        client.close()
        assert weir.wait_exit() == 0


def test_a_hundred_signals_at_once(balancer):
    """U5: they coalesce, and the last configuration counts."""
    with Upstream(echo) as web, balancer(web) as weir:
        for number in range(100):
            if number % 10 == 9:
                config = changed(weir)
                config["listeners"][0]["idle_timeout"] = f"{number}m"
                write(weir, config)
            weir.signal(signal.SIGHUP)
        weir.ask()
        eventually(lambda: reload(weir) == "nothing has changed", what=weir.state)
        assert len(weir.entries(DONE)) <= 102 and not weir.entries(REFUSED)


# Policy


def teams(*allowed):
    return [{"allow": [name], "to": ["web"]} for name in allowed]


CLIENTS = [{"name": "alice", "identity": ["cidr:127.0.1.0/24"]}, {"name": "bob", "identity": ["cidr:127.0.2.0/24"]}]
ALICE, BOB = "127.0.1.1", "127.0.2.1"


def known(balancer, web, **options):
    return balancer(web, clients=CLIENTS, policy=teams("alice", "bob"), **options)


def test_a_rule_is_removed(balancer):
    """Z8: connections that it let in are ended, others go on."""
    with Upstream(echo) as web, known(balancer, web) as weir:
        weir.fresh_source = BOB
        hers, his = weir.connect(source=ALICE), weir.connect(source=BOB)
        assert is_served(hers) and is_served(his)
        assert reload(weir, {**changed(weir), "policy": teams("bob")}) == "policy: alice loses web (1 open connection)"
        assert receive(hers).end == "reset"
        entry = weir.wait_closed(reason="policy_changed")
        assert (entry["client"], entry["upstream"]) == ("alice", "web1")
        assert weir.is_cut(source=ALICE)
        weir.wait_closed(reason="not_authorized", client="alice")
        assert is_served(his)
        assert reload(weir, {**changed(weir), "policy": teams("alice", "bob")}) == "policy: alice gains web"
        assert weir.admits(source=ALICE)


def test_one_upstream_is_denied(balancer):
    with Upstream(echo, name="web1") as one, Upstream(echo, name="web2") as two, balancer(one, two) as weir:
        clients = [weir.connect() for _ in range(4)]
        assert all(is_served(client) for client in clients)
        rules = [{"allow": ["*"], "to": ["web"]}, {"deny": ["*"], "to": ["web/web2"]}]
        assert reload(weir, {**changed(weir), "policy": rules}) == \
            "policy: an unknown client loses web/web2 (2 open connections)"
        weir.wait_closed(2, reason="policy_changed", upstream="web2")
        assert one.active == 2
        two.wait_active(0)


def test_a_listener_may_keep_them(balancer):
    with Upstream(echo) as web, known(balancer, web, listener={"keep_on_policy_change": True}) as weir:
        weir.fresh_source = BOB
        client = weir.connect(source=ALICE)
        assert is_served(client)
        reload(weir, {**changed(weir), "policy": teams("bob")})
        assert weir.is_cut(source=ALICE)
        assert is_served(client)


def test_a_client_is_somebody_else_now(balancer):
    """Who somebody is, is asked anew."""
    with Upstream(echo) as web, known(balancer, web) as weir:
        weir.fresh_source = BOB
        stays, goes = weir.connect(source=BOB), weir.connect(source=ALICE)
        assert is_served(stays) and is_served(goes)
        swapped = [{"name": "carol", "identity": ["cidr:127.0.2.0/24"]}, CLIENTS[0]]
        reload(weir, {**changed(weir), "clients": swapped, "policy": teams("carol")})
        weir.wait_closed(reason="policy_changed", client="alice")
        assert is_served(stays)


def test_a_limit_changes_while_it_is_held(balancer):
    """Q5: those who are in stay and count; the new limit is for those who come."""
    client = {"name": "local", "identity": ["cidr:127.0.0.0/8"]}

    def limited(number):
        return [{**client, "limits": {"connections": number}}]

    with Upstream(echo) as web, balancer(web, clients=limited(3)) as weir:
        held = [weir.connect() for _ in range(3)]
        assert all(is_served(sock) for sock in held)
        assert reload(weir, {**changed(weir), "clients": limited(1)}) == "client local changed"
        assert weir.is_cut() and all(is_served(sock) for sock in held)
        for sock in held[:2]:
            sock.close()
        weir.wait_closed(2, client="local", upstream="web1")
        assert weir.is_cut()
        reload(weir, {**changed(weir), "clients": []})
        assert weir.admits()
        reload(weir, {**changed(weir), "clients": limited(2)})
        assert weir.admits() and weir.is_cut()


# Certificates


def guarded(balancer, web, **block):
    return balancer(web, listener={"tls": listener_block(**block)}, tls=client_context(alice()))


def test_a_new_certificate_is_shown(balancer):
    """U7: new connections see it, those that are open go on."""
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        client = weir.connect()
        assert is_served(client)
        new = certs.servers().issue_server("weir, renewed")
        config = changed(weir)
        config["listeners"][0]["tls"] = listener_block(new)
        assert reload(weir, config) == "listener edge changed"
        assert weir.connect().object.getpeercert(binary_form=True) == new.der
        assert is_served(client)


def test_a_certificate_is_revoked(balancer, tmp_path):
    """Open connections end; a client that was not revoked goes on."""
    path = tmp_path / "clients.crl"
    path.write_bytes(open(root().crl(), "rb").read())
    with Upstream(echo) as web, guarded(balancer, web, crl=str(path)) as weir:
        weir.tls = client_context(bob())
        hers, his = weir.connect(tls=client_context(alice())), weir.connect()
        assert is_served(hers) and is_served(his)
        new = tmp_path / "new.crl"
        new.write_bytes(open(root().crl(alice()), "rb").read())
        new.rename(path)
        assert "1 open connection" in reload(weir)
        assert weir.wait_closed(reason="revoked")["identity"] == "uri:spiffe://example.com/alice"
        assert weir.refusal(tls=client_context(alice())) == "certificate_revoked"
        weir.wait_closed(reason="tls_bad_certificate")
        assert is_served(his)


def test_connections_end_with_their_certificate(balancer):
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        brief = root().issue("brief", san=["dns:brief.example.com"], ends=3 * SECOND)
        lasts, ends = weir.connect(), weir.connect(tls=client_context(brief))
        assert is_served(lasts) and is_served(ends)
        config = changed(weir)
        config["listeners"][0]["end_expired"] = True
        reload(weir, config)
        assert weir.wait_closed(reason="expired")["identity"] == "dns:brief.example.com"
        assert receive(ends).end in ("reset", "truncated")
        assert is_served(lasts)


# All of it at once


class Load:
    """Clients that come as fast as they can, and long transfers; any trouble of any of them is kept."""

    def __init__(self, weir, comers, transfers):
        self.weir = weir
        self.over = threading.Event()
        self.troubles = []
        self.served = 0
        self.moved = 0
        self.threads = [threading.Thread(target=self._run, args=(work,), daemon=True)
                        for work, count in ((self._come, comers), (self._transfer, transfers)) for _ in range(count)]

    def _run(self, work):
        try:
            work()
        except Exception as error:
            self.troubles.append(error)

    def _come(self):
        while not self.over.is_set():
            self.weir.ask(os.urandom(16))
            self.served += 1

    def _transfer(self):
        with self.weir.reach() as sock:
            while not self.over.is_set():
                data = os.urandom(16 << 10)
                sock.sendall(data)
                assert receive_exactly(sock, len(data)) == data
                self.moved += len(data)
            half_close(sock)
            assert receive(sock)[::2] == (0, "clean")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "mtls"])
def test_reloads_under_load(balancer, secure):
    """U1: upstreams, policy, limits and certificates change again and again: nobody fails, no byte is lost."""
    listener = {"tls": listener_block()} if secure else {}
    local = {"name": "local", "identity": ["cidr:127.0.0.0/8", "dns:alice.example.com"]}
    webs = named("web1", "web2", "web3", "web4")
    renewed = certs.servers().issue_server("weir, renewed")
    try:
        with balancer(*webs, listener=listener, clients=[local], tls=client_context(alice()) if secure else None) as weir, \
                Load(weir, amount(4, full=16), amount(4, full=50)) as load:
            for number in range(amount(10, full=50, slow=5)):
                config = changed(weir)
                rest = [web for n, web in enumerate(webs) if n != number % len(webs)]
                config["pools"][0]["upstreams"] = [{**place, "weight": 1 + number % 3} for place in places(*rest)]
                config["clients"] = [{**local, "limits": {"connections": 1000 + number}},
                                     {"name": f"other{number}", "identity": [f"cidr:10.0.{number}.0/24"]}]
                config["policy"] = [{"allow": ["local"], "to": ["web"]}, {"deny": [f"other{number}"], "to": ["web"]}]
                if secure:
                    config["listeners"][0]["tls"] = listener_block(renewed if number % 2 == 0 else certs.weir())
                served, moved = load.served, load.moved
                reload(weir, config)
                eventually(lambda: load.troubles or (load.served > served and load.moved > moved), what=weir.state)
                assert not load.troubles, load.troubles
            config = changed(weir)
            config["pools"][0]["upstreams"] = places(*webs)
            reload(weir, config)
        assert not load.troubles, load.troubles
        unwanted = [entry for entry in weir.entries("connection") if entry["reason"] != "done"]
        assert not unwanted, unwanted[:3]
    finally:
        for web in webs:
            web.close()
