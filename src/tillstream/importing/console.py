"""The terminal output of an import: the progress, and a summary of files and faults at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tillstream.clock import Clock
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.report import Outcome
from tillstream.importing.source_file import display_name

LINE_INTERVAL_US = 5_000_000
"""If standard error is not a terminal, progress is shown in lines. This is the minimum time between two lines."""

FAULTS_SHOWN = 20
FILES_SHOWN = 100

# The width of the tables if standard output is not a terminal.
_WIDTH = 160


class ProgressDisplay:
    """Shows the progress on standard error. `size_bytes` is the size of all files, or None if it is unknown."""

    def __init__(self, clock: Clock, size_bytes: int | None, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._clock = clock
        self._quiet = quiet
        self._size_bytes = size_bytes
        self._line_us = clock.now_us()
        self._name = ""
        self._receipts = self._bytes = 0
        # The totals of all files before the current file.
        self._receipts_before = self._bytes_before = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[receipts]}"),
            TimeElapsedColumn(),
            TextColumn("[yellow]{task.fields[note]}"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=size_bytes, receipts="", note="")

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def begin(self, path: Path) -> None:
        """Start to show the progress of the next file, `path`."""
        self._receipts_before += self._receipts
        self._bytes_before += self._bytes
        self._receipts = self._bytes = 0
        self._name = display_name(path).rpartition("/")[2]

    def show(self, checkpoint: Checkpoint, position: int) -> None:
        """Show the progress of the current file. `position` is the number of bytes read from it."""
        self._receipts, self._bytes = checkpoint.counts.receipts, position
        completed = self._bytes_before + position
        receipts = f"{self._receipts_before + self._receipts:,} receipts"
        self._bar.update(self._task, description=escape(self._name), completed=completed, receipts=receipts)
        if not self._bar.disable or self._quiet:
            return
        now_us = self._clock.now_us()
        if now_us - self._line_us >= LINE_INTERVAL_US:
            self._line_us = now_us
            share = f", {min(100, completed * 100 // self._size_bytes)} %" if self._size_bytes else ""
            click.echo(f"{self._name}: {receipts}{share}", err=True)

    def notify(self, problem: str) -> None:
        """Show why ingest does not respond. If `problem` is empty, show that ingest responds again."""
        if self._bar.disable:
            click.echo(problem or "ingest accepts receipts again", err=True)
        else:
            self._bar.update(self._task, note=escape(problem))


class Summary:
    """The summary of an import: totals, the outcomes of the first files, and the first faults."""

    def __init__(self) -> None:
        self.receipts = self.refused = self.skipped = self.files = self.problems = 0
        self._outcomes: list[Outcome] = []
        self._faults: list[tuple[str, Refusal]] = []

    def add(self, outcome: Outcome, refusals: Iterable[Refusal]) -> None:
        self.files += 1
        self.receipts += outcome.receipts
        self.refused += outcome.refused
        self.skipped += sum(outcome.skipped.values())
        self.problems += bool(outcome.problem)
        if len(self._outcomes) < FILES_SHOWN:
            self._outcomes.append(outcome)
        remaining = FAULTS_SHOWN - len(self._faults)
        self._faults += [(outcome.file, refusal) for refusal in islice(refusals, remaining)]

    def show(self, *, dry_run: bool) -> None:
        """Print the summary on standard output."""
        console = Console(width=None if sys.stdout.isatty() else _WIDTH)
        console.print(self._file_table(dry_run=dry_run))
        if self._faults:
            console.print(_fault_table(self._faults))
            more = self.refused - len(self._faults)
            if more > 0:
                console.print(f"and {more:,} more faults: --report FILE.json has them all", highlight=False)

    def _file_table(self, *, dry_run: bool) -> Table:
        table = Table("file", "format", "receipts" if dry_run else "accepted", "faults", "skipped")
        table.add_column("gross total" if dry_run else "note")
        for column in table.columns[2:4]:
            column.justify = "right"
        for outcome in self._outcomes:
            skipped = ", ".join(f"{number:,} {kind}" for kind, number in sorted(outcome.skipped.items()))
            figures = (f"{outcome.receipts:,}", f"{outcome.refused:,}", escape(skipped))
            table.add_row(escape(outcome.file), outcome.format, *figures, escape(_note(outcome)))
        if self.files > len(self._outcomes):
            table.add_row(f"and {self.files - len(self._outcomes):,} more files")
        if self.files > 1:
            table.add_section()
            table.add_row("total", "", f"{self.receipts:,}", f"{self.refused:,}", f"{self.skipped:,}", "")
        return table


def _fault_table(faults: Sequence[tuple[str, Refusal]]) -> Table:
    table = Table("file", "index", "where", "path", "fault", title="faults", title_justify="left")
    for file, refusal in faults:
        for fault in refusal.errors[:1]:
            reason = f"{fault.error}; {fault.hint}" if fault.hint else fault.error
            if more := len(refusal.errors) - 1:
                reason += f" (and {more:,} more)"
            table.add_row(*map(escape, (Path(file).name, str(refusal.index), refusal.where, fault.path, reason)))
    return table


def _note(outcome: Outcome) -> str:
    if outcome.problem:
        return outcome.problem
    if outcome.total is not None:
        return outcome.total
    if outcome.already:
        return "imported before, nothing was sent (--restart sends it again)"
    if outcome.resumed_at:
        return f"continued at record {outcome.resumed_at + 1:,}"
    return "" if outcome.finished else "not finished"
