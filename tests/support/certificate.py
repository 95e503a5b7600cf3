"""A certificate for this machine, made by `openssl`. Missing, it skips tests on a laptop and fails them in CI."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a certificate that signs itself, for `localhost` and `127.0.0.1`."""

    certificate: Path
    key: Path

    @property
    def options(self) -> tuple[str, ...]:
        """The command's options."""
        return ("--tls-certificate-file", str(self.certificate), "--tls-key-file", str(self.key))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that name them."""
        return {"tls_certificate_file": str(self.certificate), "tls_key_file": str(self.key)}

    @property
    def trusted(self) -> ssl.SSLContext:
        """TLS of a client that trusts it and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))


def openssl(*arguments: object) -> None:
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("openssl is missing")
        pytest.skip("openssl is missing")
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)


def certificate(directory: Path, kind: str = "ec") -> Certificate:
    """A new one with an `ec` or an `rsa` key."""
    made = Certificate(directory / f"{kind}.crt", directory / f"{kind}.key")
    algorithm = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1") if kind == "ec" else ("rsa:2048",)
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    files = ("-keyout", made.key, "-out", made.certificate)
    openssl(
        "req", "-x509", "-newkey", *algorithm, "-nodes", *files, "-days", 2, "-subj", "/CN=localhost", "-addext", names
    )
    return made
