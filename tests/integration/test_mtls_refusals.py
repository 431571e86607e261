# SPDX-License-Identifier: Apache-2.0
"""Whom a TLS listener refuses: T1-T7, T10-T12, T15-T17, T20-T22, T27-T29. Each time the log and the metrics say why,
the client hears the right alert, and no upstream hears anything."""

import contextlib
import random
import re
import ssl
import subprocess
import time

import pytest

import certs
from certs import alice, bob, bundle_files, impostor, root
from peers import (
    LOOPBACK, Upstream, assert_whole, connect, echo, eventually, half_close, in_threads, receive, receive_exactly,
    reset, send_data, sink)
from programs import find
from settings import DEADLINE, amount
from tls import V1_2, V1_3, Tls, client_context, listener_block, server_context

SAN = ["dns:alice.example.com"]


def secure(balancer, web, block=None, **options):
    """A balancer with a TLS listener, whose client is alice."""
    return balancer(web, listener={"tls": block or listener_block()}, tls=client_context(alice()), **options)


@contextlib.contextmanager
def guarded(balancer, block=None):
    """A balancer before an echo that nobody reaches."""
    with Upstream(echo) as web, secure(balancer, web, block) as weir:
        yield weir, web
        assert web.accepted == 0, f"an upstream was reached\n{weir.state()}"


def chain_of(length, authority):
    """The lowest of so many intermediates."""
    for number in range(length):
        authority = authority.intermediate(f"Intermediate {number + 1}")
    return authority


def forged_root(**options):
    return certs.authority(root().subject, **options)


# What a bad client presents: its context; the alert it hears; words of the log.
BAD = {
    "no certificate": (lambda: client_context(), "certificate_required", "no client certificate was sent"),
    "expired": (lambda: client_context(root().issue("alice", san=SAN, starts=-9, ends=-2)),
                "certificate_expired", r"CN=alice expired \d{4}-\d\d-\d\d"),
    "not yet valid": (lambda: client_context(root().issue("alice", san=SAN, starts=2, ends=9)),
                      "bad_certificate", r"CN=alice is not valid before \d{4}-\d\d-\d\d"),
    "of another CA": (lambda: client_context(certs.authority("Other").issue("alice", san=SAN)),
                      "unknown_ca", "unable to find the issuer CN=Other"),
    "of the CA of our own certificate": (lambda: client_context(certs.servers().issue("alice", san=SAN)),
                                         "unknown_ca", "unable to find the issuer|self.signed"),
    "self-signed": (lambda: client_context(certs.Certificate("alice", san=SAN, usage=["client"])),
                    "unknown_ca", "self.signed"),
    "self-signed CA": (lambda: client_context(certs.authority("alice", san=SAN)), "unknown_ca", "self.signed"),
    "of a forged CA with the same name": (lambda: client_context(forged_root().issue("alice", san=SAN)),
                                          "unknown_ca", "unable to find the issuer"),
    "of a forged CA, without key identifiers": (
        lambda: client_context(forged_root(identifiers=False).issue("alice", san=SAN, identifiers=False)),
        "decrypt_error", "signature failure"),
    "for servers only": (lambda: client_context(root().issue("alice", san=SAN, usage=["server"])),
                         "unsupported_certificate", "purpose"),
    "for signing code only": (lambda: client_context(root().issue("alice", san=SAN, usage=["code"])),
                              "unsupported_certificate", "purpose"),
    "with another key": (lambda: client_context(alice(), key=impostor(alice().key)),
                         "decrypt_error", "does not have the key"),
    "tampered with": (lambda: client_context(root().issue("alice", san=SAN, signer=certs.Key())),
                      "decrypt_error|unknown_ca", "signature failure|unable to find the issuer"),
    "RSA of 1024 bits": (lambda: client_context(root().issue("alice", san=SAN, key=certs.Key("RSA", 1024)), level=0),
                         "bad_certificate", "key too weak"),
    "SHA-1": (lambda: client_context(root().issue("alice", san=SAN, digest="sha1"), level=0),
              "bad_certificate", "digest algorithm too weak"),
    "chain of six": (lambda: client_context(chain_of(4, root()).issue("alice", san=SAN)), "unknown_ca", "too long"),
    "chain of twelve": (lambda: client_context(chain_of(10, root()).issue("alice", san=SAN)),
                        "unknown_ca", "too long"),
    "below a CA that may have none below": (
        lambda: client_context(chain_of(1, root().intermediate("Last", path_length=0)).issue("alice", san=SAN)),
        "unknown_ca", "path length"),
    "outside the CA's name constraints": (
        lambda: client_context(root().intermediate("Narrow", permitted=["dns:example.org"]).issue("alice", san=SAN)),
        "bad_certificate|certificate_unknown", "permitted subtree"),
    "issued by a certificate that is no CA": (
        lambda: client_context(root().issue("bob").issue("alice", san=SAN)), "unknown_ca", "invalid CA"),
    "issued by a CA that may only sign for servers": (
        lambda: client_context(root().intermediate("Web", usage=["server"]).issue("alice", san=SAN)),
        "unsupported_certificate|unknown_ca", "purpose"),
    "an intermediate is missing": (lambda: client_context(without_intermediates()),
                                   "unknown_ca", "unable to find the issuer CN=Intermediate 1"),
    "with an expired intermediate": (
        lambda: client_context(root().intermediate("Old", starts=-9, ends=-2).issue("alice", san=SAN)),
        "certificate_expired", "CN=Old expired"),
    "with 1000 names": (
        lambda: client_context(root().issue("alice", san=[f"dns:a{n}.example.com" for n in range(1000)])),
        "bad_certificate|certificate_unknown", "too many"),
    "with a name of 20,000 bytes": (
        lambda: client_context(root().issue("alice", san=["dns:" + "a" * 20_000])),
        "bad_certificate|certificate_unknown", "too long"),
    "with an unknown critical extension": (
        lambda: client_context(root().issue("alice", san=SAN,
                                            extensions=[certs.extension("1.2.3.4", b"\x05\0", critical=True)])),
        "bad_certificate|certificate_unknown|unsupported_certificate", "unhandled critical extension"),
}


