"""Given a data directory of an earlier tillstream; when this one opens it; then it shows what was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.compatibility import figures, sales
from tests.compatibility.corpus import without_prose
from tests.compatibility.data_directory import RECORDED, Open, opened, unpacked, verb, wait_until_read
from tests.support.processes import run_command

TOLD: dict[str, Any] = json.loads(RECORDED.read_bytes())
FIGURES = {name: value for name, value in TOLD.items() if name not in ("password", "post_key", "read_key", "check")}
DAY = "2025-12-01"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return unpacked(tmp_path)


def assert_shown(running: Open, recorded: Any, *, by_another_engine: bool = False) -> None:
    shown = figures.read(running.reading, also=tuple(recorded["summaries"]))
    assert figures.differences(shown, recorded, by_another_engine=by_another_engine) == []


def assert_agrees(data: Path) -> None:
    code, said = run_command("check", "--data", data)
    assert (code, "everything agrees" in said) == (0, True), said


def test_it_shows_the_recorded_figures_and_a_rebuild_makes_the_same(data: Path) -> None:
    with opened(data, TOLD["read_key"]) as running:
        assert_shown(running, FIGURES)
        assert running.reading.get("/api/v1/check").json() == TOLD["check"]
        assert_agrees(data)
        assert running.tillstream.stop() == 0
    assert_agrees(data)
    code, said = run_command("rebuild", "--data", data)
    assert code == 0, said
    assert_agrees(data)
    with opened(data, TOLD["read_key"]) as running:
        # Only the log has to say the same: the engine words its own reasons.
        recorded = without_prose(FIGURES)
        assert_shown(running, recorded, by_another_engine=True)
        assert running.tillstream.stop() == 0


def test_keys_and_the_password_are_known(data: Path) -> None:
    with opened(data, TOLD["read_key"]) as running, httpx.Client(base_url=running.tillstream.dashboard) as stranger:
        assert stranger.get("/api/v1/summary").status_code == 401
        assert stranger.post("/login", data={"password": "croissant"}).status_code == 403
        assert stranger.post("/login", data={"password": TOLD["password"]}).status_code == 303
        assert stranger.get("/api/v1/summary").status_code == 200
        assert running.tillstream.post(sales.receipt("5")).status_code == 401


def test_what_is_posted_goes_on_from_there(data: Path) -> None:
    recorded = FIGURES["summaries"][DAY]
    own = {"Authorization": f"Bearer {TOLD['post_key']}"}
    with opened(data, TOLD["read_key"]) as running:

        def post(content: bytes) -> int:
            return httpx.post(f"{running.tillstream.ingest}/receipt", content=content, headers=own).status_code

        before = TOLD["check"]["counts"]
        assert post(sales.receipt("5", storeID="3")) == 403
        # The first one counts already, the second one differs from what stands, and the third one is new.
        assert [post(sales.receipt("1")), post(sales.receipt("2", customerID="9")), post(sales.receipt("5"))] == [
            202
        ] * 3
        wait_until_read(running.tillstream)
        after = running.reading.get("/api/v1/check").json()
        assert after["differences"] == []
        grown = {name: after["counts"][name] - before[name] for name in before}
        assert grown == dict.fromkeys(before, 0) | {"receipts": 1, "duplicates": 1, "conflicts": 1}
        summary = running.reading.get(f"/api/v1/summary?day={DAY}").json()
        assert summary["receipts"] == recorded["receipts"] + 1
    said = verb("quarantine", "list", "--settled", "--json", "--data", data)
    assert {each["settled"]["decision"] for each in json.loads(said)["entries"]} == {"replayed", "discarded"}
