"""The quarantine service: lists, replays and discards entries, whether an engine runs or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock

import msgspec
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.database.base import Database, Row
from tillstream.log.base import Log
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, Decisions, write_decisions
from tillstream.quarantine.replay import Replayer
from tillstream.queries.quarantine import parse_entry_id
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import is_truncated

REFUSED = "refused"
RESOLVED = "settled"
MISSING = "missing"
IMPOSSIBLE = "impossible"

ENTRIES_LIMIT = 1_000
"""Most entries of one call to `discard`."""


class Edit(Struct, frozen=True, forbid_unknown_fields=True):
    """Content to replay instead of the original (base64 in JSON; empty: the original), and its media type or format."""

    content: bytes = b""
    type: str = ""


class Outcome(Struct, frozen=True):
    """The outcome of a replay or discard for one entry.

    `became` is `replayed` or `discarded`. Otherwise the call did not resolve the entry: it was refused again, resolved
    before, is missing, or cannot be replayed. `key` and `day` are those of its receipt, if it became a single one.
    """

    id: str
    became: str
    key: str = ""
    day: str = ""
    receipts: int = 0
    errors: Sequence[Mapping[str, str]] = ()

    @property
    def stays(self) -> bool:
        """Whether the entry stays in quarantine, because this call did not resolve it."""
        return self.became not in (REPLAYED, DISCARDED)


class QuarantineService(ABC):
    """Reads and resolves quarantine entries. An entry is resolved once, and stays so when the database is rebuilt.

    Raises `BadQuery` for invalid filters and ids, `DatabaseUnavailable` and `IngestUnavailable`.
    """

    @abstractmethod
    def page(self, filters: Mapping[str, str]) -> Row:
        """A page of entries, as `Queries.quarantine` returns it."""

    @abstractmethod
    def one(self, entry: str) -> Row | None:
        """One entry, as `Queries.quarantined` returns it."""

    @abstractmethod
    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        """Post the original or the edit to ingest. The entry is resolved if ingest accepts everything."""

    @abstractmethod
    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        """Resolve up to `ENTRIES_LIMIT` entries without a replay."""


class LocalQuarantineService(QuarantineService):
    """The service over an open database. Safe from any thread; it decides on one entry at a time.

    It writes a decision to the decisions' file first and to the database second. A crash between the response of ingest
    and the decision leaves the entry open. A second replay does no harm: its receipt is a duplicate and counts once.
    """

    def __init__(
        self, queries: Queries, database: Database, log: Log, decisions: Decisions, replayer: Replayer, clock: Clock
    ) -> None:
        self._queries = queries
        self._database = database
        self._log = log
        self._decisions = decisions
        self._replayer = replayer
        self._clock = clock
        self._deciding = Lock()

    @property
    def media_types(self) -> list[str]:
        """The media types that an edit may have."""
        return self._replayer.media_types

    def page(self, filters: Mapping[str, str]) -> Row:
        return self._queries.quarantine(filters)

    def one(self, entry: str) -> Row | None:
        return self._queries.quarantined(entry)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        edit = edit or Edit()
        with self._deciding:
            row = self._rows([entry]).get(entry)
            content = edit.content or self._original(entry)
            if row is None or row["decision"] is not None:
                return _not_open(entry, row)
            obstacle = _obstacle(row, edit, content)
            if obstacle is not None:
                return _stays(entry, IMPOSSIBLE, *obstacle)
            media_type = self._replayer.media_type(row["source"], edit.type)
            if not media_type:
                unknown = repr(edit.type) if edit.type else f"of {row['source']!r}"
                return _stays(entry, IMPOSSIBLE, f"there is no format {unknown}", "name the format of the content")
            result = self._replayer.post(content, media_type, row["source"])
            if result.errors:
                return Outcome(entry, REFUSED, receipts=result.receipts, errors=result.errors)
            self._resolve([Decision(int(entry), row["day"], REPLAYED, self._clock.now_us(), result.key)])
            return Outcome(entry, REPLAYED, result.key, result.day, result.receipts)

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        if not entries:
            return []
        with self._deciding:
            rows, now_us = self._rows(entries), self._clock.now_us()
            waiting = {entry: row for entry, row in rows.items() if row["decision"] is None}
            self._resolve([Decision(int(entry), row["day"], DISCARDED, now_us) for entry, row in waiting.items()])
        return [
            Outcome(entry, DISCARDED) if entry in waiting else _not_open(entry, rows.get(entry)) for entry in entries
        ]

    def _rows(self, entries: Sequence[str]) -> dict[str, Row]:
        """The rows of those entries that exist, by their ids."""
        ids = [parse_entry_id(entry) for entry in entries]
        rows = self._database.query(
            "SELECT place, day, kind, source, reasons, decision FROM quarantine LEFT JOIN decisions USING (place) "
            f"WHERE place IN ({', '.join('?' * len(ids))})",
            ids,
        )
        by_id = {row["place"]: row for row in rows}
        return {entry: by_id[number] for entry, number in zip(entries, ids, strict=True) if number in by_id}

    def _original(self, entry: str) -> bytes:
        record_id = parse_entry_id(entry)
        _, body, original = self._log.fetch([record_id]).get(record_id, (b"", b"", b""))
        return original or body

    def _resolve(self, decisions: Sequence[Decision]) -> None:
        if decisions:
            self._decisions.add(decisions)
            write_decisions(self._database, decisions)


def _obstacle(row: Row, edit: Edit, content: bytes) -> tuple[str, str] | None:
    """The error and hint if an open entry cannot be replayed."""
    if row["kind"] == "conflict" and not edit.content:
        hint = "replay a file in which it is a receipt of its own, or discard it"
        return "it would conflict again: the first receipt counts", hint
    if not content:
        return "the log no longer has the original", "replay a file, or discard it"
    if not edit.content and is_truncated(msgspec.json.decode(row["reasons"])):
        # The cut may have shortened a number, and everything behind it is missing.
        return "only the beginning of the original is stored", "replay the whole file, or discard it"
    return None


def _not_open(entry: str, row: Row | None) -> Outcome:
    if row is None:
        return _stays(entry, MISSING, f"there is no entry {entry}")
    return _stays(entry, RESOLVED, f"it is {row['decision']} already")


def _stays(entry: str, became: str, error: str, hint: str = "") -> Outcome:
    return Outcome(entry, became, errors=[{"path": "id", "error": error, "hint": hint}])
