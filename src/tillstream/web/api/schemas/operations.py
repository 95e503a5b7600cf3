"""Alerts, health and damage."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tillstream.web.api.schemas.types import Instant, LocalTime


class Alert(Struct, frozen=True):
    """An alert that is active. `values` are the figures that its text shows."""

    rule: str
    level: str
    since: LocalTime
    subject: str
    title: str
    values: dict[str, str | int]
    link: str


class Alerts(Struct, frozen=True):
    """The active alerts, the worst first, and the number of further ones."""

    alerts: list[Alert]
    more: int


class DamagedRecords(Struct, frozen=True):
    """Records of the log that could not be read."""

    offset_text: str
    records: int
    reason: str
    found_at: Instant


class Faults(Struct, frozen=True):
    """The damage that the engine found in the log, the newest first."""

    faults: list[DamagedRecords]


class LiveEvent(Struct, frozen=True):
    """An event of the live feed. `data` is JSON: the overview of today with `alerts`, or an `error`."""

    id: str
    event: Literal["overview", "trouble"]
    data: str


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["live"]


class Ready(Struct, frozen=True):
    """The figures can be read; `lag` counts records that are not in them yet."""

    status: Literal["ready"]
    lag: int
