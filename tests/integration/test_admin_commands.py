# SPDX-License-Identifier: Apache-2.0
"""The commands that ask a running balancer: what they print, and what they say when something is wrong."""

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import threading

import pytest

import settings
from admin import admin_at, over_http, ask_json, socket_path  # noqa: F401 (a fixture)
from peers import LOOPBACK, Upstream
from test_config import weir as run

COMMANDS = {  # with arguments that would do
    "status": (), "explain": ("alice",), "drain": ("web1",), "disable": ("web1",), "enable": ("web1",), "reload": ()}


@pytest.fixture
def backend():
    return "auto"


@pytest.fixture
def weir(balancer, socket_path):
    alice = {"name": "alice", "identity": ["cidr:127.0.0.2/32"], "limits": {"connections": 7}}
    bob = {"name": "bob", "identity": ["cidr:127.0.0.3/32"]}
    with Upstream() as one, Upstream() as two:
        with balancer(one, two, admin=admin_at(socket_path),
                      clients=[alice, bob]) as weir:
            yield weir


def command(weir, name, *arguments):
    """Runs a command for this balancer; what it prints, when it succeeds and complains of nothing."""
    done = run(name, "--socket", weir.config["admin"]["socket"], *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def on_terminal(*arguments, env=None):
    """What a command prints on a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen([str(settings.BINARY), *arguments], stdout=its, stderr=its,
                               env={**os.environ, **settings.SANITIZER_OPTIONS, **(env or {})})
    os.close(its)
    text = b""
    with contextlib.suppress(OSError):  # EIO: the terminal is gone
        while piece := os.read(ours, 65536):
            text += piece
    os.close(ours)
    assert process.wait(settings.DEADLINE) == 0, text
    return text.decode()


# Status


def test_status_shows_listeners_upstreams_and_busy_clients(weir):
    clients = [weir.connect(source=source) for source in ("127.0.0.2", "127.0.0.2", "127.0.0.9")]
    for sock in clients:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    lines = command(weir, "status").splitlines()
    assert re.fullmatch(r"weir \S+, up \d+ (s|min), 2 workers on (io_uring|epoll), 3 of \d+ connections", lines[0])
    rows = [line.split() for line in lines]
    assert ["edge", f"{LOOPBACK}:{weir.port}", "web", "3"] in rows
    assert sorted(row[-1] for row in rows if row[:1] == ["web"]) == ["1", "2"]
    assert all(row[3:6] == ["enabled", "up", "1"] for row in rows if row[:1] == ["web"])
    assert ["alice", "2/7"] in rows and ["other", "1"] in rows
    assert not any(row[:1] == ["bob"] for row in rows)


def test_status_as_json_is_what_the_api_says(weir):
    status = json.loads(command(weir, "status", "--json"))
    api = ask_json(over_http(weir), "/api/v1/status")
    assert {**status, "uptime": 0} == {**api, "uptime": 0}


def test_status_fits_100_columns_whatever_the_names(balancer, socket_path):
    long = "n" * 64
    pools = [{"name": long, "health": {"check": "none"}, "upstreams": [
        {"name": f"u{long[1:]}", "address": "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", "max_connections": 100000}]}]
    config = {"workers": 1, "log": {"format": "json"}, "admin": {"socket": socket_path}, "pools": pools,
              "listeners": [{"name": f"l{long[1:]}", "address": f"{LOOPBACK}:0", "pool": long}]}
    with balancer(config=config, main=f"l{long[1:]}") as weir:
        lines = command(weir, "status").splitlines()
        assert max(map(len, lines)) <= 100
        row = next(line for line in lines if "enabled" in line).split()
        assert row[0].endswith("~") and row[1].endswith("~") and row[-1] == "0/100000"


def test_colours_are_for_terminals_only(weir):
    path = weir.config["admin"]["socket"]
    assert "\033" not in command(weir, "status")
    assert "\033[32mup\033[0m" in on_terminal("status", "--socket", path)
    assert "\033" not in on_terminal("status", "--socket", path, env={"NO_COLOR": "1"})


# Changes


def test_an_upstream_is_taken_out_and_put_back(weir):
    client = weir.connect()
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    name = next(entry["name"] for entry in weir.status()["upstreams"] if entry["active"])
    other = "web1" if name == "web2" else "web2"
    assert command(weir, "drain", other) == f"{other} gets no new connections\n"
    assert command(weir, "drain", f"web/{name}") == f"{name} gets no new connections; 1 open one goes on\n"
    assert sum("drain" in line for line in command(weir, "status").splitlines()) == 2
    assert weir.is_cut()
    assert command(weir, "disable", name) == f"{name} gets no connections; 1 open one is ended\n"
    weir.wait_closed(reason="admin_closed")
    assert command(weir, "enable", name) == f"{name} gets connections\n"
    weir.ask()


@pytest.mark.parametrize("target, message", [
    ("web3", "there is no upstream web3; did you mean web1?"),
    ("wep/web1", "there is no pool wep; did you mean web?"),
    ("web/", "there is nothing at this path"),
    ("a/b/c", "there is no such upstream"),
    ("\033[31m", "there is no such upstream"),
])
def test_an_unknown_upstream_is_wrong_use(weir, target, message):
    done = run("drain", "--socket", weir.config["admin"]["socket"], target)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"weir drain: {message}"), done.stderr


def test_an_upstream_has_to_be_named():
    done = run("drain")
    assert done.returncode == 2 and "which upstream?" in done.stderr


def test_reload_says_what_is_wrong_line_by_line(weir):
    socket_option = "--socket", weir.config["admin"]["socket"]
    assert run("reload", *socket_option).returncode == 0
    with open(weir.file, "a") as file:
        file.write("\nnonsense: true\nmore: 7\n")
    done = run("reload", *socket_option)
    assert (done.returncode, done.stdout) == (2, "")
    first, second, last = done.stderr.splitlines()
    assert re.match(rf"{re.escape(str(weir.file))}:\d+:1: unknown key \"nonsense\"", first)
    assert re.match(rf"{re.escape(str(weir.file))}:\d+:1: unknown key \"more\"", second)
    assert last.startswith("weir reload: the configuration was refused; what ran before goes on")
    assert "last reload at" in command(weir, "status") and ": refused, 2 errors" in command(weir, "status")


# Explain


def test_explain_asks_what_runs(weir):
    with weir.reach(source="127.0.0.2") as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        text = command(weir, "explain", "alice")
        assert "7 connections at once; 1 now\n" in text
        assert re.search(r"web/web\d +allowed +there is no policy  enabled, up, 1 active\n", text)
        answer = json.loads(command(weir, "explain", "--json", "alice"))
        assert answer["client"]["active"] == 1


def test_explain_of_a_file_is_about_the_file(weir):
    done = run("explain", "-c", weir.file, "alice")
    assert done.returncode == 0 and "active" not in done.stdout
    live = run("explain", "-c", weir.file, "--live", "alice")
    assert live.returncode == 0 and "0 active" in live.stdout
    # Otherwise they say the same.
    assert [line.split("  enabled")[0] for line in live.stdout.replace("; 0 now", "").splitlines()] == \
        done.stdout.splitlines()


# A folder /etc of its own, with the file at the place where it is looked for.
AS_DEFAULT = """mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" &&
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc && mkdir /etc/weir || exit 99
cp "$2" /etc/weir/weir.yaml; shift 2; exec "$@" """


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for an /etc of its own")
def test_explain_without_a_file_asks_what_runs_where_something_does(weir, tmp_path):
    (tmp_path / "etc").mkdir()
    wrapper = ["unshare", "--mount", "sh", "-c", AS_DEFAULT, "sh", tmp_path / "etc", weir.file]
    done = run("explain", "alice", wrapper=wrapper)
    if done.returncode == 99:
        pytest.skip(f"no /etc of its own here: {done.stderr}")
    assert (done.returncode, done.stderr) == (0, "") and "0 active" in done.stdout
    weir.stopped_by_test = True
    weir.stop()
    done = run("explain", "alice", wrapper=wrapper)
    assert (done.returncode, done.stderr) == (0, "") and "active" not in done.stdout


def test_explain_of_a_stranger_suggests(weir):
    done = run("explain", "--socket", weir.config["admin"]["socket"], "alcie")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "weir explain: there is no client alcie; did you mean alice?\n"


def test_a_certificate_needs_a_file(weir):
    done = run("explain", "--socket", weir.config["admin"]["socket"], "tls/alice.crt")
    assert done.returncode == 2 and "leave out" in done.stderr


# Where it is


def test_the_socket_is_found_in_the_configuration_even_in_a_broken_one(weir):
    with open(weir.file, "a") as file:
        file.write("\nnonsense: true\npolicy: 7\n")
    done = run("status", "-c", weir.file)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("weir ")


def test_a_socket_is_relative_to_its_file(weir):
    folder, name = os.path.split(weir.config["admin"]["socket"])
    with open(f"{folder}/other.yaml", "w") as file:
        file.write(f"admin: {{ socket: {name} }}\n")
    assert run("status", "-c", f"{folder}/other.yaml").returncode == 0
    assert run("status", "-c", "other.yaml", cwd=folder).returncode == 0


@pytest.mark.parametrize("text, message", [
    ("listeners: []\n", "has no admin.socket; name the balancer's with --socket"),
    ("admin: { socket: [1] }\n", "socket must be the path of a socket"),
    ("admin: { socket\n", "weir.yaml:"),
])
def test_a_configuration_without_a_socket_is_wrong_use(tmp_path, text, message):
    (tmp_path / "weir.yaml").write_text(text)
    done = run("status", "-c", "weir.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "") and message in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_no_balancer_is_said(socket_path, name):
    expected = f"weir {name}: no balancer answers at {socket_path}; is it running?\n"
    for _ in range(2):
        done = run(name, "--socket", socket_path, *COMMANDS[name])
        assert (done.returncode, done.stdout, done.stderr) == (1, "", expected)
        if not os.path.exists(socket_path):
            with socket.socket(socket.AF_UNIX) as dead:  # the second time: a file that nobody listens at
                dead.bind(socket_path)
    done = run(name, "--socket", "x" * 200, *COMMANDS[name])
    assert done.returncode == 2 and "107 bytes" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("name", COMMANDS)
def test_other_users_cannot_use_the_socket(weir, name):
    path = weir.config["admin"]["socket"]
    os.chmod(os.path.dirname(path), 0o755)  # the socket's own mode has to do
    done = run(name, "--socket", path, *COMMANDS[name], wrapper=["setpriv", "--reuid=65534", "--regid=65534",
                                                                 "--clear-groups"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"weir {name}: {path} is closed to this user; become the one that the balancer runs as, "
                           "or root\n")


def answer_once(path, answer):
    """Somebody else listens there, who gives this answer."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve():
        sock, _ = server.accept()
        with sock, server:
            while b"\r\n\r\n" not in sock.recv(65536, socket.MSG_PEEK):
                pass
            sock.recv(65536)
            sock.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()


@pytest.mark.parametrize("answer, message", [
    (b"", "the balancer left without an answer"),
    (b"220 mail.example ESMTP\r\n", "what answers at {path} is no balancer"),
    (b"HTTP/1.1 200 OK\r\n\r\n{}", "the answer was cut off"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", "the answer was cut off"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{]", "the answer is no JSON"),
    (b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n", "the balancer answers with status 502"),
    (b"HTTP/1.1 " + b"9" * 5000 + b"\r\n\r\n", "what answers at {path} is no balancer"),
    (b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}", "what answers at {path} is no balancer"),
], ids=["nothing", "mail", "no-length", "short", "no-json", "status", "digits", "version"])
def test_what_is_no_balancer_is_not_believed(socket_path, answer, message):
    answer_once(socket_path, answer)
    done = run("status", "--socket", socket_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"weir status: {message.format(path=socket_path)}\n"


def test_an_unknown_upstream_with_an_escape_in_it_cannot_speak_to_the_terminal(weir):
    done = run("explain", "--socket", weir.config["admin"]["socket"], "\033[31mred")
    assert done.returncode == 2 and "\033" not in done.stderr
