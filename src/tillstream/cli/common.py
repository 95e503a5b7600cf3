"""Helpers of several commands: settings and logging, tables and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from tillstream import telemetry
from tillstream.config.options import resolve
from tillstream.config.settings import Settings

PIPE_WIDTH = 200
"""Columns of a table in a pipe or a file; rich would wrap it at 80."""


def configure(options: dict[str, Any], role: str) -> Settings:
    """Remove the settings from a command's options, and configure logging with them. Raises `SettingsError`."""
    settings, _ = resolve(options)
    telemetry.configure(settings, role)
    return settings


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table to standard output. Brackets in cells are not markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


@contextmanager
def progress_bar(title: str, *, lines: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error if that is a terminal; otherwise, with `lines`, a line for each tenth.

    The block calls the function with the finished and the total number.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        tenths = 0

        def update(done: int, total: int) -> None:
            nonlocal tenths
            bar.update(task, completed=done, total=total)
            if lines and not console.is_terminal and 10 * done // max(total, 1) > tenths:
                tenths = 10 * done // total
                click.echo(f"{title}: {10 * tenths} %", err=True)

        yield update
