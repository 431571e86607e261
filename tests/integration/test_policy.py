# SPDX-License-Identifier: Apache-2.0
"""Who may reach what, on real sockets: Z2, and the refusals' reasons."""

from peers import LOOPBACK, Upstream, connect, in_threads, receive_exactly
from settings import amount
from weir import QUIET, configuration


def network(number):
    return f"127.1.{number}"


def test_mixed_clients_over_pools(balancer):
    """Z2: 100 clients, four pools, each client may reach one: no byte crosses."""
    pools, rounds = 4, amount(3, full=100)

    def keeper(number):
        """Answers with its own number, and takes bytes of its own clients only."""

        def serve(sock, _upstream):
            count = 0
            while data := sock.recv(100):
                assert set(data) == {number}, f"upstream {number} got {data!r}"
                sock.sendall(data)
                count += len(data)
            return count

        return serve

    webs = [Upstream(keeper(n), name=f"web{n}") for n in range(pools)]
    try:
        config = configuration(webs)
        config["clients"] = [{"name": f"team{n}", "identity": [f"cidr:{network(n)}.0/24"]} for n in range(pools)]
        config["policy"] = [{"allow": [f"team{n}"], "to": [f"web/web{n}"]} for n in range(pools)]

        def client(number, weir):
            team, host = number % pools, number // pools + 1
            for _ in range(rounds):
                with connect(weir.port, source=f"{network(team)}.{host}") as sock:
                    for _ in range(5):
                        sock.sendall(bytes([team]) * 10)
                        assert set(receive_exactly(sock, 10)) == {team}

        with balancer(*webs, config=config) as weir:
            in_threads(100, client, weir)
            closed = 100 * rounds
            weir.wait_closed(closed)
            for entry in weir.entries("connection"):
                assert entry["upstream"].removeprefix("web") == entry["client"].removeprefix("team"), entry
            assert weir.is_cut()
            weir.wait_closed(reason="unknown_client")
            weir.fresh_source = f"{network(0)}.1"
    finally:
        for web in webs:
            web.close()


def test_reasons_of_refusals(balancer):
    """Deny wins over allow; who is nobody's client is told apart from who may not; none of them reaches an upstream."""
    with Upstream() as web:
        config = configuration([web])
        config["clients"] = [
            {"name": "alice", "identity": ["cidr:127.2.0.0/24"]},
            {"name": "bob", "identity": ["cidr:127.2.0.7/32"]},
            {"name": "carol", "identity": ["cidr:127.2.1.0/24"]},
            {"name": "local", "identity": [f"cidr:{LOOPBACK}/32"]},
        ]
        config["policy"] = [
            {"allow": ["alice", "bob", "local"], "to": ["web"]},
            {"deny": ["bob"], "to": ["web/web1"]},
        ]
        with balancer(web, config=config) as weir:
            refused = [("127.2.0.7", "not_authorized", "bob"), ("127.2.1.1", "not_authorized", "carol"),
                       ("127.2.2.1", "unknown_client", "127.2.2.1")]
            for source, reason, name in refused:
                assert weir.is_cut(source=source)
                assert weir.wait_closed(reason=reason, identity=source)["client"] == name
            assert web.accepted == 0
            weir.ask(source="127.2.0.8")
            weir.wait_closed(reason="done", client="alice")
            metrics = weir.metrics()
            for name in ("bob", "carol"):
                assert metrics.sum("weir_client_denied_total", client=name, reason="not_authorized") == 1


def test_everybody_includes_strangers(balancer):
    """"*" in a rule lets unknown clients in under their addresses."""
    with Upstream() as web, Upstream() as other:
        config = configuration([web, other])
        config["policy"] = [{"allow": ["*"], "to": ["web/web2"]}]
        with balancer(web, other, config=config) as weir:
            for number in range(1, 6):
                weir.ask(source=f"127.3.0.{number}")
                weir.wait_closed(reason="done", client=f"127.3.0.{number}", upstream="web2")
            assert web.accepted == 0


def test_longest_prefix_wins(balancer):
    with Upstream() as web:
        config = configuration([web])
        config["clients"] = [{"name": "wide", "identity": ["cidr:127.0.0.0/8"]},
                             {"name": "narrow", "identity": ["cidr:127.4.0.0/16", "cidr:127.5.5.5/32"]}]
        with balancer(web, config=config) as weir:
            for source, name in [("127.4.9.9", "narrow"), ("127.5.5.5", "narrow"), ("127.5.5.6", "wide")]:
                weir.ask(source=source)
                assert weir.wait_closed(reason="done", identity=source)["client"] == name


def test_pools_of_two_listeners_share_an_upstream(balancer):
    """One physical upstream in two pools is counted once."""
    with Upstream() as web, Upstream() as other:
        config = configuration([web, other])
        config["listeners"].append({"name": "back", "address": f"{LOOPBACK}:0", "pool": "other"})
        config["pools"].append({"name": "other", "health": dict(QUIET),
                                "upstreams": [{"name": web.name, "address": web.address}]})
        with balancer(web, other, config=config) as weir:
            for count in range(1, 5):
                weir.connect("back")
                web.wait_active(count)
            for _ in range(4):
                weir.connect()
            other.wait_active(4)
            assert web.active == 4
            assert weir.metrics().sum("weir_upstream_connections_active", upstream=web.name) == 4
