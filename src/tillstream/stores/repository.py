"""The stored list of stores: its file, the comparison with a new list, and the time zones for the settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.files import WatchedFile, read_versioned, replace_file
from tillstream.config.settings import Settings, is_zone
from tillstream.errors import StoreListError
from tillstream.stores.model import HoursError, Store, StoreList, format_hours, parse_hours

VERSION = 1
"""The version of the file. A file with a higher version is refused."""

REMEDY = "import the list again"

_unreadable = partial(StoreListError, "read the list of stores in")


class _Entry(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A store in the file, with its opening hours as text."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: str = ""


class _File(Struct):
    version: int
    shops: list[_Entry]


def path(directory: DataDirectory, settings: Settings) -> Path:
    """Return the path of the file that stores the list."""
    return Path(settings.shops_file) if settings.shops_file else directory.store_list


def read(file: Path) -> StoreList:
    """Read the list. It is empty if the file does not exist. Raises `StoreListError`."""
    content = read_versioned(file, _File, VERSION, _unreadable, REMEDY)
    stores = {}
    for entry in content.shops if content is not None else ():
        if entry.zone and not is_zone(entry.zone):
            raise _unreadable(file, f"store {entry.id}: {entry.zone!r} is not a time zone", REMEDY)
        try:
            stores[entry.id] = Store(**{**asdict(entry), "hours": parse_hours(entry.hours)})
        except HoursError as error:
            raise _unreadable(file, error, REMEDY) from error
    return StoreList(stores)


def write(file: Path, store_list: StoreList) -> None:
    """Save the list. After a crash, the file has either the old or the new list. Raises `StoreListError`."""
    entries = [_Entry(**{**asdict(store), "hours": format_hours(store.hours)}) for store in store_list.by_id.values()]
    text = msgspec.json.format(msgspec.json.encode(_File(VERSION, entries)), indent=1)
    try:
        replace_file(file, text + b"\n")
    except OSError as error:
        because = error.strerror or error
        raise StoreListError("save the list of stores in", file, because, "fix the cause and try again") from error


class Changes(Struct, frozen=True):
    """The size of a new list, and the ids of the added, changed and removed stores.

    `zones` contains the ids of the stores whose time zone has changed.
    """

    total: int
    added: list[str]
    changed: list[str]
    removed: list[str]
    zones: list[str]

    def __str__(self) -> str:
        stores = "1 store" if self.total == 1 else f"{self.total:,} stores"
        return f"{stores}: {len(self.added):,} new, {len(self.changed):,} changed, {len(self.removed):,} removed"


def compare(old: StoreList, new: StoreList) -> Changes:
    """Return the changes from the old list to the new list."""
    before, after = old.by_id, new.by_id
    return Changes(
        total=len(after),
        added=[store_id for store_id in after if store_id not in before],
        changed=[store_id for store_id in after if store_id in before and after[store_id] != before[store_id]],
        removed=[store_id for store_id in before if store_id not in after],
        zones=[store_id for store_id in {**before, **after} if old.get(store_id).zone != new.get(store_id).zone],
    )


class StoreRepository(WatchedFile[StoreList]):
    """A callable that returns the current list, or the last valid list if the file has become unreadable."""

    def __init__(self, file: Path, clock: Clock) -> None:
        super().__init__(file, clock, read, StoreList(), "store_list", lambda stores: {"stores": len(stores.by_id)})


def with_zones(settings: Settings, store_list: StoreList) -> Settings:
    """Add the time zones of the list to the setting `store_zones`. A zone in the setting overrides the list."""
    # A store in the zone of the chain needs no entry. The engine joins receipts with the entries, so fewer entries make
    # it faster.
    zones = {store.id: store.zone for store in store_list.by_id.values() if store.zone not in ("", settings.zone)}
    return replace(settings, store_zones={**zones, **settings.store_zones})


def settings_in_force(directory: DataDirectory, settings: Settings, clock: Clock) -> tuple[Settings, StoreRepository]:
    """Return the settings with the time zones of the current list, and the repository of the list."""
    stores = StoreRepository(path(directory, settings), clock)
    return with_zones(settings, stores()), stores
