"""The shapes of the query API's answers, as its description (OpenAPI 3.0) has them."""

from __future__ import annotations

from typing import Any

from tillstream.queries.receipts import ANOMALIES

Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
FLAG: Shape = {"type": "boolean"}
COUNT: Shape = {"type": "integer"}
WHOLE: Shape = {"type": "integer", "minimum": -999_999_999, "maximum": 999_999_999}
NUMBER: Shape = {"type": "number"}
AMOUNT: Shape = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
DAY: Shape = {"type": "string", "format": "date"}
LOCAL: Shape = {"type": "string", "format": "date-time-local", "description": "by the till's or the chain's clock"}
INSTANT: Shape = {"type": "string", "format": "date-time"}
KEY: Shape = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
ENTRY: Shape = {"type": "string", "pattern": "^[0-9]{1,18}$"}
ANYTHING: Shape = {"type": "object"}


def record(**fields: Shape) -> Shape:
    """An object that has all of these fields, and maybe others."""
    return {"type": "object", "required": list(fields), "properties": fields}


def many(item: Shape) -> Shape:
    return {"type": "array", "items": item}


def maybe(shape: Shape) -> Shape:
    """The shape, or null."""
    return {**shape, "nullable": True}


def page(name: str, item: Shape, **beside: Shape) -> Shape:
    """Some of many, with the cursor of the following ones."""
    return record(**beside, **{name: many(item)}, next=maybe(TEXT))


def counted(**by: Shape) -> Shape:
    return many(record(**by, entries=COUNT))


FAULT = {"type": "object", "required": ["path", "error"], "properties": {"path": TEXT, "error": TEXT, "hint": TEXT}}
ERRORS = record(errors=many(FAULT))

_PERCENTILES = record(p50=maybe(NUMBER), p99=maybe(NUMBER))
SUMMARY = record(
    day=DAY,
    currency=TEXT,
    **dict.fromkeys(("revenue", "net", "tax"), AMOUNT),
    **dict.fromkeys(("receipts", "items", "stores_active", "tills_active"), COUNT),
    receipts_per_minute=maybe(COUNT),
    average_ticket=maybe(AMOUNT),
    ingest_delay_ms=_PERCENTILES,
    till_delay_s=_PERCENTILES,
    **dict.fromkeys(("duplicates", "conflicts", "quarantined", "anomalies"), COUNT),
    as_of=INSTANT,
)
SNAPSHOT = record(
    live=FLAG,
    summary=SUMMARY,
    minutes=record(start=LOCAL, now=maybe(COUNT), offset=many(COUNT), revenue=many(AMOUNT), receipts=many(COUNT)),
    categories=many(record(category=TEXT, revenue=AMOUNT, quantity=COUNT, lines=COUNT)),
    other_days=many(record(day=DAY, receipts=COUNT)),
    lag=COUNT,
    age_ms=COUNT,
)

_MEASURE = record(name=TEXT, fold=TEXT, kind={"type": "string", "enum": ["money", "count", "text", "time"]})
METRICS = record(
    metrics=many(record(name=TEXT, help=TEXT, unit=TEXT, source=TEXT, keys=many(TEXT), measures=many(_MEASURE)))
)
METRIC = record(metric=TEXT, help=TEXT, day=DAY, currency=TEXT, columns=many(TEXT), rows=many(ANYTHING))

STORES = record(
    stores=many(
        record(**dict.fromkeys(("id", "name", "city", "region", "zone", "hours"), TEXT), tills=COUNT, listed=FLAG)
    )
)

