# SPDX-License-Identifier: Apache-2.0
"""Real servers that are killed, stopped and started again under real clients: redis with redis-benchmark, PostgreSQL
with pgbench."""

import contextlib
import signal
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pytest

import settings
from peers import LOOPBACK, eventually
from programs import PostgreSQL, find, redis, run
from settings import amount

SLACK = 10.0 if settings.SLOW else 1.0  # for a machine that does other work too
INTERVAL, TIMEOUT, FALL, RISE = 0.1, 0.4, 2, 2
DETECTED = FALL * (1.1 * INTERVAL + TIMEOUT)  # what the configuration promises: an interval varies by a tenth
RETURNED = RISE * (1.1 * INTERVAL + TIMEOUT)
REDIS_CHECK = {"send": "PING\r\n", "expect": "+PONG"}
POSTGRESQL_CHECK = {"send": "\x00\x00\x00\x08\x04\xd2\x16\x2f", "expect": "N"}  # may I have TLS? no


def pool(check, **more):
    """Whose failures are found within DETECTED, and whose recovery within RETURNED."""
    return {"health": {"check": check, "interval": "100ms", "timeout": "400ms", "fall": FALL, "rise": RISE}, **more}


def moment(entry):
    return datetime.fromisoformat(entry["ts"].replace("Z", "+00:00")).timestamp()


class Figures:
    """How long things took, against what was promised."""

    def __init__(self):
        self.seconds = {}

    def add(self, what, since, entry, promised):
        took = moment(entry) - since
        assert took < promised + SLACK, f"{what} took {took:.3f} s, promised were {promised:.3f} s"
        self.seconds.setdefault(what, []).append(took)

    def show(self):
        for what, took in self.seconds.items():
            median = statistics.median(took)
            print(f"{what}: {len(took)} times, median {1000 * median:.0f} ms, longest {1000 * max(took):.0f} ms")


def held(weir, servers):
    metrics = weir.metrics()
    return [metrics.sum("weir_upstream_connections_active", upstream=server.name) for server in servers]


