"""How decoders write the canonical receipt: JSON in the seed's shape, exact amounts, local dates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from tillstream.config.settings import Settings
from tillstream.receipt.model import minor_digits

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)

encode = msgspec.json.Encoder(decimal_format="number").encode
"""A receipt of texts, decimals, lists and dicts as bytes; decimals become JSON numbers, digit by digit."""


def amount(text: str) -> Decimal | str:
    """The number that a text is; any other text as it is, for validation to tell of it by its path."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else text


def without_gaps(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that are there: neither None nor an empty text."""
    return {name: part for name, part in parts.items() if part is not None and part != ""}


def local_date(settings: Settings, store: str, moment: datetime) -> str:
    """An instant (with its zone) as the store's clock showed it, `YYYY-MM-DD HH:MM:SS`."""
    zone = _zone(settings.store_zones.get(store, settings.zone))
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def unit(currency: str) -> Decimal:
    """One minor unit of the currency: 0.01 for EUR."""
    return Decimal(1).scaleb(-minor_digits(currency))


def spread(total: Decimal, weights: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """The total in parts that add up to it, in proportion to the weights, by largest remainder.

    `least` is the minor unit of which every part is a multiple; what the total has beyond goes to the first part.
    Equal parts where all weights are zero.
    """
    if not weights:
        return []
    units = int((total / least).to_integral_value(ROUND_FLOOR))
    finest = min(0, *(int(weight.as_tuple().exponent) for weight in weights))
    parts = [part * least for part in apportion(units, [int(weight.scaleb(-finest)) for weight in weights])]
    parts[0] += total - sum(parts)
    return parts


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """What `spread` does, in whole minor units."""
    if len(weights) == 1:
        return [total]
    sizes = list(map(abs, weights))
    whole = sum(sizes)
    if not whole:
        sizes, whole = [1] * len(sizes), len(sizes)
    parts, remainders, left = [], [], total
    for size in sizes:
        part, remainder = divmod(total * size, whole)
        parts.append(part)
        remainders.append(remainder)
        left -= part
    if left == 1:
        parts[remainders.index(max(remainders))] += 1
    elif left:
        for index in sorted(range(len(parts)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts
