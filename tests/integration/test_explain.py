# SPDX-License-Identifier: Apache-2.0
"""`weir explain`: who somebody is, what they may reach and which rule says so."""

import json

import pytest

from certificates import Authority
from test_config import weir

CONFIGURATION = """listeners:
  - name: edge
    address: 0.0.0.0:8443
    pool: web
    tls: { certificate: tls/server.crt, key: tls/server.key, client_ca: tls/ca.crt }
  - { name: plain, address: "[::]:8080", pool: db }
pools:
  - name: web
    upstreams:
      - { name: web1, address: 10.0.0.1:7000 }
      - { name: web2, address: 10.0.0.2:7000 }
      - { name: spare, address: 10.0.0.3:7000 }
  - { name: db, upstreams: [{ name: db1, address: 10.0.0.4:5432 }] }
clients:
  - name: alice
    identity: ["uri:spiffe://example.com/alice", "dns:alice.example.com"]
    limits: { connections: 20, rate: 5/s, burst: 10 }
  - name: staff
    identity: ["dns:*.example.com"]
  - { name: office, identity: ["cidr:192.168.0.0/16"] }
  - { name: desk, identity: ["cidr:192.168.7.9/32", "cidr:2001:db8::/32"], limits: { connections: 1, rate: 30/m } }
policy:
  - { allow: [alice, office], to: [web, db] }
  - deny: [alice]
    to: [web/web2]
"""
FOR_ALL = """  - { allow: ["*"], to: [web/spare] }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    ca = Authority(folder / "tls")
    ca.issue("server", "DNS:localhost", usage="serverAuth")
    ca.issue("alice", "DNS:alice.example.com", "URI:spiffe://example.com/alice")
    ca.issue("bob", "DNS:BOB.example.com")
    ca.issue("eve", "email:eve@example.org", "DNS:eve.example.org")
    ca.issue("plainname", subject="/CN=Plain Name")
    ca.issue("server-only", "DNS:alice.example.com", usage="serverAuth")
    ca.issue_expired("expired", "DNS:alice.example.com")
    Authority(folder / "tls", "others").issue("stranger", "DNS:alice.example.com")
    (folder / "weir.yaml").write_text(CONFIGURATION)
    (folder / "for_all.yaml").write_text(CONFIGURATION + FOR_ALL)
    return folder


def explain(folder, *arguments, config="weir.yaml"):
    return weir("explain", "-c", config, *arguments, cwd=folder)


def explained(folder, *arguments, **options):
    result = explain(folder, *arguments, "--json", **options)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def rules(listener):
    """{upstream: rule, or None} by what may be reached and what not."""
    return ({u["name"]: u["rule"] for u in listener["upstreams"] if u["allowed"]},
            {u["name"]: u["rule"] for u in listener["upstreams"] if not u["allowed"]})


def test_a_client_is_explained_for_people(folder):
    result = explain(folder, "alice")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == """alice is a client (weir.yaml:15)

identities  uri:spiffe://example.com/alice  weir.yaml:16
            dns:alice.example.com           weir.yaml:16
limits      20 connections at once; new ones at 5/s, 10 in a burst

listener edge at 0.0.0.0:8443, clients by certificate, to pool web
  web/web1   allowed  weir.yaml:23
  web/web2   denied   weir.yaml:24
  web/spare  allowed  weir.yaml:23

listener plain at [::]:8080, clients by address, to pool db
  not here: clients are known by address here, and alice has no cidr: identity
"""


def test_a_certificate_is_explained_for_people(folder):
    lines = explain(folder, "tls/alice.crt", "edge").stdout.splitlines()
    digest = next(line for line in lines if "sha256:" in line)
    assert len(digest.strip()) == len("sha256:") + 64
    lines.remove(digest)
    assert "\n".join(lines) == """tls/alice.crt is a certificate

identities  dns:alice.example.com
            uri:spiffe://example.com/alice
client      alice, by uri:spiffe://example.com/alice (weir.yaml:16)
            not staff, by dns:*.example.com (weir.yaml:19): it stands later in the file
limits      20 connections at once; new ones at 5/s, 10 in a burst

