# SPDX-License-Identifier: Apache-2.0
"""Where TLS is in a scenario: at the clients' side of the balancer, at the upstreams', or at both."""

import contextlib

import certs
from certs import alice, root
from peers import Upstream
from tls import TlsUpstream, client_context, listener_block, pool_block, server_context

POOL = {"tls": pool_block(certificate=root().issue("weir"), verify=["dns:web.test"])}


class Sides:
    """Where TLS is: at the client's side, at the upstream's, or at both."""

    def __init__(self, name):
        self.name = name
        self.client, self.upstream = name in ("client", "both"), name in ("upstream", "both")

    def serve(self, script, **options):
        if not self.upstream:
            return Upstream(script, **options)
        certificate = certs.servers().issue_server("web", san=["dns:web.test"])
        return TlsUpstream(server_context(certificate, clients=root()), script, **options)

    @contextlib.contextmanager
    def before(self, script, balancer, listener=None, **options):
        """A balancer before an upstream that runs `script`."""
        secure = {"tls": listener_block()} if self.client else {}
        with self.serve(script) as web, balancer(
                web, listener={**secure, **(listener or {})}, pool=POOL if self.upstream else {},
                tls=client_context(alice()) if self.client else None, **options) as weir:
            yield weir, web
