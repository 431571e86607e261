# SPDX-License-Identifier: Apache-2.0
"""Many handshakes at once: E6, E7, E10, and the bounds on clients that have not proved who they are."""

import contextlib
import random
import selectors
import subprocess
import sys
import time

import pytest

import settings
from certs import alice
from peers import (
    Upstream, connect, echo, eventually, in_threads, receive, receive_exactly, reset)
from settings import amount
from shims import FailMalloc
from test_backpressure import alone_on_a_processor, quantile_of_round_trips
from tls import Tls, client_context, listener_block

KIB = 1 << 10
STEP = 0.0006  # seconds that the heaviest step of a handshake takes


def secure(balancer, web, **options):
    listener = {"tls": listener_block(), **options.pop("listener", {})}
    return balancer(web, listener=listener, tls=client_context(alice()), **options)


def hello():
    """A ClientHello."""
    tls = Tls(None, client_context(alice()))
    assert not tls.step()
    return tls.take()


FLOOD = """
import os, selectors, socket, ssl, sys
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
port, count, chain, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain(chain, key)
selector = selectors.DefaultSelector()
done = 0

def begin():
    raw = socket.socket()
    raw.setblocking(False)
    try:
        raw.connect(("127.0.0.1", port))
    except BlockingIOError:
        pass
    selector.register(raw, selectors.EVENT_WRITE, None)

def go_on(sock, tls):
    global done
    selector.unregister(sock)
    try:
        if tls is None:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError
            tls = sock = context.wrap_socket(sock, do_handshake_on_connect=False)
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return selector.register(sock, selectors.EVENT_READ, tls)
    except ssl.SSLWantWriteError:
        return selector.register(sock, selectors.EVENT_WRITE, tls)
    except OSError:
        pass
    else:
        done += 1
        if done == 20:
            print("running", flush=True)
    sock.close()
    begin()

for _ in range(count):
    begin()
while True:
    for key, _ in selector.select():
        go_on(key.fileobj, key.data)
"""


