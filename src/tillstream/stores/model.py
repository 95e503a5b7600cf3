"""The chain's list of stores: the name, address, opening hours, time zone and number of tills of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time

from msgspec import Struct

from tillstream.config.settings import Settings


class Opening(Struct, frozen=True):
    """One span of opening hours in the store's local time; `weekday` is 0 on Monday."""

    weekday: int
    opens: time
    closes: time


class Store(Struct, frozen=True):
    """One store. All fields but the id may be unknown: an empty text, no hours, no tills."""

    id: str
    name: str = ""
    city: str = ""
    region: str = ""
    zone: str = ""
    tills: int = 0
    hours: tuple[Opening, ...] = ()

    @property
    def title(self) -> str:
        """The name for display: the id if the name is unknown."""
        return self.name or self.id

    def is_open(self, local: datetime) -> bool | None:
        """Whether the store is open at this local time; None if its hours are unknown."""
        return self.opening_at(local) is not None if self.hours else None

    def opening_at(self, local: datetime) -> Opening | None:
        """The opening hours that contain this local time; None if there are none."""
        weekday, clock = local.weekday(), local.time()
        return next(
            (each for each in self.hours if each.weekday == weekday and each.opens <= clock < each.closes), None
        )


def zone_of(settings: Settings, store: Store) -> str:
    """The time zone of a store: that of the setting, of the list of stores, or of the chain."""
    return settings.store_zones.get(store.id) or store.zone or settings.zone


class StoreList:
    """The stores by id. A store that is not in the list works too, under its id."""

    def __init__(self, stores: Mapping[str, Store] | None = None) -> None:
        self.by_id: Mapping[str, Store] = dict(stores or {})

    def get(self, store_id: str) -> Store:
        """The store with this id. If the list does not contain it, only the id is known."""
        return self.by_id.get(store_id) or Store(store_id)

    def title(self, store_id: str) -> str:
        return self.get(store_id).title

    def of_region(self, region: str) -> list[str]:
        """Ids of the stores of a region."""
        return [store.id for store in self.by_id.values() if store.region == region]

    @property
    def regions(self) -> list[str]:
        return sorted({store.region for store in self.by_id.values() if store.region})
