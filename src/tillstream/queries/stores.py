"""The shops as readers see them, and their names beside their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tillstream.database.base import Database, Row
from tillstream.metrics.folding import metric_table
from tillstream.stores import opening_hours
from tillstream.stores.model import Store, StoreList

STORE_NAME = "store_name"
STORE_COLUMNS = ("id", "name", "city", "region", "zone", "tills", "hours", "listed")


def named(rows: Iterable[Row], shops: StoreList) -> list[Row]:
    """The rows with `store_name` behind `store`: what people call it, its id where it is not in the list."""
    named_rows = []
    for row in rows:
        fresh: Row = {}
        for name, value in row.items():
            fresh[name] = value
            if name == "store":
                fresh[STORE_NAME] = shops.title(value)
        named_rows.append(fresh)
    return named_rows


class Stores:
    """The shops of the list and those that sold."""

    def __init__(self, database: Database, shops: Callable[[], StoreList]) -> None:
        self._database = database
        self._shops = shops

    def all(self) -> list[Row]:
        """Every shop in the order of the list, then those that are not in it, by id.

        `name` is what people call it, `hours` a text, `zone` empty in the chain's own, `tills` 0 and
        other texts empty where they are unknown.
        """
        shops = self._shops()
        sold = self._database.query(f"SELECT DISTINCT store FROM {metric_table('sales_by_store')} ORDER BY store")
        others = [Store(row["store"]) for row in sold if row["store"] not in shops.by_id]
        return [
            *(_store(shop, listed=True) for shop in shops.by_id.values()),
            *(_store(shop, listed=False) for shop in others),
        ]


def _store(shop: Store, *, listed: bool) -> Row:
    return {
        "id": shop.id,
        "name": shop.title,
        "city": shop.city,
        "region": shop.region,
        "zone": shop.zone,
        "tills": shop.tills,
        "hours": opening_hours.written(shop.hours),
        "listed": listed,
    }
