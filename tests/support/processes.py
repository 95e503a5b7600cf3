"""The real `tillstream` commands as processes: started on free ports, waited for, read and killed by id."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO, Any, NamedTuple

import httpx
import psutil

from tests.support.waiting import wait_until

READY_S = 30.0
STOP_S = 15.0

TILLSTREAM = (sys.executable, "-P", "-m", "tillstream")


class Command:
    """One process and what it says; standard output and error come as one text."""

    def __init__(
        self,
        *arguments: object,
        program: Sequence[str | Path] = TILLSTREAM,
        cwd: Path | None = None,
        **environment: str,
    ) -> None:
        self._lines: list[str] = []
        self._changed = Condition()
        self.process = subprocess.Popen(
            [*program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        self._reader = Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """Everything it has said until now."""
        with self._changed:
            return "".join(self._lines)

    def log_entries(self) -> list[dict[str, Any]]:
        """The entries of its log until now, where it is told to write them as JSON."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    def wait_for_output(self, pattern: str, timeout_s: float = READY_S) -> re.Match[str]:
        """Wait until it says something that matches."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = re.search(pattern, self.output, re.MULTILINE)
            if found:
                return found
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"ended with {self.process.returncode} before {pattern!r}:\n{self.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} within {timeout_s} s:\n{self.output}")
            with self._changed:
                self._changed.wait(0.05)

    def wait(self, timeout_s: float = STOP_S) -> int:
        """The exit code, once it has ended and everything it said is read."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = STOP_S) -> int:
        self.process.send_signal(number)
        return self.wait(timeout_s)

    def child(self, name: str) -> psutil.Process:
        """The child process that runs this part."""
        return wait_until(lambda: self._child(name), f"the part {name} runs")

    def _child(self, name: str) -> psutil.Process | None:
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                if name in child.cmdline()[1:]:
                    return child
        return None

    def close(self) -> None:
        """End it and its children, however they do."""
        family = []
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.pid).children(recursive=True)
        self.process.kill()
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(STOP_S)
        psutil.wait_procs(family, STOP_S)
        self._reader.join(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running_command(
    *arguments: object, program: Sequence[str | Path] = TILLSTREAM, cwd: Path | None = None, **environment: str
) -> Iterator[Command]:
    """A command of `tillstream` that is ended with the block."""
    command = Command(*arguments, program=program, cwd=cwd, **environment)
    try:
        yield command
    finally:
        command.close()


def run_command(
    *arguments: object,
    program: Sequence[str | Path] = TILLSTREAM,
    cwd: Path | None = None,
    timeout_s: float = 60.0,
    **environment: str,
) -> tuple[int, str]:
    """Run a verb to its end: exit code and what it said."""
    with running_command(*arguments, program=program, cwd=cwd, **environment) as command:
        return command.wait(timeout_s), command.output


def integers_in(text: str) -> list[int]:
    """The whole numbers among the words, in their order."""
    return [int(each.replace(",", "")) for each in re.findall(r"(?<![\w.:-])\d[\d,]*(?!\w|[-.:]\d)", text)]


def run_check(data: Path, *options: object) -> CheckCounts:
    """What `check` counted in a data directory; fails where a figure disagrees."""
    code, said = run_command("check", "--data", data, *options)
    assert code == 0, said
    return CheckCounts(*integers_in(said)[: len(CheckCounts._fields)])


class CheckCounts(NamedTuple):
    """The records of the log, and what became of them."""

    records: int
    receipts: int
    duplicates: int
    conflicts: int
    quarantined: int


def assert_usage_error(*arguments: object, naming: object = "", **environment: str) -> None:
    """A verb ends with exit code 2 and one line, without a traceback, that names this."""
    code, said = run_command(*arguments, cwd=None, timeout_s=60.0, **environment)
    assert code == 2, said
    (line,) = said.splitlines()
    assert str(naming) in line


@contextmanager
def running_role(role: str, data: Path, *options: object, **environment: str) -> Iterator[tuple[Command, str]]:
    """`tillstream ingest` or `tillstream engine` on a free port over a data directory, with its address."""
    port = "--ingest-port" if role == "ingest" else "--dashboard-port"
    with running_command(role, "--data", data, port, 0, *options, cwd=None, **environment) as command:
        yield command, address_of(command)


def address_of(command: Command) -> str:
    """The address at which a role says to serve."""
    return command.wait_for_output(r"(https?://[^\s/]+)$")[1]


class RunningTillstream:
    """A `tillstream up` that serves."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.ingest = command.wait_for_output(r"^\w+ +(https?://[^\s/]+)/receipt$")[1]
        self.dashboard = command.wait_for_output(r"^\w+ +(https?://[^\s/]+)$")[1]

    def summary(self, day: str = "") -> dict[str, object]:
        """What the dashboard's API tells of a day."""
        answer = httpx.get(f"{self.dashboard}/api/v1/summary", params={"day": day} if day else {})
        answer.raise_for_status()
        summary: dict[str, object] = answer.json()
        return summary

    def post(self, body: bytes, content_type: str = "application/json", path: str = "/receipt") -> httpx.Response:
        return httpx.post(f"{self.ingest}{path}", content=body, headers={"Content-Type": content_type})

    def get(self, path: str) -> httpx.Response:
        """Ask the dashboard."""
        return httpx.get(f"{self.dashboard}{path}")

    def wait_for_receipts(self, count: int, day: str = "") -> dict[str, object]:
        """The day's summary once it has this many receipts."""

        def enough() -> dict[str, object] | None:
            summary = self.summary(day)
            return summary if summary["receipts"] == count else None

        try:
            return wait_until(enough, f"{count} receipts of {day or 'today'}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.command.output}") from error

    def stop(self) -> int:
        return self.command.stop()


@contextmanager
def running_tillstream(
    data: Path, *arguments: object, program: Sequence[str] = TILLSTREAM, cwd: Path | None = None, **environment: str
) -> Iterator[RunningTillstream]:
    """`tillstream up` on free ports over a data directory."""
    options = ("--data", data, "--ingest-port", 0, "--dashboard-port", 0)
    with running_command("up", *options, *arguments, program=program, cwd=cwd, **environment) as command:
        yield RunningTillstream(command)
