"""Given `docs/connect-a-till.md`; when its commands are run on a real server; then each is answered as the page says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.processes import serving, up
from tests.support.settings import defaults
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "connect-a-till.md").read_text(encoding="utf-8")

# Commands that go on, or whose files are no part of the examples.
NOT_RUN = ("tillstream up", "tillstream import monday.csv")

EXPECTED = re.compile(r" +# (?P<status>\d{3})?(?: ?)(?P<text>.*)$")


class Step(NamedTuple):
    """A command of the page: the status to expect (empty: it is no request) and a part of what it says."""

    command: str
    status: str
    text: str


def blocks(language: str) -> list[str]:
    return [
        textwrap.dedent(found)
        for found in re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    ]


def steps() -> Iterator[Step]:
    for block in blocks("sh"):
        if block.startswith(NOT_RUN):
            continue
        lines: list[str] = []
        for line in block.splitlines():
            expected = EXPECTED.search(line)
            lines.append(line[: expected.start()] if expected else line)
            if expected:
                yield Step("\n".join(lines), expected["status"] or "", expected["text"])
                lines = []
        assert all("trial-spool" in line for line in lines), f"what is to be expected of {lines}?"
        if lines:
            yield Step("\n".join(lines), "", "")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory in which the page's commands find what they name."""
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("curl is missing: install it")
        pytest.skip("needs curl")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def said(step: Step, place: Path, ports: dict[str, str]) -> str:
    command = step.command
    for written, real in ports.items():
        command = command.replace(written, real)
    verbs = 'tillstream() { "$PYTHON" -P -m tillstream "$@"; }\npython3() { "$PYTHON" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", verbs + command],
        cwd=place,
        env={**os.environ, "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout!r}"
    return done.stdout.decode()


def as_told(step: Step, came: str) -> bool:
    statuses = re.findall(r"^HTTP/1\.1 (\d{3})", came, re.MULTILINE)
    return (statuses[-1:] or [""]) == [step.status] and step.text.lower() in came.lower()


def test_every_command_of_the_page_is_answered_as_it_says(place: Path) -> None:
    with (
        up(place / "trial") as server,
        serving("ingest", place / "slow", "--store-limit-receipts-per-s", 1) as (_, slow),
    ):
        ports = {
            "http://127.0.0.1:3000": server.ingest,
            "http://127.0.0.1:8050": server.dashboard,
            "http://127.0.0.1:3001": slow,
        }
        for step in steps():
            if "/api/v1/" in step.command:
                # What is acknowledged is shown a moment later.
                wait_until(lambda step=step: as_told(step, said(step, place, ports)), step.command, timeout_s=20)  # type: ignore[misc]
                continue
            came = said(step, place, ports)
            assert as_told(step, came), f"{step.command}\n{came}"


def test_the_commands_of_the_page_are_found() -> None:
    found = list(steps())
    assert {each.status for each in found} >= {"", "200", "202", "400", "413", "415", "422", "429"}
    assert len(found) > 20


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("ingest", tmp_path_factory.mktemp("taking") / "data") as (_, address):
        yield address


def test_its_receipts_are_taken_and_the_whole_one_is_that_of_the_examples(ingest: str) -> None:
    least, whole = blocks("json")
    for body in (least, whole):
        answer = httpx.post(f"{ingest}/receipt", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["day"]) == (202, "2026-11-23")
    assert json.loads(whole) == json.loads((ROOT / "examples" / "receipt.json").read_bytes())


def test_it_tells_of_every_status_of_ingest(ingest: str) -> None:
    paths = httpx.get(f"{ingest}/openapi.json").json()["paths"]
    statuses = {status for path in ("/receipt", "/receipts") for status in paths[path]["post"]["responses"]}
    assert len(statuses) > 8
    # No description of an operation has these.
    statuses |= {"404", "405", "500"}
    for status in statuses:
        assert re.search(rf"^\| (`\d{{3}}`, )?`{status}`", PAGE, re.MULTILINE), f"{status} is not in the table"


def test_its_limits_are_settings_with_their_defaults() -> None:
    rows = dict(re.findall(r"^\| [^|`]+ \| `(\w+)` \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert len(rows) > 6
    shipped = defaults()
    units = {"MiB": 1024 * 1024, "KiB": 1024, "s": 1000}
    for name, told in rows.items():
        number, _, unit = told.partition(" ")
        if number == "any":
            assert shipped[name] == 0
        else:
            assert int(number.replace(",", "")) * units.get(unit, 1) == shipped[name], name
