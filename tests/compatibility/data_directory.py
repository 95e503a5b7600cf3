"""Record a small data directory, and run tillstream on a copy of the recorded one."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.compatibility import corpus, figures, sales
from tests.support.processes import TILLSTREAM, RunningTillstream, run_command, running_tillstream
from tests.support.waiting import wait_until

HERE = Path(__file__).parent
ARCHIVE = HERE / "data-directory.tar.gz"
RECORDED = HERE / "data-directory.json"
STORES = HERE.parents[1] / "examples" / "stores.csv"

PASSWORD = "pain au levain"
STARTS = ("2025-03-01", "2025-03-30", "2025-06-14", "2025-10-26")
"""The start dates of the generated receipts. On two of them, daylight saving time begins or ends."""


class OpenDirectory(NamedTuple):
    """A running `tillstream up`, and an authenticated client that reads."""

    tillstream: RunningTillstream
    client: httpx.Client


@contextmanager
def open_directory(data: Path, read_key: str) -> Iterator[OpenDirectory]:
    with running_tillstream(data) as running, authenticated_client(running, read_key) as client:
        yield OpenDirectory(running, client)


def authenticated_client(running: RunningTillstream, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=running.dashboard, headers=headers, timeout=60.0)


def wait_until_read(running: RunningTillstream) -> None:
    """Wait until the engine has read the whole log."""
    wait_until(
        lambda: running.get("/health/ready").json() == {"status": "ready", "lag": 0}, "the engine reads the whole log"
    )


def unpack(directory: Path) -> Path:
    """Extract the recorded data directory, and return its path."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    return directory / "data"


def verb(*arguments: object, typed: str = "") -> str:
    """Run a verb that must succeed, and return its standard output."""
    done = subprocess.run([*TILLSTREAM, *map(str, arguments)], input=typed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def record(directory: Path) -> None:
    """Write the archive and its expected figures."""
    data = directory / "data"
    verb("stores", "import", STORES, "--data", data)
    with running_tillstream(data) as running:
        _sell(running)
        _decide(running, data, directory)
        read_key = verb("keys", "add", "--read", "--name", "reader", "--data", data)
        post_key = verb("keys", "add", "--store", 2, "--name", "till of store 2", "--data", data)
        verb("password", "set", "--data", data, typed=f"{PASSWORD}\n")
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
        verb("generate", "--url", running.ingest, "--quiet", "--connections", 2, *arguments)
    # The first receipts are sent twice.
    verb("generate", "--url", running.ingest, "--quiet", "--burst", 10, "--seed", 7, "--start-date", STARTS[0],
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
    """Discard one entry of the quarantine, and replay another one with its currency corrected."""
    entries: list[dict[str, Any]] = running.get("/api/v1/quarantine").json()["entries"]
    currency = next(each["id"] for each in entries if "$.currency" in json.dumps(each["reasons"]))
    date = next(each["id"] for each in entries if "yesterday" in json.dumps(each["reasons"]))
    corrected = directory / "corrected.json"
    corrected.write_bytes(sales.receipt("3"))
    verb("quarantine", "replay", currency, "--from", corrected, "--data", data)
    verb("quarantine", "discard", date, "--yes", "--data", data)
    running.wait_for_receipts(3, "2025-12-01")
