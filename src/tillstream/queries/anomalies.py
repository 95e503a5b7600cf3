"""Receipts that something is odd about, each with its evidence: the figures that don't fit together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from tillstream.config.settings import Settings
from tillstream.database.base import Reader, Row
from tillstream.errors import BadQuery
from tillstream.log.base import Log
from tillstream.queries.serialization import amount
from tillstream.receipt.amounts import minor_unit
from tillstream.receipt.normalization import BODY_SCHEMA

RATES_TOLD = 10

_SUMS = """SELECT place, sum(gross) AS gross, string_agg(DISTINCT rate, ',' ORDER BY rate) AS rates
    FROM lines WHERE is_line = 1 AND place IN ({places}) GROUP BY place"""
_PAID = "SELECT place, sum(amount) AS paid FROM settlements WHERE place IN ({places}) GROUP BY place"


class Anomalies:
    """Evidence and counts of anomalies; an amount finer than a minor unit is found in what came."""

    def __init__(self, log: Log, settings: Settings) -> None:
        self._log = log
        self._cent = minor_unit(settings.currency)
        self._rates = {Decimal(rate) for rate in settings.vat_rates}

    def evidence(self, reader: Reader, rows: Sequence[Row]) -> dict[int, list[Row]]:
        """By place: for each anomaly of the receipt its name and the values that show it.

        The rows have `place`, `anomalies`, `gross`, `net`, `tax`, `sold_at` and `received_at`.
        """
        odd = [row for row in rows if row["anomalies"]]
        if not odd:
            return {}
        marks, places = ", ".join("?" * len(odd)), [row["place"] for row in odd]
        lines = {row["place"]: row for row in reader.query(_SUMS.format(places=marks), places)}
        paid = {row["place"]: row["paid"] for row in reader.query(_PAID.format(places=marks), places)}
        fine = self._log.fetch([row["place"] for row in odd if "finer_amount" in row["anomalies"]])
        found = {}
        for row in odd:
            sums = lines.get(row["place"], {})
            known = {
                **row,
                "lines": sums.get("gross") or Decimal(0),
                "rates": sums.get("rates") or "",
                "paid": paid.get(row["place"], Decimal(0)),
                "body": fine.get(row["place"], (b"", b"{}", b""))[1],
            }
            found[row["place"]] = [
                {"anomaly": name, "values": self._values(name, known)} for name in row["anomalies"].split(",")
            ]
        return found

    def _values(self, name: str, known: Row) -> Row:
        if name == "vat_rate":
            return {"rates": self._foreign(known["rates"])}
        if name == "finer_amount":
            return self._finer(known["body"])
        show = _EVIDENCE.get(name)
        return {} if show is None else {each: self._plain(value) for each, value in show(known).items()}

    def _plain(self, value: Any) -> Any:
        return amount(value, self._cent) if isinstance(value, Decimal) else value

    def _foreign(self, rates: str) -> str:
        """The rates that are none of the chain's; all of them where it has changed its rates since."""
        every = [rate for rate in rates.split(",") if rate[:1].isdecimal()]
        foreign = [rate for rate in every if Decimal(rate) not in self._rates] or every
        return ", ".join(foreign[:RATES_TOLD])

    def _finer(self, body: bytes) -> Row:
        """The first amount that is finer than a minor unit, and its path."""
        try:
            came = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        except (ValueError, RecursionError):
            return {}
        for path, value in _amounts(came, BODY_SCHEMA, "$"):
            if value != value.quantize(self._cent):
                return {"path": path, "amount": format(value.normalize(), "f")}
        return {}

    @staticmethod
    def counts(reader: Reader, day: date) -> Row:
        """How many receipts of a day have each anomaly, the most first; a receipt may have several."""
        rows = reader.query(
            "SELECT anomalies, count(*) AS receipts FROM receipts WHERE day = ? AND anomalous = 1 GROUP BY anomalies",
            [day],
        )
        counted = dict.fromkeys(ANOMALIES, 0)
        for row in rows:
            for name in row["anomalies"].split(","):
                counted[name] = counted.get(name, 0) + row["receipts"]
        kinds = [
            {"anomaly": name, "receipts": each} for name, each in sorted(counted.items(), key=lambda each: -each[1])
        ]
        return {"day": day.isoformat(), "receipts": sum(row["receipts"] for row in rows), "anomalies": kinds}


_EVIDENCE: Mapping[str, Callable[[Row], Row]] = {
    "lines_total": lambda known: {"lines": known["lines"], "total": known["gross"]},
    "tax_total": lambda known: {"net": known["net"], "tax": known["tax"], "total": known["gross"]},
    "settlements_short": lambda known: {"paid": known["paid"], "total": known["gross"]},
    "clock_ahead": lambda known: {"minutes": _minutes(known)},
    "clock_ahead_a_day": lambda known: {"hours": _minutes(known) // 60},
}

ANOMALIES = (*_EVIDENCE, "finer_amount", "vat_rate")
"""What the engine calls them."""


def _minutes(known: Row) -> int:
    return int((known["sold_at"] - known["received_at"]).total_seconds()) // 60


def check_anomaly(name: str) -> str:
    """The name, if there is such an anomaly. Raises `BadQuery`."""
    if name not in ("any", *ANOMALIES):
        raise BadQuery("kind", f"there is no anomaly {name!r}", f"there are {', '.join(ANOMALIES)}")
    return name


def _amounts(value: Any, shape: Any, path: str) -> Iterator[tuple[str, Decimal]]:
    """The amounts of money in a body, in order; unit prices and quantities may be finer."""
    if isinstance(shape, Mapping):
        for name, part in shape.items() if isinstance(value, dict) else ():
            if name not in ("quantity", "unitPrice", "taxPercentage"):
                yield from _amounts(value.get(name), part, f"{path}.{name}")
    elif isinstance(shape, list):
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield from _amounts(item, shape[0], f"{path}[{index}]")
    elif shape.startswith("DECIMAL") and value is not None:
        number = _number(value)
        if number is not None:
            yield path, number


def _number(value: Any) -> Decimal | None:
    try:
        return round(Decimal(value), 6)
    except (ArithmeticError, TypeError, ValueError):
        return None
