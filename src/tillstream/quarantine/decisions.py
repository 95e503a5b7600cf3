"""What people decided about entries of the quarantine: a file beside the log, because no log and no receipt says it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from threading import Lock

import msgspec
import structlog
from msgspec import Struct

from tillstream.clock import utc
from tillstream.config.data_directory import sync_directory
from tillstream.database.base import Changes, Database, Row
from tillstream.errors import DatabaseUnavailable, PositionConflict
from tillstream.log.base import place_now

REPLAYED = "replayed"
DISCARDED = "discarded"

_APPLIED_AT_A_TIME = 10_000
_TRIES = 20

logger = structlog.get_logger()


class Decision(Struct, frozen=True, omit_defaults=True):
    """An entry (by its place in the log, with its day of receipt) is settled: how, when (UTC), as which receipt."""

    place: int
    day: date
    decision: str
    at_us: int
    key: str = ""

    def row(self) -> Row:
        """As the store has it."""
        settled_at = utc(self.at_us).replace(tzinfo=None)
        return {
            "place": self.place,
            "settled_day": self.day,
            "decision": self.decision,
            "settled_at": settled_at,
            "settled_key": self.key,
        }


class Decisions:
    """The decisions on one data directory, a line of JSON each. Whoever adds holds the directory's `engine` lock."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._adding = Lock()

    def add(self, decisions: Sequence[Decision]) -> None:
        """Keep them: once it returns they survive the machine. Raises `DatabaseUnavailable`."""
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in decisions)
        try:
            with self._adding, self._file.open("ab+") as file:
                size = file.seek(0, os.SEEK_END)
                # What a crash cut off is a line of its own, which no reader understands.
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    lines = b"\n" + lines
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                if not size:
                    sync_directory(self._file.parent)
        except OSError as error:
            raise DatabaseUnavailable(
                "keep a decision in", self._file, error.strerror or error, "is the disk full?"
            ) from (error)

    def all(self) -> Iterator[Decision]:
        """Every decision, in order; a line that cannot be read is reported. Raises `DatabaseUnavailable`."""
        try:
            with self._file.open("rb") as file:
                for number, line in enumerate(file, 1):
                    try:
                        yield msgspec.json.decode(line, type=Decision)
                    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                        logger.error("decision_unreadable", file=str(self._file), line=number, reason=str(error))
        except FileNotFoundError:
            return
        except OSError as error:
            raise DatabaseUnavailable(
                "read the decisions in", self._file, error.strerror or error, "mend that"
            ) from error

    def apply(self, store: Database) -> None:
        """Tell a store all that it may not know: one that is made anew, or that died before it was told."""
        known = {place_now(row["place"]) for row in store.query("SELECT place FROM decisions")}
        decided = (msgspec.structs.replace(each, place=place_now(each.place)) for each in self.all())
        unknown = (each for each in decided if each.place not in known)
        while page := list(islice(unknown, _APPLIED_AT_A_TIME)):
            settle(store, page)


def settle(store: Database, decisions: Sequence[Decision]) -> None:
    """Have the store know the decisions; those that it knows stay. Safe beside the engine. Raises `DatabaseUnavailable`."""
    rows = [each.row() for each in decisions]
    for tried in range(_TRIES):
        position = store.position()
        try:
            store.commit(Changes(position, position, records=0, settled=rows))
        except PositionConflict:
            # The engine committed in between, which it does a few times a second.
            if tried == _TRIES - 1:
                raise
        else:
            return
