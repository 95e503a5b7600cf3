"""The query parameters of the API by name, each with its type. All of them are optional texts that the queries check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from tillstream.metrics.catalogue import KEYS
from tillstream.queries.filters import DEFAULT_LIMIT, LIMIT
from tillstream.queries.overview.scope import DAYS_LIMIT
from tillstream.queries.receipts import ANOMALIES
from tillstream.web.api.schemas.types import Day, LocalTime

Parameters = Mapping[str, Any]

Bound = Annotated[str, Meta(extra_json_schema={"pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]{0,6})?$"})]
Cursor = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,17}-[0-9]{1,18}$"})]
Limit = Annotated[int, Meta(ge=1, le=LIMIT)]
KeyNumber = Annotated[int, Meta(ge=-999_999_999, le=999_999_999)]


def described(kind: Any, text: str) -> Any:
    """The type with a description."""
    return Annotated[kind, Meta(description=text)]


NONE: Parameters = {}
DAY: Parameters = {"day": described(Day, "business day, YYYY-MM-DD; without it: today")}
PAGE: Parameters = {
    "cursor": described(Cursor, "`next` of the answer before, as it is"),
    "limit": described(Limit, f"rows of one answer, 1 to {LIMIT}; without it {DEFAULT_LIMIT}"),
}
_KEY_TYPES: Parameters = {"DATE": Day, "TIMESTAMP": LocalTime, "INTEGER": KeyNumber}
METRIC: Parameters = {
    **{
        name: described(_KEY_TYPES.get(key.type, str), f"only this {name.replace('_', ' ')}")
        for name, key in KEYS.items()
    },
    **DAY,
}
_SALE: Parameters = {
    "day": described(Day, "business day, YYYY-MM-DD; without it: any"),
    "store": described(str, "store's id"),
    "till": described(str, "till's id"),
    "receipt": described(str, "the till's own number of the receipt"),
    "from": described(LocalTime, "sold at or after, in the till's own time, YYYY-MM-DDTHH:MM:SS"),
    "to": described(LocalTime, "sold before, in the till's own time"),
    "min": described(Bound, "smallest gross amount"),
    "max": described(Bound, "largest gross amount"),
}
_ARRIVED: Parameters = {"arrived": described(Day, "received on this business day, YYYY-MM-DD, for another one")}
RECEIPTS: Parameters = {
    **_SALE,
    "anomaly": described(str, "with this anomaly; `any`: with at least one"),
    **_ARRIVED,
    **PAGE,
}
ANOMALIES_LIST: Parameters = {
    **_SALE,
    **_ARRIVED,
    "kind": described(Literal[ANOMALIES], f"one of {', '.join(ANOMALIES)}; without it: any"),
    **PAGE,
}
QUARANTINE: Parameters = {
    "day": described(Day, "day of receipt, YYYY-MM-DD; without it: any"),
    "kind": described(str, "refused, unreadable or conflict"),
    "source": described(str, "format and entrance, such as json/http"),
    "reason": described(str, "a reason that the counts list, or a text in a path or an error"),
    "settled": described(Literal["0", "1"], "1: replayed or discarded entries; without it: those that wait"),
    **PAGE,
}
OVERVIEW: Parameters = {
    **DAY,
    "from": described(Day, "first business day of several, YYYY-MM-DD; with `to`, instead of `day`"),
    "to": described(Day, f"last business day, at most {DAYS_LIMIT} days"),
    "vs": described(Day, "first day to compare with, YYYY-MM-DD; without it: the same weekday a week before"),
    "region": described(str, "only the shops of this region"),
    "store": described(str, "only this store"),
    "till": described(str, "only this till of `store`"),
    "category": described(str, "only lines of this category"),
    "product": described(str, "only lines of this product"),
}