_LISTED = {
    "key": KEY,
    "day": DAY,
    **dict.fromkeys(("store", "store_name", "till", "receipt"), TEXT),
    "sold_local": LOCAL,
    "received_at": INSTANT,
    **dict.fromkeys(("gross", "net", "tax"), AMOUNT),
    "items": COUNT,
    "line_count": COUNT,
    "anomalies": many({"type": "string", "enum": list(ANOMALIES)}),
    "source": TEXT,
}
_EVIDENCE = many(record(anomaly=TEXT, values=ANYTHING))
_LINE = record(
    line=COUNT,
    **dict.fromkeys(("category", "product", "rate"), TEXT),
    description=maybe(TEXT),
    **dict.fromkeys(("quantity", "unit_price"), maybe(AMOUNT)),
    **dict.fromkeys(("gross", "net", "tax"), AMOUNT),
)
RECEIPTS = page("receipts", record(**_LISTED), currency=TEXT)
RECEIPT = record(
    **_LISTED,
    currency=TEXT,
    applied_at=maybe(INSTANT),
    lines=many(_LINE),
    settlements=many(record(mechanism=TEXT, amount=AMOUNT)),
    evidence=_EVIDENCE,
    conflicts=many(record(id=ENTRY, received_at=INSTANT)),
    original=maybe(TEXT),
)
DAMAGE = record(faults=many(record(offset_text=TEXT, records=COUNT, reason=TEXT, found_at=INSTANT)))
ODD = page("receipts", record(**_LISTED, evidence=_EVIDENCE), currency=TEXT)
ODD_COUNTS = record(day=DAY, receipts=COUNT, anomalies=many(record(anomaly=TEXT, receipts=COUNT)))

OVERVIEW = record(
    scope=record(kind=TEXT, parents=many(ANYTHING)),
    **dict.fromkeys(("from", "to", "today"), DAY),
    live=FLAG,
    vs=record(**dict.fromkeys(("from", "to"), DAY), until=maybe(TEXT), empty=FLAG),
    currency=TEXT,
    as_of=INSTANT,
    lag=COUNT,
    age_ms=COUNT,
    tiles=ANYTHING,
    pace=record(
        unit={"type": "string", "enum": ["minute", "hour", "day"]},
        start=LOCAL,
        now=maybe(COUNT),
        end=COUNT,
        offset=many(COUNT),
        revenue=many(AMOUNT),
        receipts=maybe(many(COUNT)),
    ),
    categories=many(record(category=TEXT, revenue=AMOUNT, quantity=COUNT)),
    hours=record(hours=many(COUNT), rows=many(record(category=TEXT, revenue=many(maybe(AMOUNT))))),
    payments=maybe(many(record(mechanism=TEXT, revenue=AMOUNT, settlements=COUNT, share=maybe(AMOUNT)))),
    vat=many(record(rate=TEXT, revenue=AMOUNT, net=AMOUNT, tax=AMOUNT)),
    latest=many(record(key=KEY, store=TEXT, title=TEXT, till=TEXT, sold=LOCAL, gross=AMOUNT)),
    counters=ANYTHING,
)

ALERTS = record(
    alerts=many(
        record(**dict.fromkeys(("rule", "level", "subject", "title", "link"), TEXT), since=LOCAL, values=ANYTHING)
    ),
    more=COUNT,
)
CHECK = record(
    **dict.fromkeys(("days", "metrics", "records"), COUNT),
    counts={"type": "object", "additionalProperties": COUNT},
    differences=many(record(figure=TEXT, where=TEXT, shown=TEXT, recounted=TEXT)),
)

_SET_ASIDE = {
    "id": ENTRY,
    "received_at": INSTANT,
    "day": DAY,
    "kind": TEXT,
    "source": maybe(TEXT),
    "key": maybe(TEXT),
    "reasons": many(FAULT),
    "reason": TEXT,
    "size_bytes": COUNT,
    "settled": maybe(record(decision=TEXT, at=INSTANT, key=maybe(TEXT))),
}
QUARANTINE = page("entries", record(**_SET_ASIDE))
QUARANTINED = record(**_SET_ASIDE, original=maybe(TEXT))
QUARANTINED["properties"]["conflict"] = record(first=ANYTHING, fields=many(ANYTHING))
QUARANTINE_COUNTS = record(
    day=DAY,
    entries=COUNT,
    by_kind=counted(kind=TEXT),
    by_reason=counted(reason=TEXT, path=TEXT, error=TEXT),
    by_source=counted(source=TEXT),
    **dict.fromkeys(("replayed", "discarded", "dropped"), COUNT),
)
OUTCOME = record(id=TEXT, became=TEXT, key=TEXT, day=TEXT, receipts=COUNT, errors=many(FAULT))
OUTCOMES = record(entries=many(OUTCOME))
