"""The list of shops in the data directory: kept there durably, and seen anew by who has it open."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from tillstream.clock import Clock
from tillstream.datadir import replace_file
from tillstream.errors import ShopListError
from tillstream.settings import Settings
from tillstream.shoplist import hours
from tillstream.shoplist.table import is_zone
from tillstream.shops import Shop, Shops

VERSION = 1
"""Of the file; a newer one is left as it is."""

LOOK_AGAIN_US = 1_000_000
"""For how long a look at the file holds."""

logger = structlog.get_logger()


class _Entry(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A shop as it is kept: its hours as people write them."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: str = ""


class _Versioned(Struct):
    version: int


class _Kept(_Versioned):
    shops: list[_Entry]


def read(file: Path) -> Shops:
    """The list that is kept in the file; an empty one where there is no file. Raises `ShopListError`."""
    try:
        return _decode(file, file.read_bytes())
    except FileNotFoundError:
        return Shops()
    except OSError as error:
        raise _refuse(file, error.strerror or error, "check who may read it") from error


def write(file: Path, shops: Shops) -> None:
    """Keep the list: after a crash either the old or the new one is there. Raises `ShopListError`."""
    entries = [
        _Entry(shop.id, shop.name, shop.city, shop.region, shop.zone, shop.tills, hours.written(shop.hours))
        for shop in shops.by_id.values()
    ]
    text = msgspec.json.format(msgspec.json.encode(_Kept(VERSION, entries)), indent=1)
    try:
        replace_file(file, text + b"\n")
    except OSError as error:
        raise ShopListError(
            "keep the list of shops in", file, error.strerror or error, "mend that, try again"
        ) from error


def _decode(file: Path, text: bytes) -> Shops:
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version > VERSION:
            because = f"it is of version {version}, and this tillstream knows versions up to {VERSION}"
            raise _refuse(file, because, "install a newer tillstream")
        shops = [_shop(entry) for entry in msgspec.json.decode(text, type=_Kept).shops]
    except (msgspec.DecodeError, UnicodeDecodeError, hours.HoursError) as error:
        raise _refuse(file, error, "import the list again") from error
    for shop in shops:
        if shop.zone and not is_zone(shop.zone):
            raise _refuse(file, f"shop {shop.id}: {shop.zone!r} is no time zone", "import the list again")
    return Shops({shop.id: shop for shop in shops})


def _shop(entry: _Entry) -> Shop:
    openings = hours.parse(entry.hours)
    return Shop(entry.id, entry.name, entry.city, entry.region, entry.zone, entry.tills, openings)


def _refuse(file: Path, because: object, hint: str) -> ShopListError:
    return ShopListError("read the list of shops in", file, because, hint)


def with_zones(settings: Settings, shops: Shops) -> Settings:
    """The settings with the zones of the list in `store_zones`; what they say themselves of a store wins."""
    # Those in the chain's own zone need no entry: the engine joins each receipt with these.
    listed = {shop.id: shop.zone for shop in shops.by_id.values() if shop.zone not in ("", settings.zone)}
    return replace(settings, store_zones={**listed, **settings.store_zones})


class KeptShops:
    """Called, it gives the list as it is now. Safe from any thread.

    The file is looked at once a second at most, and read when it has changed. One that cannot be
    read is reported once, and the last list that could stays in force.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._looking = Lock()
        self._looked_us: int | None = None
        self._seen: tuple[int, ...] = ()
        self._shops = Shops()

    def __call__(self) -> Shops:
        # Whoever comes while another reads has the list of before rather than a wait.
        if self._due() and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._shops

    def _due(self) -> bool:
        return self._looked_us is None or abs(self._clock.now_us() - self._looked_us) >= LOOK_AGAIN_US

    def _look(self) -> None:
        self._looked_us = self._clock.now_us()
        try:
            status = self._file.stat()
            seen: tuple[int, ...] = status.st_mtime_ns, status.st_size, status.st_ino
        except FileNotFoundError:
            seen = ()
        except OSError as error:
            seen = (error.errno or 0,)
        if seen == self._seen:
            return
        # The stat comes first: what is replaced between it and the reading is read again.
        self._seen = seen
        try:
            self._shops = read(self._file)
        except ShopListError as error:
            logger.error("shop_list_unreadable", error=str(error), shops_in_force=len(self._shops.by_id))
        else:
            logger.info("shop_list_read", file=str(self._file), shops=len(self._shops.by_id))
