"""Long lists page by page, the newest first, with a cursor that stays right while more arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tillstream.database.base import Database, Reader, Row
from tillstream.queries.filters import cursor_of, parse_cursor, parse_limit, where

Conditions = tuple[list[str], list[Any]]
"""SQL conditions and their parameters."""


def read_page(
    database: Database | Reader,
    select: str,
    filters: Mapping[str, str] | None,
    read: Callable[[Mapping[str, str]], Conditions],
) -> tuple[list[Row], str | None]:
    """One page of rows, and the cursor of the following page (None: no more).

    `select` names columns, `received_at` and `place` among them, and a table; `read` makes
    conditions of the filters but `limit` and `cursor`. Raises `BadQuery`.
    """
    asked = dict(filters or {})
    limit, cursor = parse_limit(asked.pop("limit", None)), asked.pop("cursor", None)
    conditions, values = read(asked)
    if cursor is not None:
        conditions.append("(received_at, place) < (?, ?)")
        values.extend(parse_cursor(cursor))
    rows = database.query(
        f"SELECT {select} {where(conditions)} ORDER BY received_at DESC, place DESC LIMIT ?", [*values, limit + 1]
    )
    return rows[:limit], cursor_of(rows[limit - 1]) if len(rows) > limit else None
