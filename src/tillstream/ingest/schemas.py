"""The types of the answers in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tillstream.receipt.model import Fault

Day = Annotated[str, Meta(extra_json_schema={"format": "date"}, description="business day of one receipt")]
Key = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"}, description="of one receipt")]


class Rejected(Struct, frozen=True):
    """A receipt of a batch that was refused, with every reason."""

    index: int
    errors: list[Fault]


class Outcome(Struct, frozen=True):
    """The outcome of a request with receipts. `skipped` counts records that are no sales, by kind."""

    accepted: int
    rejected: list[Rejected]
    receipt_key: Key | UnsetType = field(name="receiptKey", default=UNSET)
    day: Day | UnsetType = UNSET
    skipped: dict[str, int] | UnsetType = UNSET
    errors: list[Fault] | UnsetType = UNSET


class Live(Struct, frozen=True):
    """The process runs."""

    status: Literal["live"]


class Ready(Struct, frozen=True):
    """Whether receipts are accepted, and the reason where they are not."""

    status: Literal["ready", "unavailable"]
    reason: str | UnsetType = UNSET
