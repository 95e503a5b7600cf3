"""A package can add a format: ingest accepts receipts in the format and describes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.formats import described_examples
from tests.support.processes import run_command, running_role

PACKAGE = Path(__file__).parents[2] / "examples" / "format-package"
MEDIA_TYPE = "text/vnd.example.oldtill"

RECEIPT = b"H|12|2|%d|2026-11-23 10:15:00\nL|0102|Baguette|2|2.40|5.5\nP|CB|2.40\nT|2.40|0.12\n"


@pytest.fixture(scope="module")
def python_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A `PYTHONPATH` that begins with the folder of the installed package."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", str(target), str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return os.pathsep.join(filter(None, (str(target), os.environ.get("PYTHONPATH"))))


@pytest.fixture(scope="module")
def ingest(python_path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an ingest that runs with the package."""
    data = tmp_path_factory.mktemp("chain") / "data"
    with running_role("ingest", data, PYTHONPATH=python_path) as (_, address):
        yield address


def test_a_receipt_in_the_format_is_accepted(ingest: str) -> None:
    answer = httpx.post(f"{ingest}/receipt", content=RECEIPT % 1047, headers={"content-type": MEDIA_TYPE})
    assert (answer.status_code, answer.json()["day"]) == (202, "2026-11-23")


def test_the_receipts_of_a_batch_are_accepted_skipped_or_rejected_separately_even_without_a_media_type(
    ingest: str,
) -> None:
    payload = (
        b"Z|2|2026-11-23 07:00:00\n"
        + RECEIPT % 1
        + b"H|12|2\n"
        + RECEIPT % 2
        + RECEIPT.replace(b"2.40|0", b"2,40|0") % 3
    )
    answer = httpx.post(f"{ingest}/receipts", content=payload).json()
    assert (answer["accepted"], answer["skipped"]) == (2, {"Z": 1})
    faults = {each["index"]: [error["path"] for error in each["errors"]] for each in answer["rejected"]}
    assert faults == {2: ["$"], 4: ["$.documentTotal.grossTotal"]}


def test_the_format_is_in_the_description_and_in_the_answer_to_an_unknown_format(ingest: str) -> None:
    refused = httpx.post(f"{ingest}/receipt", content=b"?", headers={"content-type": "text/x-unknown"})
    assert refused.status_code == 415
    assert MEDIA_TYPE in refused.text
    assert MEDIA_TYPE in httpx.get(f"{ingest}/openapi.json").text


def test_the_example_is_valid_and_files_are_recognised_by_their_names(
    ingest: str, python_path: str, tmp_path: Path
) -> None:
    example = described_examples(ingest)[MEDIA_TYPE].encode()
    answer = httpx.post(f"{ingest}/receipt", content=example, headers={"content-type": MEDIA_TYPE})
    assert (answer.status_code, answer.json()["day"]) == (202, "2026-11-23")
    file, report = tmp_path / "monday.old", tmp_path / "report.json"
    file.write_bytes(example)
    code, output = run_command("import", file, "--dry-run", "--report", report, PYTHONPATH=python_path)
    assert code == 0, output
    [file_report] = json.loads(report.read_bytes())["files"]
    assert (file_report["format"], file_report["receipts"], file_report["refused"]) == ("Old till", 1, 0)
