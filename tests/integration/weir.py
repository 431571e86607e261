# SPDX-License-Identifier: Apache-2.0
"""A balancer under test: its configuration, its process, its log, its figures, and the eight checks after a scenario.

    with Upstream(echo) as web, balancer(web) as weir:      # `balancer` is a fixture, see conftest.py
        client = weir.connect()
        ...

Leaving the block without an error runs the checks that can be made at once; the ones that need the balancer to rest for
a while are made later, all at a time, by Resting.
"""

import collections
import json
import os
import re
import resource
import signal
import ssl
import subprocess
import threading
import time
import urllib.request

import yaml

import settings
from peers import (
    LOOPBACK, Truncated, connect, echo, eventually, free_port, half_close, is_served, receive,
    receive_exactly)
from settings import DEADLINE
from tls import HOSTNAME, Tls, alert_of

DEFAULT = object()
TICKS = os.sysconf("SC_CLK_TCK")
IDLE_SECONDS = 2.0
IDLE_TICKS = 2 * TICKS // 100
LISTEN = "0A"  # in the kernel's tables
QUIET = {"check": "none", "passive": False}  # no probe disturbs a scenario unless it asks for it

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def kinds(links):
    """How many there are of each kind."""
    return collections.Counter(re.sub(r"^(\w+):\[\d+\]$", r"\1", link) for link in links)


class Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def configuration(upstreams, *, io="auto", workers=2, listener=None, pool=None, **top):
    """A configuration with one listener `edge` and one pool `web`; the dicts add to the listener and the pool."""
    for number, upstream in enumerate(upstreams, 1):
        upstream.name = upstream.name or f"web{number}"
    places = [{"name": upstream.name, "address": upstream.address} for upstream in upstreams]
    return {
        "workers": workers,
        "io": io,
        "log": {"format": "json"},
        "admin": {"http": f"{LOOPBACK}:{free_port()}"},
        "listeners": [{"name": "edge", "address": f"{LOOPBACK}:0", "pool": "web", **(listener or {})}],
        "pools": [{"name": "web", "upstreams": places, "health": dict(QUIET), **(pool or {})}],
        **top,
    }


class Metrics:
    """One look at /metrics."""

    def __init__(self, text):
        self.samples = collections.defaultdict(list)
        for line in text.splitlines():
            if match := SAMPLE.match(line):
                name, labels, value = match.groups()
                self.samples[name].append((dict(LABEL.findall(labels or "")), float(value)))

    def each(self, name, **labels):
        """(labels, value) of the samples that have these labels."""
        return [(own, value) for own, value in self.samples[name] if labels.items() <= own.items()]

    def sum(self, name, **labels):
        return sum(value for _, value in self.each(name, **labels))


