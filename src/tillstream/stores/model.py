"""The chain's list of shops: what each is called, where it stands, when it is open, how many tills it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

from msgspec import Struct


class Opening(Struct, frozen=True):
    """One span of opening hours by the shop's own clock; `weekday` is 0 on Monday."""

    weekday: int
    opens: time
    closes: time


class Store(Struct, frozen=True):
    """One shop; everything but its id may be unknown: an empty text, no hours, no tills."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: tuple[Opening, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.id

    def is_open(self, local: datetime) -> bool | None:
        """Whether it is open at this wall-clock time of its own; None where its hours are unknown."""
        if not self.hours:
            return None
        return any(each.weekday == local.weekday() and each.opens <= local.time() < each.closes for each in self.hours)


class StoreList:
    """The shops by their id. One that is not in the list still works, under its id."""

    def __init__(self, shops: Mapping[str, Store] | None = None) -> None:
        self.by_id: Mapping[str, Store] = dict(shops or {})

    def get(self, store: str) -> Store:
        """The shop of this id, whether it is in the list or not."""
        return self.by_id.get(store) or Store(store)

    def title(self, store: str) -> str:
        return self.get(store).title

    def of_region(self, region: str) -> list[str]:
        """Ids of the region's shops."""
        return [shop.id for shop in self.by_id.values() if shop.region == region]

    @property
    def regions(self) -> list[str]:
        return sorted({shop.region for shop in self.by_id.values() if shop.region})
