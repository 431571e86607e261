# SPDX-License-Identifier: Apache-2.0
"""Back-pressure: B1-B3, B5, B6."""

import contextlib
import os
import selectors
import subprocess
import sys
import threading
import time

import pytest

import settings
from peers import (
    LOOPBACK, Address, Upstream, answer, assert_whole, background, digest_of, echo, eventually, free_port, half_close, receive,
    receive_exactly, reset, send_data, source)
from settings import amount
from weir import configuration

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PER_CONNECTION = 64 * KIB + 8 * 16 * KIB + 16 * KIB  # overflow, one turn's loans, a chunk that is partly used


@pytest.mark.parametrize("count", [1, 50])
def test_reader_of_one_kib_a_second(balancer, count):
    """B1: memory stays within the bound of each connection, and the upstream, once stuck, costs nothing."""

    def serve(sock, _upstream):
        try:
            send_data(sock, GIB)
        except ConnectionError:
            return "broken"

    with Upstream(source(4 * MIB)) as web, balancer(web) as weir:
        for client in [weir.connect() for _ in range(40)]:  # both workers have touched their pools of buffers
            assert receive(client).end == "clean"
            client.close()
        web.wait_active(0)
        while not web.results.empty():
            web.result()
        web.serve = serve
        before = weir.anonymous_bytes()
        clients = [weir.connect() for _ in range(count)]
        web.wait_active(count)
        weir.wait_rest()
        seconds = amount(2, full=30)
        ticks = weir.cpu_ticks()
        for _ in range(seconds):
            for client in clients:
                receive_exactly(client, KIB)
            time.sleep(1)
        used = weir.cpu_ticks() - ticks
        assert settings.SLOW or used <= 2 * seconds, f"{used} ticks in {seconds} s"
        grown = weir.anonymous_bytes() - before
        assert settings.SLOW or grown < MIB + count * PER_CONNECTION, f"{grown >> 10} KiB for {count} connections"
        for client in clients:
            reset(client)
        assert [web.result() for _ in clients] == ["broken"] * count
        weir.wait_closed(count, reason="client_reset")


def test_both_sides_write_before_either_reads(balancer):
    """B2: 50 MiB each way; nobody reads until all writing is stuck."""
    size = amount(50 * MIB, slow=10 * MIB)
    read_now = threading.Event()

    def talk(sock):
        def write():
            send_data(sock, size)
            half_close(sock)

        written = background(write)
        read_now.wait(settings.DEADLINE)
        received = receive(sock)
        written()
        return received

    with Upstream(lambda sock, _: talk(sock)) as web, balancer(web) as weir:
        received = background(talk, weir.connect())
        web.wait_active(1)
        weir.wait_rest()
        weir.assert_idle()
        read_now.set()
        assert_whole(received(), size)
        assert_whole(web.result(), size)
        weir.wait_closed(reason="done")


def test_bulk_goes_through_pipes_which_go_with_the_connection(balancer):
    size = 64 * MIB
    with Upstream(source(size)) as web, balancer(web) as weir:
        before = weir.descriptors()["pipe"]
        client = weir.connect()
        eventually(lambda: weir.descriptors()["pipe"] > before, what=weir.state)
        weir.wait_rest()
        weir.assert_idle(0.5)
        half_close(client)
        assert_whole(receive(client), size)
        assert web.result().size == 0
        weir.wait_closed(reason="done")


def test_reader_that_stops_and_half_closes(balancer):
    """B3: nothing happens meanwhile; later everything arrives, and a clean end."""
    size = 30 * MIB

    with Upstream(answer(size)) as web, balancer(web) as weir:
        client = weir.connect()
        half_close(client)
        weir.wait_rest()
        weir.assert_idle()
        assert_whole(receive(client), size)
        assert web.result().size == 0
        weir.wait_closed(reason="done")


def test_upstream_closes_while_the_reader_has_stopped(balancer):
    """B3: the upstream is done and gone; the client has half-closed and reads later."""
    size = 4 * MIB  # fits into the kernels' and the balancer's buffers, so that the upstream can end

    with Upstream(source(size)) as web, balancer(web) as weir:
        client = weir.connect()
        web.wait_active(1)
        half_close(client)
        web.wait_active(0)
        weir.wait_rest()
        weir.assert_idle()
        assert_whole(receive(client), size)
        weir.wait_closed(reason="done")


