# SPDX-License-Identifier: Apache-2.0
"""`weir pki`: what it makes is what openssl expects, is kept from others, and never lost."""

import concurrent.futures
import itertools
import os
import re
import stat

import pytest

from programs import find, run
from settings import amount
from shims import FailMalloc
from test_config import weir

DAY = 86400


class Authority:
    def __init__(self, folder):
        self.folder = folder
        self.ca, self.crl = folder / "pki" / "ca.crt", folder / "pki" / "ca.crl"

    def weir(self, *arguments, **options):
        return weir("pki", *arguments, cwd=self.folder, **options)

    def good(self, *arguments):
        result = self.weir(*arguments)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout

    def refused(self, *arguments, status=2):
        """The sentence on standard error."""
        result = self.weir(*arguments)
        assert (result.returncode, result.stdout) == (status, ""), result
        assert result.stderr.startswith("weir: ")
        return result.stderr.splitlines()[0]

    def path(self, name):
        return str(self.folder / "pki" / name)

    def openssl(self, *arguments):
        return run(find("openssl"), *arguments)

    def text(self, name):
        return self.openssl("x509", "-in", self.path(name), "-noout", "-text")

    def verify(self, name, *options):
        return self.openssl("verify", "-x509_strict", "-CAfile", str(self.ca), "-CRLfile", str(self.crl), "-crl_check",
                            *options, self.path(name))

    def files(self):
        return {name: (self.folder / "pki" / name).read_bytes() for name in os.listdir(self.folder / "pki")}


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    made.good("init")
    return made


def days_of(authority, name):
    """How long it is valid, in days."""
    dates = authority.openssl("x509", "-in", authority.path(name), "-noout", "-dates", "-dateopt", "iso_8601")
    begin, end = re.findall(r"=(\S+ \S+)Z", dates)
    seconds = run("date", "-u", "-d", end, "+%s"), run("date", "-u", "-d", begin, "+%s")
    return (int(seconds[0]) - int(seconds[1])) // DAY


def test_the_ca_is_one(authority):
    text = authority.text("ca.crt")
    assert "Issuer: O = Weir development CA, CN = Weir development CA" in text
    assert "Basic Constraints: critical\n                CA:TRUE, pathlen:0" in text
    assert "Key Usage: critical\n                Certificate Sign, CRL Sign" in text
    assert "prime256v1" in text and "ecdsa-with-SHA256" in text
    assert days_of(authority, "ca.crt") == 3650
    assert authority.verify("ca.crt").endswith("OK\n")


def test_a_server_proves_its_names_and_addresses(authority):
    said = authority.good("server", "web.internal", "*.web.internal", "--ip", "10.0.0.1", "--ip", "2001:db8::1")
    assert said.split()[-4:] == ["dns:web.internal", "dns:*.web.internal", "ip:10.0.0.1", "ip:2001:db8::1"]
    text = authority.text("web.internal.crt")
    assert ("DNS:web.internal, DNS:*.web.internal, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1" in text
            and "TLS Web Server Authentication" in text and "TLS Web Client Authentication" not in text)
    assert days_of(authority, "web.internal.crt") == 825
    for name in ("web.internal", "a.web.internal"):
        authority.verify("web.internal.crt", "-purpose", "sslserver", "-verify_hostname", name)
    authority.verify("web.internal.crt", "-verify_ip", "2001:db8::1")
    with pytest.raises(AssertionError, match="purpose"):
        authority.verify("web.internal.crt", "-purpose", "sslclient")


def test_a_client_proves_its_name_and_uri(authority):
    authority.good("client", "alice", "--uri", "spiffe://example.com/alice", "--days", "7")
    text = authority.text("alice.crt")
    assert "DNS:alice, URI:spiffe://example.com/alice" in text and "TLS Web Client Authentication" in text
    assert "Basic Constraints: critical\n                CA:FALSE" in text
    assert "Subject: O = Weir development CA, CN = alice" in text
    assert days_of(authority, "alice.crt") == 7
    authority.verify("alice.crt", "-purpose", "sslclient")
    with pytest.raises(AssertionError, match="purpose"):
        authority.verify("alice.crt", "-purpose", "sslserver")


