"""Quarantine rows and counters belong to the day of receipt in the chain's zone."""

from __future__ import annotations

from tillstream.engine.quarantine_rows import QuarantineRows

LATE_US = 1_795_476_600_000_000  # 2026-11-23 23:30 UTC, half past midnight in Paris


def record(**changes: object) -> dict[str, object]:
    return {"place": 1, "received_us": LATE_US, "source": "json/http", "key": "k", "body": "é", **changes}


def test_counters_are_per_day_of_receipt_in_the_chain_s_zone() -> None:
    quarantine = QuarantineRows("Europe/Paris")
    quarantine.add_duplicate(LATE_US)
    quarantine.add_duplicate(LATE_US - 3_600_000_000)
    assert dict(quarantine.counters) == {("2026-11-24", "duplicates"): 1, ("2026-11-23", "duplicates"): 1}


def test_a_conflict_becomes_a_row_with_its_size_in_bytes() -> None:
    quarantine = QuarantineRows("Europe/Paris")
    quarantine.add_conflict(record())
    [row] = quarantine.rows
    assert (row["kind"], row["day"], row["size_bytes"]) == ("conflict", "2026-11-24", 2)
    assert quarantine.count("conflicts") == 1
    assert quarantine.count("quarantined") == 0
