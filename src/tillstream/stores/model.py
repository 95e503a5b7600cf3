"""The chain's list of shops: what each is called, where it stands, when it is open, how many tills it has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

from msgspec import Struct

from tillstream.config.settings import Settings


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
        return self.opening_at(local) is not None if self.hours else None

    def opening_at(self, local: datetime) -> Opening | None:
        """The opening hours that include this wall-clock time of its own."""
        weekday, clock = local.weekday(), local.time()
        return next(
            (each for each in self.hours if each.weekday == weekday and each.opens <= clock < each.closes), None
        )


def zone_of(settings: Settings, store: Store) -> str:
    """The time zone of a store: from the settings, from the list of stores, or that of the chain."""
    return settings.store_zones.get(store.id) or store.zone or settings.zone


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
