"""Protection of the ports of ingest and the dashboard: the TLS context, and the check of keys, password and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tillstream.access import keys, password
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


class MissingProtection(NamedTuple):
    """A missing protection: its name, how to add it, and what other people can do while it is missing."""

    name: str
    remedy: str
    danger: str


KEYS = MissingProtection("no keys", "`tillstream keys add --store ID`", "post receipts")
PASSWORD = MissingProtection("no password", "`tillstream password set`", "read receipts")
TLS = MissingProtection("no TLS", "the settings tls_certificate_file and tls_key_file", "listen in")


def always_required(settings: Settings) -> bool:
    """Return whether requests without credentials are always rejected, even if no key and no password exists."""
    return settings.access == "on" or not (ports.is_loopback(settings.host) or settings.insecure)


def check(directory: DataDirectory, settings: Settings, *, ingest: bool = True, dashboard: bool = True) -> str:
    """Return a warning about missing protections, or an empty string.

    `ingest` and `dashboard` select the ports to check. Raises `AccessError` if a protection is missing, other
    machines can reach the ports, and the setting `insecure` is off. Also raises `AccessError` if the files of the
    keys, the password or TLS are unusable.
    """
    found = _missing(directory, settings, ingest=ingest, dashboard=dashboard)
    if not found or ports.is_loopback(settings.host):
        return ""
    if settings.insecure:
        # If `access` is `on`, requests without credentials are rejected anyway, so only missing TLS is a danger.
        dangers = [missing.danger for missing in found if missing is TLS or settings.access != "on"]
        if not dangers:
            return ""
        return f"warning: on {settings.host} anyone who reaches this machine can {_listed(dangers)} (--insecure)"
    because = f"others can reach it, and it has {_listed([missing.name for missing in found])}"
    remedies = _listed([missing.remedy for missing in found])
    raise AccessError("listen on", settings.host, because, f"use {remedies}, or --insecure")


def _missing(directory: DataDirectory, settings: Settings, *, ingest: bool, dashboard: bool) -> list[MissingProtection]:
    found = []
    if not keys.read_keys(keys.key_file(directory, settings)).guard_ingest and ingest:
        found.append(KEYS)
    if password.read(directory.password) is None and dashboard:
        found.append(PASSWORD)
    if tls_context(settings) is None:
        found.append(TLS)
    return found


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """If a certificate is configured, return a context for TLS 1.2 or newer that uses it. Otherwise return None.

    Raises `AccessError` if a file is missing, unreadable or not PEM, or if key and certificate do not match.
    """
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if not certificate and not key:
        return None
    if not certificate or not key:
        hint = "set both tls_certificate_file and tls_key_file"
        raise AccessError("use TLS with", certificate or key, "one of the two files is missing", hint)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Open the files first, because `load_cert_chain` does not name the file that it cannot open.
        for file in (certificate, key):
            Path(file).open("rb").close()
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except _Encrypted:
        hint = "remove it: openssl pkey -in KEY -out NEW"
        raise AccessError("use the key", key, "it has a passphrase", hint) from None
    except ssl.SSLError as error:
        raise AccessError("use the certificate", certificate, *_tls_problem(error, key)) from error
    except OSError as error:
        hint = "check the path and its permissions"
        raise AccessError("read the TLS file", error.filename, error.strerror or error, hint) from error
    return context


class _Encrypted(Exception):
    """The file of the private key needs a passphrase."""


def _no_passphrase() -> str:
    raise _Encrypted


def _tls_problem(error: ssl.SSLError, key: str) -> tuple[str, str]:
    """Return the cause of a TLS error in plain words, and a hint."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{key} is not its key", "name a matching pair"
    if error.reason and "EE_KEY_TOO_SMALL" in error.reason:
        return "its key is too short", "create one of 2048 bits or more"
    hint = "both must be PEM: -----BEGIN CERTIFICATE----- and -----BEGIN PRIVATE KEY-----"
    return f"it or {key} is unreadable", hint
