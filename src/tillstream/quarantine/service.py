"""Where people deal with the quarantine: they look, replay and discard, whether an engine runs or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import msgspec
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.database.base import Database, Row
from tillstream.log.base import Log
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, Decisions, settle
from tillstream.quarantine.replay import Posting
from tillstream.queries.quarantine import place_of
from tillstream.queries.queries import Queries
from tillstream.receipt.model import has_only_begun

REFUSED = "refused"
SETTLED = "settled"
MISSING = "missing"
IMPOSSIBLE = "impossible"

ENTRIES_LIMIT = 1_000
"""Most entries that are discarded at a time."""


class Edit(Struct, frozen=True, forbid_unknown_fields=True):
    """What is replayed instead of the original (base64 in JSON; empty: the original), and as which media type or format."""

    content: bytes = b""
    type: str = ""


class Outcome(Struct, frozen=True):
    """What became of an entry: replayed or discarded; or it stays, because it was refused again, settled before,
    missing, or is impossible to replay. `key` and `day` are those of the one receipt that it became."""

    id: str
    became: str
    key: str = ""
    day: str = ""
    receipts: int = 0
    errors: Sequence[Mapping[str, str]] = ()

    @property
    def stays(self) -> bool:
        return self.became not in (REPLAYED, DISCARDED)


class QuarantineService(ABC):
    """Looks at entries and settles them. An entry is settled once; what is settled stays so, also in a store made anew.

    Raises `BadQuery` for what cannot be asked, `DatabaseUnavailable` and `IngestUnavailable`.
    """

    @abstractmethod
    def page(self, filters: Mapping[str, str]) -> Row:
        """As `Queries.quarantine`."""

    @abstractmethod
    def one(self, entry: str) -> Row | None:
        """As `Queries.quarantined`."""

    @abstractmethod
    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        """Post the original, or what was made of it, to ingest again; settled where all of it is taken."""

    @abstractmethod
    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        """Settle entries without a replay; up to `ENTRIES_LIMIT` of them."""


class LocalQuarantineService(QuarantineService):
    """The desk over an open store. Safe from any thread; decisions are made one after the other.

    A decision is kept in its file before the store is told. A crash before that leaves an entry that was taken
    already: replayed again, its receipt is a duplicate and counts once.
    """

    def __init__(
        self, queries: Queries, store: Database, log: Log, decisions: Decisions, posting: Posting, clock: Clock
    ) -> None:
        self._views = queries
        self._store = store
        self._log = log
        self._decisions = decisions
        self._posting = posting
        self._clock = clock
        self._deciding = Lock()

    @property
    def types(self) -> list[str]:
        """The media types that one may replay as."""
        return self._posting.types

    def page(self, filters: Mapping[str, str]) -> Row:
        return self._views.quarantine(filters)

    def one(self, entry: str) -> Row | None:
        return self._views.quarantined(entry)

    def replay(self, entry: str, edit: Edit | None = None) -> Outcome:
        edit = edit or Edit()
        with self._deciding:
            found = self._found([entry]).get(entry)
            content = edit.content or self._content(entry)
            stays = _obstacle(entry, found, edit, content)
            if stays is not None or found is None:
                return stays or _missing(entry)
            media_type = self._posting.media_type(found["source"], edit.type)
            if not media_type:
                return _impossible(entry, *_no_format(found["source"], edit.type))
            answered = self._posting.post(content, media_type, found["source"])
            if answered.errors:
                return Outcome(entry, REFUSED, receipts=answered.receipts, errors=answered.errors)
            self._settle([Decision(int(entry), found["day"], REPLAYED, self._clock.now_us(), answered.key)])
            return Outcome(entry, REPLAYED, answered.key, answered.day, answered.receipts)

    def discard(self, entries: Sequence[str]) -> list[Outcome]:
        if not entries:
            return []
        with self._deciding:
            found, now_us = self._found(entries), self._clock.now_us()
            open_ones = {entry: row for entry, row in found.items() if row["decision"] is None}
            self._settle([Decision(int(entry), row["day"], DISCARDED, now_us) for entry, row in open_ones.items()])
            return [
                Outcome(entry, DISCARDED) if entry in open_ones else _settled(entry, found.get(entry))
                for entry in entries
            ]

    def _found(self, entries: Sequence[str]) -> dict[str, Any]:
        places = [place_of(entry) for entry in entries]
        rows = self._store.query(
            "SELECT place, day, kind, source, reasons, decision FROM quarantine LEFT JOIN decisions USING (place) "
            f"WHERE place IN ({', '.join('?' * len(places))})",
            places,
        )
        by_place = {row["place"]: row for row in rows}
        return {entry: by_place[place] for entry, place in zip(entries, places, strict=True) if place in by_place}

    def _content(self, entry: str) -> bytes:
        place = place_of(entry)
        _, body, came = self._log.fetch([place]).get(place, (b"", b"", b""))
        return came or body

    def _settle(self, decisions: Sequence[Decision]) -> None:
        if decisions:
            self._decisions.add(decisions)
            settle(self._store, decisions)


def _obstacle(entry: str, found: Row | None, edit: Edit, content: bytes) -> Outcome | None:
    """Why nothing can be posted."""
    if found is None or found["decision"] is not None:
        return _settled(entry, found)
    if found["kind"] == "conflict" and not edit.content:
        error = "it would come back: the receipt that came first stands"
        return _impossible(entry, error, "replay a file in which it is a receipt of its own, or discard it")
    if not content:
        return _impossible(entry, "the log no longer has what came", "replay a file, or discard it")
    if not edit.content and has_only_begun(msgspec.json.decode(found["reasons"])):
        # Where it is cut, a number may be a shorter one, and what comes behind is missing.
        return _impossible(entry, "only the beginning of what came is kept", "replay the whole file, or discard it")
    return None


def _no_format(source: str, named: str) -> tuple[str, str]:
    hint = "name the format of what came"
    return (f"there is no format {named!r}", hint) if named else (f"no format of {source!r} is known here", hint)


def _settled(entry: str, found: Row | None) -> Outcome:
    if found is None:
        return _missing(entry)
    return Outcome(entry, SETTLED, errors=[_error(f"it is {found['decision']} already")])


def _missing(entry: str) -> Outcome:
    return Outcome(entry, MISSING, errors=[_error(f"there is no entry {entry}")])


def _impossible(entry: str, error: str, hint: str) -> Outcome:
    return Outcome(entry, IMPOSSIBLE, errors=[_error(error, hint)])


def _error(error: str, hint: str = "") -> dict[str, str]:
    return {"path": "id", "error": error, "hint": hint}
