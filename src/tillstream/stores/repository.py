"""The stored list of stores: durable, compared with a new list, and watched for changes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.files import WatchedFile, read_versioned, replace_file
from tillstream.config.settings import Settings, is_zone
from tillstream.errors import StoreListError
from tillstream.stores import opening_hours
from tillstream.stores.model import Store, StoreList

VERSION = 1
"""Version of the file; a newer file is refused and left unchanged."""

REMEDY = "import the list again"

_refuse = partial(StoreListError, "read the list of stores in")


class _Entry(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A store in the file; `hours` is a text such as `Mo-Sa 07:00-19:30`."""

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
    """The path of the file."""
    return Path(settings.shops_file) if settings.shops_file else directory.store_list


def read(file: Path) -> StoreList:
    """Read the list; a missing file is an empty list. Raises `StoreListError`."""
    content = read_versioned(file, _File, VERSION, _refuse, REMEDY)
    if content is None:
        return StoreList()
    try:
        stores = [_store(entry) for entry in content.shops]
    except opening_hours.HoursError as error:
        raise _refuse(file, error, REMEDY) from error
    for store in stores:
        if store.zone and not is_zone(store.zone):
            raise _refuse(file, f"store {store.id}: {store.zone!r} is not a time zone", REMEDY)
    return StoreList({store.id: store for store in stores})


def _store(entry: _Entry) -> Store:
    hours = opening_hours.parse(entry.hours)
    return Store(entry.id, entry.name, entry.city, entry.region, entry.zone, entry.tills, hours)


def write(file: Path, store_list: StoreList) -> None:
    """Save the list: a crash leaves either the old or the new one. Raises `StoreListError`."""
    entries = [
        _Entry(each.id, each.name, each.city, each.region, each.zone, each.tills, opening_hours.format_week(each.hours))
        for each in store_list.by_id.values()
    ]
    text = msgspec.json.format(msgspec.json.encode(_File(VERSION, entries)), indent=1)
    try:
        replace_file(file, text + b"\n")
    except OSError as error:
        because = error.strerror or error
        raise StoreListError("save the list of stores in", file, because, "fix the cause and try again") from error


class Changes(Struct, frozen=True):
    """Ids of the added, changed and removed stores, and of the stores whose time zone changed."""

    total: int
    added: list[str]
    changed: list[str]
    removed: list[str]
    zones: list[str]

    def __str__(self) -> str:
        stores = "1 store" if self.total == 1 else f"{self.total:,} stores"
        return f"{stores}: {len(self.added):,} new, {len(self.changed):,} changed, {len(self.removed):,} removed"


def compare(old: StoreList, new: StoreList) -> Changes:
    """The changes from the old list to the new one."""
    before, after = old.by_id, new.by_id
    return Changes(
        total=len(after),
        added=[store_id for store_id in after if store_id not in before],
        changed=[store_id for store_id in after if store_id in before and after[store_id] != before[store_id]],
        removed=[store_id for store_id in before if store_id not in after],
        zones=[store_id for store_id in {**before, **after} if old.get(store_id).zone != new.get(store_id).zone],
    )


class StoreRepository(WatchedFile[StoreList]):
    """A callable that returns the current list. If the file becomes unreadable, the last list stays valid."""

    def __init__(self, file: Path, clock: Clock) -> None:
        super().__init__(file, clock, read, StoreList(), "store_list", lambda stores: {"stores": len(stores.by_id)})


def with_zones(settings: Settings, store_list: StoreList) -> Settings:
    """The settings with the time zones of the list added to `store_zones`. The setting overrides the list."""
    # The engine joins each receipt with `store_zones`, so stores in the chain's own zone are left out.
    zones = {store.id: store.zone for store in store_list.by_id.values() if store.zone not in ("", settings.zone)}
    return replace(settings, store_zones={**zones, **settings.store_zones})


def settings_in_force(directory: DataDirectory, settings: Settings, clock: Clock) -> tuple[Settings, StoreRepository]:
    """The settings with the time zones of the current list, and the repository of the list."""
    stores = StoreRepository(path(directory, settings), clock)
    return with_zones(settings, stores()), stores
