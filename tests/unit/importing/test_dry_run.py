"""Given a file; when it is tried out; then it is counted, validated and added up to the cent, and nothing is sent."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.numbered_receipts import ndjson, numbered_receipt
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.importing.checkpoint import Refusal
from tillstream.importing.dry_run import DryRun
from tillstream.importing.outcome import Outcome
from tillstream.importing.source_file import open_file


def tried(tmp_path: Path, content: bytes, **settings: Any) -> tuple[Outcome, list[Refusal]]:
    values = Settings(**settings)
    path = tmp_path / "a.ndjson"
    path.write_bytes(content)
    trial = DryRun(values, SystemClock())
    with (
        closing(open_file(path, registry.load(values))) as file,
        trial.of(file, lambda _ledger, _position: None) as (outcome, ledger),
    ):
        return outcome, list(ledger.refusals())


def total(tmp_path: Path, *amounts: str, **settings: Any) -> str | None:
    lines = (
        json.dumps(numbered_receipt(number, documentTotal={"grossTotal": "@"})) for number, _ in enumerate(amounts)
    )
    content = "\n".join(line.replace('"@"', amount) for line, amount in zip(lines, amounts, strict=True))
    return tried(tmp_path, content.encode(), **settings)[0].total


def test_receipts_and_faults_are_counted_with_their_places(tmp_path: Path) -> None:
    content = ndjson(range(3)) + b'{"storeID": 1}\n' + b"x" * 2_000 + b"\n"
    outcome, refusals = tried(tmp_path, content, receipt_limit_bytes=1_000)
    assert (outcome.receipts, outcome.refused, outcome.total, outcome.finished) == (3, 2, "7.50 EUR", True)
    assert [(refusal.index, refusal.where) for refusal in refusals] == [(3, "record 4"), (4, "line 5")]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (("1.1", "2.2", "-0.3"), "3.00 EUR"),
        (('"0.3"', '" 1e2"', "1e2"), "200.30 EUR"),
        (("3.3600000000000003", "0.345", "-0.345"), "3.36 EUR"),
        (("9999999999999.99", "0.01"), "10000000000000.00 EUR"),
        ((), "0.00 EUR"),
    ],
)
def test_the_total_is_exact_whatever_the_amounts_look_like(
    tmp_path: Path, amounts: tuple[str, ...], expected: str
) -> None:
    assert total(tmp_path, *amounts) == expected


def test_the_total_is_in_the_chains_currency(tmp_path: Path) -> None:
    assert total(tmp_path, "250", "1.5", currency="JPY") == "252 JPY"
