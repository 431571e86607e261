# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command."""

import subprocess


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


class Authority:
    """A CA in a folder: NAME.crt, NAME.key, and what it issues."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        folder.mkdir(exist_ok=True)
        self._key(name)
        openssl("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-days", 2, "-out", f"{name}.crt",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", cwd=folder)

    def _key(self, name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", f"{name}.key", cwd=self.folder)
        (self.folder / f"{name}.key").chmod(0o600)

    def issue(self, name, *names, usage="clientAuth", days=1, subject=None):
        """A certificate with these subject alternative names ("DNS:alice.example.com"). Returns its path."""
        self._key(name)
        extensions = [f"extendedKeyUsage={usage}"] + ([f"subjectAltName={','.join(names)}"] if names else [])
        (self.folder / f"{name}.ext").write_text("\n".join(extensions) + "\n")
        openssl("req", "-new", "-key", f"{name}.key", "-subj", subject or f"/CN={name}", "-out", f"{name}.csr",
                cwd=self.folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key",
                "-CAcreateserial", "-days", days, "-extfile", f"{name}.ext", "-out", f"{name}.crt", cwd=self.folder)
        return self.folder / f"{name}.crt"

    def issue_expired(self, name, *names, **options):
        return self.issue(name, *names, days=-1, **options)

    def empty_crl(self, days=1):
        """CA.crl, which revokes nothing."""
        database = self.folder / "index.txt"
        database.write_text("")
        (self.folder / "ca.cnf").write_text("[ca]\ndefault_ca = this\n[this]\ndatabase = index.txt\n"
                                            "default_md = sha256\n")
        openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", f"{self.name}.key", "-cert", f"{self.name}.crt",
                "-crldays", days, "-out", f"{self.name}.crl", cwd=self.folder)
        return self.folder / f"{self.name}.crl"
