# SPDX-License-Identifier: Apache-2.0
"""Health of upstreams on real sockets: who fails is left out, who is well stays in, and all come back (H1-H11)."""

import contextlib
import math
import random
import threading
import time
from datetime import datetime

import pytest

import settings
from failing import Checked, DeadHost, FullQueue, Host, Phoenix, many
from peers import (
    Refuser, Upstream, echo, eventually, half_close, in_threads, is_served, receive, reset, take_and_break,
    wait_until_sent)
from settings import amount
from weir import configuration

SECOND = 10.0 if settings.SLOW else 1.0
PATIENCE = "10s" if settings.SLOW else "2s"  # of checks that are answered
PING = {"send": "PING", "expect": "+PONG"}


def checking(interval="20ms", timeout="300ms", fall=2, rise=2, passive=False, check="connect", **pool):
    """A pool's settings: checked, and by nothing else unless asked for."""
    health = {"check": check, "interval": interval, "timeout": timeout, "fall": fall, "rise": rise, "passive": passive}
    return {"health": health, **pool}


def ejecting(interval="30s", fall=3, **pool):
    """A pool's settings: only real connections tell."""
    return {"health": {"check": "none", "passive": True, "interval": interval, "fall": fall}, **pool}


def moment(entry):
    return datetime.fromisoformat(entry["ts"].replace("Z", "+00:00")).timestamp()


def hold(weir, count):
    """So many clients that are served and stay."""
    for _ in range(count):
        assert weir.admits(), weir.state()


def held(weir, *upstreams):
    """How many connections each of them has; its own count would include checks."""
    metrics = weir.metrics()
    return [metrics.sum("weir_upstream_connections_active", upstream=upstream.name) for upstream in upstreams]


def served_by(weir, since=0):
    """The names of the upstreams of the clients that were served and have left."""
    return [entry["upstream"] for entry in weir.entries("connection")[since:] if entry["reason"] == "done"]


# Down and up


def test_time_to_detect_and_to_return(checked):
    """H1: out after `fall` failed checks and not before, back after `rise` good ones and not before."""
    interval, fall, rise = 0.1, 3, 2
    with Phoenix(name="web") as web, checked(web, pool=checking("100ms", fall=fall, rise=rise)) as weir:
        for count in range(1, amount(2, full=11)):
            died = time.time()
            web.die()
            down = weir.wait_log("upstream down", count)
            assert down["cause"] == "3 of 3 checks failed: the connection was refused"
            risen = time.time()
            web.rise()
            up = weir.wait_log("upstream up", count)
            for took, checks in ((moment(down) - died, fall), (moment(up) - risen, rise)):
                assert (checks - 1) * 0.9 * interval - 0.01 < took < checks * 1.1 * interval + SECOND, (took, checks)


