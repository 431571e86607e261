# SPDX-License-Identifier: Apache-2.0
"""A short walk through a connection's life; also what scripts/check runs under valgrind."""

from peers import Refuser, Upstream, answer, assert_prefix, assert_whole, echo, half_close, receive, resetter, send_data

MIB = 1 << 20


def test_bytes_and_ends_go_both_ways(balancer):
    with Upstream(answer(MIB)) as web, balancer(web) as weir:
        client = weir.connect()
        send_data(client, MIB)
        half_close(client)
        assert_whole(receive(client), MIB)
        assert_whole(web.result(), MIB)
        assert weir.wait_closed(reason="done")["to_upstream_bytes"] == MIB


def test_a_refused_upstream_is_passed_over_and_a_reset_is_carried_through(balancer):
    with Upstream(resetter(after=10 * MIB)) as web, Refuser() as refuser, balancer(refuser, web) as weir:
        for count in range(1, 5):
            assert_prefix(weir.hear())
            weir.wait_closed(count, reason="upstream_reset")


def test_a_client_over_its_limit_is_refused(balancer):
    with Upstream(echo) as web, balancer(web, limits={"connections": 2}) as weir:
        for _ in range(2):
            weir.connect().sendall(b"x")
        web.wait_active(2)
        assert weir.is_cut()
        weir.wait_closed(reason="client_limit")
