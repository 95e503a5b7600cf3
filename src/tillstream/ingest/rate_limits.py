"""How many receipts a second each store may send: a bucket of tokens a store, filled evenly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

STORES_KEPT = 100_000


class Over(NamedTuple):
    """A store that sends too much, and the whole seconds after which it may send again."""

    store: str
    wait_s: int


class StoreRates:
    """A bucket holds one second's receipts. A request passes where none of its stores is in debt,
    however many receipts it has, and may leave a debt behind: so a batch of any size passes once,
    and is paid off by waiting. A limit of 0 means that nothing needs to be asked.
    """

    def __init__(self, limit_per_s: int) -> None:
        self.limit_per_s = limit_per_s
        # When the store's bucket is full again, in seconds of the caller's clock.
        self._full_at: dict[str, float] = {}

    def over(self, stores: Mapping[str, int], now_s: float) -> Over | None:
        """None, and the receipts (by store) are counted; or nothing is, and who must wait. `now_s` never goes back."""
        for store in stores:
            debt_s = self._full_at.get(store, now_s) - now_s - 1.0
            if debt_s > 0:
                return Over(store, math.ceil(debt_s))
        if len(self._full_at) + len(stores) > STORES_KEPT:
            self._full_at = {store: at for store, at in self._full_at.items() if at > now_s}
        for store, receipts in stores.items():
            self._full_at[store] = max(self._full_at.get(store, now_s), now_s) + receipts / self.limit_per_s
        return None
