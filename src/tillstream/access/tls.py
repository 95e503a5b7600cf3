"""The certificate and key that both ports speak TLS with, checked before anything listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from tillstream.config.settings import Settings
from tillstream.errors import AccessError

_BOTH = "both are needed: set tls_certificate_file and tls_key_file"


def context(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificate of the settings; None without one.

    Raises `AccessError` where a file is missing, cannot be read, is no PEM, or the two don't belong together.
    """
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise AccessError("use TLS with", certificate or key, "it is only one of two files", _BOTH)
    for file in (certificate, key):
        _check(file)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Encrypted:
        raise AccessError(
            "use the key", key, "it has a passphrase", "take it off: openssl pkey -in KEY -out NEW"
        ) from None
    except ssl.SSLError as error:
        raise _unusable(certificate, key, error) from error
    return made


class _Encrypted(Exception):
    """The key asks for a passphrase."""


def _no_passphrase() -> str:
    raise _Encrypted


def _check(file: str) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        hint = "check the path, and who may read it"
        raise AccessError("read the TLS file", file, error.strerror or error, hint) from error


def _unusable(certificate: str, key: str, error: ssl.SSLError) -> AccessError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return AccessError(
            "use the certificate", certificate, f"{key} is not its key", "name the two that belong together"
        )
    if error.reason and "EE_KEY_TOO_SMALL" in error.reason:
        return AccessError("use the certificate", certificate, "its key is too short", "make one of 2048 bits or more")
    hint = "both must be PEM: -----BEGIN CERTIFICATE----- and -----BEGIN PRIVATE KEY-----"
    return AccessError("use the certificate", certificate, f"it or {key} is not understood", hint)
