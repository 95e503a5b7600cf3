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


class Seconds:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_without_retention_the_log_is_never_full() -> None:
    assert not Retention(Settings())


def test_the_log_is_full_when_unread_records_fill_four_fifths_of_the_size() -> None:
    retention = Retention(replace(Settings(), rabbitmq_retention_bytes=1_000_000))
    for _ in range(100):
        retention.observe(10, 8_000)
    assert retention
    assert retention.full_reason({1: 10, 2: 799}, {1: 0, 2: 790}) == ""
    assert retention.full_reason({1: 10}, {1: 0, 2: 1}) == ""
    assert "the engine is 800 records behind, 80% of" in retention.full_reason({1: 10, 2: 900}, {1: 0, 2: 800})


def test_the_log_is_full_when_a_record_is_unread_for_four_fifths_of_the_age() -> None:
    clock = Seconds()
    retention = Retention(replace(Settings(), rabbitmq_retention_age_s=100), clock)
    for clock.now_s in (0.0, 40.0, 79.0):
        assert retention.full_reason({1: int(clock.now_s) + 100}, {1: int(clock.now_s) + 50}) == ""
    clock.now_s = 80.0
    assert "the engine is 80 s behind" in retention.full_reason({1: 200}, {1: 150})
    # Now the engine has read the records of the first 40 s.
    assert retention.full_reason({1: 200}, {1: 60}) == ""
    assert retention.full_reason({1: 200}, {1: 0}) == ""
