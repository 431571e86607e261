# SPDX-License-Identifier: Apache-2.0
"""Real programs as upstreams: each runs on a free port in a folder of its own, and ends with the block that made it."""

import functools
import os
import pwd
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from peers import LOOPBACK, connect, eventually, free_port


def find(name, *folders):
    """The path of a program, or the test is skipped."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders]))
    if path is None:
        pytest.skip(f"needs {name}")
    return path


def run(*command, **options):
    """Runs a program to its end, which must be 0; returns its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command} exits with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Program:
    """A server that is started with `command` and is ready when its port answers. It may be killed, stopped (SIGSTOP)
    and started again, at the same port."""

    def __init__(self, command, port, directory, name=None, stop=signal.SIGTERM, **options):
        self.port, self.name, self.stop = port, name, stop
        self.address = f"{LOOPBACK}:{port}"
        self.output = open(directory / f"output-{port}", "w+b")
        self._start = functools.partial(subprocess.Popen, command, stdout=self.output, stderr=subprocess.STDOUT,
                                        cwd=directory, start_new_session=True, **options)
        self.process = self._start()

    def is_ready(self):
        assert self.process.poll() is None, Path(self.output.name).read_text(errors="replace")
        try:
            connect(self.port).close()
            return True
        except OSError:
            return False

    def send(self, number):
        """To it and its children."""
        os.killpg(self.process.pid, number)

    def kill(self, number=signal.SIGKILL):
        self.send(number)
        self.process.wait()

    def start_again(self):
        self.process = self._start()

    def calm(self):
        pass

    def __enter__(self):
        try:
            eventually(self.is_ready, timeout=60, what=f"port {self.port} does not answer")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.send_signal(self.stop)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
        self.output.close()


def redis(directory):
    port = free_port()
    command = [find("redis-server"), "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no",
               "--maxclients", "2000"]
    return Program(command, port, directory)


def secure_redis(directory, certificate, clients):
    """Speaks only TLS, and only with those whose certificate `clients` has issued."""
    port = free_port()
    command = [find("redis-server"), "--port", "0", "--tls-port", str(port), "--bind", LOOPBACK, "--save", "",
               "--appendonly", "no", "--tls-cert-file", certificate.chain, "--tls-key-file", certificate.key.path,
               "--tls-ca-cert-file", clients.file, "--tls-auth-clients", "yes"]
    return Program(command, port, directory)


def mosquitto(directory):
    port = free_port()
    (directory / "mosquitto.conf").write_text(f"listener {port} {LOOPBACK}\nallow_anonymous true\n")
    return Program([find("mosquitto"), "-c", str(directory / "mosquitto.conf")], port, directory)


PROMETHEUS = """
global: {{ scrape_interval: 100ms, evaluation_interval: 100ms }}
rule_files: [{rules}]
scrape_configs:
  - {{ job_name: weir, static_configs: [{{ targets: ["{target}"] }}] }}
"""


class Prometheus(Program):
    """Scrapes `target` ten times a second, and evaluates the rules as often."""

    def __init__(self, directory, target, rules):
        port = free_port()
        configuration = directory / "prometheus.yml"
        configuration.write_text(PROMETHEUS.format(target=target, rules=rules))
        command = [find("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={directory}/data",
                   f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn"]
        super().__init__(command, port, directory, stop=signal.SIGKILL)  # it has nothing to keep

    def is_ready(self):
        if not super().is_ready():
            return False
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5):
                return True
        except OSError:
            return False


NGINX = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    sendfile on;
    keepalive_requests 1000000;
    server {{
        listen {address};
        root {root};
        location = /small {{ return 200 "hello from nginx\\n"; }}
    }}
}}
"""


def nginx(directory, root):
    port = free_port()
    configuration = directory / f"nginx-{port}.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    text = NGINX.format(user=user, directory=directory, address=f"{LOOPBACK}:{port}", root=root)
    configuration.write_text(text)
    return Program([find("nginx"), "-p", str(directory), "-c", str(configuration)], port, directory)


class PostgreSQL(Program):
    """A cluster in `directory`, a new one or a copy of `original`'s, run by another user than root, since PostgreSQL
    insists."""

    def __init__(self, directory, original=None):
        self.bin = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        find("initdb", *map(str, self.bin))
        self.as_user = {}
        directory.chmod(0o755)
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(directory, entry.pw_uid, entry.pw_gid)
            self.as_user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        self.fresh = directory / "fresh"
        data = directory / "data"
        if original is None:
            run(self.tool("initdb"), "-D", str(self.fresh), "-A", "trust", "-U", "weir", "--no-sync", "--locale", "C",
                cwd=directory, **self.as_user)
        run("cp", "-a", str(self.fresh if original is None else original.fresh), str(data))
        port = free_port()
        command = [self.tool("postgres"), "-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", str(directory), "-F"]
        super().__init__(command, port, directory, stop=signal.SIGINT, **self.as_user)

    def tool(self, name):
        return find(name, *map(str, self.bin))
