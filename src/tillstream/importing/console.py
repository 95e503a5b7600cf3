"""What a person sees of an import: a bar or now and then a line while it runs, a table and the first faults at its end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tillstream.clock import Clock
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.outcome import Outcome
from tillstream.importing.source_file import shown

LINE_US = 5_000_000
"""Between two lines where there is no terminal."""

FAULTS_SHOWN = 20
FILES_SHOWN = 100

_WIDTH = 160


class Running:
    """Shows how far the import is, on standard error. `size_bytes` is of all its files, None if nobody knows."""

    def __init__(self, clock: Clock, size_bytes: int | None, *, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._clock = clock
        self._quiet = quiet
        self._size_bytes = size_bytes
        self._line_us = clock.now_us()
        self._before = [0, 0]
        self._now = [0, 0]
        self._name = ""
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[receipts]}"), TimeElapsedColumn())
        self._bar = Progress(
            TextColumn("{task.description}"),
            *columns,
            TextColumn("[yellow]{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=size_bytes, receipts="", note="")

    def __enter__(self) -> Running:
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def begin(self, path: Path) -> None:
        """Another file is next."""
        self._before = [before + now for before, now in zip(self._before, self._now, strict=True)]
        self._now = [0, 0]
        self._name = shown(path).rpartition("/")[2]

    def show(self, ledger: Checkpoint, position: int) -> None:
        """What became of the file so far, and the bytes of it that were read."""
        self._now = [ledger.counts.receipts, position]
        receipts, read = (before + now for before, now in zip(self._before, self._now, strict=True))
        told = f"{receipts:,} receipts"
        self._bar.update(self._task, description=escape(self._name), completed=read, receipts=told)
        if not self._bar.disable or self._quiet:
            return
        now_us = self._clock.now_us()
        if now_us - self._line_us >= LINE_US:
            self._line_us = now_us
            share = f", {min(100, read * 100 // self._size_bytes)} %" if self._size_bytes else ""
            click.echo(f"{self._name}: {told}{share}", err=True)

    def tell(self, trouble: str) -> None:
        """Something is in the way; an empty text: no more."""
        if self._bar.disable:
            click.echo(trouble or "ingest takes receipts again", err=True)
        else:
            self._bar.update(self._task, note=escape(trouble))


class Summary:
    """Everything that became of the files, as far as it fits a screen."""

    def __init__(self) -> None:
        self.receipts = 0
        self.refused = 0
        self.skipped = 0
        self.files = 0
        self.problems = 0
        self._outcomes: list[Outcome] = []
        self._faults: list[tuple[str, Refusal]] = []

    def add(self, outcome: Outcome, refusals: Sequence[Refusal]) -> None:
        self.files += 1
        self.receipts += outcome.receipts
        self.refused += outcome.refused
        self.skipped += sum(outcome.skipped.values())
        self.problems += bool(outcome.problem)
        if len(self._outcomes) < FILES_SHOWN:
            self._outcomes.append(outcome)
        room = FAULTS_SHOWN - len(self._faults)
        self._faults += [(outcome.file, refusal) for refusal in refusals[:room]]

    def show(self, *, dry: bool) -> None:
        """On standard output."""
        console = Console()
        if not console.is_terminal:
            console = Console(width=_WIDTH)
        console.print(self._table(dry=dry))
        if self._faults:
            console.print(self._fault_table())
            more = self.refused - len(self._faults)
            if more > 0:
                console.print(f"and {more:,} more faults: --report FILE.json has them all", highlight=False)

    def _table(self, *, dry: bool) -> Table:
        taken = "receipts" if dry else "accepted"
        last = "gross total" if dry else "note"
        table = Table("file", "format", taken, "faults", "skipped", last)
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
            table.add_row("together", "", f"{self.receipts:,}", f"{self.refused:,}", f"{self.skipped:,}", "")
        return table

    def _fault_table(self) -> Table:
        table = Table("file", "index", "where", "path", "fault", title="faults", title_justify="left")
        for file, refusal in self._faults:
            for error in refusal.errors[:1]:
                reason = "; ".join(part for part in (error.get("error", ""), error.get("hint", "")) if part)
                more = len(refusal.errors) - 1
                reason += f" (and {more:,} more)" if more else ""
                path = escape(error.get("path", ""))
                table.add_row(escape(Path(file).name), str(refusal.index), escape(refusal.where), path, escape(reason))
        return table


def _note(outcome: Outcome) -> str:
    if outcome.problem:
        return outcome.problem
    if outcome.total is not None:
        return outcome.total
    if outcome.already:
        return "taken before, nothing was sent (--restart sends it again)"
    if outcome.resumed_at:
        return f"went on at record {outcome.resumed_at + 1:,}"
    return "" if outcome.finished else "not finished"
