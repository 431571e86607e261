# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, good ones and every kind of bad one. Keys and signatures are made by openssl, what is signed
is written here (der.py): so a certificate can say whatever a test wants.

    root = authority("Root")
    alice = root.issue("alice", san=["dns:alice.example.com"])
    alice.chain, alice.key.path      # files
"""

import base64
import functools
import hashlib
import itertools
import os
import secrets
import subprocess
import tempfile
from pathlib import Path

from der import bits, content, elements, explicit, integer, moment, octets, oid, sequence, tlv, utf8

SIGNATURES = {
    ("EC", "sha256"): sequence(oid("1.2.840.10045.4.3.2")),
    ("EC", "sha1"): sequence(oid("1.2.840.10045.4.1")),
    ("RSA", "sha256"): sequence(oid("1.2.840.113549.1.1.11"), tlv(0x05)),
    ("RSA", "sha1"): sequence(oid("1.2.840.113549.1.1.5"), tlv(0x05)),
}
USAGES = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2", "code": "1.3.6.1.5.5.7.3.3"}
NAME_TAGS = {"email": 0x81, "dns": 0x82, "uri": 0x86, "ip": 0x87, "rid": 0x88}


@functools.cache
def directory():
    folder = tempfile.TemporaryDirectory(prefix="weir-certificates-")
    directory.folder = folder  # lives as long as the process
    return Path(folder.name)


def openssl(*words, data=None):
    done = subprocess.run(["openssl", *words], input=data, capture_output=True)
    assert done.returncode == 0, f"{words}: {done.stderr.decode()}"
    return done.stdout


def pem(kind, der):
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""])


def write(path, text, mode=0o644):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    return str(path)


class Key:
    numbers = itertools.count(1)

    def __init__(self, kind="EC", bits=2048, path=None):
        self.kind = kind
        self.path = path or str(directory() / f"key{next(self.numbers)}.pem")
        if path is None:
            option = "ec_paramgen_curve:P-256" if kind == "EC" else f"rsa_keygen_bits:{bits}"
            text = openssl("genpkey", "-algorithm", kind, "-pkeyopt", option).decode()
            write(self.path, text, 0o600)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    @property
    def identifier(self):
        _, public = elements(content(self.public))
        return hashlib.sha1(content(public)[1:]).digest()

    def sign(self, data, digest):
        return openssl("dgst", f"-{digest}", "-sign", self.path, data=data)


def impostor(key):
    """A key file that claims the public half of `key` without having its secret half."""
    other = Key()
    private = openssl("ec", "-in", other.path, "-outform", "DER")
    version, secret, curve, _ = elements(content(private))
    _, public = elements(content(key.public))
    path = directory() / f"impostor{next(Key.numbers)}.pem"
    text = pem("EC PRIVATE KEY", sequence(version, secret, curve, explicit(1, public)))
    forged = Key(path=write(path, text, 0o600))
    assert forged.public == key.public
    return forged


def name_of(subject):
    """A distinguished name of a common name (text or bytes), or empty."""
    attribute = sequence(oid("2.5.4.3"), utf8(subject)) if subject else None
    return sequence(tlv(0x31, attribute)) if attribute else sequence()


def general_name(name):
    """From "dns:alice.example.com", or ("dns", bytes)."""
    kind, value = name if isinstance(name, tuple) else name.split(":", 1)
    if kind == "cn":
        return explicit(4, name_of(value))
    if kind == "other":  # Microsoft's user principal name
        return explicit(0, oid("1.3.6.1.4.1.311.20.2.3"), explicit(0, utf8(value)))
    if kind == "ip":
        value = bytes(map(int, value.split(".")))
    return tlv(NAME_TAGS[kind], value if isinstance(value, bytes) else value.encode())


def extension(identifier, value, critical=False):
    return sequence(oid(identifier), tlv(0x01, b"\xff") if critical else b"", octets(value))


class Certificate:
    numbers = itertools.count(1)

    def __init__(self, subject, issuer=None, *, key=None, signer=None, digest="sha256", ca=False, path_length=None,
                 san=(), usage=(), starts=-1.0, ends=30.0, permitted=(), identifiers=True, extensions=()):
        self.subject, self.issuer, self.ca = subject, issuer, ca
        self.key = key or Key()
        self.serial = secrets.randbits(63)
        signer = signer or (issuer.key if issuer else self.key)
        algorithm = SIGNATURES[signer.kind, digest]
        values = [*self._extensions(ca, path_length, san, usage, permitted, signer if identifiers else None),
                  *extensions]
        signed = sequence(
            explicit(0, integer(2)), integer(self.serial), algorithm, name_of(issuer.subject if issuer else subject),
            sequence(moment(starts), moment(ends)), name_of(subject), self.key.public, explicit(3, sequence(*values)))
        self.der = sequence(signed, algorithm, bits(signer.sign(signed, digest)))
        self.number = next(self.numbers)

    def _extensions(self, ca, path_length, san, usage, permitted, signer):
        if ca:
            limit = b"" if path_length is None else integer(path_length)
            yield extension("2.5.29.19", sequence(tlv(0x01, b"\xff"), limit), critical=True)
        yield extension("2.5.29.15", bits(b"\x06", 1) if ca else bits(b"\x80", 7), critical=True)
        if usage:
            yield extension("2.5.29.37", sequence(*(oid(USAGES[word]) for word in usage)))
        if san:
            yield extension("2.5.29.17", sequence(*map(general_name, san)))
        if permitted:
            trees = (sequence(general_name(name)) for name in permitted)
            yield extension("2.5.29.30", sequence(explicit(0, *trees)), critical=True)
        if signer is not None:
            yield extension("2.5.29.14", octets(self.key.identifier))
            yield extension("2.5.29.35", sequence(tlv(0x80, signer.identifier)))

    # What it issues

    def issue(self, subject, *, usage=("client",), **options):
        return Certificate(subject, self, usage=usage, **options)

    def issue_server(self, subject="weir", san=("dns:weir.test", "ip:127.0.0.1"), **options):
        return self.issue(subject, san=san, usage=("server",), **options)

    def intermediate(self, subject, **options):
        return Certificate(subject, self, ca=True, **options)

    def crl(self, *revoked, starts=-1.0, ends=30.0):
        """The path of a revocation list."""
        algorithm = SIGNATURES[self.key.kind, "sha256"]
        entries = [sequence(integer(certificate.serial), moment(-0.5)) for certificate in revoked]
        number = sequence(extension("2.5.29.20", integer(next(self.numbers))),
                          extension("2.5.29.35", sequence(tlv(0x80, self.key.identifier))))
        signed = sequence(integer(1), algorithm, name_of(self.subject), moment(starts), moment(ends),
                          sequence(*entries) if entries else b"", explicit(0, number))
        text = pem("X509 CRL", sequence(signed, algorithm, bits(self.key.sign(signed, "sha256"))))
        return write(directory() / f"list{next(self.numbers)}.pem", text)

    # Files

    @property
    def pem(self):
        return pem("CERTIFICATE", self.der)

    @functools.cached_property
    def file(self):
        """The path of this certificate alone."""
        return write(directory() / f"certificate{self.number}.pem", self.pem)

    @functools.cached_property
    def chain(self):
        """The path of this certificate and the intermediates above it, as a peer sends them."""
        above = []
        issuer = self.issuer
        while issuer is not None and issuer.issuer is not None:
            above.append(issuer)
            issuer = issuer.issuer
        return write(directory() / f"chain{self.number}.pem", "".join(one.pem for one in [self, *above]))

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der).hexdigest()


def authority(subject="Root", **options):
    return Certificate(subject, ca=True, **options)


def bundle(*certificates):
    """The path of a file with several certificates."""
    return write(directory() / f"bundle{next(Certificate.numbers)}.pem", "".join(one.pem for one in certificates))


def bundle_files(*paths):
    text = "".join(Path(one).read_text() for one in paths)
    return write(directory() / f"bundle{next(Certificate.numbers)}.pem", text)


# What most tests use; made once in a process.


@functools.cache
def root():
    return authority("Test clients' CA")


@functools.cache
def servers():
    return authority("Test servers' CA")


@functools.cache
def weir():
    """What the balancer shows its clients."""
    return servers().issue_server()


@functools.cache
def alice():
    return root().issue("alice", san=["dns:alice.example.com", "uri:spiffe://example.com/alice"])


@functools.cache
def bob():
    return root().issue("bob", san=["dns:bob.example.com"])


@functools.cache
def nobody():
    """Valid, and of nobody that a configuration knows."""
    return root().issue("nobody", san=["dns:nobody.example.com"])
