# SPDX-License-Identifier: Apache-2.0
"""The configuration as its users meet it: `weir check` on broken and good files. The broken ones are in
broken_configurations.txt."""

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

import settings
from certificates import Authority
from peers import Upstream, echo
from shims import FailMalloc

HERE = Path(__file__).parent
EXAMPLE = settings.ROOT / "packaging" / "weir.yaml"
MANUAL = settings.ROOT / "docs" / "CONFIGURATION.md"
GOOD = b"""listeners: [{ name: edge, address: 0.0.0.0:80, pool: web }]
pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:7000 }] }]
"""


def weir(*arguments, cwd=None, env=None, wrapper=()):
    command = [*wrapper, str(settings.BINARY), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=settings.DEADLINE,
                          env={**os.environ, **settings.SANITIZER_OPTIONS, **(env or {})})


def check(directory, data, **options):
    """Runs `weir check` on a file of this content, in its folder and by its bare name."""
    (directory / "weir.yaml").write_bytes(data)
    return weir("check", "-c", "weir.yaml", cwd=directory, **options)


def assert_refused(result, expected):
    assert result.stderr.splitlines() == [f"weir.yaml:{line}" for line in expected]
    assert result.stdout == ""
    assert result.returncode == 2


def broken_configurations():
    """(name, text, expected lines) of each case in the table."""
    table = (HERE / "broken_configurations.txt").read_text()
    for case in re.split(r"^== ", table, flags=re.MULTILINE)[1:]:
        name, *lines = case.splitlines()
        expected = [line[2:] for line in lines if line.startswith("! ")]
        text = "".join(line + "\n" for line in lines[: lines.index("! " + expected[0])])
        yield pytest.param(text, expected, id=name)


@pytest.mark.parametrize("text, expected", broken_configurations())
def test_a_broken_configuration_is_told_all_its_errors(tmp_path, text, expected):
    assert_refused(check(tmp_path, text.encode()), expected)


@pytest.mark.parametrize("data, expected", [
    pytest.param(b"workers: 2\nio: \xff\n", "2:5: this is not UTF-8; save the file as UTF-8", id="latin"),
    pytest.param(GOOD + b"# \xc3\xa4\xc3\n", "3:5: this is not UTF-8; save the file as UTF-8", id="half a letter"),
    pytest.param("workers: 2\n".encode("utf-16"), "1:1: this is not UTF-8; save the file as UTF-8", id="utf-16"),
    pytest.param(b"workers: 2\0\n", "1:11: this is not YAML: control characters are not allowed; remove the character",
                 id="a NUL byte"),
    pytest.param(b"workers: 2\nio: \x01\n",
                 "2:5: this is not YAML: control characters are not allowed; remove the character", id="a control byte"),
    pytest.param(GOOD + b"io: " + b"x" * 200 + b"\n",
                 '3:5: io must be auto, io_uring or epoll, not "' + "x" * 90 + '..."', id="a very long word"),
    pytest.param(GOOD + b"admin: { socket: /" + b"x" * 107 + b" }\n",
                 "3:18: socket has a path of 108 bytes; at most 107 are possible", id="a socket's long path"),
])
def test_bytes_that_nobody_can_type_are_refused_with_their_place(tmp_path, data, expected):
    assert_refused(check(tmp_path, data), [expected])


def many(count, what):
    return "".join(what.format(i) for i in range(count)).encode()


@pytest.mark.parametrize("data, expected", [
    pytest.param(b"pools: [{ name: web, upstreams: [{ name: web1, address: 10.0.0.1:80 }] }]\nlisteners:\n"
                 + many(1001, "  - {{ name: l{0}, address: 0.0.0.0:0, pool: web }}\n"),
                 "3:3: listeners has 1001 entries; at most 1000 are possible", id="listeners"),
    pytest.param(GOOD + b"clients:\n" + many(100001, "  - {{ name: c{0} }}\n"),
                 "4:3: clients has 100001 entries; at most 100000 are possible", id="clients"),
    pytest.param(GOOD + b"clients: [" + b"0," * 4200000 + b"]\n",
                 "3:8388571: this file holds more than 4194304 values", id="values"),
    pytest.param(b"[" * 100000, "1:17: lists and mappings are nested too deeply; at most 16 levels are possible",
                 id="levels"),
])
def test_everything_has_a_bound(tmp_path, data, expected):
    assert_refused(check(tmp_path, data), [expected])