def without_intermediates():
    certificate = chain_of(1, root()).issue("alice", san=SAN)
    certificate.chain = certificate.file
    return certificate


def assert_refused(weir, alert, words, reason="tls_bad_certificate", **options):
    heard = weir.refusal(**options)
    assert re.fullmatch(alert, heard), (heard, weir.state())
    entry = weir.wait_closed(reason=reason)
    assert re.search(words, entry["detail"]), entry
    assert entry.get("client", "") == "" and weir.closed(reason) == 1
    assert weir.metrics().sum("weir_client_denied_total", client="", reason=reason) == 1


@pytest.mark.parametrize("case", BAD)
def test_bad_certificate(balancer, case):
    """T1-T7, T10, T15-T17"""
    present, alert, words = BAD[case]
    reason = "tls_no_certificate" if case == "no certificate" else "tls_bad_certificate"
    with guarded(balancer) as (weir, _):
        assert_refused(weir, alert, words, reason, tls=present())


@pytest.mark.parametrize("case", ["no certificate", "expired", "of another CA", "with another key"])
def test_bad_certificate_in_tls_1_2(balancer, case):
    """There the handshake itself fails."""
    reasons = {"no certificate": ("tls_no_certificate", "handshake_failure")}
    present, alert, words = BAD[case]
    reason, alert = reasons.get(case, ("tls_bad_certificate", alert))
    context = present()
    context.minimum_version, context.maximum_version = V1_2, V1_2
    with guarded(balancer, listener_block(min_version="1.2")) as (weir, _):
        assert_refused(weir, alert, words, reason, tls=context)


