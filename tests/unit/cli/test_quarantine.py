"""`tillstream quarantine` reads and resolves the entries of a data directory without an engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.cli.main import main
from tillstream.config.data_directory import open_directory

RECEIPT = json.dumps(body(customerID="Bob")).encode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two refusals, one of which ingest would accept now, and a conflict."""
    data = open_directory(tmp_path / "data").path
    pipeline = Pipeline(data)
    pipeline.refuse(RECEIPT, [{"path": "$.currency", "error": 'expected EUR, got "USD"', "hint": "a chain has one"}])
    pipeline.clock.advance(1)
    pipeline.refuse(b"{[b]", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.clock.advance(1)
    pipeline.append(body(cashReceiptID="2"))
    pipeline.append(body(cashReceiptID="2", documentTotal={"grossTotal": 9}))
    pipeline.drain()
    pipeline.close()
    return data


@pytest.fixture
def ingest(data: Path) -> Iterator[Ingest]:
    """An ingest that holds the lock of the directory."""
    ingest = Ingest(data)
    with open_directory(data).lock("ingest") as lock:
        lock.publish(f"http://127.0.0.1:{ingest.port}")
        yield ingest
    ingest.close()


def run(data: Path, *arguments: object, stdin: str = "") -> Result:
    line = ["quarantine", *map(str, arguments), "--data", str(data)]
    return CliRunner().invoke(main, line, input=stdin, prog_name="tillstream")


def ids(data: Path, *filters: str) -> list[str]:
    return [each["id"] for each in json.loads(run(data, "list", "--json", *filters).output)["entries"]]


def test_entries_are_listed_and_filtered(data: Path) -> None:
    shown = run(data, "list").output
    for text in ("refused", "conflict", "json/http", "$.currency: expected EUR", "2026-11-23 11:00:00"):
        assert text in shown, text
    conflict, broken, dollars = ids(data)
    assert ids(data, "--reason", "currency") == [dollars]
    assert ids(data, "--kind", "conflict", "--day", "2026-11-23") == [conflict]
    assert ids(data, "--source", "csv/http") == []
    assert "use --limit" in run(data, "list", "--limit", 1).output
    assert "no entry matches" in run(data, "list", "--reason", "nonsense").output
    assert run(data, "list", "--day", "x").exit_code == 2
    assert broken in shown


def test_an_entry_is_shown_with_persons_masked_unless_raw(data: Path) -> None:
    conflict, broken, dollars = ids(data)
    shown = run(data, "show", dollars).output
    for text in (dollars, "$.currency", "a chain has one", "•••"):
        assert text in shown, text
    assert "Bob" not in shown
    assert run(data, "show", dollars, "--raw").stdout_bytes == RECEIPT
    assert "{[b]" in run(data, "show", broken).output
    both = run(data, "show", conflict).output
    assert "$.documentTotal.grossTotal: 5 counts, 9 came later" in both
    assert json.loads(run(data, "show", conflict, "--json").output)["conflict"]["fields"]
    for wrong in (("1",), ("x",), ("1", "--raw"), ("x", "--raw")):
        assert run(data, "show", *wrong).exit_code == 2


def test_valid_entries_are_replayed_and_the_others_are_listed_with_their_reasons(data: Path, ingest: Ingest) -> None:
    conflict, broken, dollars = ids(data)
    replayed = run(data, "replay", "--all", "--kind", "refused")
    assert (replayed.exit_code, replayed.stdout) == (1, "1 replayed, 1 not\n")
    assert replayed.stderr.startswith(f"{broken}: $: not JSON")
    assert ids(data) == [conflict, broken]
    assert ids(data, "--settled") == [dollars]
    assert "replayed" in run(data, "show", dollars).output
    assert [each["source"] for each in ingest.records()][-1] == "json/replay"


def test_an_edited_file_is_replayed_instead_of_the_original(data: Path, ingest: Ingest, tmp_path: Path) -> None:
    conflict, broken, _ = ids(data)
    file = tmp_path / "edited.json"
    file.write_text(json.dumps(body(cashReceiptID="4")))
    assert "it would conflict again" in run(data, "replay", conflict).stderr
    assert run(data, "replay", conflict, "--from", file).output == "1 replayed\n"
    assert run(data, "replay", broken, "--from", tmp_path / "none").exit_code == 2
    assert "no format 'nonsense'" in run(data, "replay", broken, "--type", "nonsense").stderr


def test_without_an_ingest_nothing_is_replayed(data: Path) -> None:
    refused = run(data, "replay", "--all")
    assert (refused.exit_code, "it is not running; start `tillstream up`, or set ingest_url" in refused.stderr) == (
        2,
        True,
    )
    assert len(ids(data)) == 3


def test_discarding_asks_first(data: Path) -> None:
    conflict, broken, dollars = ids(data)
    assert run(data, "discard", broken, stdin="n\n").exit_code == 1
    assert ids(data) == [conflict, broken, dollars]
    assert "1 discarded" in run(data, "discard", broken, stdin="y\n").output
    assert run(data, "discard", "--all", "--reason", "currency", "--yes").output == "1 discarded\n"
    again = run(data, "discard", broken, conflict, "--yes")
    assert (again.exit_code, again.stdout) == (1, "1 discarded, 1 not\n")
    assert "it is discarded already" in again.stderr
    assert "no open entries" in run(data, "list").output


@pytest.mark.parametrize(
    "arguments", [("replay",), ("discard",), ("discard", "1", "--all"), ("replay", "1", "--day", "x")]
)
def test_entries_and_all_exclude_each_other(data: Path, arguments: tuple[str, ...]) -> None:
    assert run(data, *arguments).exit_code == 2
    assert run(data, "replay", "--all", "--from", "x").exit_code == 2


@pytest.mark.parametrize("verb", ["list", "show", "replay", "discard"])
def test_each_verb_has_examples_in_its_help(verb: str) -> None:
    text = CliRunner().invoke(main, ["quarantine", verb, "--help"]).output
    assert f"\n    tillstream quarantine {verb}" in text
