# SPDX-License-Identifier: Apache-2.0
"""The running balancer in its sandbox, and as another user than root. What the sandbox refuses, each thing by itself, is
in tests/unit/test_sandbox.c; all other tests here run in it too, where they can."""

import os
import pwd
import re
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest
import yaml

import certs
import settings
from admin import UnixConnection, ask, socket_path  # noqa: F401 (a fixture)
from certs import alice, root
from peers import Upstream, connect, echo, free_port, is_served, receive_exactly
from tls import TlsUpstream, client_context, listener_block, pool_block, server_context

pytestmark = pytest.mark.skipif(not settings.SANDBOX, reason="needs root, Landlock, and a build without sanitizers")

NOBODY = pwd.getpwnam("nobody")
BIND_SERVICE = 1 << 10


@pytest.fixture
def open_folder():
    """A folder that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="weir-user-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def facts(weir):
    """What the kernel says of each thread of the process: a list of dicts."""
    tasks = Path(f"/proc/{weir.pid}/task")
    return [dict(re.findall(r"^(\w+):\s*(.*)$", (task / "status").read_text(), re.M)) for task in tasks.iterdir()]


def everywhere(weir, key):
    """The one value that all threads have."""
    values = {fact[key] for fact in facts(weir)}
    assert len(values) == 1, values
    return values.pop()


def test_every_thread_is_confined_and_all_works(balancer, backend, socket_path):
    """TLS on both sides, both admin ways, the log, a drain."""
    certificate = certs.servers().issue_server("web", san=["dns:web.test"])
    pool = {"tls": pool_block(certificate=root().issue("weir"), verify=["dns:web.test"])}
    with TlsUpstream(server_context(certificate, clients=root()), echo) as web, balancer(
            web, listener={"tls": listener_block()}, pool=pool, tls=client_context(alice()), sandbox="strict",
            admin={"socket": socket_path, "http": f"127.0.0.1:{free_port()}"}) as weir:
        assert weir.wait_log("sandboxed")["io"] == backend
        client = weir.connect()
        assert is_served(client)
        assert len(facts(weir)) > 4
        assert everywhere(weir, "Seccomp") == "2" and everywhere(weir, "NoNewPrivs") == "1"
        assert ask(lambda: UnixConnection(socket_path), "/metrics")[0].status == 200
        weir.stopped_by_test = True
        weir.signal(signal.SIGTERM)
        weir.wait_log("draining")
        client.sendall(b"still there")
        assert receive_exactly(client, 11) == b"still there"
        weir.close_clients()
        assert weir.wait_exit() == 0 and weir.stderr() == ""
    assert not os.path.exists(socket_path)


def test_root_without_a_user_is_warned(balancer):
    with Upstream(echo) as web, balancer(web) as weir:
        assert "user" in weir.wait_log("running as root")["hint"]


def test_off_is_off(balancer):
    with Upstream(echo) as web, balancer(web, sandbox="off") as weir:
        assert everywhere(weir, "Seccomp") == "0" and everywhere(weir, "NoNewPrivs") == "0"
        assert not weir.entries("sandboxed")


# Users


def as_nobody(balancer, folder, web, **options):
    weir = balancer(web, **{"user": "nobody", "rest": False, **options})
    weir.directory = folder
    return weir


@pytest.mark.parametrize("sandbox", ["strict", "off"])
def test_root_becomes_the_user_and_keeps_nothing_but_low_ports(balancer, open_folder, sandbox):
    path = f"{open_folder}/run/admin.sock"
    with Upstream(echo) as web, as_nobody(balancer, open_folder, web, sandbox=sandbox, admin={"socket": path},
                                          listener={"address": "127.0.0.1:443"}) as weir:
        assert everywhere(weir, "Uid").split() == [str(NOBODY.pw_uid)] * 4
        assert everywhere(weir, "Gid").split() == [str(NOBODY.pw_gid)] * 4
        assert everywhere(weir, "Groups").split() == [str(NOBODY.pw_gid)]
        assert int(everywhere(weir, "CapPrm"), 16) == int(everywhere(weir, "CapEff"), 16) == BIND_SERVICE
        assert not weir.entries("running as root")
        status = os.stat(path)
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (NOBODY.pw_uid, 0o600)
        assert os.stat(f"{open_folder}/run").st_uid == NOBODY.pw_uid
        assert ask(lambda: UnixConnection(path), "/healthz")[0].status == 200
        weir.ask()
        weir.stopped_by_test = True
        weir.stop()
    assert not os.path.exists(path)


def test_a_user_reloads_in_the_sandbox(balancer, open_folder, tmp_path):
    """New certificates in the folders that it knows, and a listener on a low port; not files elsewhere."""
    folder = open_folder / "tls"
    folder.mkdir()
    tmp_path.chmod(0o755)

    def put(certificate, where):
        for name, data in (("weir.crt", Path(certificate.chain)), ("weir.key", Path(certificate.key.path))):
            new = where / f"{name}.new"
            new.write_bytes(data.read_bytes())
            os.chown(new, 0, NOBODY.pw_gid)
            new.chmod(0o640)
            new.rename(where / name)

    def block(where):
        return {"certificate": f"{where}/weir.crt", "key": f"{where}/weir.key", "client_ca": f"{folder}/ca.crt"}

    put(certs.weir(), folder)
    (folder / "ca.crt").write_bytes(Path(root().file).read_bytes())
    with Upstream(echo) as web, as_nobody(balancer, open_folder, web, listener={"tls": block(folder)},
                                          tls=client_context(alice())) as weir:
        old = weir.connect().object.getpeercert(True)
        put(certs.servers().issue_server("weir", san=["dns:weir.test"]), folder)
        weir.config["listeners"].append({"name": "low", "address": "127.0.0.1:444", "pool": "web"})
        weir.file.write_text(yaml.safe_dump(weir.config))
        weir.signal(signal.SIGHUP)
        weir.wait_log("configuration reloaded")
        weir.baseline["socket"] += weir.config["workers"]
        assert weir.connect().object.getpeercert(True) != old
        assert is_served(connect(444))
        put(certs.weir(), tmp_path)
        weir.config["listeners"][0]["tls"] = block(tmp_path)
        weir.file.write_text(yaml.safe_dump(weir.config))
        weir.signal(signal.SIGHUP)
        assert "restart weir" in str(weir.wait_log("reload refused"))
        weir.ask()


def test_a_file_that_the_user_cannot_read_is_an_error_at_the_start(balancer, open_folder):
    """root could: then the first reload would be the first to fail."""
    key = open_folder / "weir.key"
    key.write_bytes(Path(certs.weir().key.path).read_bytes())
    key.chmod(0o600)
    chain, ca = open_folder / "weir.crt", open_folder / "ca.crt"
    chain.write_bytes(Path(certs.weir().chain).read_bytes())
    ca.write_bytes(Path(root().file).read_bytes())
    block = {"certificate": str(chain), "key": str(key), "client_ca": str(ca)}
    with Upstream(echo) as web:
        weir = as_nobody(balancer, open_folder, web, listener={"tls": block}).launch()
        entry = weir.wait_log("cannot read a file again", file=str(key))
        assert weir.wait_exit() == 1
        assert entry["user"] == "nobody" and "chmod g+r" in entry["hint"]
        os.chown(key, 0, NOBODY.pw_gid)
        key.chmod(0o640)
        with as_nobody(balancer, open_folder, web, listener={"tls": block}, tls=client_context(alice())):
            pass


def test_a_folder_that_the_user_cannot_enter_is_an_error_at_the_start(balancer, tmp_path):
    tmp_path.chmod(0o700)
    with Upstream() as web:
        weir = balancer(web, user="nobody").launch()
        assert weir.wait_log("cannot read a file again")["file"] == str(weir.file)
        assert weir.wait_exit() == 1


def test_an_unknown_user_is_an_error(balancer):
    with Upstream() as web:
        weir = balancer(web, user="no-such-user").launch()
        assert weir.wait_log("cannot run as this user", user="no-such-user")["error"] == "there is no such user"
        assert weir.wait_exit() == 1


def test_an_admin_socket_lies_where_the_user_may_make_it(balancer, open_folder):
    """Else it could not be removed at the end."""
    with Upstream() as web:
        weir = as_nobody(balancer, open_folder, web, admin={"socket": f"{open_folder}/admin.sock"}).launch()
        weir.wait_log("cannot open the admin socket", error="permission denied")
        assert weir.wait_exit() == 1


@pytest.mark.parametrize("user, status", [("nobody", 0), ("daemon", 1)])
def test_who_is_not_root_can_only_name_himself(balancer, open_folder, user, status):
    options = {"wrapper": ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"), "sandbox": "off"}
    with Upstream(echo) as web:
        weir = as_nobody(balancer, open_folder, web, user=user, **options).launch()
        if status == 0:
            weir.wait_log("listening")
            weir.signal(signal.SIGTERM)
        else:
            assert "only root" in weir.wait_log("cannot run as this user")["error"]
        assert weir.wait_exit() == status
