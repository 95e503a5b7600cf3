"""The `tillstream` command: verbs only. What they do stands in the modules that they call.

These are imported by the verb that needs them, so that `tillstream --help` answers at once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

import tillstream
from tillstream import composition, telemetry
from tillstream.cli.access import keys, password_group
from tillstream.cli.generate import generate
from tillstream.cli.import_files import take
from tillstream.cli.quarantine import quarantine
from tillstream.cli.stores import stores
from tillstream.config import settings
from tillstream.config.options import BASIC, EPILOG, key_file, resolve, with_settings
from tillstream.config.settings import Settings
from tillstream.errors import DatabaseUnavailable, LogUnavailable, OperationalError, UnknownMetric
from tillstream.runtime import parent_pipe

if TYPE_CHECKING:
    from tillstream.verification.check import Report

OPERATIONAL_ERROR = 2
UNAVAILABLE = 3
"""Exit code where the log or the database cannot be used now: a supervisor tries again."""

DISAGREES = 1

supervised_option = click.option("--supervised", is_flag=True, hidden=True)


class Verbs(click.Group):
    """A group whose verbs end an operational error with one line instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperationalError as error:
            click.echo(f"tillstream: {error}", err=True)
            ctx.exit(UNAVAILABLE if isinstance(error, LogUnavailable | DatabaseUnavailable) else OPERATIONAL_ERROR)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tillstream.__version__, prog_name="tillstream")
def main() -> None:
    """A chain of shops sees its day live, to the cent, and never loses a receipt."""


def example(*lines: str) -> str:
    """The end of a verb's help: what one would type."""
    typed = "\n".join(f"  {line}" for line in lines)
    return f"\b\nFor example:\n{typed}\n\n{EPILOG}"


@main.command(epilog=example("tillstream up", "tillstream up --data /srv/tillstream --inbox /srv/exports"))
@click.option("--demo", is_flag=True, help="show an invented chain of bakeries, in a directory of its own")
@with_settings(*BASIC, "inbox")
def up(demo: bool, **given: Any) -> None:
    """Run ingest, the engine and the dashboard until Ctrl-C, and the inbox where there is one."""
    from tillstream.runtime import up as running

    values, origins = resolve(given)
    telemetry.configure(values, "up")
    if demo:
        values = running.prepare_demo(values, origins, click.echo)
    sys.exit(asyncio.run(running.up(values, demo=demo, say=click.echo)))


@main.command(epilog=example("tillstream ingest --data /srv/tillstream"))
@supervised_option
@with_settings(*BASIC[:3], *BASIC[4:])
def ingest(supervised: bool, **given: Any) -> None:
    """Take receipts and keep them in the log: a process of `up`."""
    from tillstream.runtime import roles

    _run_role(
        "ingest",
        partial(roles.ingest, open_log=partial(composition.open_log, writer=True)),
        None if supervised else resolve(given)[0],
    )


@main.command(epilog=example("tillstream engine --data /srv/tillstream"))
@supervised_option
@with_settings(*BASIC[:2], *BASIC[3:])
def engine(supervised: bool, **given: Any) -> None:
    """Fold the log into figures and show them: a process of `up`."""
    from tillstream.runtime import roles

    _run_role(
        "engine",
        partial(roles.engine, open_read_side=composition.open_read_side),
        None if supervised else resolve(given)[0],
    )


@main.command(epilog=example("tillstream inbox exports", "tillstream inbox exports --to http://shop.example:3000"))
@click.argument("folder", required=False, metavar="DIR", type=click.Path())
@click.option("--to", default="", metavar="URL", help="Address of ingest.  [default: the one that runs here]")
@key_file
@supervised_option
@with_settings("data")
def inbox(folder: str | None, to: str, key: str, supervised: bool, **given: Any) -> None:
    """Import every file that is put into DIR: a process of `up --inbox DIR`.

    A file is taken once it has not changed for two seconds, then moved to DIR/done, or to DIR/failed where
    nothing of it could be taken, with a report beside it. Names that begin with a dot or end in .part,
    .tmp or .crdownload are left alone.
    """
    from tillstream.runtime import roles

    if folder is not None:
        given["inbox"] = folder
    values = None if supervised else resolve(given)[0]
    if values is not None and not values.inbox:
        raise click.UsageError("name the folder: tillstream inbox DIR")
    _run_role("inbox", partial(roles.inbox, to=to, key=key), values)


