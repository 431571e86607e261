# SPDX-License-Identifier: Apache-2.0
"""Who is who by certificate, and what each may reach: Z1, Z2, Z4, Z6, Z7."""

import itertools

import pytest

import certs
from certs import alice, bob, nobody, root
from peers import LOOPBACK, Upstream, banner, echo, half_close, in_threads, receive_exactly
from settings import amount
from tls import client_context, listener_block
from weir import configuration

ALICE = {"name": "alice", "identity": ["dns:alice.example.com", "uri:spiffe://example.com/alice"]}
BOB = {"name": "bob", "identity": ["dns:bob.example.com"]}
ONLY_KNOWN = {"clients": [ALICE, BOB], "policy": [{"allow": ["alice", "bob"], "to": ["web"]}]}


def guarded(balancer, web, **options):
    return balancer(web, listener={"tls": listener_block()}, tls=client_context(alice()), **{**ONLY_KNOWN, **options})


def test_valid_certificate_of_nobody_we_know(balancer):
    """Z1: a clean end without a byte, and nobody is dialled."""
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        assert weir.refusal(tls=client_context(nobody())) == "clean"
        entry = weir.wait_closed(reason="unknown_client")
        assert entry["identity"] == "dns:nobody.example.com" and "no rule" in entry["detail"]
        assert web.accepted == 0
        weir.ask()
        assert weir.wait_closed(reason="done")["client"] == "alice"


def test_known_client_without_a_rule(balancer):
    policy = [{"allow": ["alice", "bob"], "to": ["web"]}, {"deny": ["bob"], "to": ["web"]}]
    with Upstream(echo) as web, guarded(balancer, web, policy=policy) as weir:
        assert weir.refusal(tls=client_context(bob())) == "clean"
        entry = weir.wait_closed(reason="not_authorized")
        assert entry["client"] == "bob" and "weir.yaml:" in entry["detail"]
        assert weir.metrics().sum("weir_client_denied_total", client="bob", reason="not_authorized") == 1
        assert web.accepted == 0


NAME = "alice.example.com"
URI = "spiffe://example.com/alice"

# Certificates that hold the right words in a place where they mean something else.
STRANGERS = {
    "as common name beside a SAN": {"subject": NAME, "san": ["dns:x.example.com"]},
    "as common name without a SAN": {"subject": NAME},
    "dns name as uri": {"san": [f"uri:{NAME}"]},
    "dns name as email": {"san": [f"email:{NAME}"]},
    "uri as dns name": {"san": [f"dns:{URI}"]},
    "as another kind of name": {"san": [f"other:{NAME}"]},
    "as a directory's name": {"san": [f"cn:{NAME}"]},
    "as registered id": {"san": [("rid", b"\x2a\x03\x04")], "subject": NAME},
    "with a NUL behind it": {"san": [("dns", NAME.encode() + b"\0")]},
    "with a NUL and more behind it": {"san": [("dns", NAME.encode() + b"\0.evil.example.org")]},
    "uri with a NUL": {"san": [("uri", URI.encode() + b"\0x")]},
    "with a NUL before it": {"san": [("dns", b"\0" + NAME.encode())]},
    "with a space": {"san": [f"dns:{NAME} "]},
    "with a dot": {"san": [f"dns:{NAME}."]},
    "as a part": {"san": [f"dns:{NAME}.evil.example.org", f"dns:x.{NAME}", "dns:alice.example.co"]},
    "uri in capitals": {"san": [f"uri:{URI.upper()}"]},
    "uri and more": {"san": [f"uri:{URI}/admin"]},
    "with a wildcard (Z6)": {"san": ["dns:*.example.com", "dns:*", "uri:spiffe://example.com/*", "dns:a*.example.com"]},
    "in other letters that look the same": {"san": [("dns", "аlice.example.com".encode())]},
    "common name with a NUL": {"subject": b"alice\0.example.com"},
}


@pytest.mark.parametrize("case", STRANGERS)
def test_right_name_in_the_wrong_place(balancer, case):
    """Z4, Z6"""
    options = {"subject": "stranger", **STRANGERS[case]}
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        heard = weir.refusal(tls=client_context(root().issue(options.pop("subject"), **options)))
        assert heard in ("clean", "bad_certificate", "certificate_unknown"), heard
        entry = weir.wait_closed()
        assert entry["reason"] == ("unknown_client" if heard == "clean" else "tls_bad_certificate"), entry
        assert web.accepted == 0


@pytest.mark.parametrize("san, identity", [
    (["dns:ALICE.Example.com"], "alice"),
    (["dns:x.example.org", "ip:1.2.3.4", "dns:alice.example.com"], "alice"),
    (["uri:spiffe://example.com/alice", "dns:bob.example.com"], "alice"),
    (["dns:bob.example.com"], "bob"),
])
def test_whoever_matches_first_in_the_file(balancer, san, identity):
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        weir.ask(tls=client_context(root().issue("x", san=san)))
        assert weir.wait_closed(reason="done")["client"] == identity


