"""The quarantine service lists, replays and discards entries, in this process or through a running engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from threading import Lock
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from tillstream.client.control import EngineClient, Response
from tillstream.clock import Clock
from tillstream.config.data_directory import Holder
from tillstream.database.base import Database, Row
from tillstream.errors import BadQuery, IngestUnavailable
from tillstream.http.openapi import Errors
from tillstream.log.base import Log
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, Decisions, write_decisions
from tillstream.quarantine.replay import RESPONSE_TIMEOUT_S, Replayer
from tillstream.queries.quarantine import Entries, EntryDetails, parse_entry_id
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import is_truncated

REFUSED = "refused"
RESOLVED = "settled"
MISSING = "missing"
IMPOSSIBLE = "impossible"

ENTRIES_LIMIT = 1_000
"""The maximum number of entries that one request may discard."""

_PATH = "/api/v1/quarantine"
_OUTCOME_STATUSES = (HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)

T = TypeVar("T")


class Edit(Struct, frozen=True, forbid_unknown_fields=True):
    """Content to replay instead of the original, and its media type or format.

    In JSON the content is encoded in Base64. If the content is empty, the original is replayed. If the type is
    empty, the type of the original is used.
    """

    content: bytes = b""
    type: str = ""


class Outcome(Struct, frozen=True):
    """The outcome of a replay or a discard for one entry.

    `became` is `replayed` or `discarded` if the call has resolved the entry. Otherwise it is `refused` (ingest
    refused the content again), `settled` (the entry was already resolved), `missing` (there is no such entry) or
    `impossible` (the entry cannot be replayed). `key` and `day` are the key and the business day of the new receipt,
    if there is exactly one. `receipts` is the number of receipts that ingest accepted.
    """

    id: str
    became: str
    key: str = ""
    day: str = ""
    receipts: int = 0
    errors: Sequence[Mapping[str, str]] = ()

    @property
    def stays(self) -> bool:
        """Whether the entry stays in quarantine."""
        return self.became not in (REPLAYED, DISCARDED)


class LocalQuarantineService:
    """Reads and resolves quarantine entries of an open database. Thread-safe.

    An entry is resolved only once, even if the database is rebuilt. Every method may raise `DatabaseUnavailable`,
    and `BadQuery` for an invalid filter or id.

    A decision is written first to the file of decisions, then to the database. If the process crashes after the
    response of ingest and before the decision is written, the entry stays open. Another replay is then harmless,
    because the same receipt counts only once.
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

    def page(self, filters: Mapping[str, str]) -> Entries:
        """Return a page of entries, as `Queries.quarantine` does."""
        return self._queries.quarantine(filters)

    def one(self, entry: str) -> EntryDetails | None:
        """Return one entry, as `Queries.quarantined` does."""
        return self._queries.quarantined(entry)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        """Post the content of `edit` to ingest, or the original if this content is empty.

        If ingest accepts everything, the entry is resolved. Raises `IngestUnavailable` if ingest cannot process the
        request now.
        """
        edit = edit or Edit()
        with self._deciding:
            row = self._rows([entry]).get(entry)
            if row is None or row["decision"] is not None:
                return _not_open(entry, row)
            content = edit.content or self._original(entry)
            obstacle = _obstacle(row, edit, content)
            if obstacle is not None:
                return _unresolved(entry, IMPOSSIBLE, *obstacle)
            media_type = self._replayer.media_type(row["source"], edit.type)
            if not media_type:
                unknown = repr(edit.type) if edit.type else f"of {row['source']!r}"
                return _unresolved(entry, IMPOSSIBLE, f"there is no format {unknown}", "name the format of the content")
            result = self._replayer.post(content, media_type, row["source"])
            if result.errors:
                return Outcome(entry, REFUSED, receipts=result.receipts, errors=result.errors)
            self._resolve([Decision(int(entry), row["day"], REPLAYED, self._clock.now_us(), result.key)])
            return Outcome(entry, REPLAYED, result.key, result.day, result.receipts)

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        """Resolve entries without a replay. The caller must pass at most `ENTRIES_LIMIT` entries."""
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
        """Return the rows of the entries by id. Missing entries are left out."""
        ids = {entry: parse_entry_id(entry) for entry in entries}
        rows = self._database.query(
            "SELECT place, day, kind, source, reasons, decision FROM quarantine LEFT JOIN decisions USING (place) "
            f"WHERE place IN ({', '.join('?' * len(ids))})",
            list(ids.values()),
        )
        by_id = {row["place"]: row for row in rows}
        return {entry: by_id[record_id] for entry, record_id in ids.items() if record_id in by_id}

    def _original(self, entry: str) -> bytes:
        record_id = parse_entry_id(entry)
        _, body, original = self._log.fetch([record_id]).get(record_id, (b"", b"", b""))
        return original or body

    def _resolve(self, decisions: Sequence[Decision]) -> None:
        if decisions:
            self._decisions.add(decisions)
            write_decisions(self._database, decisions)


