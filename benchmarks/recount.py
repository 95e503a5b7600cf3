"""An independent recount of the receipts in a log, without the engine's SQL."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec

from tillstream import composition
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.log.base import START

CHUNK = 50_000


class _Total(msgspec.Struct):
    grossTotal: Decimal  # noqa: N815 - the field names of the JSON format


class _Receipt(msgspec.Struct):
    documentTotal: _Total  # noqa: N815


def receipts_and_revenue(data: Path) -> tuple[int, Decimal]:
    """Count the receipts in the log of a data directory and add up their totals. No process may write to the log."""
    settings = Settings(data=str(data))
    decode = msgspec.json.Decoder(_Receipt).decode
    log = composition.open_log(open_directory(settings.data_path, create=False), settings, writer=False)
    position, count, revenue = START, 0, Decimal("0.00")
    try:
        while True:
            chunks = list(log.read(position, CHUNK))
            if not chunks:
                return count, revenue
            for chunk in chunks:
                revenue += sum((decode(body).documentTotal.grossTotal for body in chunk.bodies), Decimal(0))
                count += chunk.count
            position = chunks[-1].position
    finally:
        log.close()