def test_bulk_through_one_connection(balancer):
    """B5: both directions, length and digest."""
    size = amount(GIB, full=50 * GIB, slow=64 * MIB)
    digest_of(size)  # which takes its time

    with Upstream(source(size)) as web, balancer(web) as weir:
        client = weir.connect()
        assert_whole(receive(client), size)
        send_data(client, size // 4)
        half_close(client)
        assert_whole(web.result(1000), size // 4)
        weir.wait_closed(reason="done")


SOURCE = """
import selectors, socket, sys
size, block = int(sys.argv[1]), bytes(1 << 18)
server, selector = socket.create_server(("127.0.0.1", 0), backlog=4096), selectors.DefaultSelector()
print(server.getsockname()[1], flush=True)
selector.register(server, selectors.EVENT_READ)
left = {}
while True:
    for key, _ in selector.select():
        sock = key.fileobj
        if sock is server:
            sock, _ = server.accept()
            sock.setblocking(False)
            left[sock] = size
            selector.register(sock, selectors.EVENT_WRITE)
            continue
        left[sock] -= sock.send(block[: left[sock]] if left[sock] < len(block) else block)
        if left[sock] == 0:
            selector.unregister(sock)
            del left[sock]
            sock.close()
"""


@contextlib.contextmanager
def source_process(size):
    """An upstream that sends so much to each of many connections, in a process of its own: it shares no lock with the
    readers here, who are to be timed."""
    process = subprocess.Popen([sys.executable, "-c", SOURCE, str(size)], stdout=subprocess.PIPE)
    try:
        yield Address(f"{LOOPBACK}:{int(process.stdout.readline())}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_bulk_through_200_connections(balancer):
    """B5: each makes progress in every second."""
    count = 200
    size = amount(4 * MIB, full=256 * MIB, slow=MIB)

    with source_process(size) as web, balancer(web) as weir:
        longest, received = read_all([weir.connect() for _ in range(count)])
        assert received == [size] * count
        print(f"longest standstill {longest:.2f} s")
        assert settings.SLOW or longest < 3.0, f"one connection stood still for {longest:.2f} s"
        weir.wait_closed(count, reason="done")


def read_all(clients):
    """Reads many sockets to their ends; returns the longest time that one stood still, and the lengths."""
    selector = selectors.DefaultSelector()
    start = time.monotonic()
    last, received, longest = [start] * len(clients), [0] * len(clients), 0.0
    for number, client in enumerate(clients):
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ, number)
    buffer = bytearray(256 * KIB)
    while selector.get_map():
        events = selector.select(settings.DEADLINE)
        assert events, f"no progress: {received}"
        for key, _ in events:
            count, now = key.fileobj.recv_into(buffer), time.monotonic()
            longest = max(longest, now - last[key.data])
            last[key.data] = now
            received[key.data] += count
            if count == 0:
                selector.unregister(key.fileobj)
                half_close(key.fileobj)
    return longest, received


@pytest.mark.exact
def test_mice_beside_an_elephant(balancer):
    """B6: 200 mice, one elephant, one worker: the mice's p99 is at most 3 times the one while the elephant bypasses the
    balancer. (So it burdens the machine in both; and the balancer has a processor of its own where there are two.) At
    normal size it is the p90: the last percent belongs to the scheduler when others use the machine."""
    rounds, share = amount(10, full=100), amount(0.90, full=0.99)
    port = free_port()
    with Upstream(echo) as web, Address(f"{LOOPBACK}:{port}", name="elephant") as savanna:
        config = configuration([web], workers=1)
        bulk = configuration([savanna])
        config["listeners"].append({**bulk["listeners"][0], "name": "bulk", "pool": "bulk"})
        config["pools"].append({**bulk["pools"][0], "name": "bulk"})
        with balancer(web, savanna, config=config) as weir:
            mice = [weir.connect() for _ in range(200)]
            ratios = []
            with alone_on_a_processor(weir):
                while not ratios or min(ratios) > 3:
                    assert len(ratios) < 5, ratios
                    with elephant(port, port):
                        beside = quantile_of_round_trips(mice, rounds, share)
                    with elephant(port, weir.ports["bulk"]):
                        ratios.append(quantile_of_round_trips(mice, rounds, share) / beside)
                    print(f"beside {beside * 1e6:.0f} us, ratio {ratios[-1]:.2f}")


@contextlib.contextmanager
def alone_on_a_processor(weir):
    """The balancer on one processor, and the test, with what it starts, on another, where there are two."""
    processors = sorted(os.sched_getaffinity(0))
    for thread in os.listdir(f"/proc/{weir.pid}/task"):
        os.sched_setaffinity(int(thread), processors[:1])
    set_own_affinity(processors[-1:])
    try:
        yield
    finally:
        set_own_affinity(processors)


def set_own_affinity(processors):
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), processors)


def quantile_of_round_trips(clients, rounds, share):
    times = []
    for _ in range(rounds):
        for client in clients:
            start = time.perf_counter()
            client.sendall(b"m" * 64)
            receive_exactly(client, 64)
            times.append(time.perf_counter() - start)
    return sorted(times)[int(len(times) * share)]


ELEPHANT = """
import os, socket, sys, threading
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
reader = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
writer, _ = server.accept()
threading.Thread(target=lambda: [writer.sendall(bytes(1 << 20)) for _ in iter(int, 1)], daemon=True).start()
total = 0
while True:
    before, total = total, total + len(reader.recv(1 << 20))
    if before < 64 << 20 <= total:
        print("running", flush=True)
"""


@contextlib.contextmanager
def elephant(upstream_port, weir_port):
    """A process that moves bytes through the balancer as fast as it can."""
    command = [sys.executable, "-c", ELEPHANT, str(upstream_port), str(weir_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"running\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
