"""Quarantined receipts count once after they are corrected, and decisions survive a rebuild of the database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.processes import integers_in, list_quarantine, run_check, run_command, running_tillstream
from tests.support.receipts import body

DAY = "2026-11-23"


def receipt(number: str, **changes: Any) -> bytes:
    return json.dumps(body(cashReceiptID=number, **changes)).encode()


def test_given_a_corrected_cause_then_quarantined_receipts_count_once_and_decisions_survive_a_rebuild(
    tmp_path: Path,
) -> None:
    data, file = tmp_path / "data", tmp_path / "edited.json"
    with running_tillstream(data, "--currency", "USD") as running:
        for number, changes in (("1", {"currency": "EUR"}), ("2", {"date": "x"}), ("3", {"storeID": ""})):
            assert running.post(receipt(number, **changes)).status_code == 422
        running.wait_for_quarantine(3)
        code, output = run_command("quarantine", "replay", "--all", "--data", data)
        assert (code, integers_in(output.splitlines()[-1])) == (1, [0, 3]), output
        [currency] = list_quarantine(data, "--reason", "$.currency")
        assert {error["path"] for error in currency["reasons"]} == {"$.currency"}
        running.wait_for_quarantine(3)
        assert running.stop() == 0
    # The currency was wrong. The database must be rebuilt after a change of the currency.
    assert run_command("rebuild", "--data", data)[0] == 0
    with running_tillstream(data) as running:
        last, second, first = list_quarantine(data)
        code, output = run_command("quarantine", "replay", "--all", "--data", data)
        assert (code, integers_in(output.splitlines()[-1])) == (1, [1, 2]), output
        file.write_bytes(receipt("2"))
        code, output = run_command("quarantine", "replay", second["id"], "--from", file, "--data", data)
        assert (code, integers_in(output)) == (0, [1])
        running.wait_for_receipts(2, DAY)
        assert running.post(receipt("1", currency="EUR")).status_code == 202
        code, output = run_command("quarantine", "discard", last["id"], "--yes", "--data", data)
        assert (code, integers_in(output)) == (0, [1])
        assert list_quarantine(data) == []
        assert running.stop() == 0
    assert run_command("rebuild", "--data", data)[0] == 0
    assert list_quarantine(data) == []
    decisions = {entry["id"]: entry["settled"]["decision"] for entry in list_quarantine(data, "--settled")}
    assert decisions == {first["id"]: "replayed", second["id"]: "replayed", last["id"]: "discarded"}
    assert run_check(data)[1:] == (2, 1, 0, 3)