class Crowd:
    """redis-benchmarks of one connection each, so that it is known whom a broken connection concerns. (Each has opened
    and closed another one before, to ask for the server's settings.)"""

    def __init__(self, weir, size):
        self.weir, self.size = weir, size
        self.processes = []
        self.closed = 0  # connections

    def fill(self):
        """Starts as many as are missing; returns them when all are connected."""
        fresh = [self._start() for _ in range(self.size - len(self.processes))]
        self.closed += len(fresh)
        self.processes += fresh
        self._settle()
        return fresh

    def _start(self):
        command = ["nice", find("redis-benchmark"), "-h", LOOPBACK, "-p", str(self.weir.port), "-c", "1", "-n", "1000000000",
                   "-t", "set", "-q"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _settle(self):
        self.weir.wait_closed(self.closed)
        eventually(lambda: self.weir.metrics().sum("weir_upstream_connections_active") == len(self.processes),
                   what=self.weir.state)

    def failed(self):
        return [process for process in self.processes if process.poll() is not None]

    def bury(self, count):
        """So many fail, and are forgotten. More do not."""
        eventually(lambda: len(self.failed()) >= count, what=self.weir.state)
        failed = self.failed()
        assert len(failed) == count, self.weir.state()
        self._forget(failed)

    def dismiss(self, processes):
        for process in processes:
            process.kill()
            process.wait()
        self._forget(processes)

    def _forget(self, processes):
        self.closed += len(processes)
        self.processes = [process for process in self.processes if process not in processes]
        self._settle()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def killed(weir, crowd, victim, figures, nth):
    """Those on it fail, nobody else; newcomers are served by the others."""
    concerned, = held(weir, [victim])
    since = time.time()
    victim.kill()
    crowd.bury(concerned)
    crowd.fill()
    assert held(weir, [victim]) == [0]
    figures.add("killed, down after", since, weir.wait_log("upstream down", upstream=victim.name, count=nth), DETECTED)
    victim.start_again()
    eventually(victim.is_ready)
    figures.add("started, up after", time.time(), weir.wait_log("upstream up", upstream=victim.name, count=nth), RETURNED)


def stopped(weir, crowd, victim, figures, nth):
    """Those on it wait, nobody fails; newcomers are served by the others."""
    concerned, = held(weir, [victim])
    since = time.time()
    victim.send(signal.SIGSTOP)
    figures.add("stopped, down after", since, weir.wait_log("upstream down", upstream=victim.name, count=nth), DETECTED)
    crowd.size += 3
    fresh = crowd.fill()
    assert held(weir, [victim]) == [concerned]
    since = time.time()
    victim.send(signal.SIGCONT)
    figures.add("continued, up after", since, weir.wait_log("upstream up", upstream=victim.name, count=nth), RETURNED)
    crowd.size -= 3
    crowd.dismiss(fresh)


def restarted(weir, crowd, victim, _figures, _nth):
    """Away for less than it takes to notice: those on it fail, nobody else."""
    concerned, = held(weir, [victim])
    victim.kill(signal.SIGTERM)
    victim.start_again()
    crowd.bury(concerned)
    eventually(victim.is_ready)


def counts_even_out(weir, servers):
    """With newcomers, all have equally many, when nobody is down or ejected any more."""
    eventually(lambda: all(place["health"] == "up" for place in weir.status()["pools"][0]["upstreams"]), what=weir.state)
    clients = [weir.reach() for _ in range(12)]
    for client in clients:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
    counts = held(weir, servers)
    assert max(counts) - min(counts) <= 1, counts
    for client in clients:
        client.close()
    return len(clients)


@pytest.mark.parametrize("blow", [killed, stopped, restarted], ids=lambda blow: blow.__name__)
def test_one_of_three_redises(checked, tmp_path, blow):
    """Nobody fails whose connection is on another one; newcomers fail over; afterwards the counts even out."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(redis(tmp_path)) for _ in range(3)]
        weir = stack.enter_context(checked(*servers, pool=pool(REDIS_CHECK)))
        crowd = stack.enter_context(Crowd(weir, 6))
        figures = Figures()
        for nth in range(1, amount(1, full=10) + 1):
            crowd.fill()
            victim = servers[nth % 3]
            blow(weir, crowd, victim, figures, 1 + (nth - 1) // 3)
            assert not crowd.failed()
            crowd.closed += counts_even_out(weir, servers)
        figures.show()
        crowd.dismiss(crowd.processes)


@pytest.fixture(scope="module")
def postgresqls():
    """Two clusters, which know nothing of each other."""
    with contextlib.ExitStack() as stack:
        one, two = (Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-postgresql-"))) for _ in "12")
        primary = stack.enter_context(PostgreSQL(one))
        yield primary, stack.enter_context(PostgreSQL(two, primary))


def where(weir, postgresql):
    """The port of the server that a new session reaches."""
    command = [postgresql.tool("psql"), "-h", LOOPBACK, "-p", str(weir.port), "-U", "weir", "-At", "-c",
               "select inet_server_port()", "postgres"]
    return int(run(*command))


@pytest.fixture
def pgbench(tmp_path, postgresqls):
    """Starts pgbenches; what is still running in the end is killed."""
    script = tmp_path / "script.sql"
    script.write_text("select count(*) from generate_series(1, 100);\n")
    running = []

    def start(weir, *words):
        command = ["nice", postgresqls[0].tool("pgbench"), "-n", "-f", str(script), "-c", "4", *words, "-h", LOOPBACK,
                   "-p", str(weir.port), "-U", "weir", "postgres"]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_postgresql_primary_under_pgbench(checked, postgresqls, pgbench, number):
    """New sessions reach the backup as soon as promised, and the primary again when it is back."""
    primary, backup = postgresqls
    primary.name, backup.name = "primary", "backup"
    places = [{"name": "primary", "address": primary.address},
              {"name": "backup", "address": backup.address, "backup": True}]
    figures = Figures()
    with checked(primary, backup, pool=pool(POSTGRESQL_CHECK, upstreams=places)) as weir:
        for nth in range(1, amount(1, full=10) + 1):
            assert where(weir, backup) == primary.port
            busy = pgbench(weir, "-T", "1000", "-R", "100")
            eventually(lambda: held(weir, [primary]) == [4], what=weir.state)
            since = time.time()
            primary.send(number)
            if number == signal.SIGKILL:
                primary.process.wait()
                assert busy.wait(settings.DEADLINE) != 0
                assert where(weir, backup) == backup.port, "refused, so that the backup is tried at once"
            figures.add("down after", since, weir.wait_log("upstream down", nth, upstream="primary"), DETECTED)
            assert where(weir, backup) == backup.port
            after = pgbench(weir, "-t", "20")
            assert after.wait(settings.DEADLINE) == 0, after.stderr.read()
            since = time.time()
            if number == signal.SIGKILL:
                primary.start_again()
            else:
                primary.send(signal.SIGCONT)
            eventually(primary.is_ready)
            up = weir.wait_log("upstream up", nth, upstream="primary")
            figures.add("up after", since, up, RETURNED + settings.DEADLINE * (number == signal.SIGKILL))
            assert where(weir, backup) == primary.port
            busy.terminate()
            eventually(lambda: held(weir, [primary, backup]) == [0, 0], what=weir.state)
        figures.show()
