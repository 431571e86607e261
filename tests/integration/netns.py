# SPDX-License-Identifier: Apache-2.0
"""A network namespace of the tests' own: no stranger's sockets, ports or settings, and room to build broken networks.

Where that is not allowed (no CAP_SYS_ADMIN) the tests run in the namespace they were started in, and those that need a
broken network are skipped.
"""

import contextlib
import ctypes
import subprocess
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
DEAD_NETWORK = "10.99.0"
DEAD_MAC = "02:00:00:00:de:ad"
UNREACHABLE = "10.98.0.1"
UNUSED_PORTS = 65100  # beyond those that are given out

SETTINGS = {
    "ip_local_port_range": "32768 65000",
    "tcp_max_tw_buckets": "200000",
    "tcp_fin_timeout": "5",  # a reset that the loopback drops under load leaves a client's socket for so long
}

entered = False


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def enter():
    """Moves this process into a new network namespace. Before the first thread and socket."""
    global entered
    if entered or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return
    ip("link", "set", "lo", "up")
    for name, value in SETTINGS.items():
        try:
            with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
                file.write(value)
        except OSError:
            pass  # a container may forbid it; only the full-size runs need the room
    entered = True


def need():
    if not entered:
        pytest.skip("needs a network namespace of its own: run as root (CAP_SYS_ADMIN, CAP_NET_ADMIN)")


def dead_host(number):
    """An address whose packets vanish: a neighbour with a MAC that nobody has, on a veth pair."""
    need()
    address = f"{DEAD_NETWORK}.{number}"
    if subprocess.run(["ip", "link", "show", "dead0"], capture_output=True).returncode != 0:
        ip("link", "add", "dead0", "type", "veth", "peer", "name", "dead1")
        ip("link", "set", "dead1", "up")
        ip("address", "add", f"{DEAD_NETWORK}.1/24", "dev", "dead0")
        ip("link", "set", "dead0", "up")
    ip("neighbour", "replace", address, "lladdr", DEAD_MAC, "nud", "permanent", "dev", "dead0")
    return address


def unreachable_host():
    """An address that the kernel answers for with "no route to host"."""
    need()
    ip("route", "replace", "unreachable", f"{UNREACHABLE}/32")
    return UNREACHABLE


@contextlib.contextmanager
def local_ports(count):
    """Meanwhile the kernel has so few ports to give to those who connect: towards each address, as many connections."""
    need()
    range_file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    before = range_file.read_text()
    range_file.write_text(f"{UNUSED_PORTS} {UNUSED_PORTS + count - 1}")
    try:
        yield
    finally:
        range_file.write_text(before)
