"""Options and output that several commands share: settings, tables, JSON and progress bars."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_origin

import click
import msgspec

from tillstream import telemetry
from tillstream.config import settings
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import CONFIG_VARIABLE, TOML_ONLY, Settings

BASIC = ("data", "host", "ingest_port", "dashboard_port", "tls_certificate_file", "tls_key_file", "insecure")
"""The most common settings. The help of `up`, `ingest` and `engine` shows those that apply to the command."""

PIPE_WIDTH = 200
"""The width of a table that is written to a pipe or a file. Without it, rich would use 80 columns."""

_METAVARS = {list: "A,B", dict: "NAME=VALUE,…"}

Command = TypeVar("Command", bound=Callable[..., Any])

give_up = click.option(
    "--give-up",
    "give_up_s",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop if ingest acknowledges nothing for this time.",
)
"""The option `--give-up` of the commands that send many receipts to ingest."""

key_file = click.option(
    "--key-file",
    "key",
    type=click.File(encoding="utf-8"),
    callback=lambda _context, _option, file: "" if file is None else file.read(1000).strip(),
    help="File with an API key; - for standard input.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def examples(*lines: str) -> str:
    """Return the end of a command's help: example command lines and a note about the settings."""
    text = "\n".join(f"  {line}" for line in lines)
    return f"\b\nExamples:\n{text}\n\nEvery setting listed by `tillstream settings` is also an option."


def with_settings(*shown: str) -> Callable[[Command], Command]:
    """Add `--config` and one option for each setting. The help shows only the settings in `shown`."""

    def decorate(command: Command) -> Command:
        for name in reversed(Settings.__struct_fields__):
            if name not in TOML_ONLY:
                command = _setting_option(name, hidden=name not in shown)(command)
        text = f"TOML file with settings. The variable {CONFIG_VARIABLE} can also name the file."
        return click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help=text)(command)

    return decorate


def _setting_option(name: str, *, hidden: bool) -> Callable[[Command], Command]:
    kind = settings.plain_type(name)
    parameters: dict[str, Any] = {"is_flag": True}
    text = settings.describe(name)
    text = f"{text[0].upper()}{text[1:]}."
    if kind is not bool:
        parameters = {"type": int if kind is int else str, "metavar": _METAVARS.get(get_origin(kind))}
        text += f"  [default: {settings.text(settings.default(name)) or 'none'}]"
    return click.option(settings.flag(name), name, default=None, hidden=hidden, help=text, **parameters)


def resolve(options: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """Remove the settings and `config` from a command's options, and return the settings.

    Also returns the origin of each setting that is not a default, such as `the environment`. Raises `SettingsError`.
    """
    file = options.pop("config")
    values = {name: options.pop(name) for name in Settings.__struct_fields__ if name in options}
    return settings.load(file, os.environ, values)


def configure(options: dict[str, Any], role: str) -> Settings:
    """Return the settings from a command's options, and configure logging for the role. Raises `SettingsError`."""
    resolved, _ = resolve(options)
    telemetry.configure(resolved, role)
    return resolved


def open_configured(options: dict[str, Any], role: str, *, create: bool = False) -> tuple[Settings, DataDirectory]:
    """Configure logging for the role, and open the data directory. Return the settings and the directory.

    Raises `SettingsError` or `DataDirectoryError`.
    """
    resolved = configure(options, role)
    return resolved, open_directory(resolved.data_path, create=create)


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table to standard output. Brackets in cells are not treated as markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*headers, title=title)
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)


class Update(Protocol):
    """A function that updates a progress bar. `total` is None if unknown. `description` replaces the bar's title."""

    def __call__(self, done: int, total: int | None, description: str = "") -> None: ...


@contextmanager
def progress_bar(title: str, *, lines: bool = False, quiet: bool = False) -> Iterator[Update]:
    """Show a progress bar on standard error, unless `quiet` is true. Yields the function that updates it.

    The bar is shown only on a terminal. If `lines` is true, a pipe or a file gets a line for each 10% instead.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    text, rate = TextColumn("{task.description}"), TextColumn("{task.fields[rate]:,.1f}/s")
    columns = (text, BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, rate=0.0)
        tenths = 0

        def update(done: int, total: int | None, description: str = "") -> None:
            nonlocal tenths
            speed = bar.tasks[task].speed or 0.0
            bar.update(task, description=description or title, completed=done, total=total, rate=speed)
            if lines and total and not console.is_terminal and 10 * done // total > tenths:
                tenths = 10 * done // total
                click.echo(f"{title}: {10 * tenths} %", err=True)

        yield update
