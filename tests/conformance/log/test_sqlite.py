"""The suite on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.log.suite import LogSuite, Open
from tillstream.log.base import Log
from tillstream.log.sqlite import SqliteLog
from tillstream.settings import Settings


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
