"""The decisions of people about quarantine entries, in a file beside the log.

The log does not contain the decisions, so a rebuild of the database reads them from this file.
"""

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
from tillstream.config.files import sync_directory
from tillstream.database.base import Changes, Database, Row
from tillstream.errors import DatabaseUnavailable, PositionConflict
from tillstream.log.base import current_record_id

REPLAYED = "replayed"
DISCARDED = "discarded"

_PAGE_DECISIONS = 10_000
_COMMIT_ATTEMPTS = 20

_logger = structlog.get_logger()


class Decision(Struct, frozen=True, omit_defaults=True):
    """A decision about one entry, `replayed` or `discarded`.

    `record_id` identifies the entry. `day` is the day on which the entry was received. `at_us` is the time of the
    decision in microseconds since 1970. `key` is the key of the receipt that a replay created, or empty.
    """

    record_id: int = msgspec.field(name="place")
    day: date
    decision: str
    at_us: int
    key: str = ""

    def row(self) -> Row:
        """Return the decision as a row of the database."""
        return {
            "place": self.record_id,
            "settled_day": self.day,
            "decision": self.decision,
            "settled_at": utc(self.at_us).replace(tzinfo=None),
            "settled_key": self.key,
        }


class Decisions:
    """The file of decisions. Each line is a JSON object.

    A process that adds decisions must hold the `engine` lock of the data directory.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writing = Lock()

    def add(self, decisions: Sequence[Decision]) -> None:
        """Append decisions, and make them durable. Raises `DatabaseUnavailable`."""
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in decisions)
        try:
            with self._writing, self._file.open("ab+") as file:
                size = file.seek(0, os.SEEK_END)
                # A crash may have truncated the last line. The new decisions must not be appended to this line.
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    lines = b"\n" + lines
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
                if not size:
                    sync_directory(self._file.parent)
        except OSError as error:
            reason = error.strerror or error
            raise DatabaseUnavailable("write a decision to", self._file, reason, "is the disk full?") from error

    def all(self) -> Iterator[Decision]:
        """Yield all decisions in order. Invalid lines are logged and skipped. Raises `DatabaseUnavailable`."""
        try:
            with self._file.open("rb") as file:
                for number, line in enumerate(file, 1):
                    try:
                        yield msgspec.json.decode(line, type=Decision)
                    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                        _logger.error(
                            "quarantine.decision_unreadable", file=str(self._file), line=number, reason=str(error)
                        )
        except FileNotFoundError:
            return
        except OSError as error:
            reason = error.strerror or error
            raise DatabaseUnavailable("read the decisions in", self._file, reason, "check the file") from error

    def apply(self, database: Database) -> None:
        """Add decisions that the database does not contain yet, for example after a rebuild or a crash."""
        stored = {current_record_id(row["place"]) for row in database.query("SELECT place FROM decisions")}
        decisions = (msgspec.structs.replace(each, record_id=current_record_id(each.record_id)) for each in self.all())
        missing = (each for each in decisions if each.record_id not in stored)
        while page := list(islice(missing, _PAGE_DECISIONS)):
            write_decisions(database, page)


def write_decisions(database: Database, decisions: Sequence[Decision]) -> None:
    """Write decisions to the database. Raises `DatabaseUnavailable`.

    Only the first decision about an entry is stored. If the engine commits at the same time, the write fails and is
    repeated, at most `_COMMIT_ATTEMPTS - 1` times.
    """
    rows = [each.row() for each in decisions]
    for attempt in range(1, _COMMIT_ATTEMPTS + 1):
        position = database.position()
        try:
            database.commit(Changes(position, position, records=0, decisions=rows))
        except PositionConflict:
            # The engine has committed after the position was read.
            if attempt == _COMMIT_ATTEMPTS:
                raise
        else:
            return
