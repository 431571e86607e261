# SPDX-License-Identifier: Apache-2.0
"""Active checks, one by one: connect, tls, send and expect; H1, H4, H9 for them."""

import functools
import os
import re
import signal
import ssl
import threading
import time

import pytest

import certs
import programs
import settings
from failing import Checked
from peers import Hanger, Upstream, echo, eventually, free_port, half_close, mute, receive, reset, sink
from settings import amount
from tls import TlsUpstream, pool_block, server_context

WEB = "dns:web.test"
PING = {"send": "PING\r\n", "expect": "+PONG"}
TIMEOUT = "2s" if settings.SLOW else "500ms"


class SecurelyChecked(Checked, TlsUpstream):
    pass


def checking(check, interval="50ms", timeout=TIMEOUT, fall=2, rise=2, **pool):
    """A pool that is checked, and by nothing else."""
    health = {"check": check, "interval": interval, "timeout": timeout, "fall": fall, "rise": rise, "passive": False}
    return {"health": health, **pool}


def health_of(weir, name):
    return next(place for pool in weir.status()["pools"] for place in pool["upstreams"] if place["name"] == name)


def went_down(weir, upstream, words, checks=2):
    """Waits until the checks have taken it out, and looks at what the log says of the cause."""
    cause = weir.wait_log("upstream down", upstream=upstream.name)["cause"]
    assert cause.startswith(f"{checks} of {checks} checks failed: "), cause
    assert words in cause, cause
    return cause


def stays_up(weir, upstream, checks):
    """It goes on being checked, and nothing is said of it."""
    upstream.wait_accepted(upstream.accepted + checks)
    assert not weir.entries("upstream down")


def answering(reply, reads=b"PING\r\n"):
    """Waits for the question, answers, and reads to the end: what it returns is how that came."""

    def serve(sock, _upstream):
        data = b""
        while len(data) < len(reads):
            part = sock.recv(len(reads) - len(data))
            if not part:
                return "gone"
            data += part
        assert data == reads
        sock.sendall(reply)
        return receive(sock).end

    return serve


# connect


def test_connect_ends_cleanly(checked):
    """A check sends nothing, ends, and hears the other's end before it closes: no reset, even for a speaker."""

    def serve(sock, _upstream):
        sock.sendall(b"220 welcome\r\n")
        ended = receive(sock)
        time.sleep(0.02)
        sock.sendall(b"221 bye\r\n")
        half_close(sock)
        return ended.size, ended.end, receive(sock).end

    with Checked(serve) as web, checked(web, pool=checking("connect")) as weir:
        for _ in range(5):
            assert web.result() == (0, "clean", "clean")
        assert not weir.entries("upstream down")
        assert weir.metrics().sum("weir_upstream_connections_total") == 0


def test_refused_then_back(checked):
    """H1: out after `fall` failed checks, back after `rise` good ones, and why."""
    port = free_port()
    with Upstream(echo, port=port, name="web") as web:
        with checked(web, pool=checking("connect", fall=3, rise=2)) as weir:
            stays_up(weir, web, 3)
            web.close()
            assert went_down(weir, web, "refused", checks=3) == "3 of 3 checks failed: the connection was refused"
            assert weir.is_cut()
            assert weir.wait_closed()["reason"] == "no_upstream"
            with Upstream(echo, port=port, name="web") as again:
                assert weir.wait_log("upstream up", upstream="web")["cause"] == "2 of 2 checks passed"
                again.wait_accepted(2)
                weir.ask()
                weir.upstreams = [again]
                weir.check()
                weir.upstreams = []