class Weir:
    def __init__(self, config, directory, *, upstreams=(), wrapper=(), env=None, nofile=None, resting=None,
                 main="edge", tls=None):
        self.config = config
        self.directory = directory
        self.upstreams = list(upstreams)
        self.wrapper = tuple(wrapper) or (settings.VALGRIND_COMMAND if settings.VALGRIND else ())
        self.env = env or {}
        self.nofile = nofile
        self.resting = resting
        self.main = main
        self.tls = tls  # what clients present themselves with (tls.client_context()), or nothing: plain
        self.log = []
        self.fresh = True  # a fresh good client is served in the end
        self.fresh_source = None  # its address
        self.stray = []  # lines of standard output that are no JSON
        self.ports = {}
        self.clients = []
        self.process = None
        self._news = threading.Condition()
        self._log_ended = False

    # Life

    def launch(self):
        """Starts the program without waiting for anything."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "weir.yaml"
        if not settings.SANDBOX:
            self.config = {**self.config, "sandbox": "off"}
        self.file.write_text(yaml.dump(self.config, Dumper=Dumper, sort_keys=False))
        self.stderr_path = self.directory / "stderr"
        wrapper = [word.format(directory=self.directory) for word in self.wrapper]
        command = [*wrapper, str(settings.BINARY), "run", "-c", str(self.file)]
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=stderr, preexec_fn=self._limit if self.nofile else None,
                env={**os.environ, **settings.SANITIZER_OPTIONS, **self.env})
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def start(self):
        """Starts the program and waits until it listens and answers."""
        self.launch()
        for listener in self.config["listeners"]:
            entry = self.wait_log("listening", listener=listener["name"])
            self.ports[listener["name"]] = int(entry["address"].rsplit(":", 1)[1])
        if self.admin:
            eventually(self._answers, what=self.state)
        self.baseline = self._lasting_descriptors()
        return self

    def _lasting_descriptors(self):
        """Its descriptors without connections: the question above may still be closing, and upstreams being checked."""
        links = list(self.links())
        lasting = set(self._inodes("tcp", "tcp6", state=LISTEN)) | set(self._inodes("unix"))
        return kinds(link for link in links if not link.startswith("socket:") or link in lasting)

    def _limit(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))

    def _answers(self):
        try:
            return self.get("/healthz")
        except OSError:
            return None

    @property
    def pid(self):
        return self.process.pid

    @property
    def port(self):
        return self.ports[self.main]

    @property
    def admin(self):
        """The admin address, or nothing."""
        return [self.config["admin"]["http"]] if "http" in self.config.get("admin", {}) else []

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def state(self):
        """What to show when a test fails."""
        log = "\n".join(json.dumps(entry) for entry in self.log[-30:])
        valgrind = self.directory / "valgrind"
        more = f"\n--- valgrind\n{valgrind.read_text()}" if valgrind.exists() else ""
        return f"exit {self.process.poll()}\n--- log\n{log}\n--- stderr\n{self.stderr()[-8000:]}{more}"

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=DEADLINE):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.state()}") from None
        self._reader.join(DEADLINE)
        return status

    def stop(self):
        """Check 1: SIGTERM ends it with 0, and nothing was said on standard error."""
        assert self.process.poll() is None, f"died\n{self.state()}"
        self.signal(signal.SIGTERM)
        assert self.wait_exit() == 0, self.state()
        assert self.stderr() == "" and not self.stray, f"{self.stray}\n{self.state()}"

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.wait_exit()

    # Log

    def _read_log(self):
        for line in self.process.stdout:
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            with self._news:
                (self.stray if entry is None else self.log).append(line if entry is None else entry)
                self._news.notify_all()
        self.process.stdout.close()
        with self._news:
            self._log_ended = True
            self._news.notify_all()

    def entries(self, msg, **fields):
        return [entry for entry in self.log if entry["msg"] == msg and fields.items() <= entry.items()]

    def wait_log(self, msg, count=1, timeout=DEADLINE, **fields):
        """Waits for the count-th such line and returns it."""
        with self._news:
            self._news.wait_for(lambda: len(self.entries(msg, **fields)) >= count or self._log_ended, timeout)
            found = self.entries(msg, **fields)
        assert len(found) >= count, f"{len(found)} of {count} lines {msg!r} {fields}\n{self.state()}"
        return found[count - 1]

    def wait_closed(self, count=1, timeout=DEADLINE, **fields):
        """Waits for the count-th line of a closed connection with these fields (reason=...) and returns it."""
        return self.wait_log("connection", count, timeout, **fields)

    # Figures

    def get(self, path, timeout=5):
        with urllib.request.urlopen(f"http://{self.admin[0]}{path}", timeout=timeout) as answer:
            return answer.read().decode()

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def metrics(self):
        return Metrics(self.get("/metrics"))

    def closed(self, reason, listener=None):
        return self.metrics().sum("weir_connections_closed_total", reason=reason, listener=listener or self.main)

    def links(self):
        """What its descriptors stand for, as "socket:[123]"."""
        folder = f"/proc/{self.pid}/fd"
        for name in os.listdir(folder):
            try:
                yield os.readlink(f"{folder}/{name}")
            except FileNotFoundError:
                pass

    def descriptors(self):
        """Open descriptors by kind."""
        return kinds(self.links())

    def _inodes(self, *tables, state=None):
        """The sockets, as "socket:[123]", in these tables of the kernel."""
        for table in tables:
            inode, column = (6, 5) if table == "unix" else (9, 3)
            with open(f"/proc/{self.pid}/net/{table}", encoding="ascii", errors="replace") as lines:
                for words in map(str.split, lines):
                    if len(words) > inode and state in (None, words[column]):
                        yield f"socket:[{words[inode]}]"

    def cpu_ticks(self):
        with open(f"/proc/{self.pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return int(words[11]) + int(words[12])

    def anonymous_bytes(self):
        """Resident memory without mapped files."""
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))

    def sockets(self):
        """Lines of ss for the ports of this balancer, its admin side and its upstreams."""
        ports = {str(port) for port in self.ports.values()}
        ports |= {address.rsplit(":", 1)[1] for address in (*self.admin, *(up.address for up in self.upstreams))}
        lines = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout.splitlines()
        own = set().union(*(getattr(upstream, "fillers_addresses", set()) for upstream in self.upstreams))
        ends = ((line, set(line.split()[3:5])) for line in lines)
        return [line for line, pair in ends if ports & {end.rsplit(":", 1)[-1] for end in pair} and not own & pair]

    # Clients

    def reach(self, listener=None, tls=DEFAULT, hostname=HOSTNAME, session=None, **options):
        """A client's socket, after its handshake; the caller's to close. `tls`: a client's context, None for plain."""
        sock = connect(self.ports[listener or self.main], **options)
        context = self.tls if tls is DEFAULT else tls
        if context is None:
            return sock
        try:
            return Tls(sock, context, hostname=hostname, session=session).handshake()
        except BaseException:
            sock.close()
            raise

    def connect(self, listener=None, **options):
        """A client's socket; closed at the end of the scenario at the latest."""
        sock = self.reach(listener, **options)
        self.clients.append(sock)
        return sock

    def ask(self, text=b"ping", **options):
        """One good client of an echo: connects, asks, hears the answer, ends."""
        with self.reach(**options) as sock:
            sock.sendall(text)
            assert receive_exactly(sock, len(text)) == text
            half_close(sock)
            assert receive(sock)[::2] == (0, "clean")

    def close_clients(self):
        while self.clients:
            self.clients.pop().close()

    def hear(self, **options):
        """What a client receives that only listens."""
        return receive(self.connect(**options))

    def is_cut(self, **options):
        """Whether a client is cut without a byte."""
        return self.hear(**options).size == 0

    def admits(self, **options):
        """Whether a client is served by the echo, and not cut; then its connection stays open."""
        try:
            return is_served(self.connect(**options))
        except (ConnectionError, ssl.SSLError):
            return False

    def refusal(self, **options):
        """How a client learns that it is refused: an alert's name, clean (close_notify), reset or truncated. With
        TLS 1.3 that is at its first read, whatever it wrote before."""
        try:
            sock = self.connect(**options)
            received = receive(sock)
            assert received.size == 0, received
            return received.end
        except ssl.SSLError as error:
            return alert_of(error)
        except Truncated:
            return "truncated"
        except ConnectionResetError:
            return "reset"

    # The eight checks

    def check_figures(self):
        """Check 5: every gauge is 0, and accepted is the sum of closed."""
        metrics = self.metrics()
        gauges = [(name, labels, value) for name in metrics.samples if name.endswith("_connections_active")
                  for labels, value in metrics.each(name) if value != 0]
        for labels, accepted in metrics.each("weir_connections_total"):
            closed = metrics.sum("weir_connections_closed_total", listener=labels["listener"])
            if closed != accepted:
                gauges.append(("accepted, closed", labels, (accepted, closed)))
        return gauges

    def check_descriptors(self):
        """Check 2: descriptors are back to the baseline, by kind."""
        before, now = self.baseline, self.descriptors()
        return {kind: (before[kind], now[kind]) for kind in before | now if before[kind] != now[kind]}

    def check_closing(self):
        """No socket whose connection has ended is still being closed: the kernel's tables show such no more."""
        known = set(self._inodes("tcp", "tcp6", "unix"))
        return [link for link in self.links() if link.startswith("socket:") and link not in known]

    def check_sockets(self):
        """Check 3: nothing left over, no CLOSE-WAIT."""
        lines = [line for line in self.sockets() if line.split()[0] not in ("LISTEN", "TIME-WAIT")]
        return [(line, [entry for entry in self.entries("connection") if entry["peer"] in line]) for line in lines]

    def none_left(self, check):
        left = []

        def empty():
            left[:] = [check()]
            return not left[0]

        eventually(empty, what=lambda: f"{check.__doc__}\nleft: {left[0]}\n{self.state()}", step=0.02)

    def check_fresh_client(self):
        """Check 8: a fresh good client is served within a second."""
        if not self.fresh or not any(getattr(upstream, "serve", None) is echo for upstream in self.upstreams):
            return
        start = time.monotonic()
        self.ask(source=self.fresh_source)
        took = time.monotonic() - start
        assert took < (10 if settings.SLOW else 1), f"a fresh client waited {took:.3f} s\n{self.state()}"

    def calm(self):
        """Ends what the scenario left open."""
        self.close_clients()
        for upstream in self.upstreams:
            upstream.calm()

    def check(self, fresh=True):
        """The checks that can be made at once."""
        self.calm()
        assert self.process.poll() is None, f"died\n{self.state()}"
        self.none_left(self.check_sockets)
        self.none_left(self.check_descriptors)
        if fresh:
            self.check_fresh_client()
            self.none_left(self.check_descriptors)
        if self.admin:
            self.none_left(self.check_figures)

    def wait_rest(self):
        """Waits until the balancer has done what it can for now: no CPU for a fifth of a second."""

        def rests():
            before = self.cpu_ticks()
            time.sleep(0.2)
            return self.cpu_ticks() == before

        eventually(rests, what=lambda: f"goes on working\n{self.state()}")

    def assert_idle(self, seconds=IDLE_SECONDS, ticks_allowed=IDLE_TICKS):
        """Check 4, now: at most two clock ticks of CPU in two idle (or blocked) seconds."""
        before = self.cpu_ticks()
        time.sleep(seconds)
        ticks = self.cpu_ticks() - before
        assert settings.SLOW or ticks <= ticks_allowed, f"{ticks} ticks of CPU in {seconds} s\n{self.state()}"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            print(self.state())
            self.kill()
            raise

    def __exit__(self, kind, error, trace):
        try:
            if kind is not None:
                print(self.state())
                self.calm()
            elif not self.stopped_by_test:
                self.check()
                if self.resting is not None:
                    self.resting.add(self)
                    return
                self.assert_idle()
                self.stop()
        finally:
            if self.resting is None or self not in self.resting:
                self.kill()

    stopped_by_test = False  # set by tests that end the process themselves


class Resting:
    """Balancers whose scenario is over: they must be calm for two seconds and then end with 0. Made for many at a time,
    so that a module of tests pays these seconds once."""

    def __init__(self):
        self.entries = []

    def __contains__(self, weir):
        return any(entry[0] is weir for entry in self.entries)

    def add(self, weir):
        name = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
        self.entries.append((weir, name, weir.cpu_ticks(), time.monotonic()))

    def finish(self):
        """Returns what was wrong, a text for each balancer."""
        wrong = []
        for weir, name, ticks, since in self.entries:
            rest = max(0.0, since + IDLE_SECONDS - time.monotonic())
            time.sleep(rest)
            seconds, used = time.monotonic() - since, weir.cpu_ticks() - ticks
            try:
                allowed = IDLE_TICKS * max(1.0, seconds / IDLE_SECONDS)
                text = f"{used} ticks of CPU in {seconds:.1f} idle seconds\n{weir.state()}"
                assert settings.SLOW or used <= allowed, text
                weir.stop()
            except AssertionError as error:
                wrong.append(f"after {name}: {error}")
            finally:
                weir.kill()
        self.entries.clear()
        return wrong
