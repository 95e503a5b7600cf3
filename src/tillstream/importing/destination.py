"""Where receipts go: the ingest that was named, or the one that runs on the data directory."""

from __future__ import annotations

from typing import NamedTuple

from tillstream.access import machine_token
from tillstream.access.keys import KEY
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import FORMAT_FILE, DataDirectory, Kind
from tillstream.config.settings import Settings, default
from tillstream.stores.repository import settings_in_force


class Destination(NamedTuple):
    """Its address, and what tells its log from others: what one has acknowledged, another may not have.

    `mark` names the key too: what is of stores that one is not for, another may send. `key` goes with every batch; of one on the `same_machine` the certificate need not be for the name in `url`.
    """

    url: str
    mark: str = ""
    key: str = ""
    same_machine: bool = False


def find(settings: Settings, to: str = "", key: str = "") -> Destination:
    """`to` where it is given, else the data directory's running ingest, else where one listens by the settings.

    Who may read the data directory needs no key of their own where an ingest runs on it. The token goes to nobody
    else: anyone on this machine may listen where none does.
    """
    named = f" key {found[1]}" if (found := KEY.fullmatch(key)) else ""
    if to:
        return Destination(to.rstrip("/"), to.rstrip("/") + named, key)
    directory = DataDirectory(settings.data_path, Kind.REAL)
    try:
        holder = directory.holder("ingest")
    except OSError:
        holder = None
    if holder is not None and holder.address:
        key = key or machine_token.known(directory)
        return Destination(holder.address, (mark(settings) or holder.address) + named, key, same_machine=True)
    url = ports.address(settings.host, settings.ingest_port or default("ingest_port"), tls=settings.tls)
    return Destination(url, url + named, key)


def mark(settings: Settings) -> str:
    """Tells the data directory from one that stood there before; empty where there is none."""
    try:
        status = (settings.data_path / FORMAT_FILE).stat()
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}"


def with_zones(settings: Settings, clock: Clock) -> Settings:
    """The settings with the time zones that ingest has from the list of shops, where the data directory is here."""
    if not (settings.data_path / FORMAT_FILE).exists():
        return settings
    return settings_in_force(DataDirectory(settings.data_path, Kind.REAL), settings, clock)[0]