def test_scripted_results_follow_rise_and_fall(checked):
    """H1: a string of results, one for each check, judged by a model of three lines."""
    script = "1101001011000111010000110110000001011101111"
    fall, rise = 3, 2
    number = iter(script)
    lock = threading.Lock()

    def serve(sock, _upstream):
        with lock:
            good = next(number, "1") == "1"
        sock.recv(100)
        if good:
            sock.sendall(b"+PONG\r\n")
        return receive(sock).end if good else None

    up, streak, changes = True, 0, []
    for result in script:
        streak = 0 if (result == "1") == up else streak + 1
        if streak == (fall if up else rise):
            up, streak = not up, 0
            changes.append("upstream up" if up else "upstream down")
    assert len(changes) >= 5
    with Checked(serve) as web, checked(web, pool=checking(PING, "20ms", fall=fall, rise=rise)) as weir:
        web.wait_accepted(len(script) + 3)
        seen = [entry["msg"] for entry in weir.log if entry["msg"] in ("upstream up", "upstream down")]
        assert seen == changes


# send and expect


def test_expected_reply(checked):
    with Checked(answering(b"+PONG\r\n")) as web, checked(web, pool=checking(PING)) as weir:
        for _ in range(5):
            assert web.result() == "clean"
        assert not weir.entries("upstream down")


