"""Recounts everything from the stored receipts and from the log, and tells where a figure disagrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from tillstream.access import machine_token
from tillstream.client.control import ControlClient, RequestFailed
from tillstream.clock import Clock, SystemClock
from tillstream.config.data_directory import DataDirectory, Holder, open_directory
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.errors import DatabaseUnavailable
from tillstream.log.base import Log, Position
from tillstream.metrics.catalogue import Metric
from tillstream.metrics.delays import percentiles
from tillstream.queries.queries import Queries
from tillstream.queries.summary import COUNTERS
from tillstream.receipt.amounts import minor_unit, round_half_up

RESPONSE_TIMEOUT_S = 600.0
"""Longest time that a running engine may take to recount."""

_RECOUNT = """SELECT sum(gross) AS revenue, sum(net) AS net, sum(tax) AS tax, count(*) AS receipts,
    CAST(sum(items) AS BIGINT) AS items, count(DISTINCT store) AS stores_active,
    count(DISTINCT store || chr(9) || till) AS tills_active, CAST(sum(anomalous) AS BIGINT) AS anomalies
    FROM receipts WHERE day = ?"""
_BUCKETS = """SELECT ingest_bucket, till_bucket, count(*) AS receipts FROM receipts WHERE day = ?
    GROUP BY ingest_bucket, till_bucket"""
_ACCOUNTS = """SELECT (SELECT position FROM state) AS position, (SELECT records FROM state) AS records,
    (SELECT count(*) FROM receipts) AS receipts,
    (SELECT count(DISTINCT key) FROM receipts) AS keys,
    (SELECT count(DISTINCT place) FROM receipts) AS places,
    (SELECT count(*) FROM quarantine) AS kept,
    (SELECT CAST(coalesce(sum(entries), 0) AS BIGINT) FROM set_aside) AS grouped,
    (SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM faults) AS damaged"""


class Difference(Struct, frozen=True):
    """A figure that disagrees: what tillstream shows, and what a recount gives."""

    figure: str
    where: str
    shown: str
    recounted: str


class Report(Struct, frozen=True):
    """What was compared, and every difference found."""

    days: int
    metrics: int
    records: int
    counts: dict[str, int]
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        return not self.differences


class Stored(Protocol):
    """The stored figures of a data directory, and the log that they come from."""

    @property
    def database(self) -> Database: ...
    @property
    def queries(self) -> Queries: ...
    @property
    def log(self) -> Log: ...
    @property
    def metrics(self) -> Sequence[Metric]: ...


def check(
    settings: Settings, open_stored: Callable[[DataDirectory, Settings, Clock], AbstractContextManager[Stored]]
) -> Report:
    """The report on a data directory: from the engine that runs on it, or else from its files by `open_stored`.

    Raises `DataDirectoryError` or `DatabaseUnavailable`.
    """
    directory = open_directory(settings.data_path, create=False)
    holder = directory.holder("engine")
    if holder is not None:
        return _ask(holder, machine_token.authorization(directory))
    with directory.lock("engine"), open_stored(directory, settings, SystemClock()) as stored:
        return run(stored.database, stored.queries, stored.log, stored.metrics)


def _ask(holder: Holder, authorization: dict[str, str]) -> Report:
    """The report of a running engine, which alone can read its database."""
    target = f"the engine of process {holder.pid}"
    if not holder.address:
        raise DatabaseUnavailable("ask", target, "it is only starting", "try again in a moment")
    target = f"{target} at {holder.address}"
    client = ControlClient(RESPONSE_TIMEOUT_S, same_machine=True)
    try:
        response = client.send(f"{holder.address}/api/v1/check", headers=authorization)
        if response.status == HTTPStatus.OK:
            return msgspec.json.decode(response.body, type=Report)
    except (RequestFailed, msgspec.DecodeError) as error:
        raise DatabaseUnavailable("ask", target, error, "see its log") from error
    denied = response.status == HTTPStatus.UNAUTHORIZED
    hint = "run this as the user of the engine" if denied else "see its log"
    raise DatabaseUnavailable("ask", target, f"it answered {response.status}", hint)


def run(database: Database, queries: Queries, log: Log, metrics: Sequence[Metric]) -> Report:
    """Compare every metric and every day's summary with the stored receipts, and these with the log.

    Safe while the engine runs: both sides of a comparison are of one commit. Each comparison has a
    reader of its own, because a recount of everything takes long.
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
        accounts = _accounts(reader)
    differences += _log(accounts, log)
    counts = {name: accounts[name] for name in ("receipts", *COUNTERS, "damaged")}
    return Report(len(days), len(metrics), accounts["records"], counts, differences)


