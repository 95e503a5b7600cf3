"""Schemathesis sends valid and invalid requests to both ports. Every answer must match the OpenAPI document."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zlib import crc32

import httpx
import pytest

from tests.support import documents
from tests.support.formats import FORMATS, described_examples
from tests.support.ingest import encoded
from tests.support.processes import RunningTillstream, run_command, running_role, running_tillstream
from tests.support.receipts import body
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

SEED = os.environ.get("TILLSTREAM_SEED", "1")
EXAMPLES = int(os.environ.get("TILLSTREAM_EXAMPLES", "20"))
"""Examples per operation. `make fuzz` uses more."""

CONFIG = """
hooks = "tests.support.schemathesis_hooks"
max-stream-events = 1
continue-on-failure = true
seed = {seed}

[generation]
max-examples = {examples}
database = "none"

# With real ids from a dictionary, half of the requests find something.
[dictionaries]
entries = {{ values = {entries} }}
keys = {{ values = {keys} }}

[parameters]
"path.entry" = {{ dictionary = "entries", probability = 0.5 }}
"path.key" = {{ dictionary = "keys", probability = 0.5 }}

# Schemathesis cannot send the examples of media types with hooks. tests/unit/formats/test_registry.py decodes them.
[phases.examples]
enabled = false
"""

EXPECTED = {
    "ingest": """
# A batch can be accepted in part. The 202 names the rejected receipts.
[[operations]]
include-path = "/receipts"
[operations.checks.negative_data_rejection]
expected-statuses = [202, 400, 413, 415, 422]
""",
    "dashboard": """
# OpenAPI cannot express that parameters exclude each other or that metrics have different keys. The answer is then 400.
[[operations]]
include-path-regex = "^/api/v1/(overview|metrics/)"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404]

# A valid request to replay an entry may be rejected, because the entry itself is invalid.
[[operations]]
include-path-regex = "/replay$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 409, 422]
""",
}
"""Additional statuses that the checks of schemathesis accept."""


def ids(running: RunningTillstream, path: str, rows: str, name: str) -> list[str]:
    """One field of each row in a list of the dashboard's API."""
    return [each[name] for each in running.get(f"/api/v1/{path}").json()[rows]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTillstream]:
    """A tillstream with receipts of today and other days, anomalous ones, and quarantine entries."""
    with running_tillstream(tmp_path_factory.mktemp("openapi") / "data") as started:
        today = datetime.now().isoformat(" ", "seconds")  # noqa: DTZ005 - any day close to today is sufficient
        anomalous = body(date=today, cashReceiptID="anomalous", documentTotal={"grossTotal": 7})
        for receipt in (body(date=today), anomalous, body(cashReceiptID="2")):
            assert started.post(json.dumps(receipt).encode()).status_code == 202
        for refused in (b"{}", b"nonsense", encoded(date="yesterday")):
            assert started.post(refused).status_code in (400, 422)
        assert started.post(json.dumps({**anomalous, "documentTotal": {"grossTotal": 8}}).encode()).status_code == 202
        wait_until(lambda: len(ids(started, "quarantine", "entries", "id")) == 4, "all entries are in quarantine")
        yield started


@pytest.fixture(scope="module")
def valid_documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with documents by media type, each of which ingest accepts as one receipt."""
    folder = tmp_path_factory.mktemp("documents")
    found: dict[str, list[str]] = {}
    with running_role("ingest", folder / "data") as (_, address):
        for known in FORMATS:
            examples = described_examples(address)
            for media_type in known.media_types:
                found[media_type] = [
                    b64encode(document).decode()
                    for document in documents.of(known.media_type, examples[media_type])
                    if is_one_receipt(address, document, media_type)
                ]
    assert all(found.values())
    file = folder / "documents.json"
    file.write_text(json.dumps(found), encoding="ascii")
    return file


def is_one_receipt(ingest: str, document: bytes, media_type: str) -> bool:
    answer = httpx.post(f"{ingest}/receipt", content=document, headers={"Content-Type": media_type})
    return answer.status_code == 202 and "receiptKey" in answer.json()


@pytest.mark.parametrize("port", ["dashboard", "ingest"])
def test_every_answer_is_as_described(
    running: RunningTillstream, valid_documents: Path, port: str, tmp_path: Path
) -> None:
    config = tmp_path / "schemathesis.toml"
    entries = ids(running, "quarantine", "entries", "id") or ids(running, "quarantine?settled=1", "entries", "id")
    keys = ids(running, "receipts", "receipts", "key")
    common = CONFIG.format(
        seed=crc32(SEED.encode()), examples=EXAMPLES, entries=json.dumps(entries), keys=json.dumps(keys)
    )
    config.write_text(common + EXPECTED[port], encoding="utf-8")
    program = (sys.executable, "-P", "-m", "schemathesis.cli", "--config-file", config, "run")
    code, output = run_command(
        f"{running.ingest if port == 'ingest' else running.dashboard}/openapi.json",
        "--no-color",
        program=program,
        cwd=tmp_path,
        timeout_s=60 + 2 * EXAMPLES,
        PYTHONPATH=str(ROOT),
        VALID_DOCUMENTS=str(valid_documents),
    )
    assert code == 0, output
    assert "Traceback" not in running.command.output
    assert running.get("/health/ready").status_code == 200
