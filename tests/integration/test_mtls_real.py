# SPDX-License-Identifier: Apache-2.0
"""Real programs with certificates: redis, curl with nginx, openssl, mosquitto, GnuTLS, sslscan, Python."""

import re
import socket
import ssl
import subprocess

import pytest

import certs
from certs import alice, nobody, root
from peers import LOOPBACK, Upstream, digest_of, echo, eventually, pieces
from programs import find, mosquitto, nginx, redis, run, secure_redis
from settings import DEADLINE, amount
from tls import client_context, listener_block, pool_block

MIB = 1 << 20
CLIENTS = {"clients": [{"name": "alice", "identity": ["dns:alice.example.com"]}],
           "policy": [{"allow": ["alice"], "to": ["web"]}]}


def guarded(balancer, *upstreams, block=None, **options):
    return balancer(*upstreams, listener={"tls": block or listener_block()}, tls=client_context(alice()), **CLIENTS,
                    **options)


def served(weir):
    """The upstreams that connections went to; each of them was alice's."""
    eventually(lambda: len(weir.entries("connection")) == weir.metrics().sum("weir_connections_total"), what=weir.state)
    entries = weir.entries("connection", reason="done") + weir.entries("connection", reason="tls_truncated")
    assert entries and {entry["client"] for entry in entries} == {"alice"}
    return {entry["upstream"] for entry in entries}


def read_until(words, stream):
    """What a program says until a line with these words."""
    said = ""
    for line in iter(stream.readline, ""):
        if words in line:
            return said
        said += line
    raise AssertionError(said)


@pytest.fixture(scope="module")
def redises(tmp_path_factory):
    directory = tmp_path_factory.mktemp("redis")
    with redis(directory) as one, redis(directory) as two, redis(directory) as three:
        yield one, two, three


def redis_tls(weir, certificate):
    return ["-h", LOOPBACK, "-p", str(weir.port), "--tls", "--sni", "weir.test", "--cacert", certs.servers().file,
            "--cert", certificate.chain, "--key", certificate.key.path]


def test_redis_before_plain_servers(balancer, redises):
    requests = amount(5000, full=1_000_000, slow=500)
    with guarded(balancer, *redises) as weir:
        output = run(find("redis-benchmark"), *redis_tls(weir, alice()), "-t", "set,get", "-c", "30", "-n",
                     str(requests), "-P", "16", "--csv", "-d", "1000")
        assert re.search('^"SET"', output, re.M) and re.search('^"GET"', output, re.M) and "rror" not in output, output
        eventually(lambda: len(weir.entries("connection")) >= 60)
        assert served(weir) == {server.name for server in redises}
        assert run(find("redis-cli"), *redis_tls(weir, alice()), "PING") == "PONG\n"
        done = subprocess.run([find("redis-cli"), *redis_tls(weir, nobody()), "PING"], capture_output=True, text=True)
        assert "PONG" not in done.stdout
        weir.wait_closed(reason="unknown_client")


def test_redis_with_certificates_on_both_sides(balancer, tmp_path):
    own = certs.authority("Inner CA")
    server = own.issue_server("redis", san=["dns:redis.test"])
    pool = {"tls": pool_block(own, own.issue("weir"), verify=["dns:redis.test"])}
    with secure_redis(tmp_path, server, own) as web, guarded(balancer, web, pool=pool) as weir:
        output = run(find("redis-benchmark"), *redis_tls(weir, alice()), "-t", "set,get", "-c", "20", "-n",
                     str(amount(3000, full=300_000, slow=300)), "--csv")
        assert re.search('^"GET"', output, re.M) and "rror" not in output, output
        value = "x" * 100_000
        done = subprocess.run([find("redis-cli"), *redis_tls(weir, alice()), "-x", "set", "key"], input=value,
                              capture_output=True, text=True, check=True)
        assert done.stdout == "OK\n", done
        assert run(find("redis-cli"), *redis_tls(weir, alice()), "get", "key") == value + "\n"


def curl(weir, path, *words, certificate=None):
    certificate = certificate or alice()
    return [find("curl"), "-sS", "--resolve", f"weir.test:{weir.port}:{LOOPBACK}", "--cacert", certs.servers().file,
            "--cert", certificate.chain, "--key", certificate.key.path, *words, f"https://weir.test:{weir.port}{path}"]


def test_curl(balancer, tmp_path):
    size = amount(200 * MIB, full=1024 * MIB, slow=20 * MIB)
    folder = tmp_path / "root"
    folder.mkdir(mode=0o755)
    with open(folder / "data", "wb") as file:
        for piece in pieces(size):
            file.write(piece)
    with nginx(tmp_path, folder) as server, guarded(balancer, server) as weir:
        assert run(*curl(weir, "/small")) == "hello from nginx\n"
        script = 'set -o pipefail; "$@" | sha256sum'
        assert run("bash", "-c", script, "bash", *curl(weir, "/data")).split()[0] == digest_of(size)
        assert served(weir) == {server.name}
        done = subprocess.run(curl(weir, "/small", "--tls-max", "1.2"), capture_output=True, text=True)
        assert done.returncode != 0 and "protocol version" in done.stderr
        expired = root().issue("alice", san=["dns:alice.example.com"], starts=-9, ends=-2)
        done = subprocess.run(curl(weir, "/small", certificate=expired), capture_output=True, text=True)
        assert done.returncode != 0 and "certificate expired" in done.stderr, done


def test_curl_without_certificate(balancer, tmp_path):
    with nginx(tmp_path, tmp_path) as server, guarded(balancer, server) as weir:
        command = curl(weir, "/small")
        del command[command.index("--cert") : command.index("--key") + 2]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode != 0 and "certificate required" in done.stderr, done
        weir.wait_closed(reason="tls_no_certificate")


