"""Repeated receipts change only the number of duplicates. Runs with the same seed have equal totals."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import RunningTillstream, run_check, run_command, running_tillstream

DAY = "2026-03-02"
COUNT = 300


def receipts() -> list[dict[str, Any]]:
    random_numbers = random.Random(11)
    return [
        {
            "cashReceiptID": number,
            "storeID": random_numbers.randrange(5),
            "terminalID": random_numbers.randrange(3),
            "date": f"{DAY} 10:{number % 60:02}:00",
            "lines": [{"productCode": "P", "settlementAmount": 1.1, "quantity": 1, "taxPercentage": 5.5}],
            "documentTotal": {"grossTotal": 1.1, "netTotal": 1.04, "taxPayable": 0.06},
            "settlements": [{"settlementAmount": 1.1, "paymentMechanism": "CB"}],
        }
        for number in range(COUNT)
    ]


def figures(serving: RunningTillstream, *excluded: str) -> dict[str, Any]:
    """All rows of every metric of the day."""
    with httpx.Client(base_url=f"{serving.dashboard}/api/v1") as api:
        names = [metric["name"] for metric in api.get("/metrics").json()["metrics"]]
        assert len(names) >= 11
        return {
            name: api.get(f"/metrics/{name}", params={"day": DAY}).json()["rows"]
            for name in names
            if name not in excluded
        }


def test_given_receipts_sent_three_times_out_of_order_then_only_the_duplicates_change(tmp_path: Path) -> None:
    data = tmp_path / "data"
    shuffled = receipts()
    found = []
    for repetition in range(3):
        with running_tillstream(data) as serving:
            answer = serving.post(json.dumps(shuffled).encode(), path="/receipts")
            assert answer.json()["accepted"] == COUNT
            serving.wait_for_receipts(COUNT, DAY)
            serving.stop()
        with running_tillstream(data) as serving:
            summary = serving.summary()
            assert (summary["duplicates"], summary["conflicts"]) == (repetition * COUNT, 0)
            found.append(figures(serving))
        random.Random(repetition).shuffle(shuffled)
    assert found[0]["sales"][0]["revenue"] == "330.00"
    assert found[1] == found[0]
    assert found[2] == found[0]
    assert run_check(data)[:4] == (3 * COUNT, COUNT, 2 * COUNT, 0)


def test_two_runs_with_the_same_seed_have_equal_totals(tmp_path: Path) -> None:
    found = []
    for run in ("first", "second"):
        with running_tillstream(tmp_path / run) as serving:
            arguments = ("--burst", 2000, "--seed", 7, "--start-date", DAY, "--url", serving.ingest, "--quiet")
            code, output = run_command("generate", *arguments)
            assert code == 0, output
            serving.wait_for_receipts(2000, DAY)
            found.append(figures(serving, "delays"))
    assert found[0] == found[1]
    assert found[0]["sales"][0]["receipts"] == 2000
