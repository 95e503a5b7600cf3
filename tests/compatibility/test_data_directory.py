"""A data directory of an earlier version can be opened and has the recorded figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compatibility import figures, sales
from tests.compatibility.corpus import without_prose
from tests.compatibility.data_directory import RECORDED, OpenDirectory, open_directory, unpack, wait_until_read
from tests.support.access import bearer
from tests.support.processes import list_quarantine, run_command

EXPECTED: dict[str, Any] = json.loads(RECORDED.read_bytes())
FIGURES = {name: value for name, value in EXPECTED.items() if name not in ("password", "post_key", "read_key", "check")}
DAY = "2025-12-01"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpack(tmp_path)


def assert_figures(running: OpenDirectory, recorded: Any, *, by_another_engine: bool = False) -> None:
    shown = figures.read(running.client, also=tuple(recorded["summaries"]))
    assert figures.differences(shown, recorded, by_another_engine=by_another_engine) == []


def assert_agrees(data: Path) -> None:
    code, output = run_command("check", "--data", data)
    assert (code, "everything agrees" in output) == (0, True), output


def test_the_figures_are_the_recorded_ones_before_and_after_a_rebuild(data: Path) -> None:
    with open_directory(data, EXPECTED["read_key"]) as running:
        assert_figures(running, FIGURES)
        assert running.client.get("/api/v1/check").json() == EXPECTED["check"]
        assert_agrees(data)
        assert running.tillstream.stop() == 0
    assert_agrees(data)
    code, output = run_command("rebuild", "--data", data)
    assert code == 0, output
    assert_agrees(data)
    with open_directory(data, EXPECTED["read_key"]) as running:
        # The texts of the engine's own reasons may differ after a rebuild.
        recorded = without_prose(FIGURES)
        assert_figures(running, recorded, by_another_engine=True)
        assert running.tillstream.stop() == 0


def test_the_recorded_keys_and_password_are_accepted(data: Path) -> None:
    with (
        open_directory(data, EXPECTED["read_key"]) as running,
        httpx.Client(base_url=running.tillstream.dashboard) as client,
    ):
        assert client.get("/api/v1/summary").status_code == 401
        assert client.post("/login", data={"password": "croissant"}).status_code == 403
        assert client.post("/login", data={"password": EXPECTED["password"]}).status_code == 303
        assert client.get("/api/v1/summary").status_code == 200
        assert running.tillstream.post(sales.receipt("5")).status_code == 401


def test_new_receipts_are_added_to_the_recorded_ones(data: Path) -> None:
    recorded = FIGURES["summaries"][DAY]
    own = bearer(EXPECTED["post_key"])
    with open_directory(data, EXPECTED["read_key"]) as running:

        def post(content: bytes) -> int:
            return httpx.post(f"{running.tillstream.ingest}/receipt", content=content, headers=own).status_code

        before = EXPECTED["check"]["counts"]
        assert post(sales.receipt("5", storeID="3")) == 403
        duplicate, conflicting, new = sales.receipt("1"), sales.receipt("2", customerID="9"), sales.receipt("5")
        assert [post(duplicate), post(conflicting), post(new)] == [202, 202, 202]
        wait_until_read(running.tillstream)
        after = running.client.get("/api/v1/check").json()
        assert after["differences"] == []
        increase = {name: after["counts"][name] - before[name] for name in before}
        assert increase == dict.fromkeys(before, 0) | {"receipts": 1, "duplicates": 1, "conflicts": 1}
        summary = running.client.get(f"/api/v1/summary?day={DAY}").json()
        assert summary["receipts"] == recorded["receipts"] + 1
    assert {each["settled"]["decision"] for each in list_quarantine(data, "--settled")} == {"replayed", "discarded"}
