# SPDX-License-Identifier: Apache-2.0
"""Clients of the admin side: over its Unix socket, and over HTTP."""

import http.client
import json
import shutil
import socket
import tempfile

import pytest

import settings
from peers import LOOPBACK, free_port


@pytest.fixture
def socket_path():
    """A socket's path, short enough for one."""
    folder = tempfile.mkdtemp(prefix="weir-test-")
    yield f"{folder}/admin.sock"
    shutil.rmtree(folder)


def admin_at(path):
    """The `admin` of a balancer: this socket, and HTTP on a port of the tests' own."""
    return {"socket": path, "http": f"{LOOPBACK}:{free_port()}"}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=settings.DEADLINE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def over_socket(weir):
    return lambda: UnixConnection(weir.config["admin"]["socket"])


def over_http(weir):
    return lambda: http.client.HTTPConnection(weir.config["admin"]["http"], timeout=settings.DEADLINE)


def ways(weir):
    """Both ways in, each as a function that makes a connection."""
    return over_socket(weir), over_http(weir)


def ask(way, path, method="GET", **options):
    connection = way()
    connection.request(method, path, **options)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer, body


def ask_json(way, path, method="GET", status=200, **options):
    """The document, where this status is the right one."""
    answer, body = ask(way, path, method, **options)
    assert answer.status == status, (answer.status, body)
    return json.loads(body)


def is_error(body):
    return set(json.loads(body)) == {"error", "hint"}
