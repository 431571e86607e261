# SPDX-License-Identifier: Apache-2.0
"""The admin API: who may ask and change what; the open connections; explanations of what runs."""

import signal
import socket

import pytest
import yaml

from admin import admin_at, ask, ask_json, over_http, over_socket, socket_path, ways  # noqa: F401 (a fixture)
from peers import LOOPBACK, Upstream, receive


@pytest.fixture
def backend():
    return "auto"


@pytest.fixture
def weir(balancer, socket_path):
    alice = {"name": "alice", "identity": ["cidr:127.0.0.2/32"], "limits": {"connections": 7}}
    with Upstream() as one, Upstream() as two:
        with balancer(one, two, admin=admin_at(socket_path),
                      clients=[alice]) as weir:
            yield weir


def get_with_host(weir, host):
    """The status of an answer to a request with this Host (None: without)."""
    with socket.create_connection(weir.config["admin"]["http"].split(":")) as sock:
        line = "" if host is None else f"Host: {host}\r\n"
        version = "1.0" if host is None else "1.1"
        sock.sendall(f"GET /healthz HTTP/{version}\r\n{line}Connection: close\r\n\r\n".encode())
        return int(sock.makefile("rb").readline().split()[1])


# Who may ask


@pytest.mark.parametrize("host, status", [
    (None, 200), ("localhost", 200), ("LOCALHOST:1", 200), ("127.0.0.1:9320", 200), ("127.8.8.8", 200), ("[::1]:80", 200),
    ("evil.example", 403), ("localhost.evil.example", 403), ("192.0.2.1", 403), ("127.0.0.1.evil.example", 403),
    ("[::1", 403), ("x" * 300, 403), ("", 403),
])
def test_names_that_are_not_this_machine_s_learn_nothing(weir, host, status):
    assert get_with_host(weir, host) == status


def test_the_error_for_a_strange_name_says_what_to_do(weir):
    error = ask_json(over_http(weir), "/metrics", status=403, headers={"Host": "evil.example"})
    assert "name" in error["error"] and "localhost" in error["hint"]
    assert ask(over_socket(weir), "/metrics", headers={"Host": "evil.example"})[0].status == 200


@pytest.mark.parametrize("method, path, body", [
    ("DELETE", "/api/v1/connections/1", None), ("POST", "/api/v1/upstreams/web1", '{"state": "drain"}'),
    ("POST", "/api/v1/reload", None),
])
def test_over_http_nothing_can_be_changed(weir, method, path, body):
    error = ask_json(over_http(weir), path, method, status=403, body=body)
    assert error["error"] == "over HTTP nothing can be changed" and "socket" in error["hint"]


def test_a_path_that_is_nearly_right_is_suggested(weir):
    assert ask_json(over_http(weir), "/api/v1/statsu", status=404)["hint"] == "did you mean /api/v1/status?"


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/api/v1/connections", "GET, HEAD"), ("GET", "/api/v1/connections/1", "DELETE"),
    ("DELETE", "/metrics", "GET, HEAD"), ("GET", "/api/v1/upstreams/web1", "POST"),
])
def test_a_method_that_a_path_does_not_know_is_told_which_it_does(weir, method, path, allow):
    for way in ways(weir):
        answer, _ = ask(way, path, method)
        assert (answer.status, answer.headers["Allow"]) == (405, allow)


# The open connections

FIELDS = {"id", "listener", "client", "identity", "peer", "upstream", "upstream_address", "to_upstream_bytes",
          "to_client_bytes", "duration_ms", "handshake_ms", "connect_ms", "tries", "tls_version", "tls_cipher"}


def served(weir, count, source=LOOPBACK):
    """Clients that have heard an echo."""
    clients = [weir.connect(source=source) for _ in range(count)]
    for sock in clients:
        sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
    return clients


def connections(weir, query="", way=over_http):
    answer = ask_json(way(weir), f"/api/v1/connections{query}")
    return answer["connections"], answer["next"]


def test_a_connection_is_told_as_its_line_in_the_log_will_tell_it(weir):
    assert connections(weir) == ([], None)
    client = served(weir, 1, "127.0.0.2")[0]
    (entry,), after = connections(weir)
    assert after is None and set(entry) == FIELDS
    assert entry["peer"] == "%s:%d" % client.getsockname() and entry["upstream"] in ("web1", "web2")
    client.close()
    line = weir.wait_closed(reason="done")
    for field in FIELDS - {"duration_ms"}:
        assert entry[field] == line[field], field
    assert 0 < entry["duration_ms"] <= line["duration_ms"]


