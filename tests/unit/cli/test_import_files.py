"""Given the verb; when it is called wrongly, dry or for real; then its words and its exit code say what became of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file
from tillstream.cli.main import main


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Result]:
    def invoke(*arguments: object) -> Result:
        environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "TILLSTREAM_DATA": str(tmp_path / "none")}
        return CliRunner().invoke(main, ["import", *map(str, arguments)], env=environment)

    return invoke


def test_all_taken_is_0_and_is_remembered_in_the_state_directory(
    ingest: Ingest, url: str, call: Callable[..., Result], tmp_path: Path
) -> None:
    file = ndjson_file(tmp_path / "a.ndjson", range(3))
    result = call(file, "--to", url)
    assert (result.exit_code, len(ingest.records())) == (0, 3), result.output
    assert len(list((tmp_path / "state" / "tillstream").glob("*.json"))) == 1
    assert "taken before" in call(file, "--to", url).stdout
    assert call(file, "--to", url, "--state", tmp_path / "other").exit_code == 0
    assert len(ingest.records()) == 6


def test_faults_are_1_and_what_cannot_be_taken_is_2(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "faulty.ndjson").write_bytes(ndjson(range(2)) + b"{}\n")
    (tmp_path / "strange.xyz").write_bytes(b"who knows")
    faulty = call(tmp_path / "faulty.ndjson", "--dry-run")
    assert (faulty.exit_code, "$.cashReceiptID" in faulty.stdout, "5.00 EUR" in faulty.stdout) == (1, True, True)
    assert call(tmp_path, "--dry-run").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing argument"),
        (("none.json",), "could not read none.json: No such file or directory; check the path"),
        (("-", "--format", "papyrus"), "'papyrus' is no known format: json, ndjson, jsonl"),
        (("-", "--to", "nowhere"), "could not send receipts to nowhere: it is no http"),
    ],
)
def test_what_cannot_be_done_is_2_and_says_why(
    call: Callable[..., Result], arguments: tuple[str, ...], said: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_the_format_can_be_named(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "day.txt").write_bytes(ndjson(range(1)))
    assert "NDJSON" in call(tmp_path / "day.txt", "--dry-run", "--format", ".jsonl").stdout
    assert "│ JSON" in call(tmp_path / "day.txt", "--dry-run", "--format", "application/json").stdout