def test_kinds_of_identities(balancer):
    """Common names only of certificates without a SAN, fingerprints, emails, wildcards of the configuration."""
    cn, email = root().issue("carol"), root().issue("dave", san=["email:Dave@EXAMPLE.com"])
    eve = root().issue("eve", san=["dns:eve.example.org"])
    fred = root().issue("fred", san=["dns:a.fred.example.org", "dns:unknown.example.net"])
    job = root().issue("job", san=["uri:spiffe://example.com/jobs/17"])
    clients = {"carol": (cn, "cn:carol"), "dave": (email, "email:Dave@example.com"),
               "eve": (eve, f"sha256:{eve.fingerprint}"), "fred": (fred, "dns:*.fred.example.org"),
               "job": (job, "uri:spiffe://example.com/jobs/*")}
    entries = [{"name": name, "identity": [identity]} for name, (_, identity) in clients.items()]
    others = [root().issue("carol", san=["dns:carol.example.com"]), root().issue("x", san=["email:dave@example.com"]),
              root().issue("eve", san=["dns:eve.example.org"]), root().issue("x", san=["dns:a.b.fred.example.org"]),
              root().issue("x", san=["dns:fred.example.org"]), root().issue("x", san=["dns:.fred.example.org"]),
              root().issue("x", san=["uri:spiffe://example.com/jobs/17/18"]),
              root().issue("x", san=["uri:spiffe://example.com/jobs/"])]
    with Upstream(echo) as web, guarded(balancer, web, clients=[ALICE, *entries],
                                        policy=[{"allow": [*clients, "alice"], "to": ["web"]}]) as weir:
        for name, (certificate, _) in clients.items():
            weir.ask(tls=client_context(certificate))
            assert weir.wait_closed(client=name)["reason"] == "done"
        for number, certificate in enumerate(others, 1):
            assert weir.refusal(tls=client_context(certificate)) == "clean"
            weir.wait_closed(number, reason="unknown_client")


def test_no_byte_crosses_between_clients(balancer):
    """Z2: many clients at once, each may reach its own upstreams only, and hears none but these."""
    names = [f"c{n}" for n in range(6)]
    rounds = amount(6, full=100, slow=2)
    contexts = {name: client_context(root().issue(name, san=[f"dns:{name}.example.com"])) for name in names}
    upstreams = [Upstream(banner(f"web{n}\n".encode()), name=f"web{n}") for n in range(4)]
    allowed = {name: {f"web{n % 4}", f"web{(n + 1) % 4}"} for n, name in enumerate(names)}
    clients = [{"name": name, "identity": [f"dns:{name}.example.com"]} for name in names]
    policy = [{"allow": [name], "to": [f"web/{target}" for target in sorted(allowed[name])]} for name in names]
    policy.append({"allow": ["alice"], "to": ["web"]})

    def client(number):
        name = names[number % len(names)]
        heard = set()
        for turn in range(rounds):
            with weir.reach(tls=contexts[name]) as sock:
                heard.add(receive_exactly(sock, 5).decode().strip())
                text = f"{name} {number} {turn}".encode() * 100
                sock.sendall(text)
                half_close(sock)
                received = receive_all(sock)
                assert received == text
        assert heard <= allowed[name], (name, heard)
        return name, heard

    with upstreams[0], upstreams[1], upstreams[2], upstreams[3], balancer(
            *upstreams, listener={"tls": listener_block()}, clients=[ALICE, *clients], policy=policy,
            tls=client_context(alice())) as weir:
        heard = in_threads(12, client)
        assert set(itertools.chain(*(words for _, words in heard))) == {f"web{n}" for n in range(4)}
        for entry in weir.entries("connection"):
            assert entry["upstream"] in allowed[entry["client"]], entry


def receive_all(sock):
    data = b""
    while part := sock.recv(1 << 16):
        data += part
    return data


def test_same_name_from_another_trusted_ca_on_another_listener(balancer):
    """Z7: each listener trusts its own CA, remembered chains included."""
    other_root = certs.authority("Another CA")
    other = client_context(other_root.issue("alice", san=["dns:alice.example.com"]))
    with Upstream(echo) as web:
        config = configuration([web], workers=1, listener={"tls": listener_block()}, **ONLY_KNOWN)
        second = {**config["listeners"][0], "name": "second", "tls": listener_block(clients=other_root)}
        config["listeners"].append(second)
        with balancer(web, config=config, tls=client_context(alice())) as weir:
            for _ in range(2):
                weir.ask()
                weir.ask(listener="second", tls=other)
                assert weir.refusal(tls=other) == "unknown_ca"
                assert weir.refusal(listener="second") == "unknown_ca"
            weir.wait_closed(2, reason="tls_bad_certificate", listener="second")
            assert web.accepted == 4


def test_plain_and_tls_listeners_side_by_side(balancer):
    """A network is no certificate, and a certificate no network."""
    local = {"name": "local", "identity": [f"cidr:{LOOPBACK}/32"]}
    with Upstream(echo) as web:
        config = configuration([web], clients=[ALICE, local], policy=[{"allow": ["local", "alice"], "to": ["web"]}])
        config["listeners"].append({**config["listeners"][0], "name": "secure", "tls": listener_block()})
        with balancer(web, config=config) as weir:
            weir.ask()
            assert weir.wait_closed(reason="done")["client"] == "local"
            assert weir.refusal(listener="secure", tls=client_context(nobody())) == "clean"
            weir.wait_closed(reason="unknown_client", listener="secure")
            weir.ask(listener="secure", tls=client_context(alice()))
            assert weir.wait_closed(reason="done", listener="secure")["client"] == "alice"
