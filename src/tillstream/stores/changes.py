"""What a new list of shops changes about the one before."""

from __future__ import annotations

from msgspec import Struct

from tillstream.stores.model import StoreList


class Changes(Struct, frozen=True):
    """Ids of the shops that are new, that changed and that are gone, and of those in another time zone."""

    total: int
    new: list[str]
    changed: list[str]
    gone: list[str]
    zones: list[str]

    def __str__(self) -> str:
        shops = "shop" if self.total == 1 else "shops"
        return f"{self.total:,} {shops}: {len(self.new):,} new, {len(self.changed):,} changed, {len(self.gone):,} gone"


def compare(old: StoreList, new: StoreList) -> Changes:
    """What `new` changes where `old` was in force. A shop without a zone stands in the chain's."""
    before, after = old.by_id, new.by_id
    return Changes(
        total=len(after),
        new=[store for store in after if store not in before],
        changed=[store for store in after if store in before and after[store] != before[store]],
        gone=[store for store in before if store not in after],
        zones=[store for store in {**before, **after} if old.get(store).zone != new.get(store).zone],
    )
