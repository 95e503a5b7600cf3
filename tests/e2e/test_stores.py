"""A running tillstream uses the names of an imported list of stores at once. It uses their time zones after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.support.processes import RunningTillstream, integers_in, run_check, run_command, running_tillstream
from tests.support.receipts import RECEIPT_OF_2017
from tests.support.waiting import wait_until

RELOAD_LIMIT_S = 2.0
EXAMPLE = json.loads(RECEIPT_OF_2017)
STORE = str(EXAMPLE["storeID"])
DAY = "2017-11-18"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "stores.csv"


def name_of(running: RunningTillstream, day: str = DAY) -> str:
    answer = httpx.get(f"{running.dashboard}/api/v1/metrics/sales_by_store", params={"day": day})
    return str(answer.json()["rows"][0]["store_name"])


def errors(running: RunningTillstream) -> list[str]:
    """The error events in the log so far."""
    return [entry["event"] for entry in running.command.log_entries() if entry["level"] == "error"]


def test_a_name_is_used_without_a_restart_and_a_damaged_list_changes_nothing(tmp_path: Path, file: Path) -> None:
    data = tmp_path / "data"
    file.write_text(f"id;name;city\n{STORE};Paris Opéra;Paris\n", encoding="utf-8")
    with running_tillstream(data, "--log-format", "json") as running:
        running.post(json.dumps(EXAMPLE).encode())
        running.wait_for_receipts(1, DAY)
        assert name_of(running) == STORE
        code, output = run_command("stores", "import", file, "--data", data)
        assert (code, integers_in(output)) == (0, [1, 1, 0, 0])
        wait_until(lambda: name_of(running) == "Paris Opéra", "the name of the store is shown", RELOAD_LIMIT_S)
        (receipt,) = httpx.get(f"{running.dashboard}/api/v1/receipts").json()["receipts"]
        assert receipt["store_name"] == "Paris Opéra"
        (data / "shops.json").write_text("{")
        wait_until(
            lambda: name_of(running) == "Paris Opéra" and errors(running),
            "the damaged list is reported",
            RELOAD_LIMIT_S,
        )
        assert run_command("stores", "import", file, "--data", data)[0] == 0
        assert running.stop() == 0
    assert len(errors(running)) == 1
    assert {entry["level"] for entry in running.command.log_entries()} == {"info", "error"}


def test_a_time_zone_of_the_list_applies_after_a_restart(tmp_path: Path, file: Path) -> None:
    data = tmp_path / "data"
    file.write_text(f"id,zone\n{STORE},Indian/Reunion\n")

    def day_of(running: RunningTillstream, number: int) -> str:
        receipt = EXAMPLE | {"cashReceiptID": number, "date": "2017-11-18T21:30:00Z"}
        return str(running.post(json.dumps(receipt).encode()).json()["day"])

    with running_tillstream(data) as first:
        code, output = run_command("stores", "import", file, "--data", data)
        assert (code, integers_in(output)) == (0, [1, 1, 0, 0, 1])
        assert day_of(first, 1) == "2017-11-18"
        first.wait_for_receipts(1, "2017-11-18")
        first.stop()
    with running_tillstream(data) as second:
        assert day_of(second, 2) == "2017-11-19"
        second.wait_for_receipts(1, "2017-11-19")
        receipts = httpx.get(f"{second.dashboard}/api/v1/receipts").json()["receipts"]
        assert [receipt["sold_local"] for receipt in receipts] == ["2017-11-19T01:30:00", "2017-11-18T22:30:00"]
        assert run_check(data).receipts == 2