@contextlib.contextmanager
def flood(port, count):
    """A process with so many clients, each in a loop of full handshakes."""
    command = [sys.executable, "-c", FLOOD, str(port), str(count), alice().chain, alice().key.path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"running\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.exact
def test_handshakes_in_loops_beside_established_connections(balancer):
    """E6: the p99 of established connections is at most three times the unloaded one, or that and two steps of a
    handshake, the larger. (A machine that others use too has a tail of its own: the p90 there, and four steps.)"""
    rounds, share, steps = amount(8, full=100), amount(0.9, full=0.99), amount(4, full=2)
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        alone_on_a_processor(weir)
        mice = [weir.connect() for _ in range(50)]
        quantile_of_round_trips(mice, 2, share)
        seen = []
        for _ in range(4):
            alone = quantile_of_round_trips(mice, rounds, share)
            with flood(weir.port, 500):
                under = quantile_of_round_trips(mice, rounds, share)
            seen.append(f"{1000 * alone:.2f} ms, then {1000 * under:.2f} ms")
            print(f"quantile {share}: {seen[-1]}")
            if under <= max(3 * alone, alone + steps * STEP):
                break
        else:
            raise AssertionError(seen)


def drip(sockets, data, seconds, start):
    """Sends a byte on each now and then; returns when all are closed by the other side: by socket, seconds after the
    start."""
    ends = {}
    selector = selectors.DefaultSelector()
    for sock in sockets:
        selector.register(sock, selectors.EVENT_READ)
    position = 0
    while selector.get_map() and time.monotonic() - start < seconds:
        for key, _ in selector.select(0.1):
            with contextlib.suppress(ConnectionError):
                if key.fileobj.recv(4096):
                    continue
            ends[key.fileobj] = time.monotonic() - start
            selector.unregister(key.fileobj)
        for key in list(selector.get_map().values()):
            with contextlib.suppress(OSError):
                key.fileobj.send(data[position : position + 1])
        position += 1
    return ends


def test_silent_and_dripping_hellos(balancer):
    """E7: whoever sends a byte now and then is reaped at the deadline like those that send nothing; meanwhile good
    clients are served, and nothing is left."""
    count = amount(400, full=5000, slow=100)
    with Upstream(echo) as web, secure(balancer, web, listener={"handshake_timeout": "3s"}) as weir:
        start = time.monotonic()
        sockets = [connect(weir.port) for _ in range(count)]
        weir.ask()
        before = weir.cpu_ticks()
        ends = drip(sockets, hello()[:-1], 30, start)
        assert len(ends) == count
        first, last = min(ends.values()), max(ends.values())
        assert settings.SLOW or (first > 1.5 and last < 15), (first, last)
        assert settings.SLOW or weir.cpu_ticks() - before < 100
        weir.wait_closed(count, reason="handshake_timeout")
        assert weir.metrics().sum("weir_connections_closed_total", reason="handshake_timeout") == count
        for sock in sockets:
            sock.close()
        assert web.accepted == 1


def half_handshakes(weir, count, greeting):
    """A hello each, and away: some before, some after the answer."""

    def client(number):
        for turn in range(count // 4):
            sock = connect(weir.port)
            sock.sendall(greeting)
            if turn % 2:
                sock.recv(100)
            reset(sock) if (number + turn) % 3 else sock.close()

    in_threads(4, client)


def test_half_handshakes_leave_nothing(balancer):
    """E10: memory after many rounds is that after few."""
    count, rounds = amount(200, full=10_000, slow=60), amount(8, full=10, slow=3)
    greeting = hello()
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        sizes = []
        for number in range(rounds):
            half_handshakes(weir, count, greeting)
            weir.wait_closed((number + 1) * count)
            eventually(lambda: not weir.check_sockets(), what=weir.check_sockets)
            sizes.append(weir.anonymous_bytes())
        assert settings.SLOW or sizes[-1] <= 1.02 * sizes[2] + 64 * KIB, [size >> 10 for size in sizes]
        assert web.accepted == 0


def test_the_oldest_unfinished_handshake_goes_for_a_new_one(balancer):
    """max_handshakes: newcomers with a certificate get in, however many sit in the door."""
    bound = 20
    with Upstream(echo) as web, secure(balancer, web, workers=1, max_handshakes=bound) as weir:
        sitting = [weir.connect(tls=None) for _ in range(3 * bound)]
        weir.wait_closed(2 * bound, reason="over_capacity")
        for sock in sitting[: 2 * bound]:
            assert receive(sock).size == 0
        for _ in range(5):
            weir.ask()
        assert weir.closed("over_capacity") == 2 * bound + 1  # then there is room
        established = [weir.connect() for _ in range(2 * bound)]
        for sock in established:
            sock.sendall(b"x")
            assert receive_exactly(sock, 1) == b"x"
        assert web.accepted == 5 + 2 * bound


def test_handshakes_of_one_source_are_bounded(balancer):
    """max_handshakes_per_source: one address cannot fill the door for the others."""
    with Upstream(echo) as web, secure(balancer, web, workers=1, max_handshakes_per_source=5) as weir:
        sitting = [weir.connect(tls=None, source="127.5.0.1") for _ in range(20)]
        weir.wait_closed(15, reason="over_capacity")
        assert weir.refusal(source="127.5.0.1") in ("reset", "truncated")
        weir.ask(source="127.5.0.2")
        weir.ask()
        sitting[0].close()
        weir.wait_closed(reason="client_reset")
        weir.ask(source="127.5.0.1")
        assert web.accepted == 3


def test_established_connections_are_not_counted_at_the_door(balancer):
    with Upstream(echo) as web, secure(balancer, web, workers=1, max_handshakes=4, max_handshakes_per_source=2) as weir:
        served = [weir.admits() for _ in range(10)]
        assert all(served) and web.accepted == 10


def test_memory_of_idle_connections(balancer):
    """An idle connection with a client certificate costs little."""
    count = amount(100, full=2000, slow=20)
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        for _ in range(100):
            weir.ask(b"x" * 5000)
        before = weir.anonymous_bytes()
        for _ in range(count):
            assert weir.admits()
        each = (weir.anonymous_bytes() - before) / count
        print(f"{each / KIB:.1f} KiB each")
        assert settings.SLOW or each < 40 * KIB, f"{each / KIB:.1f} KiB each"


def ping(sock):
    sock.sendall(b"y")
    assert receive_exactly(sock, 1) == b"y"


def life(weir):
    """A client that may be turned away, but never gets wrong bytes. True: served."""
    try:
        with weir.connect() as client:
            weir.clients.clear()
            client.sendall(b"x" * 1000)
            answer = receive_exactly(client, 1000)
    except (OSError, EOFError):
        return False
    assert answer == b"x" * 1000
    return True


def test_allocations_of_handshakes_fail(balancer, tmp_path):
    """E3: whichever allocation of a handshake fails, nobody gets in by that, live flows go on, and so does the next
    client; the reason is out_of_memory wherever OpenSSL tells it."""
    failing = FailMalloc(tmp_path)
    with Upstream(echo) as web, secure(balancer, web, workers=1, env=failing.env) as weir:
        live = weir.connect()
        ping(live)
        for number in range(1, 4000, amount(61, full=1)):
            failing.fail(number)
            life(weir)
            if failing.stop() == 0:
                break
            ping(live)
            assert life(weir), f"the client after allocation {number} failed is not served\n{weir.state()}"
        live.close()
        assert number > 500, "the library was not preloaded"
        assert weir.closed("out_of_memory") > 0
        reached = {entry["client"] for entry in weir.entries("connection") if entry["upstream"]}
        assert reached == {"uri:spiffe://example.com/alice"}


def test_random_bytes_at_random_places(balancer):
    """Flipped bytes anywhere in the client's flights: refused, and nothing else."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    with Upstream(echo) as web, secure(balancer, web, workers=1) as weir:
        for _ in range(amount(150, full=3000, slow=50)):
            spoil(weir, rng)
        reasons = ("done", "tls_truncated", "client_reset", "tls_error")
        eventually(lambda: web.accepted <= sum(map(weir.closed, reasons)), what=weir.state)


def spoil(weir, rng):
    sock = connect(weir.port)
    tls = Tls(sock, weir.tls)
    try:
        done = False
        while not done:
            done = tls.step()
            data = bytearray(tls.take())
            if data and rng.random() < 0.5:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            sock.sendall(data)
            if not done:
                sock.settimeout(1 if rng.random() < 0.1 else 0.2)
                tls.fill()
    except OSError:
        pass
    finally:
        sock.close()
