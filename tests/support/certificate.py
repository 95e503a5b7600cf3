"""Self-signed certificates made by `openssl`. If it is missing, tests are skipped, or fail in CI."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.requirements import require_program


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a self-signed certificate for `localhost` and `127.0.0.1`."""

    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Command-line options that name the files."""
        return ("--tls-certificate-file", str(self.certificate), "--tls-key-file", str(self.key))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that name the files."""
        return {"tls_certificate_file": str(self.certificate), "tls_key_file": str(self.key)}

    @property
    def trusted(self) -> ssl.SSLContext:
        """A TLS context for clients that trusts only this certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))


def openssl(*arguments: object) -> None:
    subprocess.run([require_program("openssl"), *map(str, arguments)], check=True, capture_output=True)


def certificate(directory: Path, kind: str = "ec") -> Certificate:
    """Make a certificate with an `ec` or `rsa` key."""
    made = Certificate(directory / f"{kind}.crt", directory / f"{kind}.key")
    algorithm = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1") if kind == "ec" else ("rsa:2048",)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ("-keyout", made.key, "-out", made.certificate)
    openssl(
        "req", "-x509", "-newkey", *algorithm, "-nodes", *files, "-days", 2, "-subj", "/CN=localhost", "-addext", names
    )
    return made
