# SPDX-License-Identifier: Apache-2.0
"""The dashboard for Grafana asks for metrics that exist, in queries that Prometheus understands."""

import json
import re
import urllib.parse
import urllib.request

import certs
import programs
import settings
from peers import Upstream
from tls import client_context, listener_block

DASHBOARD = settings.ROOT / "packaging" / "grafana-dashboard.json"
RULES = settings.ROOT / "packaging" / "prometheus" / "weir-alerts.yaml"
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$listener": ".*"}


def expressions():
    document = json.loads(DASHBOARD.read_text())
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]


def test_the_dashboard_for_grafana_asks_for_what_there_is(balancer, tmp_path):
    with Upstream() as web, balancer(web, listener={"tls": listener_block()},
                                     tls=client_context(certs.alice())) as weir:
        weir.ask()
        known = {f"{name}_bucket" if kind == "histogram" else name
                 for name, kind in re.findall(r"^# TYPE (\w+) (\w+)", weir.get("/metrics"), re.MULTILINE)}
        used = set(re.findall(r"\bweir_\w+", DASHBOARD.read_text()))
        assert used == known  # and for all of it
        with programs.Prometheus(tmp_path, weir.admin[0], RULES) as prometheus:
            for expression in expressions():
                for variable, value in VARIABLES.items():
                    expression = expression.replace(variable, value)
                assert "$" not in expression
                words = urllib.parse.urlencode({"query": expression})
                with urllib.request.urlopen(f"http://{prometheus.address}/api/v1/query?{words}",
                                            timeout=settings.DEADLINE) as answer:
                    assert json.load(answer)["status"] == "success"


def test_panels_stand_side_by_side_and_have_numbers_of_their_own():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken
        taken |= cells