def test_serials_are_random(authority):
    names = [f"client{number}" for number in range(4)]
    for name in names:
        authority.good("client", name)
    serials = {authority.openssl("x509", "-in", authority.path(f"{name}.crt"), "-noout", "-serial") for name in names}
    assert len(serials) == 4 and all(len(serial) >= len("serial=\n") + 26 for serial in serials)


def test_a_key_belongs_to_its_certificate(authority):
    authority.good("client", "alice")
    of_key = authority.openssl("pkey", "-in", authority.path("alice.key"), "-pubout")
    assert authority.openssl("x509", "-in", authority.path("alice.crt"), "-noout", "-pubkey") == of_key


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_keys_are_for_their_owner_and_certificates_for_everybody(tmp_path, mask):
    before = os.umask(mask)
    try:
        authority = Authority(tmp_path)
        authority.good("init")
        authority.good("client", "alice")
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE(os.stat(authority.path(name)).st_mode) for name in os.listdir(authority.path(""))}
    assert stat.S_IMODE(os.stat(authority.path("")).st_mode) == 0o700
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "ca.crl": 0o644, "index": 0o600, "alice.crt": 0o644,
                     "alice.key": 0o600}


def test_nothing_is_overwritten(authority):
    authority.good("client", "alice")
    before = authority.files()
    assert "alice.crt exists and is not overwritten" in authority.refused("client", "alice", status=1)
    assert "alice.crt exists and is not overwritten" in authority.refused("server", "alice", status=1)
    assert "pki exists and is not replaced" in authority.refused("init", status=1)
    assert authority.files() == before


@pytest.mark.parametrize("name", ["", ".", "..", "../alice", "/tmp/alice", "a/b", ".alice", "-alice", "ca", "Ca", "a b",
                                  "a\nb", "a,DNS:admin", "\u00e4", "*.example.com", "a" * 65, "a..b"])
def test_names_that_could_do_harm_are_refused(authority, name):
    before = authority.files()
    for kind in "client", "server":
        assert "name" in authority.refused(kind, "--", name)
    assert authority.files() == before and os.listdir(authority.folder) == ["pki"]


@pytest.mark.parametrize("arguments, message", [
    (["client", "alice", "--uri", "alice"], '"alice" is no URI, like spiffe://example.com/alice'),
    (["client", "alice", "bob"], '"bob" is one argument too many'),
    (["client"], "a name is missing"),
    (["client", "alice", "--days", "0"], '--days must be a number from 1 to 7300, not "0"'),
    (["client", "alice", "--days", "3651"], "a certificate cannot outlive its CA"),
    (["server", "web", "--ip", "web"], '"web" is no address, like 10.0.0.11 or 2001:db8::1'),
    (["server", "web", "a,b"], '"a,b" is no DNS name, like web.internal'),
    (["revoke", "nobody"], '"nobody" is the name of no certificate; `weir pki list` shows them'),
    (["init", "there"], '"there" is one argument too many'),
    (["inti"], 'unknown action "inti"; did you mean "init"?'),
    (["--dir", "x", "init"], "the action comes first"),
    ([], "an action is missing"),
])
def test_wrong_use_is_explained(authority, arguments, message):
    before = authority.files()
    assert message in authority.refused(*arguments)
    assert authority.files() == before


def test_without_a_ca_it_is_said_how_to_make_one(tmp_path):
    for action in (["client", "alice"], ["list"], ["crl"], ["revoke", "alice"]):
        assert "make one: weir pki init --dir pki" in Authority(tmp_path).refused(*action, status=1)
    assert os.listdir(tmp_path) == []


def test_a_revoked_certificate_is_refused_and_the_others_are_not(authority):
    for name in "alice", "bob":
        authority.good("client", name)
        authority.verify(f"{name}.crt")
    assert "1 certificate" in authority.good("revoke", "alice")
    with pytest.raises(AssertionError, match="certificate revoked"):
        authority.verify("alice.crt")
    authority.verify("bob.crt")
    assert "was revoked before" in authority.good("revoke", "alice")
    text = authority.openssl("crl", "-in", str(authority.crl), "-noout", "-text", "-CAfile", str(authority.ca))
    assert text.count("Serial Number:") == 1 and "Version 2" in text


