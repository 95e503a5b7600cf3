"""Run `tillstream` commands as processes on free ports, and read their output."""

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
    """A process. Its output is the text of standard output and standard error."""

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
        """The output so far."""
        with self._changed:
            return "".join(self._lines)

    def log_entries(self) -> list[dict[str, Any]]:
        """The log entries so far, if the process writes its log as JSON."""
        return [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]

    def wait_for_output(self, pattern: str, timeout_s: float = READY_S) -> re.Match[str]:
        """Wait until the output matches the pattern."""
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
        """Wait until the process has ended and all output is read, and return the exit code."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = STOP_S) -> int:
        self.process.send_signal(number)
        return self.wait(timeout_s)

    def child(self, name: str) -> psutil.Process:
        """The child process with this name in its arguments."""
        return wait_until(lambda: self._child(name), f"the child process {name} runs")

    def _child(self, name: str) -> psutil.Process | None:
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                if name in child.cmdline()[1:]:
                    return child
        return None

    def close(self) -> None:
        """Kill the process and its children."""
        children = []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
        self.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(STOP_S)
        psutil.wait_procs(children, STOP_S)
        self._reader.join(STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running_command(
    *arguments: object, program: Sequence[str | Path] = TILLSTREAM, cwd: Path | None = None, **environment: str
) -> Iterator[Command]:
    """Run a command, and kill it when the block ends."""
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
    """Run a command until it ends, and return its exit code and output."""
    with running_command(*arguments, program=program, cwd=cwd, **environment) as command:
        return command.wait(timeout_s), command.output


def verb_output(*arguments: object, typed: str = "") -> str:
    """Run a verb that must succeed, with `typed` as its input, and return its standard output."""
    done = subprocess.run(
        [*TILLSTREAM, *map(str, arguments)], input=typed, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def list_quarantine(data: Path, *options: str) -> list[dict[str, Any]]:
    """The entries that `tillstream quarantine list` prints, the newest first."""
    output = verb_output("quarantine", "list", "--json", *options, "--data", data)
    entries: list[dict[str, Any]] = json.loads(output)["entries"]
    return entries


def integers_in(text: str) -> list[int]:
    """The integers in a text, without digits of names, versions, dates and addresses."""
    return [int(each.replace(",", "")) for each in re.findall(r"(?<![\w.:-])\d[\d,]*(?!\w|[-.:]\d)", text)]


def run_check(data: Path, *options: object) -> CheckCounts:
    """Run `tillstream check`, and return its counts. Fails if the check finds a difference."""
    code, output = run_command("check", "--data", data, *options)
    assert code == 0, output
    return CheckCounts(*integers_in(output)[: len(CheckCounts._fields)])


class CheckCounts(NamedTuple):
    """The counts of `tillstream check`: the records in the log and their outcomes."""

    records: int
    receipts: int
    duplicates: int
    conflicts: int
    quarantined: int


def assert_usage_error(*arguments: object, naming: object = "", **environment: str) -> None:
    """Check that a verb ends with exit code 2 and prints one line that contains `naming`."""
    code, output = run_command(*arguments, cwd=None, timeout_s=60.0, **environment)
    assert code == 2, output
    (line,) = output.splitlines()
    assert str(naming) in line


@contextmanager
def running_role(role: str, data: Path, *options: object, **environment: str) -> Iterator[tuple[Command, str]]:
    """Run `tillstream ingest` or `tillstream engine` on a free port, and return the command and its address."""
    port = "--ingest-port" if role == "ingest" else "--dashboard-port"
    with running_command(role, "--data", data, port, 0, *options, cwd=None, **environment) as command:
        yield command, address_of(command)


def address_of(command: Command) -> str:
    """The address that a role prints as soon as it serves."""
    return command.wait_for_output(r"(https?://[^\s/]+)$")[1]


class RunningTillstream:
    """A running `tillstream up`."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.ingest = command.wait_for_output(r"^\w+ +(https?://[^\s/]+)/receipt$")[1]
        self.dashboard = command.wait_for_output(r"^\w+ +(https?://[^\s/]+)$")[1]

    def summary(self, day: str = "") -> dict[str, object]:
        """The summary of a day from the API."""
        answer = httpx.get(f"{self.dashboard}/api/v1/summary", params={"day": day} if day else {})
        answer.raise_for_status()
        summary: dict[str, object] = answer.json()
        return summary

    def post(self, body: bytes, content_type: str = "application/json", path: str = "/receipt") -> httpx.Response:
        return httpx.post(f"{self.ingest}{path}", content=body, headers={"Content-Type": content_type})

    def get(self, path: str) -> httpx.Response:
        """Send a GET request to the dashboard."""
        return httpx.get(f"{self.dashboard}{path}")

    def wait_for_receipts(self, count: int, day: str = "") -> dict[str, object]:
        """Wait until the day has this many receipts, and return its summary."""

        def enough() -> dict[str, object] | None:
            summary = self.summary(day)
            return summary if summary["receipts"] == count else None

        try:
            return wait_until(enough, f"{count} receipts of {day or 'today'}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.command.output}") from error

    def quarantine(self, **filters: str) -> list[dict[str, Any]]:
        """The quarantine entries from the API, the newest first."""
        answer = httpx.get(f"{self.dashboard}/api/v1/quarantine", params=filters)
        answer.raise_for_status()
        entries: list[dict[str, Any]] = answer.json()["entries"]
        return entries

    def wait_for_quarantine(self, count: int) -> list[dict[str, Any]]:
        """Wait until the quarantine has this many entries, and return them."""

        def enough() -> list[dict[str, Any]] | None:
            entries = self.quarantine()
            return entries if len(entries) == count else None

        return wait_until(enough, f"{count} entries are in quarantine")

    def stop(self) -> int:
        return self.command.stop()


@contextmanager
def running_tillstream(
    data: Path, *arguments: object, program: Sequence[str] = TILLSTREAM, cwd: Path | None = None, **environment: str
) -> Iterator[RunningTillstream]:
    """Run `tillstream up` on free ports."""
    options = ("--data", data, "--ingest-port", 0, "--dashboard-port", 0)
    with running_command("up", *options, *arguments, program=program, cwd=cwd, **environment) as command:
        yield RunningTillstream(command)
