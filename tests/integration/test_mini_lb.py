# SPDX-License-Identifier: Apache-2.0
"""The example that balances on the library alone."""

import contextlib
import subprocess

import settings
from peers import (LOOPBACK, Refuser, Upstream, answer, assert_prefix, assert_whole, connect, echo, eventually, free_port,
                   half_close, receive, receive_exactly, resetter, send_data)

MIB = 1 << 20


@contextlib.contextmanager
def mini_lb(*upstreams):
    port = free_port()
    command = [str(settings.BUILD / "examples" / "mini_lb"), f"{LOOPBACK}:{port}", *(peer.address for peer in upstreams)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            eventually(lambda: listens(port) or process.poll() is not None, what="it does not listen")
            yield port
            assert process.poll() is None, process.stderr.read()
        finally:
            process.kill()


def listens(port):
    return subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, check=True).stdout


def ask(port, text=b"ping"):
    sock = connect(port)
    sock.sendall(text)
    assert receive_exactly(sock, len(text)) == text
    return sock


def test_connections_are_spread_evenly_and_given_back():
    with Upstream(echo) as one, Upstream(echo) as two, Upstream(echo) as three, mini_lb(one, two, three) as port:
        for _ in range(2):
            held = [ask(port) for _ in range(12)]
            assert [one.active, two.active, three.active] == [4, 4, 4]
            for sock in held:
                half_close(sock)
                assert receive(sock).end == "clean"
            for upstream in (one, two, three):
                upstream.wait_active(0)


def test_bytes_and_half_close_go_both_ways():
    with Upstream(answer(8 * MIB)) as web, mini_lb(web) as port, connect(port) as client:
        send_data(client, 8 * MIB)
        half_close(client)
        assert_whole(receive(client), 8 * MIB)
        assert_whole(web.result(), 8 * MIB)


def test_a_refused_upstream_is_passed_over():
    with Upstream(echo) as web, Refuser() as refuser, mini_lb(refuser, web) as port:
        for _ in range(4):
            ask(port).close()
        assert web.accepted == 4


def test_a_client_without_any_upstream_is_reset():
    with Refuser() as one, Refuser() as two, mini_lb(one, two) as port, connect(port) as client:
        assert receive(client).end == "reset"


def test_a_reset_is_carried_through():
    with Upstream(resetter(after=5000)) as web, mini_lb(web) as port, connect(port) as client:
        assert_prefix(receive(client))


def test_a_wrong_address_is_told():
    command = [str(settings.BUILD / "examples" / "mini_lb"), f"{LOOPBACK}:0", "localhost:80"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=settings.DEADLINE)
    assert (result.returncode, result.stderr) == (1, "localhost:80: invalid argument\n")
