"""Where the ports may listen: on loopback as one likes, elsewhere with keys, a password and TLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tillstream.access import key_file, password, tls
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


class Lack(NamedTuple):
    """Something that protects and is missing: what, how it is had, and what others can do without it."""

    what: str
    remedy: str
    danger: str


KEYS = Lack("no keys", "`tillstream keys add --store ID`", "post receipts")
PASSWORD = Lack("no password", "`tillstream password set`", "read receipts")
TLS = Lack("no TLS", "the settings tls_certificate_file and tls_key_file", "listen in")


def asks_always(settings: Settings) -> bool:
    """Whether the ports ask for keys and password even while there are none."""
    return settings.access == "on" or not (ports.is_loopback(settings.host) or settings.insecure)


def lacks(directory: DataDirectory, settings: Settings, *, ingest: bool, dashboard: bool) -> list[Lack]:
    """What is missing of the protection of these ports. Raises `AccessError` where it is there and cannot be used."""
    found = []
    if not key_file.read(key_file.place(directory, settings)).guard_ingest and ingest:
        found.append(KEYS)
    if password.read(directory.password) is None and dashboard:
        found.append(PASSWORD)
    if tls.context(settings) is None:
        found.append(TLS)
    return found


def check(directory: DataDirectory, settings: Settings, *, ingest: bool = True, dashboard: bool = True) -> str:
    """What to warn of, empty where all is well. Raises `AccessError` where these ports must not listen like that."""
    found = lacks(directory, settings, ingest=ingest, dashboard=dashboard)
    if not found or ports.is_loopback(settings.host):
        return ""
    if settings.insecure:
        # Keys and a password that are always asked for let nobody in while there are none.
        dangers = [lack.danger for lack in found if lack is TLS or settings.access != "on"]
        if not dangers:
            return ""
        return f"warning: on {settings.host} everyone who reaches this machine can {_listed(dangers)} (--insecure)"
    because = f"others can reach it, and it has {_listed([lack.what for lack in found])}"
    remedies = _listed([lack.remedy for lack in found])
    raise AccessError("listen on", settings.host, because, f"use {remedies}, or --insecure")


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
