"""CSV downloads: rows as CSV text, and the panels of an overview as rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any

from msgspec import to_builtins
from starlette.responses import Response

from tillstream.queries.overview.answers import Course, Overview, Pace

CSV = "text/csv"

Row = Mapping[str, Any]

_COMPARED = ("value", "before", "change")
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


def tiles(overview: Overview) -> Iterable[Row]:
    """Yield a row for each tile (key figure), and a row for each further value of a tile, such as `refunds_count`."""
    for name, tile in to_builtins(overview.tiles).items():
        for part, value in (tile or {}).items():
            if part == "value":
                yield {"tile": name, **{each: tile.get(each) for each in _COMPARED}}
            elif part not in (*_COMPARED, "trend"):
                yield {"tile": f"{name}_{part}", "value": value, "before": None, "change": None}


def pace(overview: Overview) -> Iterable[Row]:
    """Yield a row for each minute, hour or day, with the sales of the requested days and of the earlier days.

    `time` is the local time on the requested days. The earlier days are the days to compare with.
    """
    course = overview.pace
    start, unit = datetime.fromisoformat(course.start), _UNITS[course.unit]
    now, before = _by_offset(course), _by_offset(course.before)
    for offset in sorted({*now, *before}):
        revenue, receipts = now.get(offset, (None, None))
        before_revenue, before_receipts = before.get(offset, (None, None))
        yield {
            "time": (start + offset * unit).isoformat(timespec="minutes"),
            "offset": offset,
            "revenue": revenue,
            "receipts": receipts,
            "before_revenue": before_revenue,
            "before_receipts": before_receipts,
        }


def _by_offset(course: Pace | Course) -> dict[int, tuple[str, int | None]]:
    counts = course.receipts or repeat(None)
    return dict(zip(course.offset, zip(course.revenue, counts, strict=False), strict=True))


def hours(overview: Overview) -> Iterable[Row]:
    """Yield a row for each category and hour, including hours without sales."""
    for row in overview.hours.rows:
        for hour, revenue in zip(overview.hours.hours, row.revenue, strict=True):
            yield {"category": row.category, "hour": hour, "revenue": revenue}


def _rows(panel: str) -> Callable[[Overview], Iterable[Row]]:
    """Return a function that returns the rows of a panel. A panel without figures has no rows."""
    return lambda overview: to_builtins(getattr(overview, panel) or ())


def _lists(panel: str) -> Callable[[Overview], Iterable[Row]]:
    """Return a function that returns the rows of all lists of a panel. Each row names its list, for example `top`."""
    return lambda overview: [
        {"list": name, **row} for name, rows in to_builtins(getattr(overview, panel) or {}).items() for row in rows
    ]  # fmt: skip


PANELS: dict[str, tuple[tuple[str, ...], Callable[[Overview], Iterable[Row]]]] = {
    "tiles": (("tile", *_COMPARED), tiles),
    "pace": (("time", "offset", "revenue", "receipts", "before_revenue", "before_receipts"), pace),
    "categories": (("category", "revenue", "quantity", "before", "change"), _rows("categories")),
    "hours": (("category", "hour", "revenue"), hours),
    "payments": (("mechanism", "revenue", "settlements", "share"), _rows("payments")),
    "vat": (("rate", "revenue", "net", "tax"), _rows("vat")),
    "products": (
        ("list", "product", "description", "revenue", "quantity", "before", "change"),
        _lists("products"),
    ),
    "shops": (("list", "store", "title", "revenue", "before", "change"), _lists("shops")),
    "tills": (("till", "revenue", "receipts", "last"), _rows("tills")),
    "latest": (("sold", "store", "title", "till", "gross", "what", "anomalous", "key"), _rows("latest")),
}
"""For each panel, the columns of its CSV file and a function that returns the rows."""


def csv_response(name: str, columns: Iterable[str], rows: Iterable[Row]) -> Response:
    """Return a response that downloads rows as a CSV file. `name` is the file name without extension."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(as_csv(columns, rows), 200, headers, CSV)


def as_csv(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """Format rows as CSV (RFC 4180) with a header line.

    A text that a spreadsheet would execute as a formula gets the prefix `'`.
    """
    names = list(columns)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        try:
            float(value)
        except ValueError:
            return f"'{value}"
    return value