WRONG = {
    "another reply": (answering(b"-ERR no\r\n"), 'expected "+PONG", but the upstream sent "-ERR no\\r\\n" until the timeout'),
    "binary": (lambda sock, _: (sock.recv(100), sock.sendall(b"\x00\xff\"\\")), '"\\x00\\xff\\"\\\\" and ended the connection'),
    "nothing": (mute, "the upstream sent nothing until the timeout"),
    "an end": (lambda sock, _: sock.recv(100), "the upstream sent nothing and ended the connection"),
    "half of it": (lambda sock, _: (sock.recv(100), sock.sendall(b"+PO")), 'the upstream sent "+PO" and ended the connection'),
    "a reset": (lambda sock, _: (sock.recv(100), reset(sock)), "the upstream sent nothing and reset the connection"),
    "too much": (lambda sock, _: sock.sendall(b"+" * (1 << 20)), 'but the upstream sent "+++'),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_reply(checked, case):
    """The log says what came instead."""
    script, words = WRONG[case]
    with Checked(script) as web, checked(web, pool=checking(PING)) as weir:
        cause = went_down(weir, web, words)
        assert "too much" not in case or cause.endswith('..." and more than a check reads')


def test_reply_that_never_ends(checked):
    """What comes without end is read to its bound and no further; nobody else waits."""

    def serve(sock, upstream):
        while not upstream.over.is_set():
            sock.sendall(b"x" * 4096)

    with Checked(serve) as web, checked(web, pool=checking(PING)) as weir:
        went_down(weir, web, "and more than a check reads")


def test_reply_byte_by_byte_and_in_the_middle(checked):
    def serve(sock, _upstream):
        for byte in b"some words, then +PO, +PON and +PONG":
            sock.sendall(bytes([byte]))
        return receive(sock).end

    with Checked(serve) as web, checked(web, pool=checking(PING)) as weir:
        for _ in range(3):
            assert web.result() == "clean"
        assert not weir.entries("upstream down")


def test_slower_than_the_timeout(checked):
    """The timeout is that of the whole check: bytes that come do not prolong it."""

    def serve(sock, upstream):
        for byte in b"+" * 1000 + b"PONG":
            if upstream.over.wait(0.05):
                return
            sock.sendall(bytes([byte]))

    with Checked(serve) as web, checked(web, pool=checking(PING, timeout="200ms")) as weir:
        went_down(weir, web, "until the timeout")


def test_banner_and_any_byte(checked):
    """Without `send`, whoever speaks first is listened to; every byte can be written."""
    check = {"expect": "\x00\xff ready"}
    with Checked(lambda sock, _: (sock.sendall(b"220 \x00\xff ready\r\n"), receive(sock).end)) as web:
        with checked(web, pool=checking(check)) as weir:
            for _ in range(3):
                assert web.result() == (None, "clean")
            assert not weir.entries("upstream down")


# tls


@functools.cache
def good():
    return certs.servers().issue_server("web", san=[WEB])


@functools.cache
def own():
    return certs.root().issue("weir")


def secure(certificate=None, script=sink, clients=None, **options):
    return SecurelyChecked(server_context(certificate or good(), clients=clients, **options), script)


def verifying(check, certificate=None, **options):
    return checking(check, tls=pool_block(certificate=certificate, verify=[WEB]), **options)


@pytest.mark.parametrize("tickets", [0, 2])
def test_tls(checked, tickets):
    """The upstream sees close_notify, and the status says when its certificate ends."""
    with secure(tickets=tickets) as web, checked(web, pool=verifying("tls")) as weir:
        for _ in range(3):
            assert web.result()[::2] == (0, "clean")
        expires = health_of(weir, web.name)["certificate_expires"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", expires)
        assert ssl.cert_time_to_seconds(time.strftime("%b %d %H:%M:%S %Y GMT", time.strptime(expires, "%Y-%m-%dT%H:%M:%SZ"))) > time.time()
        assert not weir.entries("upstream down")


BAD = {
    "expired": (lambda: certs.servers().issue_server("web", san=[WEB], starts=-9, ends=-2), "CN=web expired"),
    "for another name": (lambda: certs.servers().issue_server("x", san=["dns:other.test"]), "is not for dns:web.test"),
    "of another CA": (lambda: certs.authority("Other").issue_server("web", san=[WEB]), "unable to find the issuer"),
}


@pytest.mark.parametrize("case", BAD)
def test_tls_with_a_bad_certificate(checked, case):
    present, words = BAD[case]
    with secure(present()) as web, checked(web, pool=verifying("tls")) as weir:
        went_down(weir, web, words)


@pytest.mark.parametrize("check", ["tls", PING], ids=["tls", "expect"])
def test_tls_upstream_that_refuses_our_certificate(checked, check):
    """It says so after our handshake is done."""
    with secure(clients=certs.root()) as web, checked(web, pool=verifying(check)) as weir:
        went_down(weir, web, 'the upstream sent the alert "certificate required"')


def test_tls_upstream_that_takes_our_certificate(checked):
    with secure(clients=certs.root()) as web, checked(web, pool=verifying("tls", own())) as weir:
        for _ in range(3):
            assert web.result()[::2] == (0, "clean")
        assert not weir.entries("upstream down")


def test_tls_and_silence(checked):
    """Silence after the handshake is no failure; silence before it is one."""
    with secure(script=mute) as web, checked(web, pool=verifying("tls", timeout="200ms")) as weir:
        stays_up(weir, web, 3)
    with Checked(mute) as web, checked(web, pool=verifying("tls", timeout="200ms")) as weir:
        went_down(weir, web, "the TLS handshake timed out")


def test_tls_with_somebody_who_speaks_no_tls(checked):
    with Checked(lambda sock, _: (sock.recv(1000), sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))) as web:
        with checked(web, pool=verifying("tls")) as weir:
            went_down(weir, web, "not TLS")


def test_tls_upstream_that_leaves_in_the_handshake(checked):
    with Checked(lambda sock, _: None) as web, checked(web, pool=verifying("tls")) as weir:
        went_down(weir, web, "in the TLS handshake")


def test_expected_reply_inside_tls(checked):
    with secure(script=answering(b"+PONG\r\n")) as web, checked(web, pool=verifying(PING)) as weir:
        for _ in range(3):
            assert web.result() == "clean"
        assert not weir.entries("upstream down")
        assert health_of(weir, web.name)["certificate_expires"]


def test_wrong_reply_inside_tls(checked):
    with secure(script=answering(b"-ERR\r\n")) as web, checked(web, pool=verifying(PING, timeout="200ms")) as weir:
        went_down(weir, web, 'the upstream sent "-ERR\\r\\n"')
        entry = weir.wait_log("upstream down")
        assert entry["certificate_expires"] > "20"


# Real programs


def test_stopped_redis_is_up_for_connect_and_down_for_expect(checked, tmp_path):
    """H4: the kernel still accepts for a process that is stopped."""
    with programs.redis(tmp_path) as redis:
        with checked(redis, pool=checking("connect")) as by_connect, checked(redis, pool=checking(PING)) as by_expect:
            assert by_expect.status()["pools"][0]["upstreams"][0]["health"] == "up"
            os.kill(redis.process.pid, signal.SIGSTOP)
            try:
                went_down(by_expect, redis, "the upstream sent nothing until the timeout")
                assert not by_connect.entries("upstream down")
            finally:
                os.kill(redis.process.pid, signal.SIGCONT)
            by_expect.wait_log("upstream up")


def test_redis_with_tls(checked, tmp_path):
    certificate = certs.servers().issue_server("redis", san=[WEB])
    with programs.secure_redis(tmp_path, certificate, certs.root()) as redis:
        with checked(redis, pool=verifying(PING, own())) as weir, checked(redis, pool=verifying("tls")) as stranger:
            went_down(stranger, redis, "alert")
            eventually(lambda: "certificate_expires" in health_of(weir, redis.name))
            assert not weir.entries("upstream down")


@pytest.mark.parametrize("check", ["connect", {"send": "GET /small HTTP/1.0\r\n\r\n", "expect": "hello from nginx"}],
                         ids=["connect", "expect"])
def test_nginx_has_nothing_to_say_about_checks(checked, tmp_path, check):
    with programs.nginx(tmp_path, tmp_path) as nginx:
        before = os.path.getsize(nginx.output.name)
        with checked(nginx, pool=checking(check, "10ms")) as weir:
            time.sleep(amount(0.4, 2))
            assert not weir.entries("upstream down")
        with open(nginx.output.name) as output:
            output.seek(before)
            assert output.read() == ""


# Time and resources


def test_never_two_checks_at_a_time(checked):
    """With a timeout longer than the interval, the next check waits for the end of the last one."""
    with Checked(sink) as web, checked(web, pool=checking(PING, "10ms", timeout="100ms", fall=1000)) as weir:
        for count in range(1, 7):
            web.wait_accepted(count)
            assert web.active <= 2, "one that is checked, and one whose end is just being seen"


def test_checks_leave_nothing_behind(checked):
    """H9: after many checks of every kind the memory is what it was."""
    certificate = own()
    with Checked(answering(b"+PONG")) as plain, secure(clients=certs.root()) as web, Hanger() as hole:
        pools = [
            ("plain", plain, PING, None, "30ms"), ("tls", web, "tls", certificate, "30ms"),
            ("refused", web, "tls", None, "30ms"), ("hole", hole, "tls", certificate, "500ms"),
        ]
        plain.name, web.name, hole.name = "plain", "secure", "hole"
        config = {
            "workers": 2, "log": {"format": "json"},
            "admin": {"http": f"127.0.0.1:{free_port()}"},
            "listeners": [{"name": "edge", "address": "127.0.0.1:0", "pool": "plain"}],
            "pools": [{"name": name, "upstreams": [{"name": upstream.name, "address": upstream.address}],
                       "tls": pool_block(certificate=ours, verify=[WEB]),
                       **checking(check, interval, timeout="200ms")}
                      for name, upstream, check, ours, interval in pools],
        }
        del config["pools"][0]["tls"]
        with checked(plain, web, hole, config=config) as weir:
            web.wait_accepted(40)
            plain.wait_accepted(20)
            before = weir.anonymous_bytes()
            web.wait_accepted(web.accepted + amount(60, 2000))
            if not settings.SLOW and weir.config["io"] == "epoll":  # io_uring takes its buffers in turn, used or not
                assert weir.anonymous_bytes() < before + (256 << 10)
