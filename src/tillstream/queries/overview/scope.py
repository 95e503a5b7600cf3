"""Whose sales are asked for: the chain's, a region's, a shop's, a till's, a category's or a product's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tillstream.database.base import Row
from tillstream.errors import BadQuery
from tillstream.metrics.catalogue import Source
from tillstream.stores.model import StoreList

Kind = Literal["chain", "region", "store", "till", "category", "product"]

PARAMETERS = ("region", "store", "till", "category", "product")


@dataclass(frozen=True, slots=True)
class Scope:
    """One part of the chain. `stores` are the region's shops, in their order."""

    kind: Kind = "chain"
    keys: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """What its sales are counted from: whole receipts, or the lines of one kind."""
        return "lines" if self.kind in ("category", "product") else "receipts"

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """SQL condition over stored rows, and its parameters."""
        if self.kind == "chain":
            return "true", []
        if self.kind == "region":
            return f"store IN ({', '.join('?' * len(self.stores))})", list(self.stores)
        return " AND ".join(f"{name} = ?" for name in self.keys), list(self.keys.values())

    @property
    def columns(self) -> frozenset[str]:
        """The columns that its condition is about."""
        return frozenset({"store"}) if self.kind == "region" else frozenset(self.keys)

    @property
    def identity(self) -> tuple[Any, ...]:
        """What tells it from all others, for a cache."""
        return (self.kind, *self.keys.items(), *self.stores)

    def has(self, store: str) -> bool:
        """Whether the shop belongs to it; a category and a product are sold everywhere."""
        if self.kind == "region":
            return store in self.stores
        return "store" not in self.keys or self.keys["store"] == store


def parse_scope(shops: StoreList, query: Mapping[str, str]) -> Scope:
    """The scope that a query's parameters name. Raises `BadQuery`."""
    keys = {name: query[name] for name in PARAMETERS if name in query}
    if "till" in keys and "store" not in keys:
        raise BadQuery("till", "a till is one of a store", "give `store` too")
    kinds = [name for name in keys if name != "store" or "till" not in keys]
    if not kinds:
        return Scope()
    if len(kinds) > 1:
        raise BadQuery(kinds[1], f"{kinds[0]} is given too", f"give one of {', '.join(PARAMETERS)}")
    [kind] = kinds
    if kind != "region":
        return Scope(kind, keys)  # type: ignore[arg-type]
    stores = tuple(sorted(shops.of_region(keys["region"])))
    if not stores:
        known = ", ".join(shops.regions) or "none: `tillstream stores import` takes a list of shops"
        raise BadQuery("region", f"the list of shops has no region {keys['region']!r}", f"there are {known}")
    return Scope("region", keys, stores)


def described(scope: Scope, shops: StoreList, title: str | None = None, category: str | None = None) -> Row:
    """The scope for readers: what it is called and what it is a part of.

    `title` is a product's description, `category` the one that it is sold in.
    """
    keys = {name: scope.keys.get(name) for name in PARAMETERS}
    shop = shops.get(scope.keys["store"]) if "store" in scope.keys else None
    parents: list[Row] = []
    if shop is not None and shop.region:
        parents.append({"kind": "region", "title": shop.region, "region": shop.region})
    if shop is not None and scope.kind == "till":
        parents.append({"kind": "store", "title": shop.title, "store": shop.id})
    if category is not None:
        parents.append({"kind": "category", "title": category, "category": category})
    own = shop.title if shop is not None and scope.kind == "store" else scope.keys.get(scope.kind)
    return {
        "kind": scope.kind,
        **keys,
        "title": title or own,
        "city": shop.city or None if shop is not None else None,
        "parents": parents,
    }
