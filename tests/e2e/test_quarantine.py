"""Quarantined receipts count once after they are corrected, and decisions survive a rebuild of the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.processes import RunningTillstream, integers_in, run_check, run_command, running_tillstream
from tests.support.receipts import body
from tests.support.waiting import wait_until

DAY = "2026-11-23"


def receipt(number: str, **changes: Any) -> bytes:
    return json.dumps(body(cashReceiptID=number, **changes)).encode()


def listed_entries(data: Path, *filters: str) -> list[dict[str, Any]]:
    code, output = run_command("quarantine", "list", "--json", *filters, "--data", data)
    assert code == 0, output
    entries: list[dict[str, Any]] = json.loads(output)["entries"]
    return entries


def wait_for_entries(running: RunningTillstream, count: int) -> None:
    wait_until(
        lambda: len(running.get("/api/v1/quarantine").json()["entries"]) == count, f"{count} entries are in quarantine"
    )


def test_given_a_corrected_cause_then_quarantined_receipts_count_once_and_decisions_survive_a_rebuild(
    tmp_path: Path,
) -> None:
    data, file = tmp_path / "data", tmp_path / "edited.json"
    with running_tillstream(data, "--currency", "USD") as running:
        for number, changes in (("1", {"currency": "EUR"}), ("2", {"date": "x"}), ("3", {"storeID": ""})):
            assert running.post(receipt(number, **changes)).status_code == 422
        wait_for_entries(running, 3)
        code, output = run_command("quarantine", "replay", "--all", "--data", data)
        assert (code, integers_in(output.splitlines()[-1])) == (1, [0, 3]), output
        [currency] = listed_entries(data, "--reason", "$.currency")
        assert {error["path"] for error in currency["reasons"]} == {"$.currency"}
        wait_for_entries(running, 3)
        assert running.stop() == 0
    # The currency was wrong. The database must be rebuilt after a change of the currency.
    assert run_command("rebuild", "--data", data)[0] == 0
    with running_tillstream(data) as running:
        last, second, first = listed_entries(data)
        code, output = run_command("quarantine", "replay", "--all", "--data", data)
        assert (code, integers_in(output.splitlines()[-1])) == (1, [1, 2]), output
        file.write_bytes(receipt("2"))
        code, output = run_command("quarantine", "replay", second["id"], "--from", file, "--data", data)
        assert (code, integers_in(output)) == (0, [1])
        running.wait_for_receipts(2, DAY)
        assert running.post(receipt("1", currency="EUR")).status_code == 202
        code, output = run_command("quarantine", "discard", last["id"], "--yes", "--data", data)
        assert (code, integers_in(output)) == (0, [1])
        assert listed_entries(data) == []
        assert running.stop() == 0
    assert run_command("rebuild", "--data", data)[0] == 0
    assert listed_entries(data) == []
    decisions = {entry["id"]: entry["settled"]["decision"] for entry in listed_entries(data, "--settled")}
    assert decisions == {first["id"]: "replayed", second["id"]: "replayed", last["id"]: "discarded"}
    assert run_check(data)[1:] == (2, 1, 0, 3)
