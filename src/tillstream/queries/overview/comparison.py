"""One side of a comparison, and the change from the one to the other."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from threading import Lock
from typing import Any, TypeVar

from tillstream.database.base import Reader
from tillstream.queries.overview.folds import LINE_TOTALS, TOTALS, SalesSql, Select, total
from tillstream.queries.overview.scope import Scope
from tillstream.queries.overview.span import Span

KEPT = 64
"""Answers of the comparison that are kept: they change once a minute, or when late receipts come."""

NEW = "new"
"""The change from nothing to something."""

Number = Decimal | int | Fraction
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Side:
    """What a scope sold: its totals, and revenue by category, product and store."""

    totals: Mapping[str, Number] = field(default_factory=dict)
    categories: Mapping[str, Decimal] = field(default_factory=dict)
    products: Mapping[str, Decimal] = field(default_factory=dict)
    stores: Mapping[str, Decimal] = field(default_factory=dict)


def read_side(reader: Reader, scope: Scope, select: Callable[[str], Select]) -> Side:
    """The side whose rows of a metric `select` yields."""

    def by(metric: str, key: str) -> dict[str, Decimal]:
        rows = reader.query(*total(select(metric), [key], ["revenue"]))
        return {row[key]: row["revenue"] for row in rows}

    names = LINE_TOTALS if scope.source == "lines" else TOTALS
    [totals] = reader.query(*total(select("sales"), [], names))
    return Side(
        {name: value or 0 for name, value in totals.items()},
        by("sales_by_category", "category"),
        by("sales_by_product", "product"),
        by("sales_by_store", "store") if scope.kind not in ("store", "till") else {},
    )


class Sides:
    """Both sides of comparisons; those of the days before are kept until rows are added to these days."""

    def __init__(self, folds: SalesSql) -> None:
        self._folds = folds
        self._kept = Kept()

    def before(self, reader: Reader, scope: Scope, span: Span, version: Any) -> Side:
        """What was sold in the span up to its cut. `version` changes with the rows of these days."""
        return self._kept.get(
            ("side", scope.identity, span),
            version,
            lambda: read_side(reader, scope, lambda name: self._folds.select(name, scope, span)),
        )

    def behind(self, reader: Reader, scope: Scope, span: Span) -> Side:
        """What was sold in the span since its cut: what the other side has had no time for yet."""
        if span.cut is None:
            return Side()
        return read_side(reader, scope, lambda name: self._folds.behind(name, scope, span))


class Kept:
    """The last answers by their question, each for as long as its version holds. Safe from any thread."""

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self._answers: OrderedDict[Any, tuple[Any, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, question: Any, version: Any, answer: Callable[[], Answer]) -> Answer:
        with self._lock:
            kept = self._answers.get(question)
            if kept is not None and kept[0] == version:
                self._answers.move_to_end(question)
                return kept[1]  # type: ignore[no-any-return]
        made = answer()
        with self._lock:
            self._answers[question] = (version, made)
            self._answers.move_to_end(question)
            if len(self._answers) > self._limit:
                self._answers.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides up to the same clock time: `behind` is what this side has sold since, `before` the other side."""

    behind: Side
    before: Side
    empty: bool

    def change(self, now: Number | None, before: Number | None) -> str | None:
        """Percent with one decimal, half-up, of the base's size; `new` where the base is nothing."""
        if self.empty or (now is None and before is None):
            return None
        if not before:
            return NEW if now else None
        tenths = abs((Fraction(now or 0) - Fraction(before)) * 1000 / abs(Fraction(before)))
        rounded = Decimal((2 * tenths.numerator + tenths.denominator) // (2 * tenths.denominator)).scaleb(-1)
        return format(-rounded if rounded and (now or 0) < before else rounded, "f")

    def known(self, before: str) -> str | None:
        """A figure of the other side, where there is one."""
        return None if self.empty else before
