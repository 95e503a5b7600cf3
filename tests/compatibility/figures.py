"""Read all figures of past days from the API, and compare them with recorded ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

VOLATILE = ("as_of", "receipts_per_minute")
"""Fields that depend on the time of the request."""

_ENGINE_FIELDS = re.compile(r"^/(summaries/[^/]+/ingest_delay_ms|metrics/delays|receipt/[^/]+/(step|applied_at))[/:]")

Figures = dict[str, Any]


def read(client: httpx.Client, also: tuple[str, ...] = ()) -> Figures:
    """Read receipts, quarantine entries and stores, and the summary and the metrics of every day.

    The days are all days with receipts and those in `also`.
    """
    names = [each["name"] for each in _get(client, "/api/v1/metrics")["metrics"]]
    rows = list(_pages(client, "/api/v1/receipts", "receipts"))
    # One receipt per source and day is read in detail.
    shown = {(row["source"], row["day"]): row["key"] for row in rows}
    waiting = list(_pages(client, "/api/v1/quarantine", "entries"))
    settled = list(_pages(client, "/api/v1/quarantine", "entries", settled=1))
    days = sorted({row["day"] for row in rows} | set(also))
    return {
        "summaries": {day: _get(client, f"/api/v1/summary?day={day}") for day in days},
        "metrics": {
            name: {day: _get(client, f"/api/v1/metrics/{name}?day={day}")["rows"] for day in days} for name in names
        },
        "receipts": rows,
        "receipt": {key: _get(client, f"/api/v1/receipts/{key}") for key in shown.values()},
        "quarantine": waiting,
        "settled": settled,
        "entry": {each["id"]: _get(client, f"/api/v1/quarantine/{each['id']}") for each in (*waiting, *settled)},
        "stores": _get(client, "/api/v1/stores")["stores"],
    }


def _get(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return _without_volatile(answer.json())


def _without_volatile(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_volatile(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_volatile(each) for name, each in value.items() if name not in VOLATILE}
    return value


def _pages(client: httpx.Client, path: str, name: str, **query: object) -> Iterator[Any]:
    cursor: str | None = None
    while True:
        answer = _get(client, f"{path}?{urlencode(query | ({'cursor': cursor} if cursor else {}))}")
        yield from answer[name]
        cursor = answer["next"]
        if cursor is None:
            return


def differences(shown: Any, recorded: Any, *, by_another_engine: bool = False) -> list[str]:
    """The differences between the figures and the recorded ones. Additional fields in `shown` are ignored.

    With `by_another_engine`, fields that depend on the time of processing are ignored.
    """
    found = _differences(shown, recorded, "")
    return [each for each in found if not (by_another_engine and _ENGINE_FIELDS.search(each))]


def _differences(shown: Any, recorded: Any, path: str) -> Iterator[str]:
    if isinstance(recorded, Mapping) and isinstance(shown, Mapping):
        for name in recorded:
            yield from _differences(shown.get(name), recorded[name], f"{path}/{name}")
    elif isinstance(recorded, list) and isinstance(shown, list) and len(shown) == len(recorded):
        for index, (one, other) in enumerate(zip(shown, recorded, strict=True)):
            yield from _differences(one, other, f"{path}/{index}")
    elif shown != recorded:
        yield f"{path}: {shown!r}, recorded {recorded!r}"
