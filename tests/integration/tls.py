# SPDX-License-Identifier: Apache-2.0
"""TLS for the two ends, over OpenSSL's memory BIOs: every byte on the wire is the test's to send, hold back or spoil,
and ends are told apart: close_notify is clean, an end without it is truncated, and a reset is a reset."""

import re
import socket
import ssl
import threading

import certs
from peers import Truncated, Upstream

HOSTNAME = "weir.test"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CHUNK = 1 << 16


def client_context(certificate=None, *, key=None, trust=None, lowest=V1_3, highest=V1_3, level=None, alpn=()):
    """What a client needs: its certificate, perhaps another key than the certificate's own, whom it trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version, context.maximum_version = lowest, highest
    context.load_verify_locations((trust or certs.servers()).file)
    if level is not None:
        context.set_ciphers(f"DEFAULT:@SECLEVEL={level}")
    if certificate is not None:
        context.load_cert_chain(certificate.chain, (key or certificate.key).path)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_context(certificate, *, clients=None, highest=V1_3, tickets=0):
    """What an upstream needs; with `clients`, the authority whose certificates it asks for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = highest
    context.num_tickets = tickets
    context.load_cert_chain(certificate.chain, certificate.key.path)
    if clients is not None:
        context.load_verify_locations(clients.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def listener_block(certificate=None, clients=None, **more):
    """The `tls` of a listener."""
    certificate = certificate or certs.weir()
    return {"certificate": certificate.chain, "key": certificate.key.path,
            "client_ca": (clients or certs.root()).file, **more}


def pool_block(trust=None, certificate=None, **more):
    """The `tls` of a pool."""
    own = {"certificate": certificate.chain, "key": certificate.key.path} if certificate else {}
    return {"ca": (trust or certs.servers()).file, **own, **more}


class Tls:
    """A socket with TLS on it, from either end. May be read and written by two threads."""

    def __init__(self, sock, context, *, server_side=False, hostname=HOSTNAME, session=None):
        self.raw = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side,
                                       server_hostname=None if server_side else hostname, session=session)
        self._state = threading.Lock()  # of the object and its BIOs
        self._sending = threading.Lock()  # so that records go out in order
        self.arrived = bytearray()
        self.read_early = bytearray()
        self.ended = False

    def __getattr__(self, name):  # fileno, settimeout, getsockname...
        return getattr(self.raw, name)

    # Bytes

    def flush(self):
        if not self.outgoing.pending:
            return
        with self._sending:
            with self._state:
                data = self.outgoing.read()
            if data:
                self.raw.sendall(data)

    def take(self):
        """What waits to be sent, instead of sending it."""
        return self.outgoing.read()

    def fill(self):
        """Takes in one record, so that nothing stands behind what is being read when this side ends."""
        while len(self.arrived) < 5 or len(self.arrived) < self._record_size():
            data = self.raw.recv(CHUNK)
            if not data:
                raise Truncated("end without close_notify")
            self.arrived += data
        size = self._record_size()
        with self._state:
            self.incoming.write(self.arrived[:size])
        del self.arrived[:size]

    def _record_size(self):
        return 5 + int.from_bytes(self.arrived[3:5], "big")

    def step(self):
        """A step of the handshake without sending; True when it is done."""
        try:
            self.object.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def handshake(self):
        try:
            while not self.step():
                self.flush()
                self.fill()
        finally:
            self.flush()
        return self

    # Like a socket

    def sendall(self, data):
        view = memoryview(data)
        for start in range(0, len(view), CHUNK):
            with self._state:
                self.object.write(view[start : start + CHUNK])
            self.flush()

    def send(self, data):
        self.sendall(data)
        return len(data)

    def recv_into(self, buffer):
        while True:
            try:
                with self._state:
                    if size := min(len(buffer), len(self.read_early)):
                        buffer[:size] = self.read_early[:size]
                        del self.read_early[:size]
                        return size
                    return self.object.read(len(buffer), buffer)
            except ssl.SSLZeroReturnError:
                return 0
            except ssl.SSLWantReadError:
                pass
            self.flush()
            self.fill()

    def recv(self, size):
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def shutdown(self, _how=socket.SHUT_WR):
        """Ends the sending side: close_notify. TCP's own end is left to close()."""
        with self._state:
            try:
                while data := self.object.read(CHUNK):  # unwrap() takes data that waits for a breach of protocol
                    self.read_early += data
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
            try:
                self.object.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                pass
        self.ended = True
        self.flush()

    def close(self):
        """With close_notify, if there is still somebody to hear it."""
        try:
            if not self.ended:
                self.raw.settimeout(0)
                self.shutdown()
        except OSError:
            pass
        self.raw.close()

    def truncate(self):
        """Ends the sending side without close_notify."""
        self.ended = True
        self.raw.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def alert_of(error):
    """The name of the alert that an SSLError tells of, as RFC 8446 has it."""
    match = re.match(r"(?:SSLV3|TLSV1|TLSV13)_ALERT_(.*)", error.reason or "")
    return match[1].lower() if match else error.reason


class TlsUpstream(Upstream):
    """An upstream that speaks TLS; a handshake that fails is the result of its connection."""

    def __init__(self, context, serve=None, **options):
        self.context = context
        self.names = []  # by SNI, of those that asked
        context.sni_callback = lambda _object, name, _context: self.names.append(name)
        super().__init__(serve, **options)

    def _serve(self, sock):
        tls = Tls(sock, self.context, server_side=True)
        try:
            tls.handshake()
            result = self.serve(tls, self)
        except ssl.SSLError as error:
            return error
        tls.close()
        return result
