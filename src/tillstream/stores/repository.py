"""The list of shops: kept there durably, and seen anew by who has it open."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory, replace_file
from tillstream.config.settings import Settings
from tillstream.config.versioned import Unusable, decode
from tillstream.config.watched import Watched
from tillstream.errors import StoreListError
from tillstream.stores import opening_hours as hours
from tillstream.stores.csv_file import is_zone
from tillstream.stores.model import Store, StoreList

VERSION = 1
"""Of the file; a newer one is left as it is."""

AGAIN = "import the list again"


class _Entry(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A shop as it is kept: its hours as people write them."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: str = ""


class _Kept(Struct):
    version: int
    shops: list[_Entry]


def place(directory: DataDirectory, settings: Settings) -> Path:
    """Where the list is kept."""
    return Path(settings.shops_file) if settings.shops_file else directory.shops


def read(file: Path) -> StoreList:
    """The list that is kept in the file; an empty one where there is no file. Raises `StoreListError`."""
    try:
        return _decode(file, file.read_bytes())
    except FileNotFoundError:
        return StoreList()
    except OSError as error:
        raise _refuse(file, error.strerror or error, "check who may read it") from error


def write(file: Path, shops: StoreList) -> None:
    """Keep the list: after a crash either the old or the new one is there. Raises `StoreListError`."""
    entries = [
        _Entry(shop.id, shop.name, shop.city, shop.region, shop.zone, shop.tills, hours.written(shop.hours))
        for shop in shops.by_id.values()
    ]
    text = msgspec.json.format(msgspec.json.encode(_Kept(VERSION, entries)), indent=1)
    try:
        replace_file(file, text + b"\n")
    except OSError as error:
        raise StoreListError(
            "keep the list of shops in", file, error.strerror or error, "mend that, try again"
        ) from error


def _decode(file: Path, text: bytes) -> StoreList:
    try:
        shops = [_shop(entry) for entry in decode(text, _Kept, VERSION, AGAIN).shops]
    except Unusable as error:
        raise _refuse(file, error.because, error.hint) from error
    except hours.HoursError as error:
        raise _refuse(file, error, AGAIN) from error
    for shop in shops:
        if shop.zone and not is_zone(shop.zone):
            raise _refuse(file, f"shop {shop.id}: {shop.zone!r} is not a time zone", AGAIN)
    return StoreList({shop.id: shop for shop in shops})


def _shop(entry: _Entry) -> Store:
    openings = hours.parse(entry.hours)
    return Store(entry.id, entry.name, entry.city, entry.region, entry.zone, entry.tills, openings)


def _refuse(file: Path, because: object, hint: str) -> StoreListError:
    return StoreListError("read the list of shops in", file, because, hint)


def with_zones(settings: Settings, shops: StoreList) -> Settings:
    """The settings with the zones of the list in `store_zones`; what they say themselves of a store wins."""
    # Those in the chain's own zone need no entry: the engine joins each receipt with these.
    listed = {shop.id: shop.zone for shop in shops.by_id.values() if shop.zone not in ("", settings.zone)}
    return replace(settings, store_zones={**listed, **settings.store_zones})


class StoreRepository(Watched[StoreList]):
    """Called, it gives the list as it is now; one that cannot be read leaves the last one in force."""

    def __init__(self, file: Path, clock: Clock) -> None:
        super().__init__(file, clock, read, StoreList(), "store_list", lambda shops: {"shops": len(shops.by_id)})


def settings_in_force(directory: DataDirectory, settings: Settings, clock: Clock) -> tuple[Settings, StoreRepository]:
    """The settings with the time zones of the current list of shops, and the list, which follows its file."""
    shops = StoreRepository(place(directory, settings), clock)
    return with_zones(settings, shops()), shops