def _obstacle(row: Row, edit: Edit, content: bytes) -> tuple[str, str] | None:
    """Return an error and a hint if an open entry cannot be replayed, or None if it can."""
    if row["kind"] == "conflict" and not edit.content:
        hint = "replay a file in which it is a receipt of its own, or discard it"
        return "it would conflict again: the first receipt counts", hint
    if not content:
        return "the log no longer has the original", "replay a file, or discard it"
    if not edit.content and is_truncated(msgspec.json.decode(row["reasons"])):
        return "only the beginning of the original is stored", "replay the whole file, or discard it"
    return None


def _not_open(entry: str, row: Row | None) -> Outcome:
    if row is None:
        return _unresolved(entry, MISSING, f"there is no entry {entry}")
    return _unresolved(entry, RESOLVED, f"it is {row['decision']} already")


def _unresolved(entry: str, became: str, error: str, hint: str = "") -> Outcome:
    return Outcome(entry, became, errors=[{"path": "id", "error": error, "hint": hint}])


class _Outcomes(Struct):
    entries: list[Outcome]


class RemoteQuarantineService:
    """Does the same as `LocalQuarantineService`, by calling a running engine over HTTP."""

    def __init__(self, holder: Holder, authorization: Mapping[str, str]) -> None:
        """Raises `DatabaseUnavailable` while the engine starts."""
        # During a replay, the engine waits for ingest, so this timeout must be longer than the engine's timeout.
        self._engine = EngineClient(holder, authorization, 2 * RESPONSE_TIMEOUT_S)

    def page(self, filters: Mapping[str, str]) -> Entries:
        return self._decode(self._engine.send(f"{_PATH}?{urlencode(filters)}"), Entries)

    def one(self, entry: str) -> EntryDetails | None:
        response = self._engine.send(f"{_PATH}/{parse_entry_id(entry)}")
        return None if response.status == HTTPStatus.NOT_FOUND else self._decode(response, EntryDetails)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        response = self._engine.send(f"{_PATH}/{parse_entry_id(entry)}/replay", msgspec.json.encode(edit or Edit()))
        return self._decode(response, Outcome, _OUTCOME_STATUSES)

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        response = self._engine.send(f"{_PATH}/discard", msgspec.json.encode({"entries": entries}))
        return self._decode(response, _Outcomes).entries

    def _decode(self, response: Response, kind: type[T], statuses: Sequence[int] = (HTTPStatus.OK,)) -> T:
        """Decode the body if the response has one of the statuses. Otherwise raise the error in the body."""
        try:
            if response.status in statuses:
                return msgspec.json.decode(response.body, type=kind)
            [fault, *_] = msgspec.json.decode(response.body, type=Errors).errors
        except ValueError as error:
            raise self._engine.unavailable(f"it answered {response.status}") from error
        if response.status == HTTPStatus.BAD_REQUEST:
            raise BadQuery(fault.path, fault.error, fault.hint)
        raise IngestUnavailable("have it done by", self._engine.name, fault.error, fault.hint)


QuarantineService = LocalQuarantineService | RemoteQuarantineService
