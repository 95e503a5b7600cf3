"""Recomputes metrics and summaries from the stored receipts, and compares the receipts with the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tillstream.access import machine_token
from tillstream.client.control import EngineClient
from tillstream.clock import Clock, SystemClock
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.engine.base import Engine
from tillstream.log.base import Log, Position
from tillstream.metrics.catalogue import Metric
from tillstream.metrics.delays import percentiles
from tillstream.queries.queries import Queries
from tillstream.queries.summary import COUNTERS
from tillstream.receipt.amounts import minor_unit, round_half_up

RESPONSE_TIMEOUT_S = 600.0
"""The maximum time to wait for the report of a running engine."""

_RECOUNT = """SELECT sum(gross) AS revenue, sum(net) AS net, sum(tax) AS tax, count(*) AS receipts,
    CAST(sum(items) AS BIGINT) AS items, count(DISTINCT store) AS stores_active,
    count(DISTINCT store || chr(9) || till) AS tills_active, CAST(sum(anomalous) AS BIGINT) AS anomalies
    FROM receipts WHERE day = ?"""
_BUCKETS = """SELECT ingest_bucket, till_bucket, count(*) AS receipts FROM receipts WHERE day = ?
    GROUP BY ingest_bucket, till_bucket"""
_TOTALS = """SELECT (SELECT position FROM state) AS position, (SELECT records FROM state) AS records,
    (SELECT count(*) FROM receipts) AS receipts,
    (SELECT count(DISTINCT key) FROM receipts) AS keys,
    (SELECT count(DISTINCT place) FROM receipts) AS record_ids,
    (SELECT count(*) FROM quarantine) AS stored_entries,
    (SELECT CAST(coalesce(sum(entries), 0) AS BIGINT) FROM set_aside) AS grouped_entries,
    (SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM faults) AS damaged"""


class Difference(Struct, frozen=True):
    """A figure that differs from its recount. `where` names the day, the keys or the position to which it belongs."""

    figure: str
    where: str
    shown: str
    recounted: str


class Report(Struct, frozen=True):
    """The result of a check: the numbers of compared days, metrics and log records, and all differences.

    `counts` contains the numbers of receipts, duplicates, conflicts, quarantined and damaged records.
    """

    days: int
    metrics: int
    records: int
    counts: dict[str, int]
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        return not self.differences


class Stored(Protocol):
    """The open log and database of a data directory, and the engine and queries that use them."""

    @property
    def database(self) -> Database: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def queries(self) -> Queries: ...
    @property
    def log(self) -> Log: ...
    @property
    def metrics(self) -> Sequence[Metric]: ...


def check(
    settings: Settings, open_stored: Callable[[DataDirectory, Settings, Clock], AbstractContextManager[Stored]]
) -> Report:
    """Check a data directory.

    If an engine is running on the directory, the engine does the check. If no engine is running, this process opens
    the directory with `open_stored` and does the check. Raises an `OperationalError` if the check is not possible.
    """
    directory = open_directory(settings.data_path, create=False)
    holder = directory.holder("engine")
    if holder is not None:
        authorization = machine_token.authorization(directory)
        return _request_report(EngineClient(holder, authorization, RESPONSE_TIMEOUT_S))
    with directory.lock("engine"), open_stored(directory, settings, SystemClock()) as stored:
        return run(stored.database, stored.queries, stored.log, stored.metrics)


def _request_report(engine: EngineClient) -> Report:
    response = engine.send("/api/v1/check")
    try:
        return msgspec.json.decode(response.body, type=Report)
    except msgspec.DecodeError as error:
        raise engine.unavailable(f"it answered {response.status}") from error


def run(database: Database, queries: Queries, log: Log, metrics: Sequence[Metric]) -> Report:
    """Compare every metric and every day's summary with the stored receipts, and the receipts with the log.

    The engine may run at the same time, because each comparison reads one snapshot of the database.
    """
    days = [row["day"] for row in database.query("SELECT DISTINCT day FROM receipts ORDER BY day")]
    differences: list[Difference] = []
    for metric in metrics:
        with database.snapshot() as reader:
            differences += _metric(reader, metric)
    for day in days:
        with database.snapshot() as reader:
            differences += _summary(reader, queries, day)
    with database.snapshot() as reader:
        totals = _totals(reader)
    differences += _log(totals, log)
    counts = {name: totals[name] for name in ("receipts", *COUNTERS, "damaged")}
    return Report(len(days), len(metrics), totals["records"], counts, differences)


def _metric(reader: Reader, metric: Metric) -> Iterator[Difference]:
    keys = [key.name for key in metric.keys]
    pairs: dict[str, dict[str, str]] = {}
    for row in reader.verify(metric.name):
        where = ", ".join(f"{key} {row[key]}" for key in keys)
        values = ", ".join(f"{measure.name} {row[measure.name]}" for measure in metric.measures)
        pairs.setdefault(where, {})[row["side"]] = values
    for where, sides in pairs.items():
        yield Difference(metric.name, where, sides.get("metric", "nothing"), sides.get("recount", "nothing"))


def _summary(reader: Reader, queries: Queries, day: date) -> Iterator[Difference]:
    shown = msgspec.to_builtins(queries.summary(day.isoformat(), reader))
    recount = reader.query(_RECOUNT, [day])[0]
    recount["average_ticket"] = _average(recount, queries.currency)
    buckets = reader.query(_BUCKETS, [day])
    # The percentiles in the summary are rounded bounds of buckets, so the recount is rounded too.
    for name, bucket, scale, decimals in (
        ("ingest_delay_ms", "ingest_bucket", 1, 1),
        ("till_delay_s", "till_bucket", 1000, 3),
    ):
        recount[name] = {
            percentile: bound and round(bound / scale, decimals)
            for percentile, bound in percentiles(buckets, bucket).items()
        }
    for name, value in recount.items():
        if not _same(shown[name], value):
            yield Difference(f"summary.{name}", f"day {day}", str(shown[name]), str(value))


def _average(recount: Row, currency: str) -> Decimal | None:
    if not recount["receipts"]:
        return None
    average: Decimal = recount["revenue"] / recount["receipts"]
    return round_half_up(average, minor_unit(currency))


def _same(shown: Any, recounted: Any) -> bool:
    if isinstance(recounted, Decimal) and shown is not None:
        return Decimal(shown) == recounted
    return bool(shown == recounted)


def _totals(reader: Reader) -> Row:
    """Return the engine's position, the number of processed records, the numbers of stored rows, and the counters."""
    row = reader.query(_TOTALS)[0]
    sums = reader.query("SELECT name, CAST(sum(value) AS BIGINT) AS value FROM counters GROUP BY name")
    counters = {each["name"]: each["value"] for each in sums}
    return row | {name: counters.get(name, 0) for name in (*COUNTERS, "quarantine_dropped", "settled_dropped")}


def _log(totals: Row, log: Log) -> Iterator[Difference]:
    parts = ("receipts", *COUNTERS, "damaged")
    sum_of_parts = sum(totals[name] for name in parts)
    sum_text = " + ".join(f"{totals[name]} {name}" for name in parts)
    acknowledged = log.count(Position.parse(totals["position"]))
    entries = totals["conflicts"] + totals["quarantined"]
    stored_or_dropped = totals["stored_entries"] + totals["quarantine_dropped"] + totals["settled_dropped"]
    for figure, shown, unit, recounted, explanation in (
        ("records of the log", acknowledged, " acknowledged", sum_of_parts, f" = {sum_text}"),
        ("records consumed", totals["records"], "", acknowledged, " acknowledged"),
        ("different keys of receipts", totals["receipts"], "", totals["keys"], ""),
        ("different record ids of receipts", totals["receipts"], "", totals["record_ids"], ""),
        ("entries of the quarantine", entries, "", stored_or_dropped, " stored or dropped by its quota"),
        ("entries of the quarantine", entries, "", totals["grouped_entries"], " by reason and source"),
    ):
        if shown != recounted:
            yield Difference(figure, f"position {totals['position']}", f"{shown}{unit}", f"{recounted}{explanation}")
