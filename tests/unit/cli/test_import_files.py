"""The command `tillstream import` reports its outcome in its output and its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    server = Ingest(tmp_path / "data")
    yield server
    server.close()


def test_a_complete_import_exits_with_0_and_stores_its_progress(
    ingest: Ingest, call: Callable[..., Result], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{ingest.port}"
    file = ndjson_file(tmp_path / "a.ndjson", range(3))
    result = call(file, "--to", url)
    assert (result.exit_code, len(ingest.records())) == (0, 3), result.output
    assert len(list((tmp_path / "state" / "tillstream").glob("*.json"))) == 1
    assert "imported before" in call(file, "--to", url).stdout
    assert call(file, "--to", url, "--state", tmp_path / "other").exit_code == 0
    assert len(ingest.records()) == 6


def test_faults_exit_with_1_and_unreadable_files_with_2(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "faulty.ndjson").write_bytes(ndjson(range(2)) + b"{}\n")
    (tmp_path / "strange.xyz").write_bytes(b"who knows")
    faulty = call(tmp_path / "faulty.ndjson", "--dry-run")
    assert (faulty.exit_code, "$.cashReceiptID" in faulty.stdout, "5.00 EUR" in faulty.stdout) == (1, True, True)
    assert call(tmp_path, "--dry-run").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ((), "Missing argument"),
        (("none.json",), "could not read none.json: No such file or directory; check the path"),
        (("-", "--format", "papyrus"), "'papyrus' is not a known format: json, ndjson, jsonl"),
        (("-", "--to", "nowhere"), "could not send receipts to nowhere: it is not an http"),
    ],
)
def test_a_failure_exits_with_2_and_gives_the_reason(
    call: Callable[..., Result], arguments: tuple[str, ...], output: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert output in result.output


def test_the_format_can_be_named(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "day.txt").write_bytes(ndjson(range(1)))
    assert "NDJSON" in call(tmp_path / "day.txt", "--dry-run", "--format", ".jsonl").stdout
    assert "│ JSON" in call(tmp_path / "day.txt", "--dry-run", "--format", "application/json").stdout