def test_every_action_keeps_the_crl_fresh(authority):
    def number():
        text = authority.openssl("crl", "-in", str(authority.crl), "-noout", "-crlnumber")
        return int(text.strip().split("=0x")[1], 16)
    last = number()
    for action in (["client", "alice"], ["server", "web"], ["revoke", "alice"], ["crl"], ["crl", "--days", "3"]):
        authority.good(*action)
        assert number() > last
        last = number()
    update = authority.openssl("crl", "-in", str(authority.crl), "-noout", "-nextupdate").strip().split("=")[1]
    until = int(run("date", "-d", update, "+%s")) - int(run("date", "+%s"))
    assert 2 * DAY < until <= 3 * DAY


def test_a_new_certificate_takes_the_place_of_a_revoked_one(authority):
    authority.good("client", "alice")
    authority.good("revoke", "alice")
    for suffix in "crt", "key":
        os.rename(authority.path(f"alice.{suffix}"), authority.folder / f"old.{suffix}")
    authority.good("client", "alice")
    authority.verify("alice.crt")
    listed = authority.good("list")
    assert re.findall(r"^alice .* (\w+)$", listed, re.M) == ["revoked", "valid"]


def test_the_list_shows_what_has_ended(authority):
    authority.good("server", "a" * 40 + ".example.com")
    authority.good("client", "alice")
    authority.good("client", "bob")
    authority.good("revoke", "bob")
    index = authority.folder / "pki" / "index"
    index.write_text(re.sub(r"client \S+ - alice", "client 2020-01-31T00:00:00Z - alice", index.read_text()))
    listed = authority.good("list")
    assert max(map(len, listed.splitlines())) <= 100
    assert re.search(r"^a{34}\.\.  server  \w+ +\d{4}-\d\d-\d\d  valid$", listed, re.M), listed
    assert re.search(r"^alice +client  \w+ +2020-01-31  expired$", listed, re.M), listed
    assert re.search(r"^bob +client  \w+ +\d{4}-\d\d-\d\d  revoked$", listed, re.M), listed
    assert re.search(r"^Development CA in pki: valid until \S+ CRL: good until \S+$", listed, re.M), listed
    authority.crl.unlink()
    assert "There is no CRL: weir pki crl" in authority.good("list")


def test_an_index_that_somebody_broke_is_told_with_its_line(authority):
    with open(authority.path("index"), "a") as index:
        index.write("nonsense\n")
    assert "pki/index:3: not as weir pki writes it" in authority.refused("client", "alice", status=1)


def test_two_at_once_do_not_lose_each_other(authority):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: authority.weir("client", f"client{number % 12}"), range(24)))
    assert sorted(result.returncode for result in results) == [0] * 12 + [1] * 12
    listed = authority.good("list")
    assert sorted(re.findall(r"^(client\d+) .* valid$", listed, re.M)) == sorted(f"client{n}" for n in range(12))
    for number in range(12):
        authority.verify(f"client{number}.crt")


def test_without_memory_a_certificate_is_made_whole_or_not_at_all(authority, tmp_path):
    shim, before, refused = FailMalloc(tmp_path), set(authority.files()), 0
    for number in itertools.count(1, amount(301, full=7)):
        shim.fail(number)
        result = authority.weir("client", "alice", env=shim.env)
        failed = shim.stop()
        assert result.returncode in (0, 1) and result.stderr.startswith("weir: ") == (result.returncode == 1), number
        made = set(authority.files()) - before
        assert made in (set(), {"alice.crt", "alice.key"}) and (made or result.returncode == 1), number
        refused += result.returncode
        if made:
            authority.verify("alice.crt")
        for name in made:
            os.unlink(authority.path(name))
        if not failed:
            break
    assert refused > 0 and number > 1000


def test_the_folder_may_be_elsewhere(tmp_path):
    authority = Authority(tmp_path)
    (tmp_path / "deep").mkdir()
    authority.good("init", "--dir", "deep/ca/")
    authority.good("client", "alice", "-d", "deep/ca")
    assert "alice" in authority.good("list", "--dir=deep/ca")
    assert os.listdir(tmp_path) == ["deep"] and os.listdir(tmp_path / "deep") == ["ca"]


@pytest.mark.parametrize("action", ["init", "server", "client", "revoke", "crl", "list"])
def test_every_action_explains_itself(action):
    result = weir("pki", action, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: weir pki {action}")
    assert max(map(len, result.stdout.splitlines())) <= 100