def test_a_file_that_is_too_large_is_refused(tmp_path):
    result = check(tmp_path, b"#" * (16 * 1024 * 1024 + 1))
    assert (result.returncode, result.stderr) == (2, "weir.yaml: the file is larger than 16 MiB\n")


@pytest.mark.parametrize("path, reason", [("nowhere.yaml", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path, path, reason):
    result = weir("check", "-c", path, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"{path}: {reason}\n")


def test_the_summary_counts_what_there_is(tmp_path):
    result = check(tmp_path, GOOD)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "weir.yaml is good: 1 listener, 1 pool, 1 upstream\n"


def test_expectations_that_hold_are_counted_and_others_refuse_the_file(tmp_path):
    policy = GOOD + b"""clients:
  - { name: alice, identity: ["cidr:10.0.0.0/8"] }
  - { name: office, identity: ["cidr:10.1.0.0/16"] }
policy:
  - { allow: [alice], to: [web] }
"""
    right = b"expect: [alice can web, 10.2.0.1 can web/web1, 10.1.0.1 cannot web, '* cannot web/web1']\n"
    result = check(tmp_path, policy + right)
    assert result.stdout == "weir.yaml is good: 1 listener, 1 pool, 1 upstream, 2 clients, 4 expectations hold\n"
    wrong = b"expect: [alice cannot web/web1, office can web, 'cidr:10.1.0.0/16 can web', 10.1.2.3 can web, '* can web']\n"
    reason = "against this expectation; change the policy or the line"
    assert_refused(check(tmp_path, policy + wrong), [
        f"8:10: alice can reach web/web1, {reason}",
        f"8:33: office cannot reach web, {reason}",
        f"8:49: office cannot reach web, {reason}",
        f"8:77: 10.1.2.3 cannot reach web, {reason}",
        f"8:95: an unknown client cannot reach web, {reason}",
    ])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with certificates; configurations go into its subfolder `etc`."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "etc").mkdir()
    ca = Authority(folder)
    ca.issue("server", "DNS:localhost", usage="serverAuth")
    ca.issue("weir", "DNS:weir", usage="clientAuth")
    ca.issue_expired("old", "DNS:localhost", usage="serverAuth")
    ca.empty_crl()
    (folder / "open.key").write_bytes((folder / "server.key").read_bytes())
    (folder / "open.key").chmod(0o604)
    (folder / "group.key").write_bytes((folder / "server.key").read_bytes())
    (folder / "group.key").chmod(0o640)
    return folder


TLS = {"certificate": "../server.crt", "key": "../server.key", "client_ca": "../ca.crt"}


def check_tls(files, pool=None, **tls):
    """Runs `weir check` on a listener with TLS, each of its keys on a line of its own from line 5 on."""
    lines = "".join(f"      {key}: {value}\n" for key, value in {**TLS, **tls}.items() if value is not None)
    pool = "".join(f"      {key}: {value}\n" for key, value in (pool or {}).items())
    text = ("listeners:\n  - name: edge\n    address: 0.0.0.0:80\n    pool: web\n    tls:\n" + lines
            + "pools:\n  - name: web\n    upstreams: [{ name: web1, address: 10.0.0.1:7000 }]\n"
            + ("    tls:\n" + pool if pool else ""))
    return check(files / "etc", text.encode())


@pytest.mark.parametrize("tls", [
    {}, {"crl": "../ca.crl"}, {"min_version": '"1.2"', "alpn": "[h2, http/1.1]"}, {"min_version": "1.3"},
    {"client_ca": None, "clients": "anonymous"}, {"clients": "required", "key": "../group.key"},
], ids=str)
def test_a_listener_with_tls_is_good(files, tls):
    result = check_tls(files, **tls)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("tls", [
    {"ca": "../ca.crt"},
    {"ca": "../ca.crt", "certificate": "../weir.crt", "key": "../weir.key",
     "verify": '["dns:web.internal", "uri:spiffe://example.com/web", "ip:10.0.0.1", "ip:2001:db8::1"]'},
], ids=str)
def test_a_pool_with_tls_is_good(files, tls):
    result = check_tls(files, pool=tls)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("tls, place, file, words", [
    ({"certificate": "../nothing.crt"}, "6:20", "nothing.crt", "No such file"),
    ({"key": "../nothing.key"}, "7:12", "nothing.key", "No such file"),
    ({"client_ca": "../nothing.crt"}, "8:18", "nothing.crt", "No such file"),
    ({"certificate": "../server.key"}, "6:20", "server.key", "certificate"),
    ({"certificate": "../etc"}, "6:20", "etc", "regular file"),
    ({"key": "../weir.key"}, "7:12", "weir.key", "is not the key of"),
    ({"key": "../open.key"}, "7:12", "open.key", "others can read"),
    ({"crl": "../server.crt"}, "9:12", "server.crt", ""),
], ids=str)
def test_a_file_that_is_of_no_use_is_told_at_its_place(files, tls, place, file, words):
    result = check_tls(files, **tls)
    assert (result.returncode, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(f"weir.yaml:{place}: ")
    assert str(files / file) in line.replace("/etc/../", "/")
    assert words in line


def test_all_files_that_are_of_no_use_are_told_in_one_run(files):
    result = check_tls(files, certificate="a.crt", key="a.key", client_ca="a.ca", pool={"ca": "b.ca"})
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert places == [f"weir.yaml:{place}" for place in ("6:20", "7:12", "8:18", "13:11")]


def test_a_path_cannot_speak_to_the_terminal(files):
    result = check_tls(files, certificate='"\\e[31m\\u009bred"')
    assert "?[31m??red: No such file" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("tls, place, words", [
    ({"certificate": "../old.crt", "key": "../old.key"}, "6:20", "expired"),
    ({"crl": "../nothing.crl"}, "9:12", "nothing.crl"),
], ids=str)
def test_what_is_doubtful_is_a_warning_and_no_error(files, tls, place, words):
    result = check_tls(files, **tls)
    assert result.returncode == 0
    assert result.stdout == "weir.yaml is good: 1 listener, 1 pool, 1 upstream\n"
    [line] = result.stderr.splitlines()
    assert line.startswith(f"warning: weir.yaml:{place}: ")
    assert words in line


def test_names_that_a_wildcard_hides_are_a_warning(tmp_path):
    result = check(tmp_path, GOOD + b"""clients:
  - { name: all, identity: ["dns:*.example.com"] }
  - { name: one, identity: ["dns:one.example.com"] }
""")
    assert result.returncode == 0
    assert result.stderr == ('warning: weir.yaml:5:29: "dns:one.example.com" says nothing: "dns:*.example.com" of client '
                             '"all" (line 4) stands before it; put this client first\n')


def test_a_balancer_logs_what_is_doubtful_and_runs(balancer):
    clients = [{"name": "all", "identity": ["dns:*.example.com"]}, {"name": "one", "identity": ["dns:one.example.com"]}]
    with Upstream(echo) as web, balancer(web, clients=clients) as weir:
        weir.wait_log("doubtful configuration", level="warn")
        [entry] = weir.entries("doubtful configuration")
        assert '"dns:one.example.com" says nothing' in entry["warning"]
        weir.ask()


def test_expectations_may_be_about_certificates(tmp_path):
    policy = GOOD + b"""clients:
  - { name: alice, identity: ["dns:alice.example.com", "cn:Alice Smith"] }
  - { name: staff, identity: ["dns:*.example.com"] }
policy: [{ allow: [alice], to: [web] }]
"""
    right = b"""expect: ["dns:ALICE.example.com can web", "cn:Alice Smith can web/web1", "dns:bob.example.com cannot web",
  "dns:*.example.com cannot web", "uri:spiffe://example.com/alice cannot web"]
"""
    assert check(tmp_path, policy + right).stdout.endswith("2 clients, 5 expectations hold\n")
    wrong = b"""expect: ["dns:alice.example.com cannot web", "dns:*.example.com can web", "cn:Bob can web"]\n"""
    reason = "against this expectation; change the policy or the line"
    assert_refused(check(tmp_path, policy + wrong), [
        f'7:10: "dns:alice.example.com" can reach web, {reason}',
        f"7:46: staff cannot reach web, {reason}",
        f'7:75: "cn:Bob" cannot reach web, {reason}',
    ])


def test_the_example_is_good_with_the_certificates_that_it_speaks_of(tmp_path):
    example = tmp_path / "weir.yaml"
    example.write_text(EXAMPLE.read_text())
    for arguments in re.findall(r"weir pki ([\w. ]*)", example.read_text()):
        assert weir("pki", *arguments.split(), cwd=tmp_path).returncode == 0
    result = weir("check", "-c", example)
    assert (result.returncode, result.stderr) == (0, "")
    result = weir("explain", "-c", example, tmp_path / "pki" / "alice.crt")
    assert result.returncode == 0 and "web/web3  allowed" in result.stdout


def test_each_whole_example_of_the_manual_is_good(tmp_path):
    examples = re.findall(r"```yaml\n(# weir\.yaml.*?)```", MANUAL.read_text(), re.DOTALL)
    assert examples
    for example in examples:
        result = check(tmp_path, example.encode())
        assert (result.returncode, result.stderr) == (0, "")


def test_check_takes_no_port_and_writes_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = f"admin: {{ socket: admin.sock, http: 127.0.0.1:{port} }}\n".encode() + GOOD.replace(
            b"0.0.0.0:80", b"127.0.0.2:1")
        (tmp_path / "weir.yaml").write_bytes(text)
        tmp_path.chmod(0o555)
        result = weir("check", "-c", "weir.yaml", cwd=tmp_path)
        tmp_path.chmod(0o755)
    assert (result.returncode, result.stderr) == (0, "")
    assert os.listdir(tmp_path) == ["weir.yaml"]


@pytest.mark.exact
def test_twenty_thousand_entries_are_read_within_a_blink(tmp_path):
    upstreams = many(10000, "      - {{ name: u{0}, address: 10.0.0.1:{0}, weight: 2 }}\n").replace(
        b"address: 10.0.0.1:0,", b"address: 10.0.0.1:10000,")
    data = (b"listeners: [{ name: edge, address: 0.0.0.0:80, pool: web }]\npools:\n  - name: web\n    upstreams:\n"
            + upstreams + b"clients:\n" + b"".join(
                b"  - { name: c%d, identity: ['cidr:10.%d.%d.0/24', 'dns:c%d.example.com'], limits: { rate: 5/s } }\n"
                % (i, i >> 8, i & 255, i)
                for i in range(10000)))
    best = 60.0
    for _ in range(20):
        start = time.monotonic()
        assert check(tmp_path, data).returncode == 0
        best = min(best, time.monotonic() - start)
        if best < 0.15:
            break
    assert best < 0.5  # 0.05 on an idle machine


def test_a_file_full_of_errors_takes_no_longer_than_its_size_deserves(tmp_path):
    data = GOOD + b"clients:\n" + many(5000, "  - {{ name: client{0}, identity: ['cidr:10.0.0.0/8'] }}\n") + b"policy:\n" + many(
        5000, "  - {{ allow: [clienr{0}], to: [web/wbe{0}] }}\n")
    start = time.monotonic()
    result = check(tmp_path, data)
    assert time.monotonic() - start < settings.DEADLINE
    lines = result.stderr.splitlines()
    assert len(lines) == 101
    assert lines[100].endswith("more errors are not shown")


def test_every_allocation_of_a_check_may_fail(tmp_path):
    shim = FailMalloc(tmp_path)
    data = GOOD + b"clients: [{ name: a, identity: ['cidr:10.0.0.0/8'] }]\n"
    good = (0, "weir.yaml is good: 1 listener, 1 pool, 1 upstream, 1 client\n", "")
    refused = (1, "", "weir: cannot check weir.yaml: out of memory\n")
    failed, count = 1, 0
    while failed:
        count += 1
        shim.fail(count)
        result = check(tmp_path, data, env=shim.env)
        failed = shim.stop()
        # What prints the summary can do without a buffer.
        assert (result.returncode, result.stdout, result.stderr) in (refused, good), count
    assert count > 50
