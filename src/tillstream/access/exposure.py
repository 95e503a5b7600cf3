"""The rule for listening beyond loopback: it needs API keys, a password and TLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillstream.access import key_file, password, tls
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


class MissingProtection(NamedTuple):
    """A missing protection: its name, how to add it, and what anyone can do without it."""

    name: str
    remedy: str
    danger: str


KEYS = MissingProtection("no keys", "`tillstream keys add --store ID`", "post receipts")
PASSWORD = MissingProtection("no password", "`tillstream password set`", "read receipts")
TLS = MissingProtection("no TLS", "the settings tls_certificate_file and tls_key_file", "listen in")


def always_required(settings: Settings) -> bool:
    """Whether the ports require keys and a password even while none exist."""
    return settings.access == "on" or not (ports.is_loopback(settings.host) or settings.insecure)


def missing_protections(
    directory: DataDirectory, settings: Settings, *, ingest: bool, dashboard: bool
) -> list[MissingProtection]:
    """The protections that these ports lack. Raises `AccessError` if one exists but is unusable."""
    found = []
    if not key_file.read(key_file.path(directory, settings)).guard_ingest and ingest:
        found.append(KEYS)
    if password.read(directory.password) is None and dashboard:
        found.append(PASSWORD)
    if tls.context(settings) is None:
        found.append(TLS)
    return found


def check(directory: DataDirectory, settings: Settings, *, ingest: bool = True, dashboard: bool = True) -> str:
    """A warning, empty if the ports are protected. Raises `AccessError` if they must not listen without protection."""
    found = missing_protections(directory, settings, ingest=ingest, dashboard=dashboard)
    if not found or ports.is_loopback(settings.host):
        return ""
    if settings.insecure:
        # With access = on, nobody gets in while there are no keys and no password.
        dangers = [missing.danger for missing in found if missing is TLS or settings.access != "on"]
        if not dangers:
            return ""
        return f"warning: on {settings.host} anyone who reaches this machine can {_listed(dangers)} (--insecure)"
    because = f"others can reach it, and it has {_listed([missing.name for missing in found])}"
    remedies = _listed([missing.remedy for missing in found])
    raise AccessError("listen on", settings.host, because, f"use {remedies}, or --insecure")


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
