"""When the log is full: at 80 % of what the broker keeps."""

from __future__ import annotations

from msgspec.structs import replace

from tillstream.config.settings import Settings
from tillstream.log.rabbitmq.retention import Retention


class Moment:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_is_full_where_nothing_is_dropped() -> None:
    assert not Retention(Settings())


def test_a_lag_of_four_fifths_of_the_size_is_full() -> None:
    retention = Retention(replace(Settings(), rabbitmq_retention_bytes=1_000_000))
    for _ in range(100):
        retention.appended(10, 8_000)
    assert retention
    assert retention.full({1: 10, 2: 799}, {1: 0, 2: 790}) == ""
    assert retention.full({1: 10}, {1: 0, 2: 1}) == ""
    assert "the engine is 800 records behind, 80% of" in retention.full({1: 10, 2: 900}, {1: 0, 2: 800})


def test_a_record_that_waits_for_four_fifths_of_the_age_is_full() -> None:
    moment = Moment()
    retention = Retention(replace(Settings(), rabbitmq_retention_age_s=100), moment)
    for moment.now_s in (0.0, 40.0, 79.0):
        assert retention.full({1: int(moment.now_s) + 100}, {1: int(moment.now_s) + 50}) == ""
    moment.now_s = 80.0
    assert "the engine is 80 s behind" in retention.full({1: 200}, {1: 150})
    # It has read everything up to what came 40 s later.
    assert retention.full({1: 200}, {1: 60}) == ""
    assert retention.full({1: 200}, {1: 0}) == ""
