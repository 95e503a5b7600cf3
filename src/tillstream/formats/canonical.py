"""Helpers that write canonical receipts: JSON in the canonical shape, exact amounts, local dates."""

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
from tillstream.receipt.amounts import minor_unit

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Encode a receipt as JSON bytes. Decimals become JSON numbers with the same digits."""


def amount(text: str) -> Decimal | str:
    """Parse a decimal number. Other text is returned as it is, so that validation reports it with its path."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else text


def without_gaps(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Drop the members that are None or an empty text."""
    return {name: part for name, part in parts.items() if part is not None and part != ""}


def local_date(settings: Settings, store: str, moment: datetime) -> str:
    """Convert an aware datetime to the store's local time, `YYYY-MM-DD HH:MM:SS`."""
    zone = _zone(settings.store_zones.get(store, settings.zone))
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds")


@lru_cache(maxsize=1_024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


unit = minor_unit


def spread(total: Decimal, weights: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """Split the total in proportion to the weights, by the largest remainder method. The parts add up to the total.

    Every part is a multiple of `least`, the minor unit. A rest of the total below `least` goes to the first part.
    The parts are equal if all weights are zero. The signs of the weights are ignored.
    """
    if not weights:
        return []
    units = int((total / least).to_integral_value(ROUND_FLOOR))
    finest = min(0, *(int(weight.as_tuple().exponent) for weight in weights))
    sizes = [abs(int(weight.scaleb(-finest))) for weight in weights]
    if not any(sizes):
        sizes = [1] * len(sizes)
    whole = sum(sizes)
    shares = [divmod(units * size, whole) for size in sizes]
    parts = [share * least for share, _ in shares]
    missing = units - sum(share for share, _ in shares)
    for index in sorted(range(len(shares)), key=lambda index: shares[index][1], reverse=True)[:missing]:
        parts[index] += least
    parts[0] += total - sum(parts)
    return parts
