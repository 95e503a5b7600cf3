"""The TLS certificate and key of both ports, checked before a server listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from tillstream.config.settings import Settings
from tillstream.errors import AccessError

_BOTH = "set both tls_certificate_file and tls_key_file"


def context(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with the certificate of the settings; None without one.

    Raises `AccessError` if a file is missing, unreadable or not PEM, or if key and certificate do not match.
    """
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise AccessError("use TLS with", certificate or key, "one of the two files is missing", _BOTH)
    for file in (certificate, key):
        _check(file)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        tls.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Encrypted:
        raise AccessError(
            "use the key", key, "it has a passphrase", "remove it: openssl pkey -in KEY -out NEW"
        ) from None
    except ssl.SSLError as error:
        raise _unusable(certificate, key, error) from error
    return tls


class _Encrypted(Exception):
    """The key is encrypted with a passphrase."""


def _no_passphrase() -> str:
    raise _Encrypted


def _check(file: str) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        hint = "check the path and its permissions"
        raise AccessError("read the TLS file", file, error.strerror or error, hint) from error


def _unusable(certificate: str, key: str, error: ssl.SSLError) -> AccessError:
    if error.reason == "KEY_VALUES_MISMATCH":
        return AccessError("use the certificate", certificate, f"{key} is not its key", "name a matching pair")
    if error.reason and "EE_KEY_TOO_SMALL" in error.reason:
        return AccessError(
            "use the certificate", certificate, "its key is too short", "create one of 2048 bits or more"
        )
    hint = "both must be PEM: -----BEGIN CERTIFICATE----- and -----BEGIN PRIVATE KEY-----"
    return AccessError("use the certificate", certificate, f"it or {key} is unreadable", hint)
