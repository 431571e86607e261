# SPDX-License-Identifier: Apache-2.0
"""TLS to the upstreams: T31, P1-P5, P7. Not a byte of a client goes to an upstream that has not proved who it is."""

import functools
import ssl

import pytest

import certs
from certs import root
from peers import (
    Hanger, Refuser, Upstream, assert_prefix, assert_whole, echo, half_close, mute, receive, receive_exactly, reset,
    resetter, send_data)
from settings import amount
from tls import TlsUpstream, client_context, listener_block, pool_block, server_context

MIB = 1 << 20
WEB = "dns:web.test"


@functools.cache
def servers():
    return certs.servers()


@functools.cache
def good():
    return servers().issue_server("web", san=[WEB])


@functools.cache
def own():
    """What Weir shows to its upstreams."""
    return root().issue("weir")


def verifying(*verify, certificate=None, **pool):
    return {"tls": pool_block(certificate=certificate, verify=list(verify) or [WEB]), **pool}


def secure(certificate=None, script=None, clients=None, **options):
    return TlsUpstream(server_context(certificate or good(), clients=clients), script, **options)


BAD = {
    "for another name": (lambda: servers().issue_server("x", san=["dns:other.test"]), "is not for dns:web.test"),
    "with the name as common name": (lambda: servers().issue_server("web.test", san=["dns:x.test"]), "is not for"),
    "with only a common name": (lambda: servers().issue_server("web.test", san=[]), "is not for"),
    "with a NUL in its name": (lambda: servers().issue_server("x", san=[("dns", b"web.test\0.evil")]), "is not for"),
    "with part of a wildcard": (lambda: servers().issue_server("x", san=["dns:w*.test", "dns:*"]), "is not for"),
    "expired": (lambda: servers().issue_server("web", san=[WEB], starts=-9, ends=-2), "CN=web expired"),
    "not yet valid": (lambda: servers().issue_server("web", san=[WEB], starts=2, ends=9), "not valid before"),
    "of another CA": (lambda: certs.authority("Other").issue_server("web", san=[WEB]), "unable to find the issuer"),
    "self-signed": (lambda: certs.Certificate("web", san=[WEB], usage=["server"]), "self.signed|self-signed"),
    "for clients only": (lambda: servers().issue("web", san=[WEB]), "purpose"),
    "of the clients' CA": (lambda: root().issue_server("web", san=[WEB]), "unable to find the issuer"),
}


@pytest.mark.parametrize("case", BAD)
def test_upstream_with_a_bad_certificate(balancer, case):
    """T31: the next one is tried, and nobody else hears the client."""
    present, words = BAD[case]
    with secure(present(), echo, name="bad") as bad, secure(script=echo, name="good") as fine:
        with balancer(bad, fine, pool=verifying(retries=1)) as weir:
            for _ in range(3):
                weir.ask(b"secret")
            assert bad.accepted >= 1
            for _ in range(bad.accepted):
                assert isinstance(bad.result(), (ssl.SSLError, ConnectionError))
            weir.wait_closed(3, reason="done", upstream="good")
            assert weir.metrics().sum("weir_upstream_failures_total", upstream="bad") == bad.accepted
            assert fine.names == ["web.test"] * 3


@pytest.mark.parametrize("case", ["for another name", "expired", "of another CA"])
def test_no_upstream_with_a_good_certificate(balancer, case):
    """The log says what was wrong, the client hears no clean end (plain) and gets no byte."""
    present, words = BAD[case]
    with secure(present(), echo, name="bad") as bad, balancer(bad, pool=verifying()) as weir:
        client = weir.connect()
        assert receive(client).size == 0
        entry = weir.wait_closed(reason="connect_failed")
        assert words in entry["detail"] and entry["to_upstream_bytes"] == 0
        assert isinstance(bad.result(), (ssl.SSLError, ConnectionError))
        weir.fresh = False


@pytest.mark.parametrize("case, verify, san", [
    ("a dns name", ["dns:web.test"], ["dns:web.test"]),
    ("a dns name in other case", ["dns:web.test"], ["dns:WEB.Test"]),
    ("a wildcard", ["dns:a.web.test"], ["dns:*.web.test"]),
    ("one of several", ["dns:x.test", "uri:spiffe://example.com/web"], ["uri:spiffe://example.com/web"]),
    ("an address", ["ip:127.0.0.1"], ["ip:127.0.0.1"]),
    ("its own address", None, ["ip:127.0.0.1"]),
])
def test_what_an_upstream_may_be_verified_by(balancer, case, verify, san):
    tls = pool_block()
    if verify is not None:
        tls["verify"] = verify
    with secure(servers().issue_server("web", san=san), echo) as web, balancer(web, pool={"tls": tls}) as weir:
        weir.ask()
        assert web.names == [next((name[4:] for name in verify or [] if name.startswith("dns:")), None)]