def _run_role(name: str, role: Callable[..., None], given: Settings | None) -> None:
    """Run it with these settings, or with those of its supervisor."""
    from tillstream.runtime.supervisor import ready_line

    values = given or parent_pipe.receive()
    telemetry.configure(values, name)
    role(values, lambda address: click.echo(ready_line(name, address)), supervised=given is None)


@main.command(hidden=True)
@supervised_option
@with_settings("data")
def sell(supervised: bool, **given: Any) -> None:
    """Load the demo's past days, then sell live: a process of `up --demo`."""
    from tillstream.runtime import demo
    from tillstream.runtime.supervisor import ready_line

    values = parent_pipe.receive() if supervised else resolve(given)[0]
    telemetry.configure(values, "shops")
    demo.sell(
        values,
        lambda address: click.echo(ready_line("shops", address)),
        partial(_bar, lines=True),
        supervised=supervised,
    )


@main.command(epilog=example("tillstream check", "tillstream check --data /srv/tillstream"))
@with_settings("data")
def check(**given: Any) -> None:
    """Recount everything and compare; exit code 1 where figures differ.

    Every metric and every day's summary is compared with the stored receipts, and these with what
    the log acknowledged. Asks the engine where one runs on the directory.
    """
    from tillstream.verification import check as checking

    values, _ = resolve(given)
    telemetry.configure(values, "check")
    report = checking.check(values, composition.open_read_side)
    _show(report)
    sys.exit(0 if report.agrees else DISAGREES)


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    compared = f"{report.metrics} metrics and the summaries of {report.days} days"
    if report.agrees:
        click.echo(f"everything agrees: {report.records:,} records of the log = {counts}; {compared} recounted")
        return
    table = Table("figure", "where", "shown", "recounted", title=f"{len(report.differences)} differences")
    for difference in report.differences:
        table.add_row(*msgspec.structs.astuple(difference))
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    click.echo(f"{report.records:,} records of the log: {counts}; {compared} recounted")


@main.command(epilog=example("tillstream rebuild", "tillstream rebuild sales_by_category"))
@click.argument("metric", required=False)
@with_settings("data")
def rebuild(metric: str | None, **given: Any) -> None:
    """Make the database anew from the log, or one metric.

    METRIC is made from the stored receipts. No engine may run on the directory meanwhile.
    """
    from tillstream.clock import SystemClock
    from tillstream.config.data_directory import open_directory
    from tillstream.verification import rebuild as rebuilding

    values, _ = resolve(given)
    telemetry.configure(values, "rebuild")
    directory = open_directory(values.data_path, create=False)
    open_read_side = partial(composition.open_read_side, directory, values, SystemClock())
    if metric is None:
        with _bar("rebuilding the database") as progress:
            records = rebuilding.rebuild_database(directory, partial(open_read_side, rebuilding=True), progress)
        click.echo(f"the database is made anew from {records:,} records of the log")
        return
    try:
        rows = rebuilding.rebuild_metric(directory, open_read_side, metric)
    except UnknownMetric as error:
        raise click.BadParameter(str(error), param_hint="METRIC") from error
    click.echo(f"{metric} is made anew: {rows:,} rows")


@contextmanager
def _bar(title: str, *, lines: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error if that is a terminal; otherwise, with `lines`, a line for each tenth."""
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


@main.command("settings", epilog=example("tillstream settings", "TILLSTREAM_ZONE=Europe/Lisbon tillstream settings"))
@with_settings()
def list_settings(**given: Any) -> None:
    """List every setting: value, origin, default and help."""
    values, origins = resolve(given)
    for name in Settings.__struct_fields__:
        value, default = getattr(values, name), settings.default(name)
        click.echo(f"{name} = {_toml(settings.shown(name, value))}")
        click.echo(f"    {settings.describe(name)}")
        if name in origins:
            click.echo(f"    from {origins[name]}; default {_toml(default)}")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    return msgspec.json.encode(value).decode()


@main.command(epilog="For example: tillstream version")
def version() -> None:
    """Print the version."""
    click.echo(tillstream.__version__)


main.add_command(generate)
main.add_command(take)
main.add_command(quarantine)
main.add_command(stores)
main.add_command(keys)
main.add_command(password_group)
