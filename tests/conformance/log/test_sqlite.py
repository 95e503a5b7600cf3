"""The conformance suite on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.log.suite import LogSuite, LoseEnd, Open
from tillstream.config.settings import Settings
from tillstream.log.base import Log, Position
from tillstream.log.sqlite.log import SqliteLog


class TestSqliteLog(LogSuite):
    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Iterator[Open]:
        opened: list[Log] = []

        def open_log(writer: bool) -> Log:
            log = SqliteLog(tmp_path / "log.sqlite3", writer=writer, settings=Settings())
            opened.append(log)
            return log

        yield open_log
        for log in opened:
            log.close()

    @pytest.fixture
    def lose_end(self, tmp_path: Path) -> LoseEnd:
        def lose_end(remaining: Position) -> None:
            with closing(sqlite3.connect(tmp_path / "log.sqlite3", isolation_level=None)) as connection:
                connection.execute("DELETE FROM log WHERE position > ?", remaining.offsets)

        return lose_end
