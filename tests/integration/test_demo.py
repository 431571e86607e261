# SPDX-License-Identifier: Apache-2.0
"""`weir demo`: what it shows, that a person can join in, and that it leaves nothing behind."""

import collections
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import urllib.request

import pytest

import settings
from peers import LOOPBACK, connect, eventually, free_port
from programs import find
from settings import DEADLINE

ANSWER = re.compile(r"  client(\d+) +-> host(\d+) +Data 'Hello' was received by host at (\S+)  \d+\.\d ms")


class Demo:
    """A running demo and the lines it has said so far."""

    def __init__(self, *options):
        environment = {**os.environ, **settings.SANITIZER_OPTIONS, "LC_ALL": "C"}
        self.process = subprocess.Popen([str(settings.BINARY), "demo", "--interval", "1", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(
            line.rstrip("\n") for line in iter(self.process.stdout.readline, "")), daemon=True)
        self.reader.start()

    def find(self, pattern):
        """The first match of a line, waited for."""
        def first():
            return next((match for line in list(self.lines) if (match := re.search(pattern, line))), None)
        return eventually(first, what=lambda: f"no {pattern!r} in {self.lines}")

    def answers(self):
        """(client, host, address) of every answer."""
        return [match.groups() for line in list(self.lines) if (match := ANSWER.fullmatch(line))]

    @property
    def port(self):
        return int(self.find(r"^  port +(\d+)$")[1])

    @property
    def folder(self):
        return os.path.dirname(self.find(r"^  configuration +(\S+)$")[1])

    @property
    def pasted(self):
        """The command that a person copies from the screen to join in."""
        self.find("guest.key$")
        lines = list(self.lines)
        first = next(number for number, line in enumerate(lines) if "openssl s_client" in line)
        return "\n".join(lines[first:first + 2])

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        assert self.process.wait(DEADLINE) == 0, self.lines
        self.reader.join(DEADLINE)
        assert self.process.stderr.read() == ""


@contextlib.contextmanager
def demo(*options):
    running = Demo(*options)
    try:
        yield running
    except BaseException:
        print("\n".join(running.lines))
        raise
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        running.process.stderr.close()


@pytest.fixture(params=[(), ("--plain",)], ids=["tls", "plain"])
def kind(request):
    return request.param


def test_every_client_talks_and_every_host_is_used_and_client1_never_reaches_host2(kind):
    with demo(*kind) as shown:
        eventually(lambda: len(shown.answers()) >= 28, what=lambda: shown.lines)
        shown.end()
        answers = shown.answers()
        assert {client for client, _, _ in answers} == {str(n) for n in range(1, 8)}
        assert {host for _, host, _ in answers} == {str(n) for n in range(1, 6)}
        assert ("1", "2") not in {(client, host) for client, host, _ in answers}
        addresses = collections.defaultdict(set)
        for _, host, address in answers:
            addresses[host].add(address)
        assert all(len(of_host) == 1 for of_host in addresses.values())
        text = "\n".join(shown.lines)
        assert "client1 may never talk to host2" in text and "0 times to host2" in text
        assert "refused: 0" in text or not kind
        assert max(map(len, shown.lines)) <= 100
        assert "\033" not in text


def test_a_client_over_its_limit_is_refused_and_the_limit_is_named():
    with demo() as shown:
        shown.find(r"^  limit +client7 may have 2 connections at once")
        refusal = shown.find(r"^  client7  refused: .*client_limit")[0]
        number = shown.lines.index(next(line for line in shown.lines if line.startswith(refusal)))
        assert shown.lines[number].endswith("the client has as many connections as it may (client_limit: 2 at once)")
        assert all(ANSWER.fullmatch(line)[1] == "7" for line in shown.lines[number - 2:number])
        eventually(lambda: len(shown.answers()) > 28)
        shown.end()
        text = "\n".join(shown.lines)
        assert "no answer" not in text and re.search("refused: [1-9]", text)


class Pasted:
    """A shell into which a person pastes the line, and then types."""

    def __init__(self, command):
        self.process = subprocess.Popen(["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)

    def say(self, text):
        self.process.stdin.write(f"{text}\n")
        return self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def test_a_person_can_join_in_with_the_line_as_printed():
    find("openssl")
    with demo() as shown, Pasted(shown.pasted) as guest:
        for text in "Hello", "is anybody there?", "Q":
            assert re.fullmatch(rf"Data '{re.escape(text)}' was received by host at \S+\n", guest.say(text))
        shown.find("a guest  -> host")
        shown.end()


def test_a_person_who_does_not_prove_who_it_is_is_refused():
    find("openssl")
    with demo() as shown:
        with Pasted(re.sub(r" -(cert|key) \S+", "", shown.pasted)) as stranger:
            assert stranger.say("Hello") == ""
        shown.find(r"^  somebody refused: the client sent no certificate \(tls_no_certificate\)$")
        shown.end()


def test_a_person_can_join_in_with_telnet():
    with demo("--plain") as shown:
        command = shown.find(r"telnet (\S+) (\d+)")
        with connect(int(command[2]), host=command[1]) as guest:
            for text in b"Hello", b"is anybody there?":
                guest.sendall(text + b"\r\n")
                answer = guest.makefile("rb").readline().decode()
                assert re.fullmatch(rf"Data '{re.escape(text.decode())}' was received by host at \S+\n", answer)
        shown.find("a guest  -> host")
        shown.end()


def test_a_guest_that_half_closes_hears_the_answer():
    with demo("--plain") as shown, connect(shown.port) as guest:
        guest.sendall(b"\033]0;x\a")
        guest.shutdown(socket.SHUT_WR)
        assert guest.makefile("rb").read().startswith(b"Data '?]0;x?' was received by host at ")
        shown.end()


def test_the_admin_side_shows_the_same(kind):
    with demo(*kind) as shown:
        url = shown.find(r"^  dashboard +(http://\S+/)")[1]
        eventually(lambda: len(shown.answers()) >= 7)
        with urllib.request.urlopen(f"{url}metrics", timeout=DEADLINE) as answer:
            text = answer.read().decode()
        assert 'weir_client_connections_active{client="client7"}' in text
        assert 'weir_upstream_up{pool="hosts",upstream="host5"} 1' in text
        shown.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left(kind, number):
    port = free_port()
    with demo("-p", str(port), *kind) as shown:
        assert shown.port == port
        folder = shown.folder
        assert os.path.exists(f"{folder}/weir.yaml") and os.stat(folder).st_mode & 0o777 == 0o700
        assert os.path.exists(f"{folder}/client7.key") != bool(kind)
        shown.find("client1 .*Data")
        shown.end(number)
        assert not os.path.exists(folder)
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def test_a_reader_that_leaves_ends_it(kind):
    command = [str(settings.BINARY), "demo", *kind, "--interval", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not (line := process.stdout.readline()).startswith("  configuration"):
            assert line
        folder = os.path.dirname(line.split()[1])
        process.stdout.close()
        assert process.wait(DEADLINE) == 0
    assert not os.path.exists(folder)


def test_the_sizes_can_be_chosen(kind):
    with demo("--upstreams", "1", "--clients", "2", *kind) as shown:
        eventually(lambda: len(shown.answers()) >= 4)
        shown.end()
        assert {answer[:2] for answer in shown.answers()} == {("1", "1"), ("2", "1")}
        assert "host2" not in "\n".join(shown.lines)


@pytest.mark.parametrize("options", [["-p", "70000"], ["--upstreams", "0"], ["--clients", "100"],
                                     ["--plain", "--interval", "soon"]])
def test_wrong_use_is_explained(options):
    result = subprocess.run([str(settings.BINARY), "demo", *options], capture_output=True, text=True, timeout=DEADLINE)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("weir: ") and "weir demo --help" in result.stderr


def test_a_port_in_use_is_said(kind):
    with socket.create_server((LOOPBACK, 0)) as other:
        port = str(other.getsockname()[1])
        result = subprocess.run([str(settings.BINARY), "demo", *kind, "-p", port], capture_output=True, text=True,
                                timeout=DEADLINE)
    assert result.returncode == 1 and "in use" in result.stderr
