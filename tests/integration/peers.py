# SPDX-License-Identifier: Apache-2.0
"""The two ends that a balancer stands between: scripted upstreams, and what clients do with sockets."""

import collections
import contextlib
import errno
import fcntl
import functools
import hashlib
import itertools
import os
import queue
import select
import socket
import struct
import threading
import time

from settings import DEADLINE

CHUNK = 1 << 20
LOOPBACK = "127.0.0.1"
IP_BIND_ADDRESS_NO_PORT = 24

# Data to send: a block that does not repeat within a window of any power of two.
BLOCK = hashlib.shake_256(b"weir").digest(CHUNK + 4099)

Received = collections.namedtuple("Received", "size digest end")  # end: clean | reset | truncated


class Truncated(ConnectionResetError):
    """The bytes of a TLS connection ended without close_notify."""


def pieces(size, start=0):
    """The first `size` bytes of the data as views, from byte `start` on."""
    view = memoryview(BLOCK)
    while start < size:
        offset = start % len(BLOCK)
        piece = view[offset : offset + min(size - start, len(BLOCK) - offset)]
        yield piece
        start += len(piece)


@functools.lru_cache(maxsize=None)
def digest_of(size):
    """What SHA-256 makes of the first `size` bytes of the data."""
    sha = hashlib.sha256()
    for piece in pieces(size):
        sha.update(piece)
    return sha.hexdigest()


def send_data(sock, size):
    for piece in pieces(size):
        sock.sendall(piece)


def receive(sock, size=None):
    """Reads to the end, or `size` bytes (end: None). A timeout of the socket is an error of the test."""
    sha, total, end = hashlib.sha256(), 0, None
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while size is None or total < size:
        try:
            count = sock.recv_into(view if size is None else view[: min(CHUNK, size - total)])
        except ConnectionResetError as error:
            end = "truncated" if isinstance(error, Truncated) else "reset"
            break
        if count == 0:
            end = "clean"
            break
        sha.update(view[:count])
        total += count
    return Received(total, sha.hexdigest(), end)


def assert_whole(received, size):
    assert received == Received(size, digest_of(size), "clean")


def assert_prefix(received, end="reset"):
    """After a reset: what arrived is a beginning of what was sent."""
    assert received == Received(received.size, digest_of(received.size), end)


def receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            raise EOFError(f"end after {len(data)} of {size} bytes")
        data += part
    return data


def reset(sock):
    """Closes with a reset instead of an end."""
    sock = getattr(sock, "raw", sock)  # no close_notify either
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock):
    sock.shutdown(socket.SHUT_WR)


def end_of(sock):
    """Waits for the peer's end without taking data for granted: clean, reset or truncated."""
    return receive(sock).end


def hears_end(sock, timeout=1.0):
    """Waits until the socket knows of its peer's end or reset, even with data unread. True if in time."""
    return wait_for(sock, select.POLLRDHUP | select.POLLHUP | select.POLLERR, timeout)


def eventually(condition, timeout=DEADLINE, what=None, step=0.01):
    """Waits until condition() is true (its value is returned); for what cannot be waited for as an event."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what or condition}")
        time.sleep(step)


def connect(port, host=LOOPBACK, source=None, timeout=DEADLINE):
    """A connected socket. A reset that comes at once is told by its first use, like one that comes later."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)  # else it takes the port from everybody
            sock.bind((source, 0))
        sock.setblocking(False)
        error = sock.connect_ex((host, port))
        if error == errno.EINPROGRESS:
            error = 0 if wait_for(sock, select.POLLOUT, timeout) else errno.ETIMEDOUT
        if error == 0 and not was_connected(sock):
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error != 0:
            raise OSError(error, os.strerror(error))
        sock.settimeout(timeout)
        return sock
    except BaseException:
        sock.close()
        raise


def was_connected(sock):
    """Whether a handshake has taken place, whatever became of the connection: a round trip was measured."""
    tcp_info_rtt = 68
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, tcp_info_rtt)[0] > 0


def wait_for(sock, events, timeout):
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(timeout * 1000))


# Each process that tests draws from ports of its own, below those that the kernel gives to others.
FIRST_PORT, PORTS_A_PROCESS = 12000, 2500
_next_port = itertools.count(os.getpid() * 7)  # two runs at once seldom meet


def free_port(host=LOOPBACK):
    """A port that nobody has, and that nobody gets by chance before its user takes it."""
    first = FIRST_PORT + int(os.environ.get("PYTEST_XDIST_WORKER", "gw7").removeprefix("gw")) % 8 * PORTS_A_PROCESS
    for _ in range(PORTS_A_PROCESS):
        port = first + next(_next_port) % PORTS_A_PROCESS
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            return port
    raise AssertionError("no port is free")


