# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the balancer and evaluates the alerts that come with it."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest

import programs
import settings
from peers import Refuser, Upstream, eventually

ALERTS = settings.ROOT / "packaging" / "prometheus" / "weir-alerts.yaml"


@pytest.fixture
def backend():
    return "auto"


def query(prometheus, text):
    """{labels without those of the scrape: value}"""
    url = f"http://{prometheus.address}/api/v1/query?query={urllib.parse.quote(text)}"
    with urllib.request.urlopen(url, timeout=settings.DEADLINE) as answer:
        result = json.load(answer)["data"]["result"]
    return {tuple(sorted((key, value) for key, value in entry["metric"].items()
                         if key not in ("__name__", "instance", "job"))): float(entry["value"][1]) for entry in result}


def test_a_real_prometheus_scrapes_and_judges(balancer, tmp_path):
    health = {"interval": "100ms", "timeout": "1s", "fall": 1, "rise": 1}
    with Upstream() as good, Refuser() as dead, balancer(good, dead, pool={"health": health}) as weir:
        eventually(lambda: weir.metrics().sum("weir_upstream_up", upstream="web2") == 0)
        with programs.Prometheus(tmp_path, weir.admin[0], ALERTS) as prometheus:
            for _ in range(3):
                weir.ask()
            eventually(lambda: query(prometheus, "weir_connections_total") == {(("listener", "edge"),): 3})
            eventually(lambda: query(prometheus, "up") == {(): 1})
            assert query(prometheus, "weir_upstream_up") == {
                (("pool", "web"), ("upstream", "web1")): 1, (("pool", "web"), ("upstream", "web2")): 0}
            assert query(prometheus, 'weir_upstream_state{state="enabled"}') == {
                (("state", "enabled"), ("upstream", name)): 1 for name in ("web1", "web2")}
            assert query(prometheus, "histogram_quantile(0.5, weir_connection_seconds_bucket) >= 0")
            pending = 'ALERTS{alertname="WeirUpstreamDown", upstream="web2", alertstate="pending"}'
            eventually(lambda: query(prometheus, pending))
            assert not query(prometheus, 'ALERTS{alertname="WeirPoolDown"}')


def test_the_handbook_names_every_metric_and_every_reason(balancer):
    text = (settings.ROOT / "docs" / "OPERATIONS.md").read_text()
    with Upstream() as web, balancer(web) as weir:
        metrics = weir.get("/metrics")
    known = set(re.findall(r"^# TYPE (\w+) ", metrics, re.MULTILINE)) | {"weir_handshake_seconds"}  # only with TLS
    assert set(re.findall(r"^\| `(weir_\w+)` \|", text, re.MULTILINE)) == known
    reasons = set(re.findall(r'reason="(\w+)"', "\n".join(re.findall("weir_connections_closed_total.*", metrics))))
    refusals = text[text.index("## Read a refusal") : text.index("## Metrics")]
    missing = {reason for reason in reasons if f"`{reason}`" not in refusals}
    assert missing == set()


def test_alerts_speak_of_metrics_that_exist(balancer):
    with Upstream() as web, balancer(web) as weir:
        known = set(re.findall(r"^# TYPE (\w+) ", weir.get("/metrics"), re.MULTILINE))
    used = set(re.findall(r"\bweir_\w+", ALERTS.read_text()))
    assert used and used <= known, used - known


def test_alerts_are_sound():
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool")
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
