# SPDX-License-Identifier: Apache-2.0
"""Real programs on both sides: redis, PostgreSQL, nginx with wrk and curl."""

import re
import tempfile
from pathlib import Path

import pytest

from peers import LOOPBACK, digest_of, pieces, receive_exactly
from programs import PostgreSQL, find, nginx, redis, run
from settings import amount

GIB = 1 << 30


@pytest.fixture(scope="module")
def redises(tmp_path_factory):
    directory = tmp_path_factory.mktemp("redis")
    with redis(directory) as one, redis(directory) as two, redis(directory) as three:
        yield one, two, three


@pytest.fixture(scope="module")
def postgresql():
    # A folder that another user can reach, unlike pytest's
    with tempfile.TemporaryDirectory(prefix="weir-postgresql-") as directory:
        with PostgreSQL(Path(directory)) as server:
            yield server


@pytest.fixture(scope="module")
def web_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)
    return root


@pytest.mark.parametrize("pipeline", [1, 16])
def test_redis_benchmark(balancer, redises, pipeline):
    """set and get, plain and pipelined, without an error; every server has its part."""
    requests = amount(30_000, full=1_000_000, slow=3000)
    with balancer(*redises) as weir:
        output = run(find("redis-benchmark"), "-h", LOOPBACK, "-p", str(weir.port), "-t", "set,get", "-c", "50", "-n",
                     str(requests), "-P", str(pipeline), "--csv", "-d", "100")
        assert re.search('^"SET"', output, re.M) and re.search('^"GET"', output, re.M), output
        assert "rror" not in output
        entries = weir.entries("connection")
        assert {entry["upstream"] for entry in entries} == {server.name for server in redises}
        metrics = weir.metrics()
        for server in redises:
            assert metrics.sum("weir_upstream_failures_total", upstream=server.name) == 0


def test_held_connections_are_spread_within_one(balancer, redises):
    with balancer(*redises) as weir:
        for _ in range(100):
            client = weir.connect()
            client.sendall(b"PING\r\n")
            assert receive_exactly(client, 7) == b"+PONG\r\n"
        metrics = weir.metrics()
        held = [metrics.sum("weir_upstream_connections_active", upstream=server.name) for server in redises]
        assert sum(held) == 100 and max(held) - min(held) <= 1, held


def test_pgbench(balancer, postgresql):
    with balancer(postgresql) as weir:
        address = ["-h", LOOPBACK, "-p", str(weir.port), "-U", "weir"]
        run(postgresql.tool("pgbench"), "-i", "-q", *address, "postgres")
        seconds = str(amount(3, full=30))
        output = run(postgresql.tool("pgbench"), "-c", "8", "-j", "2", "-T", seconds, *address, "postgres")
        assert int(re.search(r"number of transactions actually processed: (\d+)", output)[1]) > 0
        assert re.search(r"number of failed transactions: 0 ", output), output
        rows = run(postgresql.tool("psql"), *address, "-At", "-c", "select count(*) from pgbench_accounts", "postgres")
        assert rows.strip() == "100000"


def test_wrk(balancer, web_root, tmp_path):
    with nginx(tmp_path, web_root) as one, nginx(tmp_path, web_root) as two, balancer(one, two) as weir:
        output = run(find("wrk"), "-t2", "-c50", f"-d{amount(2, full=30)}s", f"http://{LOOPBACK}:{weir.port}/small")
        assert int(re.search(r"(\d+) requests in", output)[1]) > 0
        assert "Socket errors" not in output and "Non-2xx" not in output, output
        assert run(find("curl"), "-sS", f"http://{LOOPBACK}:{weir.port}/small") == "hello from nginx\n"


def test_curl_of_a_gibibyte(balancer, web_root, tmp_path):
    size = amount(GIB, slow=GIB // 16)
    with open(web_root / "data", "wb") as file:
        for piece in pieces(size):
            file.write(piece)
    with nginx(tmp_path, web_root) as server, balancer(server) as weir:
        script = f"set -e; {find('curl')} -sS http://{LOOPBACK}:{weir.port}/data | sha256sum"
        assert run("bash", "-c", f"set -o pipefail; {script}").split()[0] == digest_of(size)