def test_longest_chain_that_is_allowed(balancer):
    """T16: five certificates, the root included."""
    with Upstream(echo) as web, secure(balancer, web) as weir:
        weir.tls = client_context(chain_of(3, root()).issue("alice", san=SAN))
        weir.ask()
        weir.wait_closed(reason="done", identity="dns:alice.example.com")


def test_good_certificates_of_all_kinds(balancer):
    """RSA, an inner CA with constraints that are kept to, no purpose said, a root sent along."""
    rsa = root().issue("alice", san=SAN, key=certs.Key("RSA", 2048))
    narrow = root().intermediate("Narrow", permitted=["dns:example.com"], path_length=0).issue("alice", san=SAN)
    plain = root().issue("alice", san=SAN, usage=())
    with_root = root().issue("alice", san=SAN)
    with_root.chain = certs.bundle(with_root, root())
    with Upstream(echo) as web, secure(balancer, web) as weir:
        for certificate in (rsa, narrow, plain, with_root):
            weir.tls = client_context(certificate)
            weir.ask()
        weir.wait_closed(4, reason="done", identity="dns:alice.example.com")


# Revocation


def test_revoked(balancer):
    """T11"""
    with guarded(balancer, listener_block(crl=root().crl(bob()))) as (weir, web):
        assert_refused(weir, "certificate_revoked", "CN=bob: certificate revoked", tls=client_context(bob()))
        assert web.accepted == 0


def test_revoked_intermediate(balancer):
    """T12"""
    inner = root().intermediate("Inner")
    lists = bundle_files(root().crl(inner), inner.crl())
    with guarded(balancer, listener_block(crl=lists)) as (weir, _):
        certificate = inner.issue("alice", san=SAN)
        assert_refused(weir, "certificate_revoked", "CN=Inner: certificate revoked", tls=client_context(certificate))


def test_crl_of_the_intermediate_is_missing(balancer):
    inner = root().intermediate("Inner")
    with guarded(balancer, listener_block(crl=root().crl())) as (weir, _):
        assert_refused(weir, "unknown_ca|certificate_unknown|bad_certificate", "no CRL of CN=Inner",
                       tls=client_context(inner.issue("alice", san=SAN)))


@pytest.mark.parametrize("crl", ["expired", "missing", "forged"])
def test_without_a_fresh_crl_everyone_is_refused(balancer, crl, tmp_path):
    """Weir starts, warns, and refuses all."""
    paths = {"expired": lambda: root().crl(starts=-9, ends=-2), "missing": lambda: str(tmp_path / "none.pem"),
             "forged": lambda: forged_root(identifiers=False).crl()}
    words = {"expired": "expired", "missing": "no CRL of", "forged": "no CRL of"}
    with Upstream(echo) as web, balancer(web, listener={"tls": listener_block(crl=paths[crl]())}) as weir:
        heard = weir.refusal(tls=client_context(alice()))
        assert heard not in ("clean", "reset", "truncated"), heard
        assert words[crl] in weir.wait_closed(reason="tls_bad_certificate")["detail"]
        assert crl == "forged" or [entry for entry in weir.log if entry["level"] == "warn" and "CRL" in str(entry)]
        assert web.accepted == 0
        weir.fresh = False


def test_chain_that_was_verified_is_remembered_only_as_it_was(balancer):
    """A remembered chain lets nobody in who changes a byte of it or has not got the key."""
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        weir.tls = client_context(alice())
        for _ in range(3):
            weir.ask()
        assert weir.refusal(tls=client_context(alice(), key=impostor(alice().key))) == "decrypt_error"
        expired = root().issue("alice", san=SAN, starts=-9, ends=-2)
        expired.chain = certs.bundle(expired, alice())
        assert weir.refusal(tls=client_context(expired)) == "certificate_expired"
        assert web.accepted == 3
        weir.ask()