def test_connections_are_found_by_client_and_upstream(weir):
    served(weir, 3, "127.0.0.2")
    served(weir, 2, "127.0.0.3")
    assert {entry["client"] for entry in connections(weir, "?client=alice")[0]} == {"alice"}
    assert len(connections(weir, "?client=alice")[0]) == 3
    assert len(connections(weir, "?client=127.0.0.3")[0]) == 2
    assert connections(weir, "?client=alic") == ([], None)
    by_upstream = [len(connections(weir, f"?upstream=web{n}")[0]) for n in (1, 2)]
    assert sorted(by_upstream) == [2, 3]
    both = connections(weir, "?client=alice&upstream=web1")[0]
    assert len(both) in (1, 2) and {entry["upstream"] for entry in both} == {"web1"}


def pages(weir, query):
    """All pages, from the newest connection on."""
    found, after = connections(weir, query)
    while found:
        yield found
        if after is None:
            return
        found, after = connections(weir, f"{query}&after={after}")


def test_pages_have_every_connection_once_while_others_come_and_go(weir):
    served(weir, 120)
    stayers = {entry["id"] for page in pages(weir, "?limit=1000") for entry in page}
    assert len(stayers) == 120
    seen = []
    for page in pages(weir, "?limit=7"):
        assert len(page) <= 7
        seen += [entry["id"] for entry in page]
        weir.ask()
    assert seen == sorted(seen, reverse=True) and set(seen) == stayers


@pytest.mark.parametrize("query, word", [
    ("limit=0", "1 to 1000"), ("limit=1001", "1 to 1000"), ("limit=x", "1 to 1000"), ("limit=", "1 to 1000"),
    ("after=-1", "number"), ("client=", "nothing"), ("client", "nothing"), ("client=" + "x" * 300, "longer"),
    ("clinet=alice", "unknown argument"), ("upstream=a%00b", "nothing"),
])
def test_a_query_that_means_nothing_is_refused(weir, query, word):
    for way in ways(weir):
        error = ask_json(way, f"/api/v1/connections?{query}", status=400)
        assert word in error["error"] and error["hint"]
    assert ask_json(over_http(weir), "/api/v1/connections?clinet=x", status=400)["hint"] == "did you mean client?"


def test_one_connection_can_be_ended(weir):
    clients = served(weir, 5)
    entries, _ = connections(weir)
    victim = next(entry for entry in entries if entry["peer"] == "%s:%d" % clients[2].getsockname())
    path = f"/api/v1/connections/{victim['id']}"
    assert ask_json(over_socket(weir), path, "DELETE") == {"ended": victim["id"]}
    assert receive(clients[2]).end == "reset"
    assert weir.wait_closed(reason="admin_closed")["id"] == victim["id"]
    assert "no such connection" in ask_json(over_socket(weir), path, "DELETE", status=404)["error"]
    for sock in clients[:2] + clients[3:]:
        sock.sendall(b"again")
        assert sock.recv(5) == b"again"


@pytest.mark.parametrize("number", ["0", "99999999", "18446744073709551615", "18446744073709551616", "x", "1/2", "-1"])
def test_a_number_that_no_connection_has_ends_nothing(weir, number):
    served(weir, 1)
    error = ask_json(over_socket(weir), f"/api/v1/connections/{number}", "DELETE", status=404)
    assert error["error"] == "there is no such connection"


# States of upstreams


def change(weir, name, body, status=200):
    return ask_json(over_socket(weir), f"/api/v1/upstreams/{name}", "POST", status, body=body)


def state_of(weir, name):
    return next(entry["state"] for entry in weir.status()["upstreams"] if entry["name"] == name)


def test_an_upstream_is_drained_disabled_and_enabled(weir):
    clients = served(weir, 4)
    assert change(weir, "web1", '{"state": "drain"}') == {"name": "web1", "state": "drain", "active": 2}
    assert state_of(weir, "web1") == "drain"
    served(weir, 2)
    assert {entry["active"] for entry in weir.status()["upstreams"]} == {2, 4}
    assert change(weir, "web1", '{"state": "disabled", "pool": "web"}')["state"] == "disabled"
    weir.wait_closed(2, reason="admin_closed", upstream="web1")
    assert len(connections(weir, "?upstream=web1")[0]) == 0 and len(connections(weir, "?upstream=web2")[0]) == 4
    assert change(weir, "web1", '{"state": "enabled"}') == {"name": "web1", "state": "enabled", "active": 0}
    served(weir, 4)
    assert {entry["active"] for entry in weir.status()["upstreams"]} == {4}
    assert len(clients) == 4