listener edge at 0.0.0.0:8443, clients by certificate, to pool web
  web/web1   allowed  weir.yaml:23
  web/web2   denied   weir.yaml:24
  web/spare  allowed  weir.yaml:23"""


def test_an_address_is_explained_for_people(folder):
    result = explain(folder, "192.168.7.9")
    assert result.stdout == """192.168.7.9 is an address

client      desk, by cidr:192.168.7.9/32 (weir.yaml:21)
            not office, by cidr:192.168.0.0/16 (weir.yaml:20): the longest prefix wins
limits      1 connection at once; new ones at 30/m, 1 in a burst

listener edge at 0.0.0.0:8443, clients by certificate, to pool web
  refused (tls_no_certificate): this listener asks for a certificate; an address is not enough

listener plain at [::]:8080, clients by address, to pool db
  refused (not_authorized): no rule lets the client reach an upstream of this listener's pool
  db/db1  denied   no rule allows it
"""


def test_unknown_ones_are_told_what_would_let_them_in(folder):
    result = explain(folder, "tls/eve.crt", "edge")
    assert result.returncode == 0
    assert 'client      unknown: no client has one of its identities\n' in result.stdout
    assert '            no rule for "*" lets unknown clients in\n' in result.stdout
    assert "  refused (unknown_client): " in result.stdout
    assert "its own name, dns:eve.example.org\n" in explain(folder, "tls/eve.crt", config="for_all.yaml").stdout


def test_json_has_the_same_answer(folder):
    answer = explained(folder, "tls/alice.crt")
    assert list(answer) == ["subject", "kind", "identities", "identities_at", "client", "matches", "limits", "listeners"]
    assert (answer["subject"], answer["kind"]) == ("tls/alice.crt", "certificate")
    assert answer["identities"][:2] == ["dns:alice.example.com", "uri:spiffe://example.com/alice"]
    assert answer["client"] == {"name": "alice", "configured": True, "let_in": True, "at": "weir.yaml:15:11"}
    assert answer["identities_at"] == [None] * len(answer["identities"])
    assert answer["matches"] == [
        {"client": "alice", "identity": "uri:spiffe://example.com/alice", "at": "weir.yaml:16:16", "chosen": True},
        {"client": "alice", "identity": "dns:alice.example.com", "at": "weir.yaml:16:50", "chosen": True},
        {"client": "staff", "identity": "dns:*.example.com", "at": "weir.yaml:19:16", "chosen": False},
    ]
    assert answer["limits"] == {"connections": 20, "rate": "5/s", "burst": 10}
    edge, plain = answer["listeners"]
    assert (edge["name"], edge["address"], edge["pool"]) == ("edge", "0.0.0.0:8443", "web")
    assert (edge["clients_by"], edge["accepted"], edge["reason"], edge["why"]) == ("certificate", True, None, None)
    assert edge["upstreams"][0] == {"name": "web1", "address": "10.0.0.1:7000", "allowed": True, "rule": "weir.yaml:23:5"}
    assert rules(edge) == ({"web1": "weir.yaml:23:5", "spare": "weir.yaml:23:5"}, {"web2": "weir.yaml:24:5"})
    assert (plain["clients_by"], plain["accepted"], plain["reason"], plain["upstreams"]) == ("address", False, None, [])


@pytest.mark.parametrize("who, client, allowed", [
    ("tls/bob.crt", "staff", {"spare": "weir.yaml:26:5"}),
    ("tls/eve.crt", "dns:eve.example.org", {"spare": "weir.yaml:26:5"}),
    ("tls/plainname.crt", "cn:Plain Name", {"spare": "weir.yaml:26:5"}),
    ("alice", "alice", {"web1": "weir.yaml:23:5", "spare": "weir.yaml:23:5"}),
])
def test_each_goes_by_a_name_and_reaches_what_the_rules_say(folder, who, client, allowed):
    answer = explained(folder, who, "edge", config="for_all.yaml")
    assert answer["client"]["name"] == client
    assert rules(answer["listeners"][0])[0] == {name: "for_all" + rule[4:] for name, rule in allowed.items()}


@pytest.mark.parametrize("certificate, word", [
    ("expired", "expired"), ("server-only", "purpose"), ("stranger", "issuer"),
])
def test_a_certificate_is_verified_as_the_listener_would(folder, certificate, word):
    answer = explained(folder, f"tls/{certificate}.crt", "edge")
    edge = answer["listeners"][0]
    assert (edge["accepted"], edge["reason"], edge["upstreams"]) == (False, "tls_bad_certificate", [])
    assert word in edge["why"]
    assert answer["client"]["name"] == "alice"  # what it says, if it could be believed


@pytest.mark.parametrize("who, client, matched", [
    ("192.168.1.1", "office", ["office"]), ("::ffff:192.168.1.1", "office", ["office"]),
    ("192.168.7.9", "desk", ["desk", "office"]), ("2001:db8::7", "desk", ["desk"]), ("[2001:db8::7]", "desk", ["desk"]),
    ("10.9.9.9", "10.9.9.9", []), ("2001:db9::7", "2001:db9::/64", []),
])
def test_an_address_is_known_by_its_network(folder, who, client, matched):
    answer = explained(folder, who)
    assert (answer["kind"], answer["client"]["name"]) == ("address", client)
    assert [match["client"] for match in answer["matches"]] == matched


def test_without_a_policy_everything_is_allowed_by_no_rule(folder):
    (folder / "free.yaml").write_text(CONFIGURATION[:CONFIGURATION.index("policy:")])
    assert "  web/web1   allowed  there is no policy\n" in explain(folder, "alice", config="free.yaml").stdout
    assert rules(explained(folder, "10.9.9.9", "plain", config="free.yaml")["listeners"][0]) == ({"db1": None}, {})


def test_what_has_no_limits_has_none(folder):
    assert "limits      none\n" in explain(folder, "staff").stdout
    assert explained(folder, "staff")["limits"] == {"connections": None, "rate": None, "burst": None}


def test_a_file_is_a_certificate_even_if_a_client_has_its_name(folder):
    (folder / "alice").write_bytes((folder / "tls" / "bob.crt").read_bytes())
    try:
        assert explained(folder, "alice")["kind"] == "certificate"
    finally:
        (folder / "alice").unlink()


@pytest.mark.parametrize("arguments, message", [
    (["alcie"], 'unknown client "alcie"; did you mean "alice"?'),
    (["nobody-of-them"], '"nobody-of-them" is no client of weir.yaml, no address and no file'),
    (["alice", "egde"], 'unknown listener "egde"; did you mean "edge"?'),
    (["alice", "nowhere-at-all"], 'unknown listener "nowhere-at-all"; write one that weir.yaml defines'),
    (["tls/nothing.crt"], "tls/nothing.crt: No such file or directory"),
    (["tls/"], "tls/: Is a directory"),
    (["weir.yaml"], "weir.yaml: this is no certificate; write the path of a PEM file"),
    (["tls/alice.key"], "tls/alice.key: this is no certificate; write the path of a PEM file"),
    (["/dev/null"], "/dev/null: this is no certificate; write the path of a PEM file"),
])
def test_a_question_about_nobody_is_answered_with_what_was_probably_meant(folder, arguments, message):
    result = explain(folder, *arguments)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"weir explain: {message}\n")


def test_a_broken_configuration_is_told_as_check_tells_it(folder):
    (folder / "broken.yaml").write_text("wrokers: 2\n")
    result = explain(folder, "alice", config="broken.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == weir("check", "-c", "broken.yaml", cwd=folder).stderr


def test_somebody_must_be_named(folder):
    result = explain(folder)
    assert result.returncode == 2
    assert result.stderr.endswith("Try: weir explain --help\n")


def test_names_of_a_certificate_cannot_speak_to_the_terminal(folder):
    Authority(folder / "evil").issue("evil", subject="/CN=\x1b[31mred\\\\")
    answer = explain(folder, "evil/evil.crt")
    assert answer.returncode == 0
    assert "\x1b" not in answer.stdout
    assert r"cn:\x1b[31mred\x5c" in answer.stdout
    assert explained(folder, "evil/evil.crt")["identities"][0] == r"cn:\x1b[31mred\x5c"
