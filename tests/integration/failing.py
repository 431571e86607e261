# SPDX-License-Identifier: Apache-2.0
"""Upstreams that go away and come back: by closing their port, by a full queue, by losing their network."""

import contextlib
import itertools
import subprocess
import sys

import netns
from peers import Hanger, Upstream, echo, free_port, reset


class Checked(Upstream):
    """One whose script answers checks: after the scenario it hangs up at once, so that everybody rests."""

    def _serve(self, sock):
        return None if self.over.is_set() else super()._serve(sock)

    def calm(self):
        self.over.set()


class Phoenix:
    """An upstream that dies and comes back at the same address."""

    def __init__(self, serve=echo, name=None):
        self.serve = serve
        self.name = name
        self.port = free_port()
        self.accepted_before = 0
        self.rise()

    @property
    def address(self):
        return self.upstream.address

    @property
    def accepted(self):
        return self.accepted_before + self.upstream.accepted

    @property
    def active(self):
        return self.upstream.active

    def die(self):
        """Its connections are reset, and nobody listens."""
        self.upstream.close(broken=True)

    def rise(self):
        if hasattr(self, "upstream"):
            self.accepted_before += self.upstream.accepted
        self.upstream = Upstream(self.serve, port=self.port)

    def calm(self):
        self.upstream.calm()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.upstream.close()


@contextlib.contextmanager
def many(count, make=Phoenix):
    """So many upstreams."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(make()) for _ in range(count)]


class FullQueue(Hanger):
    """A server too slow to accept: its queue is full, until it is opened."""

    serve = staticmethod(echo)

    def __init__(self, name=None):
        super().__init__(name=name)
        self.addresses = super().fillers_addresses

    @property
    def fillers_addresses(self):
        return self.addresses

    def open(self):
        """From now on it accepts as others do."""
        for filler in self.fillers:
            reset(filler)
        self.upstream = Upstream(echo, listener=self.listener)

    def calm(self):
        self.upstream.calm()

    def __exit__(self, *_):
        self.upstream.close()


class DeadHost:
    """A host that is gone: packets to it vanish. When the scenario is over, the kernel knows."""

    numbers = itertools.count(20)

    def __init__(self):
        self.ip = netns.dead_host(next(self.numbers))
        self.address = f"{self.ip}:7000"
        self.name = None

    def calm(self):
        netns.ip("route", "replace", "unreachable", f"{self.ip}/32")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


ECHO = """
import socket, threading
def echo(sock):
    try:
        while data := sock.recv(65536):
            sock.sendall(data)
    except ConnectionError:
        pass
    sock.close()
print("namespace", flush=True)
input()
server = socket.create_server(("", 7000), backlog=100)
print("listening", flush=True)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""


class Host:
    """Another machine, in a network namespace of its own; its cable can be pulled: packets to it vanish."""

    NETWORK = "10.97.0"
    serve = staticmethod(echo)

    def __init__(self, name=None):
        netns.need()
        self.name = name
        self.ip = f"{self.NETWORK}.2"
        self.address = f"{self.ip}:7000"
        self.process = subprocess.Popen(["unshare", "-n", sys.executable, "-c", ECHO], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "namespace\n"
        netns.ip("link", "add", "host0", "type", "veth", "peer", "name", "host1", "netns", str(self.process.pid))
        netns.ip("address", "add", f"{self.NETWORK}.1/24", "dev", "host0")
        netns.ip("link", "set", "host0", "up")
        for words in (["link", "set", "host1", "up"], ["address", "add", f"{self.ip}/24", "dev", "host1"]):
            subprocess.run(["nsenter", "-t", str(self.process.pid), "-n", "ip", *words], check=True)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "listening\n"

    def pull_cable(self):
        netns.ip("neighbour", "replace", self.ip, "lladdr", netns.DEAD_MAC, "nud", "permanent", "dev", "host0")

    def plug_in(self):
        netns.ip("neighbour", "del", self.ip, "dev", "host0")

    def calm(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        netns.ip("link", "del", "host0")  # before the namespace at its other end goes, and takes it along some time later
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