@pytest.mark.parametrize("name, body, status, error, hint", [
    ("web3", '{"state": "drain"}', 404, "there is no upstream web3", "did you mean web1?"),
    ("a%2Fb", '{"state": "drain"}', 404, "there is no such upstream", "names"),
    ("x" * 300, '{"state": "drain"}', 404, "there is no such upstream", "names"),
    ("web1", '{"state": "drain", "pool": "wep"}', 404, "there is no pool wep", "did you mean web?"),
    ("web1", '{"state": "drain", "pool": 7}', 400, "pool is no name", "leave it out"),
    ("web1", '{"state": "drainn"}', 400, "which state", '"drain"'),
    ("web1", '{"state": "drain", "state": "enabled"}', 400, "which state", '"drain"'),
    ("web1", '{"state": "drain", "more": 1}', 400, "which state", '"drain"'),
    ("web1", '["drain"]', 400, "which state", '"drain"'),
    ("web1", "", 400, "which state", '"drain"'),
    ("web1", "{" * 5000, 400, "which state", '"drain"'),
    ("web1", '{"state": "' + "x" * 20000 + '"}', 413, "too long", "long"),
], ids=range(12))
def test_a_change_that_cannot_be_made_changes_nothing(weir, name, body, status, error, hint):
    answer = change(weir, name, body, status)
    assert error in answer["error"] and hint in answer["hint"], answer
    assert state_of(weir, "web1") == "enabled"


# Reload


def rewrite(weir, **top):
    """Gives the balancer another file; what runs stays as it is."""
    weir.file.write_text(yaml.safe_dump({**weir.config, **top}))


def reload(weir, status=200):
    return ask_json(over_socket(weir), "/api/v1/reload", "POST", status)


def test_a_reload_answers_when_it_is_over_and_the_status_remembers_it(weir):
    assert weir.status()["last_reload"] is None
    rewrite(weir, clients=[{"name": "carol", "identity": ["cidr:127.0.0.4/32"]}])
    answer = reload(weir)
    assert set(answer) == {"result", "time", "duration_ms", "changes", "warnings"} and answer["result"] == "done"
    assert weir.status()["last_reload"] == answer
    assert ask_json(over_http(weir), "/api/v1/explain?client=carol")["client"]["configured"]
    assert ask(over_http(weir), "/api/v1/explain?client=alice")[0].status == 404
    assert weir.metrics().sum("weir_config_reloads_total", result="done") == 1


def test_a_file_that_is_refused_changes_nothing_and_every_error_is_told(weir):
    rewrite(weir, clients=[{"name": "carol"}], nonsense=1)
    answer = reload(weir, 422)
    assert answer["error"] == "the configuration was refused" and answer["result"] == "refused" and answer["hint"]
    assert len(answer["errors"]) == 2 and all(line.startswith(f"{weir.file}:") for line in answer["errors"])
    assert {key: answer[key] for key in ("result", "errors")}.items() <= weir.status()["last_reload"].items()
    assert [entry["name"] for entry in weir.status()["clients"]] == ["alice", "other"]
    assert weir.metrics().sum("weir_config_reloads_total", result="refused") == 1
    rewrite(weir)
    assert reload(weir)["result"] == "done"


def test_there_is_no_reload_while_the_balancer_drains(weir):
    client = served(weir, 1)[0]
    weir.stopped_by_test = True
    weir.signal(signal.SIGTERM)
    weir.wait_log("draining")
    assert "draining" in reload(weir, 409)["error"]
    client.close()
    assert weir.wait_exit() == 0


# Explain


def test_what_runs_explains_itself(weir):
    served(weir, 2, "127.0.0.2")
    answer = ask_json(over_http(weir), "/api/v1/explain?client=alice")
    assert answer["client"]["active"] == 2 and answer["limits"]["connections"] == 7
    upstreams = answer["listeners"][0]["upstreams"]
    assert [(entry["name"], entry["state"], entry["health"], entry["active"]) for entry in upstreams] == [
        ("web1", "enabled", "up", 1), ("web2", "enabled", "up", 1)]
    by_address = ask_json(over_http(weir), "/api/v1/explain?client=127.0.0.2&listener=edge")
    assert by_address["client"]["name"] == "alice" and len(by_address["listeners"]) == 1


def test_who_is_nobody_is_not_explained(weir):
    explain = "/api/v1/explain"
    assert ask_json(over_http(weir), f"{explain}?client=alcie", status=404) == {
        "error": "there is no client alcie", "hint": "did you mean alice?"}
    assert ask_json(over_http(weir), f"{explain}?client=alice&listener=egde", status=404)["hint"] == "did you mean edge?"
    assert "no such client" in ask_json(over_http(weir), f"{explain}?client=/etc/passwd", status=404)["error"]
    assert "no such client" in ask_json(over_http(weir), f"{explain}?client=%ff%1b[31m", status=404)["error"]
    assert "whom" in ask_json(over_http(weir), explain, status=400)["error"]
