# SPDX-License-Identifier: Apache-2.0
"""`weir top` in a real terminal, which tmux plays."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

import settings
from peers import Upstream, eventually
from programs import find
from weir import configuration

CHECKS = {"interval": "200ms", "timeout": "1s", "fall": 1, "rise": 1}
CLIENTS = [{"name": "alice", "identity": ["cidr:127.0.0.2/32"], "limits": {"connections": 1, "rate": "100/s"}},
           {"name": "bob", "identity": ["cidr:127.0.0.3/32"]}]
POLICY = [{"allow": ["alice"], "to": ["web"]}]


@pytest.fixture
def backend():
    """Nothing here depends on the loops: one backend is enough."""
    return "auto"


@pytest.fixture
def folder():
    """Short enough for the names of sockets."""
    path = tempfile.mkdtemp(prefix="weir-top-")
    yield Path(path)
    shutil.rmtree(path)


class Terminal:
    """A terminal in which `weir top` runs, and what its shell sees before and after."""

    def __init__(self, folder, socket, columns=80, rows=24):
        self.folder, self.program = folder, find("tmux")
        script = folder / "script"
        script.write_text(f"cd {folder}\ntrap : INT\nstty -g >before\n"
                          f"sh -c 'echo $$ >pid; exec {settings.BINARY} top --socket {socket}'\n"
                          "echo $? >status\nstty -g >after\nmv after over\nexec cat\n")
        environment = {**os.environ, **settings.SANITIZER_OPTIONS, "LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "-s", "top",
                  f"sh {script}", env=environment)

    def tmux(self, *words, **options):
        done = subprocess.run([self.program, "-S", str(self.folder / "tmux"), *words], capture_output=True, text=True,
                              timeout=settings.DEADLINE, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.program, "-S", str(self.folder / "tmux"), "kill-server"], capture_output=True)

    def screen(self):
        return self.tmux("capture-pane", "-t", "top", "-p").split("\n")

    def line(self, *words):
        """The first line with these words, waited for."""
        def find_line():
            return next((line for line in self.screen() if all(word in line for word in words)), None)
        return eventually(find_line, what=lambda: f"no {words} in\n" + "\n".join(self.screen()), step=0.05)

    def send(self, *keys):
        self.tmux("send-keys", "-t", "top", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "top", "-x", str(columns), "-y", str(rows))

    @property
    def pid(self):
        return int((self.folder / "pid").read_text())

    def assert_left(self, status=0):
        """It has ended, and the terminal is as it was."""
        over = self.folder / "over"
        eventually(over.exists, what=lambda: "\n".join(self.screen()))
        assert (self.folder / "status").read_text() == f"{status}\n"
        assert over.read_text() == (self.folder / "before").read_text()
        alternate_cursor = self.tmux("display-message", "-t", "top", "-p", "#{alternate_on} #{cursor_flag}")
        assert alternate_cursor == "0 1\n"


def test_it_shows_upstreams_clients_and_refusals_and_q_leaves_the_terminal_as_it_was(balancer, folder):
    socket = folder / "admin"
    admin = {"socket": str(socket), **configuration([])["admin"]}
    with Upstream() as web1, Upstream() as web2, \
            balancer(web1, web2, admin=admin, clients=CLIENTS, policy=POLICY, pool={"health": CHECKS}) as weir:
        weir.fresh_source = "127.0.0.2"
        with Terminal(folder, socket) as terminal:
            terminal.line("weir", "up", "workers busy")
            terminal.line("web/web1", "up")
            weir.connect(source="127.0.0.2")
            terminal.line("alice", "1/1", "100")
            assert weir.is_cut(source="127.0.0.3")
            terminal.line("bob: no rule of")
            assert "open 1 " in terminal.line("open")
            web2.close()
            terminal.line("web/web2", "down")
            terminal.line("1 of 2 upstreams up")
            screen = terminal.screen()
            assert max(map(len, screen)) <= 80 and "q quits" in screen[23]
            assert screen.index(terminal.line("web/web2")) < screen.index(terminal.line("web/web1"))  # trouble first
            terminal.resize(40, 8)
            eventually(lambda: "q quits" in terminal.screen()[7])
            assert max(map(len, terminal.screen())) <= 40
            terminal.resize(120, 30)
            eventually(lambda: "q quits" in terminal.screen()[29])
            terminal.send("q")
            terminal.assert_left()
        weir.upstreams.remove(web2)


@pytest.mark.parametrize("end", ["C-c", signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV], ids=str)
def test_the_terminal_is_given_back_however_it_ends(balancer, folder, end):
    socket = folder / "admin"
    with Upstream() as web, balancer(web, admin={"socket": str(socket), **configuration([])["admin"]}):
        with Terminal(folder, socket) as terminal:
            terminal.line("web/web1")
            if isinstance(end, str):
                terminal.send(end)
            else:
                os.kill(terminal.pid, end)
            terminal.assert_left(0 if end != signal.SIGSEGV else 128 + signal.SIGSEGV)


def test_it_waits_for_the_next_balancer(balancer, folder):
    socket = folder / "admin"
    admin = {"socket": str(socket), **configuration([])["admin"]}
    with Upstream() as web:
        with balancer(web, admin=admin, rest=False) as weir:
            with Terminal(folder, socket) as terminal:
                terminal.line("web/web1")
                weir.stop()
                weir.stopped_by_test = True
                terminal.line("trying again")
                again = balancer(config=weir.config).launch()
                try:
                    eventually(lambda: not any("trying again" in line for line in terminal.screen()), step=0.1)
                    terminal.send("q")
                    terminal.assert_left()
                    again.stop()
                finally:
                    again.kill()


def test_without_a_terminal_or_a_balancer_it_says_so(folder):
    done = subprocess.run([settings.BINARY, "top", "--socket", folder / "nobody"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 2 and "this needs a terminal" in done.stderr
    with Terminal(folder, folder / "nobody") as terminal:
        terminal.line("weir top: no balancer answers")
        terminal.assert_left(1)