def test_all_down_then_all_back(checked):
    """Nobody is left: refused at once, and the log says why; all come back at once, and nobody is stampeded."""
    count, clients = 20, amount(100, slow=60)
    with many(count) as webs, checked(*webs, pool=checking()) as weir:
        for web in webs:
            web.die()
        weir.wait_log("upstream down", count)
        start = time.monotonic()
        assert weir.is_cut()
        assert time.monotonic() - start < SECOND
        detail = weir.wait_closed(reason="no_upstream", tries=0)["detail"]
        refused = "down: the connection was refused"
        assert detail.startswith(f"web1 {refused}; web2 {refused}; web3 {refused}") and detail.endswith(" more"), detail
        for web in webs:
            web.rise()
        weir.wait_log("upstream up", count)
        in_threads(4, lambda _: hold(weir, clients // 4))
        counts = held(weir, *webs)
        assert sum(counts) == clients and max(counts) - min(counts) <= 1, counts


def test_many_die_at_once(checked):
    """Who was connected to another one notices nothing, and newcomers fail only until the failures are known."""
    count, fall, retries = 10, 2, 2
    with many(count) as webs, checked(*webs, pool=ejecting(fall=fall, retries=retries)) as weir:
        hold(weir, 3 * count)
        for web in webs[1:]:
            web.die()
        weir.wait_closed(3 * (count - 1))
        survivors = [client for client in weir.clients if is_served(client)]
        assert len(survivors) == webs[0].active == 3
        refused = sum(not weir.admits() for _ in range(50))
        assert refused <= (count - 1) * fall // (retries + 1)
        weir.wait_log("upstream ejected", count - 1)
        assert all(is_served(client) for client in survivors)


def test_flapping_upstream_beside_a_good_one(checked):
    """It comes and goes as fast as the checks allow: whoever is on the other one notices nothing, and so do newcomers,
    who are sent on; only those fail that it had accepted itself."""
    flaps = amount(15, full=200, slow=5)
    over = threading.Event()
    failed = []

    def come_and_go(_number):
        while not over.is_set():
            try:
                weir.ask()
            except (OSError, EOFError, AssertionError):
                failed.append(1)

    with Phoenix(name="flapping") as flapping, Upstream(echo, name="good") as good:
        with checked(flapping, good, pool=checking("10ms", fall=1, rise=1, passive=True)) as weir:
            flapping.die()
            weir.wait_log("upstream down", upstream="flapping")
            staying = weir.connect()
            assert is_served(staying)
            flapping.rise()
            weir.wait_log("upstream up", upstream="flapping")

            def flap(_number):
                try:
                    for count in range(2, flaps + 2):
                        flapping.die()
                        weir.wait_log("upstream down", count, upstream="flapping")
                        flapping.rise()
                        weir.wait_log("upstream up", count, upstream="flapping")
                finally:
                    over.set()

            in_threads(3, lambda number: come_and_go(number) if number else flap(number))
            assert is_served(staying)
            weir.close_clients()
            eventually(lambda: not weir.check_figures(), what=weir.check_figures)
            broken = [entry for entry in weir.entries("connection") if entry["reason"] != "done"]
            assert {entry["upstream"] for entry in broken} <= {"flapping"}, broken
            assert {entry["reason"] for entry in broken} <= {"upstream_reset", "client_reset"}, broken
            assert len(failed) <= len(broken)
            assert "good" in served_by(weir)


def test_backup_only_while_nobody_else_is_there(checked):
    """Who is on the backup stays there when the primary is back; newcomers go to the primary."""
    with Phoenix(name="primary") as primary, Upstream(echo, name="backup") as backup:
        places = [{"name": up.name, "address": up.address, "backup": up is backup} for up in (primary, backup)]
        with checked(primary, backup, pool=checking(upstreams=places)) as weir:
            hold(weir, 3)
            assert held(weir, primary, backup) == [3, 0]
            primary.die()
            weir.wait_log("upstream down")
            hold(weir, 2)
            primary.rise()
            weir.wait_log("upstream up")
            hold(weir, 4)
            assert held(weir, primary, backup) == [4, 2]


def model(results, fall, rise):
    """What checks with these results do, in three lines of its own."""
    up, streak = True, 0
    for good in results:
        streak = 0 if good == up else streak + 1
        if streak == (fall if up else rise):
            up, streak = not up, 0
            yield "upstream up" if up else "upstream down"


def changes(weir, upstream):
    return [entry["msg"] for entry in list(weir.log)
            if entry.get("upstream") == upstream.name and entry["msg"] in ("upstream up", "upstream down")]


def scripted(results):
    """Answers each check as its turn says, and then well."""
    turns = iter(results)

    def serve(sock, _upstream):
        good = next(turns, True)
        sock.recv(100)
        sock.sendall(b"+PONG" if good else b"-LOADING")

    return serve


def test_random_results_follow_rise_and_fall(checked):
    """H1: each upstream against a model of its own; they do not disturb each other."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rules = [(1, 1), (1, 3), (2, 2), (3, 1), (3, 2), (5, 4)]
    scripts = [[rng.random() < 0.5 for _ in range(amount(30, full=1000))] for _ in rules]
    with many(len(rules), Checked) as webs:
        config = configuration(webs)
        config["pools"] = []
        for web, (fall, rise), script in zip(webs, rules, scripts):
            web.serve = scripted(script)
            pool = {"name": web.name.replace("web", "pool"), "upstreams": [{"name": web.name, "address": web.address}]}
            config["pools"].append(pool | checking("10ms", fall=fall, rise=rise, check=PING, timeout=PATIENCE))
        config["listeners"][0]["pool"] = "pool1"
        with checked(*webs, config=config) as weir:
            for web, (fall, rise), script in zip(webs, rules, scripts):
                expected = list(model([*script, *[True] * rise], fall, rise))
                web.wait_accepted(len(script) + rise)
                eventually(lambda: len(changes(weir, web)) >= len(expected), what=weir.state)
                assert changes(weir, web) == expected


def test_recovered_upstream_is_not_stampeded(checked):
    """H7: with slow_start newcomers are spread as if it had its share already; when the time is over, it gets it."""
    count, seconds = 20, 0.5
    with Phoenix(name="web1") as one, Phoenix(name="web2") as two:
        with checked(one, two, pool=checking(slow_start="500ms")) as weir:
            one.die()
            weir.wait_log("upstream down")
            hold(weir, count)
            one.rise()
            since = moment(weir.wait_log("upstream up"))
            newcomers = 8
            hold(weir, newcomers)
            late = time.time() - since
            ours, _ = held(weir, one, two)
            assert ours <= newcomers // 2 + 1 + count * late / seconds, (ours, late)
            eventually(lambda: time.time() > since + 1.1 * seconds)
            hold(weir, count - int(ours))
            assert held(weir, one)[0] >= count


# Silence


def test_black_holes_among_forty_shift_nobody(checked):
    """H3: three hosts that are gone, without an answer; the others are checked as often as ever."""
    with many(37, Upstream) as webs, many(3, DeadHost) as holes:
        times = {web: [] for web in webs}

        def stamp(sock, web):
            times[web].append(time.monotonic())
            return receive(sock)

        for web in webs:
            web.serve = stamp
        with checked(*holes, *webs, pool=checking("200ms", timeout="150ms")) as weir:
            weir.wait_log("upstream down", 3)
            eventually(lambda: all(len(stamps) > 4 for stamps in times.values()), what=weir.state)
            assert {entry["upstream"] for entry in weir.entries("upstream down")} == {hole.name for hole in holes}
            assert all("timed out" in entry["cause"] for entry in weir.entries("upstream down"))
        for stamps in times.values():
            assert stamps[4] - stamps[0] < 4 * 0.22 + SECOND, stamps


def test_full_queue_is_down_until_it_is_worked_off(checked):
    """A server too slow to accept: checks time out, clients go elsewhere; then it has its share again."""
    with FullQueue(name="slow") as slow, Upstream(echo, name="good") as good:
        with checked(slow, good, pool=checking("100ms", timeout="100ms", connect_timeout="300ms")) as weir:
            assert "timed out" in weir.wait_log("upstream down", upstream="slow")["cause"]
            for _ in range(4):
                weir.ask()
            slow.open()
            weir.wait_log("upstream up", upstream="slow")
            for _ in range(4):
                weir.ask()
            weir.wait_closed(8, reason="done")
            assert served_by(weir) == ["good"] * 4 + served_by(weir)[4:] and served_by(weir)[4:].count("slow") == 2


def test_host_that_vanishes(checked):
    """Half-open: no reset tells of it. Checks find out, newcomers go elsewhere, and what is open can still be ended."""
    with Host(name="remote") as remote, Upstream(echo, name="local") as local:
        with checked(remote, local, listener={"keepalive": "1s"}, pool=checking(timeout="100ms")) as weir:
            hold(weir, 2)
            assert held(weir, remote, local) == [1, 1]
            remote.pull_cable()
            weir.wait_log("upstream down", upstream="remote")
            for client in weir.clients:
                client.sendall(b"y")
            assert [client.recv(1) for client in weir.clients if hears(client)] == [b"y"]
            hold(weir, 3)
            assert held(weir, remote, local) == [1, 4]
            lonely = next(client for client in weir.clients[:2] if not hears(client))
            reset(lonely)
            weir.wait_closed(reason="client_reset", upstream="remote")
            remote.plug_in()
            weir.wait_log("upstream up", upstream="remote")


def hears(client, timeout=0.2):
    """Whether something has arrived for this client."""
    client.settimeout(timeout)
    try:
        return bool(client.recv(1, 2))  # MSG_PEEK
    except TimeoutError:
        return False
    finally:
        client.settimeout(settings.DEADLINE)


@pytest.mark.full
def test_host_that_vanishes_is_noticed_by_keepalive(checked):
    """Half-open, and nobody sends: keepalive ends the connection; never cleanly."""
    with Host(name="remote") as remote, checked(remote, listener={"keepalive": "1s"}, pool=checking()) as weir:
        hold(weir, 1)
        remote.pull_cable()
        start = time.monotonic()
        assert receive(weir.clients[0])[::2] == (0, "reset")
        assert 3 < time.monotonic() - start < 6 + SECOND
        weir.wait_closed(reason="upstream_reset", upstream="remote")
        remote.plug_in()
        weir.wait_log("upstream up", upstream="remote")


def test_upstream_that_accepts_and_falls_silent(checked):
    """The check that expects an answer finds out; who waits there is not cut off, and has its answer in the end."""
    wakes = threading.Event()

    def serve(sock, upstream):
        while data := sock.recv(100):
            if not upstream.over.is_set() and upstream is drowsy and silent.is_set():
                wakes.wait(settings.DEADLINE)
            sock.sendall(b"+PONG" if data == b"PING" else data)

    silent = threading.Event()
    with Checked(serve, name="drowsy") as drowsy, Checked(serve, name="awake") as awake:
        with checked(drowsy, awake, pool=checking("50ms", timeout="200ms", check=PING)) as weir:
            hold(weir, 2)
            silent.set()
            for client in weir.clients:
                client.sendall(b"?")
            cause = weir.wait_log("upstream down", upstream="drowsy")["cause"]
            assert "the upstream sent nothing until the timeout" in cause, cause
            hold(weir, 3)
            assert held(weir, drowsy, awake) == [1, 4]
            silent.clear()
            wakes.set()
            assert [client.recv(1) for client in weir.clients[:2]] == [b"?", b"?"]
            weir.wait_log("upstream up", upstream="drowsy")
            hold(weir, 3)
            assert held(weir, drowsy, awake) == [4, 4]


def test_upstream_that_answers_a_byte_and_resets(checked):
    """A byte is an answer, as far as real connections tell; a check that expects more takes it out."""

    def serve(sock, upstream):
        sock.recv(100)
        sock.sendall(b"+")
        wait_until_sent(sock)
        reset(sock)

    with Checked(serve, name="bad") as bad, Checked(answers_checks, name="good") as good:
        with checked(bad, good, pool=checking(check=PING, passive=True, timeout=PATIENCE)) as weir:
            weir.wait_log("upstream down", upstream="bad")
            hold(weir, 10)
            assert held(weir, bad, good) == [0, 10]
            assert not weir.entries("upstream ejected")


def answers_checks(sock, _upstream):
    """An echo, but for checks."""
    while data := sock.recv(100):
        sock.sendall(b"+PONG" if data == b"PING" else data)


# Real connections tell


def immediate_reset(sock, _upstream):
    reset(sock)


@pytest.mark.parametrize("script", [immediate_reset, take_and_break], ids=["at once", "after the first bytes"])
def test_upstream_that_resets_is_not_hammered(checked, script):
    """H2: each ejection is longer than the one before, though every check of it by connect succeeds."""
    interval, fall = 0.1, 3
    with Upstream(script, name="bad") as bad, Upstream(echo, name="good") as good:
        with checked(bad, good, pool=ejecting("100ms", fall=fall)) as weir:
            start = time.monotonic()
            broken = asked = 0
            while time.monotonic() - start < 0.8 or asked < 20:
                asked += 1
                broken += not weir.admits()
                weir.close_clients()
            elapsed = time.monotonic() - start
            ejections = 1 + math.log2(elapsed / (0.75 * interval) + 1)
            failures = weir.metrics().sum("weir_upstream_failures_total", upstream="bad")
            assert fall <= failures <= fall + ejections, (failures, elapsed)
            assert broken <= failures
            assert good.accepted >= asked - failures
            bad.calm()
            weir.wait_log("upstream returned", len(weir.entries("upstream ejected")), upstream="bad")
            eventually(lambda: weir.admits() and bad.active, what=weir.state)


def test_ejection_leaves_nobody_with_nothing(checked):
    """A client whose only upstream is ejected is still sent there, and served when it is well again; others avoid it."""
    with Phoenix(name="web1") as one, Upstream(echo, name="web2") as two:
        config = configuration([one, two], pool=ejecting(fall=1))
        config["clients"] = [{"name": "bound", "identity": ["cidr:127.3.0.1/32"]}]
        config["policy"] = [{"allow": ["*"], "to": ["web"]}, {"deny": ["bound"], "to": ["web/web2"]}]
        with checked(one, two, config=config) as weir:
            one.die()
            assert not weir.admits(source="127.3.0.1")
            weir.wait_log("upstream ejected", upstream="web1")
            hold(weir, 4)
            assert two.active == 4
            assert not weir.admits(source="127.3.0.1")
            assert weir.wait_closed(2, reason="connect_failed")["upstream"] == "web1"
            one.rise()
            weir.ask(source="127.3.0.1")
            weir.wait_log("upstream returned", upstream="web1")
            hold(weir, 4)
            assert one.active == two.active == 4


def test_all_ejected_is_better_than_nobody(checked):
    """Ejection is a preference: when all have failed, all are tried again, and the first that is well serves."""
    with many(4) as webs, checked(*webs, pool=ejecting(fall=1, retries=3)) as weir:
        for web in webs:
            web.die()
        assert not weir.admits()
        weir.wait_log("upstream ejected", 4)
        webs[2].rise()
        weir.ask()
        weir.wait_log("upstream returned", upstream="web3")
        hold(weir, 8)
        assert webs[2].active == 8
        assert len(weir.entries("upstream returned")) == 1


# Nothing is left behind


def test_flaps_leave_nothing_behind(checked):
    """H9: after many changes of state, by checks and by ejection, memory and descriptors are what they were."""
    webs_count, rounds = 10, amount(8, full=120, slow=3)
    with many(webs_count) as webs, checked(*webs, pool=checking("10ms", fall=1, rise=1, passive=True)) as weir:

        def flap(times):
            for _ in range(times):
                for web in webs:
                    web.die()
                downs = flap.count = flap.count + webs_count
                weir.is_cut()
                weir.wait_log("upstream down", downs)
                for web in webs:
                    web.rise()
                weir.wait_log("upstream up", downs)
                weir.reach().close()  # without a byte: the first uses of io_uring's buffers would look like growth

        flap.count = 0
        flap(3)
        before = weir.anonymous_bytes()
        flap(rounds)
        grown = weir.anonymous_bytes() - before
        assert settings.SLOW or grown <= before // 50 + (64 << 10), f"{grown >> 10} KiB"


def test_balance_after_every_failure(balancer):
    """H10: refused, reset, ended, cut and abandoned connections give back what they held: 100 are spread 50 to 50."""

    def moody(sock, upstream):
        mood = upstream.accepted % 4
        if mood == 0:
            reset(sock)
        elif mood == 1:
            take_and_break(sock, upstream)
        elif mood == 2:
            echo(sock)

    with Upstream(moody) as one, Upstream(moody) as two, Refuser() as refuser, balancer(one, two, refuser) as weir:

        def misbehave(number):
            for step in range(amount(40, full=2500)):
                client = weir.connect()
                try:
                    client.sendall(b"x" * (1 + number * step))
                    if step % 3 == 0:
                        half_close(client)
                    if step % 3 == 1:
                        receive(client, 1)
                except OSError:
                    pass  # broken meanwhile: what this is about
                (reset if step % 2 else lambda sock: sock.close())(client)

        in_threads(4, misbehave)
        one.serve = two.serve = echo
        weir.close_clients()
        eventually(lambda: not weir.check_figures(), what=weir.check_figures)
        hold(weir, 100)
        assert (one.active, two.active) == (50, 50)


# Access and limits meanwhile


def test_nobody_strays_while_upstreams_come_and_go(checked):
    """Z2: each team has two upstreams of its own; when they die, its clients fail rather than reach another team's."""
    teams, rounds = 3, amount(6, full=100, slow=3)
    over = threading.Event()

    def keeper(team):
        def serve(sock, _upstream):
            while data := sock.recv(100):
                assert set(data) == {team}, f"team {team} got {data!r}"
                sock.sendall(data)

        return serve

    def client(team, weir):
        served = 0
        while not over.is_set() or not served:
            try:
                with weir.reach(source=f"127.1.{team}.1") as sock:
                    sock.sendall(bytes([team]) * 3)
                    served += set(sock.recv(3)) == {team}
            except OSError:
                pass  # its upstreams are away
        return served

    def reaper(webs, weir):
        changes = 0
        try:
            for number in range(rounds):
                dying = webs[number % 2 :: 2] if number % 3 else webs[:: 1 + number % 2]
                changes += len(dying)
                for web in dying:
                    web.die()
                weir.wait_log("upstream down", changes)
                for web in dying:
                    web.rise()
                weir.wait_log("upstream up", changes)
        finally:
            over.set()

    with contextlib.ExitStack() as stack:
        webs = [stack.enter_context(Phoenix(keeper(n // 2), f"team{n // 2}-{n % 2}")) for n in range(2 * teams)]
        config = configuration(webs, pool=checking("10ms", fall=1, rise=1, passive=True))
        config["clients"] = [{"name": f"team{n}", "identity": [f"cidr:127.1.{n}.0/24"]} for n in range(teams)]
        config["policy"] = [{"allow": [f"team{n}"], "to": [f"web/team{n}-0", f"web/team{n}-1"]} for n in range(teams)]
        with checked(*webs, config=config) as weir:
            in_threads(teams + 1, lambda number: client(number, weir) if number < teams else reaper(webs, weir))
            for entry in weir.entries("connection"):
                assert entry["upstream"].split("-")[0] in ("", entry["client"]), entry


def test_limits_and_places_are_exact_after_failures(checked):
    """Q2: of clients and of upstreams, after connections that were refused, timed out, reset and cut off."""
    clients, places, rounds = 6, 4, amount(10, full=500, slow=4)
    with Phoenix(name="mortal") as mortal, FullQueue(name="slow") as slow, Upstream(take_and_break, name="web3") as web:
        upstreams = [{"name": up.name, "address": up.address, "max_connections": places} for up in (mortal, slow, web)]
        limits = {"connections": clients}
        health = {"check": "none", "passive": False}
        with checked(mortal, slow, web, limits=limits, pool={
                "health": health, "connect_timeout": "20ms", "retries": 2, "upstreams": upstreams}) as weir:

            def suffer(number):
                for _ in range(rounds):
                    weir.admits(source=f"127.0.1.{number + 1}")

            for step in range(2):
                in_threads(4, suffer)
                weir.close_clients()
                mortal.rise() if step else mortal.die()
            slow.open()
            web.serve = echo
            eventually(lambda: not weir.check_figures(), what=weir.check_figures)
            for number in range(1, 3):
                served = [weir.admits(source=f"127.0.2.{number}") for _ in range(clients + 2)]
                assert served == [True] * clients + [False] * 2
            assert not weir.admits(source="127.0.2.3"), "all places are taken"
            assert held(weir, mortal, slow, web) == [places] * 3
