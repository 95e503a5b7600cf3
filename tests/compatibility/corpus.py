"""Inputs of every format, and their results in a form that can be recorded and compared.

In JSON, UTF-8 bytes are a string, and other bytes are an object `{"base64": "..."}`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.support import log_file
from tests.support.log_file import Record
from tests.support.processes import running_command

HERE = Path(__file__).parent
INPUTS = HERE / "inputs"
RECORDED = HERE / "recorded"
NAMES = sorted(file.stem for file in INPUTS.glob("*.json"))
"""The names of the input files. There is a file per format, and a file for inputs that depend on HTTP headers."""

CLOCK_AHEAD = "clock_ahead_a_day"
"""The note of a receipt with a date in the future. Its business day is the day on which it was received."""

Result = dict[str, Any]


def as_json(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}


def as_bytes(content: str | dict[str, str]) -> bytes:
    return content.encode() if isinstance(content, str) else b64decode(content["base64"])


def write_lines(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON with one member per line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items())
    path.write_text(f"{{\n{lines}\n}}\n")


def inputs(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((INPUTS / f"{name}.json").read_bytes())
    return found


class Ingest:
    """A running ingest and its log."""

    def __init__(self, client: httpx.Client, log: Path) -> None:
        self._client = client
        self._log = log
        self._after = 0

    def result(self, posted: dict[str, Any]) -> Result:
        """Post an input, and return the answer and the new log records."""
        headers, content = posted["headers"], as_bytes(posted["body"])

        answer = self._client.post(posted["path"], content=content, headers=headers)
        self._after, records = log_file.records(self._log, self._after)
        content = answer.json()
        for record in records:
            if CLOCK_AHEAD in record.columns["notes"] and "day" in content:
                assert content["day"] == _day_received(record.columns["received_us"])
                content["day"] = ""
        return {"status": answer.status_code, "answer": content, "records": [recorded(record) for record in records]}


@contextmanager
def ingest(data: Path) -> Iterator[Ingest]:
    """Run `tillstream ingest` on a fresh data directory."""
    with (
        running_command("ingest", "--data", data, "--ingest-port", 0, "--commit-linger-ms", 0) as command,
        httpx.Client(base_url=command.wait_for_output(r"^ingest ready at (\S+)$")[1], timeout=30.0) as client,
    ):
        yield Ingest(client, data / "log.sqlite3")


def recorded(record: Record) -> Result:
    """A record without the values that depend on the clock."""
    head: dict[str, Any] = record.columns
    day_received = _day_received(head.pop("received_us"))
    if head["kind"] == "refusal":
        head["notes"] = json.loads(head["notes"])
    if head["kind"] == "refusal" or CLOCK_AHEAD in head["notes"]:
        assert head["day"] == day_received
        head["day"] = ""
    return {"head": head, "body": as_json(record.body), "original": as_json(record.original)}


def _day_received(received_us: str) -> str:
    """The local day of a time in microseconds."""
    return datetime.fromtimestamp(int(received_us) / 1_000_000, ZoneInfo("Europe/Paris")).date().isoformat()


def without_prose(value: Any) -> Any:
    """The value without the texts of errors and hints, because these texts may change."""
    if isinstance(value, list):
        return [without_prose(each) for each in value]
    if isinstance(value, dict):
        return {name: without_prose(each) for name, each in value.items() if name not in ("error", "hint")}
    return value
