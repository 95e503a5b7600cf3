"""The commands in `docs/connect-a-till.md` have the output that the page shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.support.processes import running_role, running_tillstream
from tests.support.requirements import require_program
from tests.support.settings import default_settings
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "connect-a-till.md").read_text(encoding="utf-8")

# The first command runs until it is interrupted, and the file of the second one does not exist.
NOT_RUN = ("tillstream up", "tillstream import monday.csv")

EXPECTED = re.compile(r" +# (?P<status>\d{3})?(?: ?)(?P<text>.*)$")


class Step(NamedTuple):
    """A command of the page and a part of its expected output. The status is empty if the command is not a request."""

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
        assert all("trial-spool" in line for line in lines), f"{lines} have no expected output"
        if lines:
            yield Step("\n".join(lines), "", "")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A directory with the files that the commands use."""
    require_program("curl")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def output_of(step: Step, workspace: Path, addresses: dict[str, str]) -> str:
    command = step.command
    for address, replacement in addresses.items():
        command = command.replace(address, replacement)
    verbs = 'tillstream() { "$PYTHON" -P -m tillstream "$@"; }\npython3() { "$PYTHON" "$@"; }\n'
    done = subprocess.run(
        ["bash", "-c", verbs + command],
        cwd=workspace,
        env={**os.environ, "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout!r}"
    return done.stdout.decode()


def as_expected(step: Step, output: str) -> bool:
    statuses = re.findall(r"^HTTP/1\.1 (\d{3})", output, re.MULTILINE)
    return (statuses[-1:] or [""]) == [step.status] and step.text.lower() in output.lower()


def test_every_command_of_the_page_has_the_expected_output(workspace: Path) -> None:
    with (
        running_tillstream(workspace / "trial") as server,
        running_role("ingest", workspace / "slow", "--store-limit-receipts-per-s", 1) as (_, slow),
    ):
        addresses = {
            "http://127.0.0.1:3000": server.ingest,
            "http://127.0.0.1:8050": server.dashboard,
            "http://127.0.0.1:3001": slow,
        }

        def has_expected_output(step: Step) -> bool:
            return as_expected(step, output_of(step, workspace, addresses))

        for step in steps():
            if "/api/v1/" in step.command:
                # The figures include a receipt only some time after its acknowledgement.
                wait_until(partial(has_expected_output, step), step.command, timeout_s=20)
                continue
            output = output_of(step, workspace, addresses)
            assert as_expected(step, output), f"{step.command}\n{output}"


def test_the_commands_of_the_page_are_found() -> None:
    found = list(steps())
    assert {each.status for each in found} >= {"", "200", "202", "400", "413", "415", "422", "429"}
    assert len(found) > 20


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_role("ingest", tmp_path_factory.mktemp("ingest") / "data") as (_, address):
        yield address


def test_the_receipts_of_the_page_are_accepted(ingest: str) -> None:
    smallest, complete = blocks("json")
    for body in (smallest, complete):
        answer = httpx.post(f"{ingest}/receipt", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["day"]) == (202, "2026-11-23")
    assert json.loads(complete) == json.loads((ROOT / "examples" / "receipt.json").read_bytes())


def test_every_status_of_ingest_is_on_the_page(ingest: str) -> None:
    paths = httpx.get(f"{ingest}/openapi.json").json()["paths"]
    statuses = {status for path in ("/receipt", "/receipts") for status in paths[path]["post"]["responses"]}
    assert len(statuses) > 8
    # The OpenAPI document does not list these statuses.
    statuses |= {"404", "405", "500"}
    for status in statuses:
        assert re.search(rf"^\| (`\d{{3}}`, )?`{status}`", PAGE, re.MULTILINE), f"{status} is not in the table"


def test_the_limits_on_the_page_are_the_defaults_of_their_settings() -> None:
    rows = dict(re.findall(r"^\| [^|`]+ \| `(\w+)` \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert len(rows) > 6
    defaults = default_settings()
    units = {"MiB": 1024 * 1024, "KiB": 1024, "s": 1000}
    for name, limit in rows.items():
        number, _, unit = limit.partition(" ")
        if number == "any":
            assert defaults[name] == 0
        else:
            assert int(number.replace(",", "")) * units.get(unit, 1) == defaults[name], name