def _metric(reader: Reader, metric: Metric) -> Iterator[Difference]:
    """Rows that differ come in pairs told apart by `side`; one that stands alone is missing on the other."""
    keys = [key.name for key in metric.keys]
    pairs: dict[str, dict[str, str]] = {}
    for row in reader.verify(metric.name):
        where = ", ".join(f"{key} {row[key]}" for key in keys)
        values = ", ".join(f"{measure.name} {row[measure.name]}" for measure in metric.measures)
        pairs.setdefault(where, {})[row["side"]] = values
    for where, sides in pairs.items():
        yield Difference(metric.name, where, sides.get("metric", "nothing"), sides.get("recount", "nothing"))


def _summary(reader: Reader, queries: Queries, day: date) -> Iterator[Difference]:
    shown = queries.summary(day, reader)
    recount = reader.query(_RECOUNT, [day])[0]
    recount["average_ticket"] = _average(recount, queries.currency)
    buckets = reader.query(_BUCKETS, [day])
    # The summary rounds what it shows of a bucket's bound, so bounds are compared as it shows them.
    for name, bucket, scale, decimals in (
        ("ingest_delay_ms", "ingest_bucket", 1, 1),
        ("till_delay_s", "till_bucket", 1000, 3),
    ):
        recount[name] = {
            which: bound and round(bound / scale, decimals) for which, bound in percentiles(buckets, bucket).items()
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


def _accounts(reader: Reader) -> Row:
    """How many records of the log the database consumed, and what became of them."""
    row = reader.query(_ACCOUNTS)[0]
    sums = reader.query("SELECT name, CAST(sum(value) AS BIGINT) AS value FROM counters GROUP BY name")
    counted = {each["name"]: each["value"] for each in sums}
    return row | {name: counted.get(name, 0) for name in (*COUNTERS, "quarantine_dropped", "settled_dropped")}


def _log(accounts: Row, log: Log) -> Iterator[Difference]:
    where = f"position {accounts['position']}"
    parts = ("receipts", *COUNTERS, "damaged")
    sum_of_parts = sum(accounts[name] for name in parts)
    told = " + ".join(f"{accounts[name]} {name}" for name in parts)
    acknowledged = log.count(Position.parse(accounts["position"]))
    if acknowledged != sum_of_parts:
        yield Difference("records of the log", where, f"{acknowledged} acknowledged", f"{sum_of_parts} = {told}")
    if accounts["records"] != acknowledged:
        yield Difference("records consumed", where, str(accounts["records"]), f"{acknowledged} acknowledged")
    for name in ("keys", "places"):
        if accounts[name] != accounts["receipts"]:
            yield Difference(f"different {name} of receipts", where, str(accounts["receipts"]), str(accounts[name]))
    entries = accounts["conflicts"] + accounts["quarantined"]
    kept = accounts["kept"] + accounts["quarantine_dropped"] + accounts["settled_dropped"]
    if entries != kept:
        yield Difference("entries of the quarantine", where, str(entries), f"{kept} kept or dropped by its quota")
    if entries != accounts["grouped"]:
        yield Difference(
            "entries of the quarantine", where, str(entries), f"{accounts['grouped']} by reason and source"
        )
