"""Record a small data directory, and run tillstream on a copy of the recorded one."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.compatibility import corpus, figures, sales
from tests.support.access import PASSWORD, add_key, bearer, set_password
from tests.support.processes import RunningTillstream, run_command, running_tillstream, verb_output
from tests.support.waiting import wait_until

HERE = Path(__file__).parent
ARCHIVE = HERE / "data-directory.tar.gz"
RECORDED = HERE / "data-directory.json"
STORES = HERE.parents[1] / "examples" / "stores.csv"

STARTS = ("2025-03-01", "2025-03-30", "2025-06-14", "2025-10-26")
"""The start dates of the generated receipts. On two of them, daylight saving time begins or ends."""


class OpenDirectory(NamedTuple):
    """A running `tillstream up`, and a client with a key that may read."""

    tillstream: RunningTillstream
    client: httpx.Client


@contextmanager
def open_directory(data: Path, read_key: str) -> Iterator[OpenDirectory]:
    with running_tillstream(data) as running, authenticated_client(running, read_key) as client:
        yield OpenDirectory(running, client)


def authenticated_client(running: RunningTillstream, key: str) -> httpx.Client:
    return httpx.Client(base_url=running.dashboard, headers=bearer(key), timeout=60.0)


def wait_until_read(running: RunningTillstream) -> None:
    """Wait until the engine has read the whole log."""
    wait_until(
        lambda: running.get("/health/ready").json() == {"status": "ready", "lag": 0}, "the engine reads the whole log"
    )


def unpack(directory: Path) -> Path:
    """Extract the recorded data directory, and return its path."""
    with tarfile.open(ARCHIVE) as archive:
        # Python before 3.11.4 has no `data_filter`.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory)
    return directory / "data"


def record(directory: Path) -> None:
    """Write the archive and its expected figures."""
    data = directory / "data"
    verb_output("stores", "import", STORES, "--data", data)
    with running_tillstream(data) as running:
        _sell(running)
        _decide(running, data, directory)
        read_key = add_key(data, "--read", "--name", "reader")
        post_key = add_key(data, "--store", 2, "--name", "till of store 2")
        set_password(data)
        with authenticated_client(running, read_key) as client:
            wait_until(lambda: client.get("/api/v1/summary").status_code == 200, "the key is accepted")
            wait_until(
                lambda: client.post("/login", data={"password": PASSWORD}).status_code == 303,
                "the password is accepted",
            )
            client.cookies.clear()
            today = client.get("/api/v1/summary").json()["day"]
            shown = figures.read(client, also=(today,))
            counts = client.get("/api/v1/check").json()
        assert counts["differences"] == [], counts
        assert running.stop() == 0
    assert run_command("check", "--data", data)[0] == 0
    with tarfile.open(ARCHIVE, "w:gz") as archive:
        archive.add(data, "data")
    expected = {"password": PASSWORD, "post_key": post_key, "read_key": read_key, "check": counts}
    corpus.write_lines(RECORDED, expected | shown)


def _sell(running: RunningTillstream) -> None:
    for start, batch in zip(STARTS, (1, 1, 20, 7), strict=True):
        arguments = ("--burst", 70, "--seed", 7, "--start-date", start, "--stores", 6, "--tills", 2, "--batch", batch)
        verb_output("generate", "--url", running.ingest, "--quiet", "--connections", 2, *arguments)
    # Some receipts are sent twice.
    verb_output("generate", "--url", running.ingest, "--quiet", "--burst", 10, "--seed", 7, "--start-date", STARTS[0],
         "--stores", 6, "--tills", 2)  # fmt: skip
    with httpx.Client(base_url=running.ingest) as client:
        for each in sales.selected_inputs():
            sales.post(client, each)
    for content in (sales.receipt("1"), sales.receipt("1"), sales.receipt("1", customerID="42"), sales.receipt("2")):
        assert running.post(content).status_code == 202
    assert running.post(sales.receipt("3", currency="USD")).status_code == 422
    assert running.post(sales.receipt("4", date="yesterday")).status_code == 422
    wait_until_read(running)


def _decide(running: RunningTillstream, data: Path, directory: Path) -> None:
    """Discard one quarantine entry, and replay another one with a corrected currency."""
    entries = running.quarantine()
    currency = next(each["id"] for each in entries if "$.currency" in json.dumps(each["reasons"]))
    date = next(each["id"] for each in entries if "yesterday" in json.dumps(each["reasons"]))
    corrected = directory / "corrected.json"
    corrected.write_bytes(sales.receipt("3"))
    verb_output("quarantine", "replay", currency, "--from", corrected, "--data", data)
    verb_output("quarantine", "discard", date, "--yes", "--data", data)
    running.wait_for_receipts(3, "2025-12-01")