@pytest.mark.exact
def test_remembered_chain_ends_with_its_certificate(balancer):
    """It is remembered for as long as the certificate is valid, and not a second longer."""
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        weir.ask()
        start = time.time()
        context = client_context(root().issue("alice", san=SAN, ends=4 / 86400))
        weir.ask(tls=context)
        weir.ask(tls=context)
        time.sleep(max(0.0, start + 5.5 - time.time()))
        assert weir.refusal(tls=context) == "certificate_expired"
        weir.tls = client_context(alice())


# The protocol


def test_tls_1_2_is_refused(balancer):
    """T20"""
    with guarded(balancer) as (weir, _):
        assert_refused(weir, "protocol_version", "no TLS version that is allowed", "tls_error",
                       tls=client_context(alice(), lowest=V1_2, highest=V1_2))


def test_ciphers_of_tls_1_2(balancer):
    """Where 1.2 is allowed, of all ciphers that OpenSSL knows those with ECDHE and AEAD get in, and no other."""
    said = subprocess.run([find("openssl"), "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
                          capture_output=True, text=True, check=True).stdout
    names = [name for name in said.strip().split(":") if not name.startswith("TLS_")]
    assert len(names) > 50
    accepted = set()
    with Upstream(echo) as web, secure(balancer, web, listener_block(min_version="1.2")) as weir:
        for name in names:
            context = client_context(alice(), lowest=V1_2, highest=V1_2, level=0)
            context.set_ciphers(f"{name}:@SECLEVEL=0")
            with connect(weir.port) as sock, contextlib.suppress(OSError):
                accepted.add(Tls(sock, context).handshake().object.cipher()[0])
    assert accepted == {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                        "ECDHE-ECDSA-CHACHA20-POLY1305"}


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_no_session_is_ever_resumed(balancer, version):
    """T22: no tickets are given out, and the session of before is nothing."""
    context = client_context(alice(), lowest=version, highest=version)
    tls = listener_block(min_version="1.2")
    with Upstream(echo) as web, balancer(web, listener={"tls": tls}, tls=context) as weir:
        first = weir.connect()
        first.sendall(b"x")
        assert receive_exactly(first, 1) == b"x"
        session = first.object.session
        assert not session.has_ticket
        weir.close_clients()
        second = weir.connect(session=session)
        assert not second.object.session_reused
        second.sendall(b"x")
        assert receive_exactly(second, 1) == b"x"


def test_session_of_another_server_is_no_way_in(balancer):
    """T22: a client without certificate that brings a ticket of elsewhere."""
    elsewhere = server_context(certs.weir(), tickets=1)

    def serve(sock, _upstream):
        tls = Tls(sock, elsewhere, server_side=True).handshake()
        return tls.recv(1)

    context = client_context()
    with Upstream(serve) as other:
        with Tls(connect(other.port), context).handshake() as tls:
            tls.sendall(b"xx")
            receive(tls)
            session = tls.object.session
    assert session.has_ticket
    with guarded(balancer) as (weir, _):
        assert_refused(weir, "certificate_required", "no client certificate", "tls_no_certificate", tls=context,
                       session=session)


def s_client(port, *words, data=b""):
    """Runs openssl s_client; returns all that it says."""
    command = [find("openssl"), "s_client", "-connect", f"{LOOPBACK}:{port}", *words]
    done = subprocess.run(command, input=data, capture_output=True, timeout=DEADLINE)
    return (done.stdout + done.stderr).decode(errors="replace")


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def session_with_early_data(path):
    """A client's session with a server that allows early data."""
    openssl = find("openssl")
    server = [openssl, "s_server", "-accept", f"{LOOPBACK}:0", "-early_data", "-tls1_3"]
    with running(*server, "-cert", certs.weir().chain, "-key", certs.weir().key.path) as process:
        port = next(int(line.rsplit(b":", 1)[1]) for line in process.stdout if line.startswith(b"ACCEPT"))
        with running(openssl, "s_client", "-connect", f"{LOOPBACK}:{port}", "-sess_out", str(path)):
            eventually(lambda: path.exists() and path.read_text().endswith("-----END SSL SESSION PARAMETERS-----\n"))


def test_early_data(balancer, tmp_path):
    """T21: here it is refused, and no upstream sees a byte of it."""
    early, session = tmp_path / "early", tmp_path / "session"
    early.write_bytes(b"early bird")
    session_with_early_data(session)
    with guarded(balancer) as (weir, _):
        said = s_client(weir.port, "-cert", alice().chain, "-key", alice().key.path, "-sess_in", str(session),
                        "-early_data", str(early))
        assert "Early data was rejected" in said, said
        assert "Reused, TLS" not in said
        weir.wait_closed(reason="tls_error")


NO_TLS = {
    "http": b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "redis": b"*1\r\n$4\r\nPING\r\n",
    "zeros": bytes(10_000),
    "sslv2": bytes.fromhex("802e0100020015000000100100800700c0") + b"a" * 31,
    "random": random.Random(7).randbytes(20_000),
    "huge record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "application data": b"\x17\x03\x03\x00\x05hello",
}


@pytest.mark.parametrize("case", NO_TLS)
def test_what_is_no_tls(balancer, case):
    """T27: refused at once, not at the deadline."""
    with guarded(balancer) as (weir, _):
        sock = weir.connect(tls=None)
        with contextlib.suppress(OSError):  # refused meanwhile
            sock.sendall(NO_TLS[case])
            half_close(sock)
        received = receive(sock)
        assert received.size < 100
        entry = weir.wait_closed()
        assert entry["reason"] == "tls_error" and entry["duration_ms"] < 5000, entry
        assert entry["detail"], entry


def test_plaintext_before_the_handshake(balancer):
    """T28"""
    with guarded(balancer) as (weir, _):
        sock = weir.connect(tls=None)
        sock.sendall(b"EHLO weir.test\r\n")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Tls(sock, weir.tls).handshake()
        weir.wait_closed(reason="tls_error")


def test_plaintext_in_the_handshake(balancer):
    """T28: application data that nothing encrypts, between ClientHello and Finished."""
    with guarded(balancer) as (weir, _):
        tls = Tls(weir.connect(tls=None), weir.tls)
        assert not tls.step()
        tls.flush()
        tls.fill()
        tls.raw.sendall(b"\x17\x03\x03\x00\x05hello")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            tls.handshake()
            receive(tls)
        weir.wait_closed(reason="tls_error")


def test_plaintext_behind_the_handshake(balancer):
    """T28: nothing of it reaches the upstream, which sees no clean end."""
    with Upstream(receive_all) as web, secure(balancer, web) as weir:
        tls = weir.connect(tls=client_context(alice()))
        tls.sendall(b"good")
        eventually(lambda: weir.metrics().sum("weir_bytes_total", direction="to_upstream") == 4)
        tls.raw.sendall(b"plain text, nobody should see it")
        end = web.result()
        assert end.end == "reset" and end.size <= 4
        weir.wait_closed(reason="tls_error", to_upstream_bytes=4)


def receive_all(sock, _upstream):
    return receive(sock)


def test_spoiled_record(balancer):
    """A flipped bit: nothing of that record goes on, and the client hears an alert."""
    with Upstream(receive_all) as web, secure(balancer, web) as weir:
        tls = weir.connect(tls=client_context(alice()))
        tls.object.write(b"secret" * 100)
        record = bytearray(tls.take())
        record[-1] ^= 1
        tls.raw.sendall(record)
        assert web.result()[::2] == (0, "reset")
        weir.wait_closed(reason="tls_error", to_upstream_bytes=0)


def test_bytes_right_behind_the_handshake(balancer):
    """A client that does not wait for the balancer's view of its certificate loses nothing."""
    with Upstream(echo) as web, secure(balancer, web) as weir:
        for size in (1, 100, 16_384, 60_000, 300_000):
            tls = Tls(weir.connect(tls=None), client_context(alice()))
            while not tls.step():
                tls.flush()
                tls.fill()
            text = random.Random(size).randbytes(size)
            tls.object.write(text)  # in one piece with Finished
            tls.flush()
            assert receive_exactly(tls, size) == text
            half_close(tls)
            assert receive(tls)[::2] == (0, "clean")
        weir.wait_closed(5, reason="done")


def test_floods_right_behind_handshakes(balancer):
    """Handshakes wait for each other; what comes behind one meanwhile is bounded, and nobody is cut for it."""
    clients, size = 8, 4 << 20
    with Upstream(sink) as web, secure(balancer, web) as weir:

        def flood(_):
            sock = weir.connect()
            send_data(sock, size)
            half_close(sock)
            assert receive(sock)[::2] == (0, "clean")

        in_threads(clients, flood)
        for _ in range(clients):
            assert_whole(web.result(), size)
        weir.wait_closed(clients, reason="done")


def test_client_that_writes_much_before_it_reads_its_refusal(balancer):
    """The alert is not destroyed by what stands unread."""
    with guarded(balancer) as (weir, _):
        for _ in range(amount(10, full=100)):
            tls = weir.connect(tls=client_context())
            with contextlib.suppress(ConnectionError, TimeoutError):
                tls.sendall(bytes(100_000))
            with pytest.raises(ssl.SSLError) as error:
                receive(tls)
            assert "CERTIFICATE_REQUIRED" in error.value.reason


def test_hello_in_single_bytes(balancer):
    """Segments say nothing: a handshake may come byte by byte."""
    with Upstream(echo) as web, secure(balancer, web) as weir:
        tls = Tls(weir.connect(tls=None), client_context(alice()))
        done = False
        while not done:
            done = tls.step()
            data = tls.take()
            for position in range(len(data)):
                tls.raw.sendall(data[position : position + 1])
            if not done:
                tls.fill()
        tls.sendall(b"hello")
        assert receive_exactly(tls, 5) == b"hello"
        half_close(tls)
        assert receive(tls)[::2] == (0, "clean")


# Leaving early


def records(data):
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        yield data[:size]
        data = data[size:]


def leave(weir, context, stage, abruptly):
    """Leaves after so many of the client's records, or (stage + 0.5) in the middle of the next."""
    sock = connect(weir.port)
    tls = Tls(sock, context)
    sent = 0
    done = False
    while not done:
        done = tls.step()
        for record in records(tls.take()):
            if sent + 1 > stage:
                sock.sendall(record[: len(record) // 2] if stage > sent else b"")
                (reset if abruptly else type(sock).close)(sock)
                return
            sock.sendall(record)
            sent += 1
        if not done:
            tls.fill()
    raise AssertionError(f"a handshake of {sent} records has no stage {stage}")


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_clients_that_leave_in_the_handshake(balancer, version):
    """T29: after each message, in the middle of each, politely and not."""
    rounds = amount(300, full=1000, slow=80)
    context = client_context(alice(), lowest=version, highest=version)
    stages = [half / 2 for half in range(0, 10 if version == V1_3 else 11)]
    stages = [stage for stage in stages if stage < 5]

    with guarded(balancer, listener_block(min_version="1.2")) as (weir, _):

        def clients(number):
            for turn in range(rounds // 4):
                leave(weir, context, stages[turn % len(stages)], (number + turn) % 2)

        in_threads(4, clients)
        eventually(lambda: len(weir.entries("connection")) == rounds, what=weir.state)
        assert {entry["reason"] for entry in weir.entries("connection")} <= {"client_reset", "tls_error"}


def test_client_without_a_certificate_on_a_listener_for_anyone(balancer):
    """`clients: anonymous`: TLS, and clients known by address."""
    block = listener_block(clients=None)
    del block["client_ca"]
    with Upstream(echo) as web, balancer(web, listener={"tls": {**block, "clients": "anonymous"}}) as weir:
        weir.tls = client_context()
        weir.ask()
        assert weir.wait_closed(reason="done")["identity"] == LOOPBACK
        assert weir.refusal(tls=client_context(highest=V1_2, lowest=V1_2)) == "protocol_version"