def test_default_is_the_address_and_no_name(balancer):
    """A certificate of the right CA for 127.0.0.2 is none for 127.0.0.1."""
    other = servers().issue_server("web", san=["ip:127.0.0.2", "dns:127.0.0.1"])
    with secure(other, echo) as web, balancer(web, pool={"tls": pool_block()}) as weir:
        assert receive(weir.connect()).size == 0
        assert "is not for ip:127.0.0.1" in weir.wait_closed(reason="connect_failed")["detail"]
        weir.fresh = False


def test_upstream_that_asks_for_our_certificate(balancer):
    def serve(tls, _upstream):
        certificate = tls.object.getpeercert()
        echo(tls)
        return certificate["subject"]

    with secure(script=serve, clients=root()) as web, balancer(web, pool=verifying(certificate=own())) as weir:
        weir.ask()
        assert web.result() == ((("commonName", "weir"),),)


@pytest.mark.parametrize("ours", ["none", "of another CA", "expired"])
def test_upstream_that_refuses_our_certificate_after_the_handshake(balancer, ours):
    """With TLS 1.3 it says so when our side is done: the client hears no clean end, and the log has the alert."""
    certificate = {"none": lambda: None, "of another CA": lambda: certs.authority("Other").issue("weir"),
                   "expired": lambda: root().issue("weir", starts=-9, ends=-2)}[ours]()
    alert = {"none": "certificate required", "of another CA": "unknown CA", "expired": "certificate expired"}[ours]
    with secure(script=echo, clients=root()) as web, balancer(
            web, pool=verifying(certificate=certificate, retries=0)) as weir:
        client = weir.connect()
        received = receive(client)
        assert received.size == 0 and received.end == "reset"
        entry = weir.wait_closed()
        assert entry["reason"] in ("upstream_reset", "connect_failed") and alert in entry["detail"], entry
        assert entry["to_client_bytes"] == 0 and isinstance(web.result(), ssl.SSLError)
        assert weir.metrics().sum("weir_upstream_failures_total", upstream="web1") == 1
        weir.fresh = False


def plain_answer(sock, _upstream):
    sock.recv(1)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    receive(sock)


def broken_hello(sock, _upstream):
    sock.recv(1)
    reset(sock)


def immediate_end(_sock, _upstream):
    pass


FAILING = {
    "refused": lambda: Refuser(name="bad"),
    "accepted, then reset": lambda: Upstream(lambda sock, _: reset(sock), name="bad"),
    "reset in the handshake": lambda: Upstream(broken_hello, name="bad"),
    "ended at once": lambda: Upstream(immediate_end, name="bad"),
    "no TLS": lambda: Upstream(plain_answer, name="bad"),
    "TLS 1.2 only": lambda: TlsUpstream(server_context(good(), highest=ssl.TLSVersion.TLSv1_2), echo, name="bad"),
    "silent": lambda: Upstream(mute, name="bad"),
    "hanging": lambda: Hanger(name="bad"),
}


@pytest.mark.parametrize("case", FAILING)
def test_upstream_that_fails_before_its_handshake_is_done(balancer, case):
    """P1-P4, P7: the next one gets the connection, whole."""
    size = amount(MIB, slow=MIB // 4)
    with FAILING[case]() as bad, secure(script=lambda tls, _: receive(tls), name="good") as fine, balancer(
            bad, fine, pool=verifying(connect_timeout="500ms", retries=1)) as weir:
        for _ in range(2):
            client = weir.connect()
            send_data(client, size)
            half_close(client)
            assert_whole(fine.result(), size)
            assert receive(client)[::2] == (0, "clean")
        weir.wait_closed(2, reason="done", upstream="good")
        entries = weir.entries("connection")
        assert max(entry["tries"] for entry in entries) == 2
        assert weir.metrics().sum("weir_upstream_failures_total", upstream="bad") >= 1
        weir.fresh = False


def test_upstream_that_dies_in_the_middle(balancer):
    """P5: never a clean end for the client, with TLS on both sides."""
    with secure(script=resetter(10 * MIB)) as web, balancer(
            web, listener={"tls": listener_block()}, pool=verifying(),
            tls=client_context(certs.alice())) as weir:
        received = receive(weir.connect())
        assert received.end != "clean"
        assert_prefix(received, received.end)
        weir.wait_closed(reason="upstream_reset")


def test_upstream_that_spoils_a_record(balancer):
    """What cannot be decoded is not passed on, and no clean end follows."""

    def serve(tls, _upstream):
        tls.sendall(b"good")
        receive_exactly(tls, 4)
        tls.object.write(b"evil")
        record = bytearray(tls.take())
        record[-1] ^= 1
        tls.raw.sendall(record)
        return receive(tls)

    with secure(script=serve) as web, balancer(web, pool=verifying()) as weir:
        client = weir.connect()
        assert receive_exactly(client, 4) == b"good"
        client.sendall(b"next")
        assert receive(client)[::2] == (0, "reset")
        weir.wait_closed(reason="upstream_reset", to_client_bytes=4)
