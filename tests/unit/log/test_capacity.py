"""When the log is full: the size limit and the reserve of a disk, and the retention of a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tillstream.config.settings import Settings
from tillstream.errors import LogFull
from tillstream.log.capacity import DiskCapacity, Retention


def test_the_log_is_full_at_its_size_limit_or_at_the_reserve_of_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "log.sqlite3"
    limited = DiskCapacity(replace(Settings(), log_limit_bytes=100), file, lambda: 90)
    limited.check(10)
    with pytest.raises(LogFull, match=r"it has reached log_limit_bytes \(100\); raise the limit"):
        limited.check(11)
    with pytest.raises(LogFull, match="disk_reserve_bytes must stay free; make room on the disk"):
        DiskCapacity(replace(Settings(), disk_reserve_bytes=2**60), file, lambda: 90).check(1)


class Broker:
    """A clock, and the last offset and the number of unread records of two partitions."""

    now_s = 0.0
    first = (0, 0)
    second = (0, 0)

    def retention(self, **settings: int) -> Retention:
        return Retention(replace(Settings(), **settings), "amqp://broker", self.measure, lambda: self.now_s)

    def measure(self) -> dict[int, tuple[int, int]]:
        return {1: self.first, 2: self.second}


def test_without_retention_the_log_is_never_full() -> None:
    broker = Broker()
    broker.first = 2**36, 2**36
    broker.retention().check(1, 1_000)


def test_the_log_is_full_when_unread_records_fill_four_fifths_of_the_size() -> None:
    broker = Broker()
    retention = broker.retention(rabbitmq_retention_bytes=1_000_000)
    # The average size of a message becomes 800 bytes, and 1,000 with what the broker adds.
    for broker.now_s in range(100):
        retention.check(10, 8_000)
    broker.now_s, broker.second = 101.0, (799, 790)
    retention.check(10, 8_000)
    broker.second = 900, 800
    retention.check(10, 8_000)
    broker.now_s = 102.0
    with pytest.raises(LogFull, match=r"append to the log amqp://broker: the engine is 800 records behind, 80% of"):
        retention.check(10, 8_000)


def test_the_log_is_full_when_a_record_is_unread_for_four_fifths_of_the_age() -> None:
    broker = Broker()
    retention = broker.retention(rabbitmq_retention_age_s=100)
    for broker.now_s in (0.0, 40.0, 79.0):
        broker.first = int(broker.now_s) + 100, int(broker.now_s) + 50
        retention.check(1, 1_000)
    broker.now_s, broker.first = 80.0, (200, 150)
    with pytest.raises(LogFull, match="the engine is 80 s behind"):
        retention.check(1, 1_000)
    # Now the engine has read the records of the first 40 s.
    for broker.now_s, broker.first in ((81.0, (200, 60)), (82.0, (200, 0))):
        retention.check(1, 1_000)
