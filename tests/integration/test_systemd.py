# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, and the unit file that it reads."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import settings
from peers import Upstream, echo, is_served
from programs import find, run

UNIT = settings.ROOT / "packaging" / "weir.service"
SCORE_MAX = 2.0  # of systemd-analyze: 0 is best, 10 is worst
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


class Manager:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0"))

    def env(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def hear(self, timeout=settings.DEADLINE):
        """The next message: a dict."""
        self.socket.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def wait(self, key, timeout=settings.DEADLINE):
        """The next message that has this key."""
        until = time.monotonic() + timeout
        while key not in (message := self.hear(max(until - time.monotonic(), 0.001))):
            pass
        return message

    def hush(self):
        """Forgets what has been said."""
        with contextlib.suppress(OSError):
            while True:
                self.hear(0.001)


@pytest.fixture
def manager(request):
    """At an abstract name, or at a path."""
    folder = tempfile.mkdtemp(prefix="weir-test-")
    has_path = getattr(request, "param", "name") == "path"
    made = Manager(f"{folder}/notify" if has_path else f"@{folder}")
    yield made
    made.socket.close()
    shutil.rmtree(folder)


@pytest.mark.parametrize("manager", ["name", "path"], indirect=True)
def test_it_is_told_of_the_start_and_of_the_end(balancer, manager):
    with Upstream(echo) as web, balancer(web, env=manager.env(), drain_timeout="2m") as weir:
        assert manager.hear() == {"READY": "1", "STATUS": "Serving"}
        assert is_served(weir.connect())
        weir.stopped_by_test = True
        weir.signal(signal.SIGTERM)
        draining = manager.wait("STOPPING")
        assert int(draining["EXTEND_TIMEOUT_USEC"]) > 120_000_000
        weir.close_clients()
        assert manager.wait("STOPPING")["STATUS"] == "Ending"
        assert weir.wait_exit() == 0


def test_it_is_told_of_reloads(balancer, manager):
    with Upstream(echo) as web, balancer(web, env=manager.env()) as weir:
        manager.wait("READY")
        weir.signal(signal.SIGHUP)
        assert manager.hear().keys() == {"RELOADING", "MONOTONIC_USEC", "STATUS"}
        assert manager.hear() == {"READY": "1", "STATUS": "Serving"}
        weir.file.write_text("nonsense: true\n")
        weir.signal(signal.SIGHUP)
        assert "RELOADING" in manager.hear()
        assert "refused" in manager.wait("READY")["STATUS"]
        assert is_served(weir.connect())


def test_a_start_that_fails_is_no_start(balancer, manager):
    with Upstream(echo) as web:
        taken = {"address": web.address}
        assert balancer(web, env=manager.env(), listener=taken).launch().wait_exit() == 1
    with pytest.raises(OSError):
        manager.hear(0.001)


def test_nobody_is_told_where_nobody_asks(balancer):
    with Upstream(echo) as web, balancer(web, env={"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "100000"}) as weir:
        assert not weir.entries("systemd is told nothing")
        assert is_served(weir.connect())


def test_the_watchdog_is_fed_as_long_as_it_runs(balancer, manager):
    with Upstream(echo) as web, balancer(web, env=manager.env(WATCHDOG_USEC="200000")) as weir:
        for _ in range(4):
            manager.wait("WATCHDOG")
        weir.ask()


class Held:
    """One thread of a process is held, by the means of debuggers."""

    def __init__(self, thread):
        self.thread = thread
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def __enter__(self):
        if self.ptrace(PTRACE_SEIZE, self.thread, None, None) != 0:
            pytest.skip(f"needs to trace a thread: {os.strerror(ctypes.get_errno())}")
        assert self.ptrace(PTRACE_INTERRUPT, self.thread, None, None) == 0
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.ptrace(PTRACE_DETACH, self.thread, None, None)  # unless it has been killed meanwhile


def worker_thread(process, number):
    folder = Path(f"/proc/{process}/task")
    return next(int(task.name) for task in folder.iterdir()
                if (task / "comm").read_text() == f"weir-worker-{number}\n")


def test_a_stuck_worker_stops_the_watchdog(balancer, manager):
    with Upstream(echo) as web, balancer(web, env=manager.env(WATCHDOG_USEC="400000")) as weir:
        manager.wait("WATCHDOG")
        with Held(worker_thread(weir.pid, 1)):
            weir.wait_log("a worker makes no progress", worker=1)
            manager.hush()
            weir.wait_log("a worker makes no progress", count=3, worker=1)
            with pytest.raises(OSError):
                manager.hear(0.001)
        manager.wait("WATCHDOG")
        weir.ask()


def test_a_control_thread_that_is_held_stops_no_watchdog(balancer, manager):
    """It may be busy with a reload for long."""
    with Upstream(echo) as web, balancer(web, env=manager.env(WATCHDOG_USEC="200000")) as weir:
        with Held(weir.pid):
            manager.hush()
            for _ in range(3):
                manager.wait("WATCHDOG")
        weir.ask()


# The unit


@pytest.fixture
def unit(tmp_path):
    """The unit file, with the program under test in the place of the installed one."""
    text = re.sub(r"=weir\b(?! *$)", f"={settings.BINARY}", UNIT.read_text(), flags=re.M)
    path = tmp_path / "weir.service"
    path.write_text(text)
    return path


def test_systemd_understands_every_line_of_the_unit(unit):
    done = subprocess.run([find("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_is_hardened(unit):
    text = run(find("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit))
    score = float(re.search(r"Overall exposure level for \S+: (\S+)", text)[1])
    assert score <= SCORE_MAX, text