class Upstream:
    """A TCP server: `serve(sock, upstream)` runs in a thread for each connection, and what it returns is kept.

    The socket is closed when serve returns; serve may close it itself (reset). Exceptions of serve fail the test in
    close(), except broken connections, which belong to the trade.
    """

    def __init__(self, serve=None, *, host=LOOPBACK, port=0, name=None, backlog=4096, listener=None):
        self.serve = serve or echo
        self.over = threading.Event()  # scripts that wait for ever wait for this
        self.results = queue.Queue()
        self.accepted = 0
        self.connections = set()
        self.errors = []
        self._changed = threading.Condition()
        self.host = host
        self.listener = listener or socket.create_server((host, port), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.name = name
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def active(self):
        return len(self.connections)

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(DEADLINE)
            with self._changed:
                self.accepted += 1
                self.connections.add(sock)
                self._changed.notify_all()
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        return self.serve(sock, self)

    def _run(self, sock):
        try:
            self.results.put(self._serve(sock))
        except (ConnectionError, TimeoutError, EOFError) as error:
            self.results.put(error)
        except BaseException as error:  # shown by close()
            self.errors.append(error)
            self.results.put(error)
        finally:
            with self._changed:
                sock.close()
                self.connections.discard(sock)
                self._changed.notify_all()

    def wait(self, condition, timeout=DEADLINE):
        """Waits until condition(self) holds; looked at when a connection comes or goes."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout), (self.accepted, self.active)

    def wait_accepted(self, count, timeout=DEADLINE):
        self.wait(lambda upstream: upstream.accepted >= count, timeout)

    def wait_active(self, count, timeout=DEADLINE):
        self.wait(lambda upstream: upstream.active == count, timeout)

    def result(self, timeout=DEADLINE):
        """What serve returned for the connection that ended next."""
        return self.results.get(timeout=timeout)

    def calm(self):
        """The scenario is over: scripts that wait end, and new connections are answered."""
        self.serve = echo
        self.over.set()

    def close(self, broken=False):
        """Ends all connections; `broken`: by resets."""
        self.over.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone does not
        except OSError:
            pass
        self.listener.close()
        self._thread.join(DEADLINE)
        with self._changed:
            for sock in self.connections:
                try:
                    if broken:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RD if broken else socket.SHUT_RDWR)
                except OSError:
                    pass
        assert not self.errors, self.errors

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# Scripts for upstreams.


def echo(sock, _upstream=None):
    """Sends back what comes, to the end."""
    total = 0
    while data := sock.recv(1 << 16):
        sock.sendall(data)
        total += len(data)
    return total


def banner(text):
    """Speaks first, then echoes."""

    def serve(sock, _upstream):
        sock.sendall(text)
        return echo(sock)

    return serve


def sink(sock, _upstream):
    """Reads to the end, keeps what it read as result, ends."""
    return receive(sock)


def source(size):
    """Sends `size` bytes and its end, then reads to the end."""

    def serve(sock, _upstream):
        send_data(sock, size)
        half_close(sock)
        return receive(sock)

    return serve


def answer(size, wait=0.0):
    """Reads to the end; `wait` seconds later it answers `size` bytes."""

    def serve(sock, upstream):
        received = receive(sock)
        upstream.over.wait(wait)
        send_data(sock, size)
        return received

    return serve


def mute(sock, upstream):
    """Neither reads nor writes until the scenario is over."""
    upstream.over.wait(DEADLINE)


def resetter(after=0):
    """Resets, before anything or after having sent `after` bytes.

    A reset that overtakes connect() fails the connect: to be sure of a connection send more than the kernels buffer,
    10 MiB, or take something first."""

    def serve(sock, _upstream):
        send_data(sock, after)
        if after:
            wait_until_sent(sock)
        reset(sock)

    return serve


def wait_until_sent(sock):
    """Waits until the other side's kernel has everything: a reset would destroy the rest."""
    eventually(lambda: unsent(sock) == 0, what=lambda: f"{unsent(sock)} bytes not acknowledged")


def unsent(sock):
    siocoutq = 0x5411
    return struct.unpack("i", fcntl.ioctl(sock, siocoutq, b"\0" * 4))[0]


def is_served(sock):
    """Whether the echo answers this client, and nobody cuts it."""
    try:
        sock.sendall(b"x")
        return sock.recv(1) == b"x"
    except ConnectionError:
        return False


def take_and_break(sock, _upstream):
    """Resets after the client's first bytes."""
    sock.recv(100)
    reset(sock)


class Hanger:
    """A listener whose queue is full: connects to it neither succeed nor fail."""

    def __init__(self, host=LOOPBACK, name=None):
        self.name = name
        self.host = host
        self.listener = socket.create_server((host, 0), backlog=0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        while True:
            filler = socket.socket()
            filler.settimeout(0.2)
            self.fillers.append(filler)
            try:
                filler.connect((host, self.port))
            except TimeoutError:
                break

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def fillers_addresses(self):
        return {"%s:%d" % filler.getsockname() for filler in self.fillers}

    def calm(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


class Refuser:
    """An address where nobody listens: the port is kept by a socket that is bound and silent."""

    def __init__(self, host=LOOPBACK, name=None):
        self.name = name
        self.socket = socket.socket()
        self.socket.bind((host, 0))
        self.address = f"{host}:{self.socket.getsockname()[1]}"

    def calm(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Address:
    """An upstream that is only an address."""

    def __init__(self, address, name=None):
        self.address = address
        self.name = name

    def calm(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def in_threads(count, work, *arguments):
    """Runs work(n, *arguments) in `count` threads; returns the results, raises the first error."""
    results, errors = [None] * count, []

    def run(n):
        try:
            results[n] = work(n, *arguments)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10 * DEADLINE)
        assert not thread.is_alive(), "a thread of the test hangs"
    if errors:
        raise errors[0]
    return results


def background(work, *arguments):
    """Runs work in a thread; call the returned function for its result."""
    box = queue.Queue()

    def run():
        try:
            box.put((work(*arguments), None))
        except BaseException as error:
            box.put((None, error))

    threading.Thread(target=run, daemon=True).start()

    def join(timeout=10 * DEADLINE):
        value, error = box.get(timeout=timeout)
        if error is not None:
            raise error
        return value

    return join