def test_openssl_s_client(balancer):
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        command = [find("openssl"), "s_client", "-connect", f"{LOOPBACK}:{weir.port}", "-servername", "weir.test",
                   "-verify_hostname", "weir.test", "-verify_return_error", "-CAfile", certs.servers().file]
        certificate = ["-cert", alice().chain, "-key", alice().key.path]
        with subprocess.Popen([*command, *certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as client:
            client.stdin.write("hello there\n")
            client.stdin.flush()
            said = read_until("hello there", client.stdout)
            client.communicate("Q\n")
        assert "Verify return code: 0 (ok)" in said and "TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256" in said, said
        assert "Server Temp Key: X25519" in said and "New Session Ticket" not in said, said
        assert web.result() == len("hello there\n")
        assert served(weir) == {"web1"}


def test_gnutls(balancer):
    """Another implementation than OpenSSL, which also sends its certificate only to CAs that it was told of."""
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        command = [find("gnutls-cli"), "--x509cafile", certs.servers().file, "--x509certfile", alice().chain,
                   "--x509keyfile", alice().key.path, "--verify-hostname", "weir.test", "--sni-hostname", "weir.test",
                   "-p", str(weir.port), LOOPBACK]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as client:
            client.stdin.write("hello there\n")
            client.stdin.flush()
            said = read_until("hello there", client.stdout)
            client.communicate(timeout=DEADLINE)
        assert "TLS1.3" in said and client.returncode == 0, said
        assert web.result() == len("hello there\n")
        weir.wait_closed(reason="done", client="alice")


def test_mosquitto(balancer, tmp_path):
    """Long-lived, both sides speak; and a client that nobody knows."""
    with mosquitto(tmp_path) as broker, guarded(balancer, broker) as weir:
        address = ["-h", "localhost", "-p", str(weir.port), "-t", "news", "-q", "1", "--cafile", certs.servers().file]

        def identity(certificate):
            return ["--cert", certificate.chain, "--key", certificate.key.path]

        weir_for_localhost = ["--insecure"]
        subscriber = subprocess.Popen(["stdbuf", "-oL", find("mosquitto_sub"), *address, *identity(alice()),
                                       *weir_for_localhost, "-C", "20", "-d"],
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            read_until("SUBACK", subscriber.stdout)
            for number in range(20):
                run(find("mosquitto_pub"), *address, *identity(alice()), *weir_for_localhost, "-m", f"item {number}")
            heard = subscriber.communicate(timeout=DEADLINE)[0]
        finally:
            subscriber.kill()
            subscriber.wait()
        assert re.findall(r"^item (\d+)$", heard, re.M) == [str(number) for number in range(20)], heard
        done = subprocess.run([find("mosquitto_pub"), *address, *identity(nobody()), *weir_for_localhost, "-m", "x"],
                              capture_output=True, text=True)
        assert done.returncode != 0
        weir.wait_closed(reason="unknown_client")


def python_client(weir, context):
    raw = socket.create_connection((LOOPBACK, weir.port), timeout=DEADLINE)
    return context.wrap_socket(raw, server_hostname="weir.test")


def test_python(balancer):
    """The ssl module's own sockets, with the end that unwrap() makes."""
    with Upstream(echo) as web, guarded(balancer, web) as weir:
        with python_client(weir, client_context(alice())) as sock:
            sock.sendall(b"hello")
            assert sock.recv(5) == b"hello"
            sock.unwrap().close()
        assert web.result() == 5
        weir.wait_closed(reason="done")
        with python_client(weir, client_context()) as sock:
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                sock.recv(1)


@pytest.mark.parametrize("lowest", ["1.2", "1.3"])
def test_sslscan_finds_what_is_configured(balancer, lowest):
    """No older version, no weak cipher, no compression, no renegotiation, no heartbeat."""
    with Upstream(echo) as web, guarded(balancer, web, block=listener_block(min_version=lowest)) as weir:
        output = run(find("sslscan"), "--no-colour", "--no-fallback", f"{LOOPBACK}:{weir.port}")
        versions = dict(re.findall(r"^((?:SSL|TLS)v[\d.]+) +(enabled|disabled)$", output, re.M))
        assert {name for name, state in versions.items() if state == "enabled"} == (
            {"TLSv1.2", "TLSv1.3"} if lowest == "1.2" else {"TLSv1.3"}), output
        ciphers = re.findall(r"^(?:Preferred|Accepted) +(TLSv1.\d) +\d+ bits +(\S+)", output, re.M)
        if lowest == "1.3":
            assert {version for version, _ in ciphers} <= {"TLSv1.3"}
        for _, cipher in ciphers:
            assert re.match(r"TLS_AES|TLS_CHACHA|ECDHE-ECDSA-(AES\d+-GCM|CHACHA20)", cipher), output
        groups = set(re.findall(r"^TLSv1.3 +\d+ bits +(\S+)", output, re.M))
        assert groups == {"secp256r1", "x25519"}, output
        assert "Session renegotiation not supported" in output, output
        assert not re.search(r"Compression enabled|vulnerable to heartbleed", output.replace("not vulnerable", ""))
        eventually(lambda: weir.metrics().sum("weir_connections_active") == 0)
        assert web.accepted == 0


def test_held_connections_are_spread_within_one(balancer, redises):
    with guarded(balancer, *redises) as weir:
        for _ in range(30):
            client = weir.connect()
            client.sendall(b"PING\r\n")
            assert client.recv(7) == b"+PONG\r\n"
        metrics = weir.metrics()
        held = [metrics.sum("weir_upstream_connections_active", upstream=server.name) for server in redises]
        assert held == [10, 10, 10] and metrics.sum("weir_client_connections_active", client="alice") == 30
