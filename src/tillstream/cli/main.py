"""The `tillstream` command with its subcommands.

A subcommand imports slow modules only when it runs. This keeps `tillstream --help` fast.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

import tillstream
from tillstream import composition, telemetry
from tillstream.cli.access import keys, password_group
from tillstream.cli.generate import generate
from tillstream.cli.import_files import import_files
from tillstream.cli.options import (
    BASIC,
    configure,
    examples,
    key_file,
    open_configured,
    print_table,
    progress_bar,
    resolve,
    with_settings,
)
from tillstream.cli.quarantine import quarantine
from tillstream.cli.stores import stores
from tillstream.config import settings
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, DatabaseUnavailable, LogUnavailable, OperationalError, UnknownMetric

if TYPE_CHECKING:
    from tillstream.verification.check import Report

OPERATIONAL_ERROR = 2
UNAVAILABLE = 3
"""Exit code if the log or the database is unavailable. A restart may help. After exit code 2, it does not."""

DIFFERENCES = 1
"""Exit code of `check` if figures differ."""

supervised_option = click.option("--supervised", is_flag=True, hidden=True)


class CommandGroup(click.Group):
    """A group of commands that reports an expected error in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OperationalError as error:
            click.echo(f"tillstream: {error}", err=True)
            ctx.exit(UNAVAILABLE if isinstance(error, LogUnavailable | DatabaseUnavailable) else OPERATIONAL_ERROR)
        except (BadQuery, UnknownMetric) as error:
            raise click.UsageError(str(error)) from error


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tillstream.__version__, prog_name="tillstream")
def main() -> None:
    """Live sales figures of a chain of stores, exact to the cent. No receipt is ever lost."""


@main.command(epilog=examples("tillstream up", "tillstream up --data /srv/tillstream --inbox /srv/exports"))
@click.option("--demo", is_flag=True, help="Show an invented chain of bakeries in a separate data directory.")
@with_settings(*BASIC, "inbox")
def up(demo: bool, **options: Any) -> None:
    """Run ingest, the engine with the dashboard, and the inbox if one is set. Ctrl-C stops them."""
    from tillstream.runtime.demo import prepare
    from tillstream.runtime.up import up as run

    resolved, origins = resolve(options)
    telemetry.configure(resolved, "up")
    if demo:
        resolved = prepare(resolved, origins, click.echo)
    sys.exit(asyncio.run(run(resolved, demo=demo, echo=click.echo)))


@main.command(epilog=examples("tillstream ingest --data /srv/tillstream"))
@supervised_option
@with_settings(*BASIC[:3], *BASIC[4:])
def ingest(supervised: bool, **options: Any) -> None:
    """Accept receipts and append them to the log. `tillstream up` starts this process."""
    from tillstream.runtime import roles

    role = partial(roles.ingest, open_log=partial(composition.open_log, writer=True))
    _run_role("ingest", role, options, supervised=supervised)


@main.command(epilog=examples("tillstream engine --data /srv/tillstream"))
@supervised_option
@with_settings(*BASIC[:2], *BASIC[3:])
def engine(supervised: bool, **options: Any) -> None:
    """Compute figures from the log and serve the dashboard. `tillstream up` starts this process."""
    from tillstream.runtime import roles

    role = partial(roles.engine, open_read_side=composition.open_read_side)
    _run_role("engine", role, options, supervised=supervised)


@main.command(epilog=examples("tillstream inbox exports", "tillstream inbox exports --to http://shop.example:3000"))
@click.argument("folder", required=False, metavar="DIR", type=click.Path())
@click.option("--to", default="", metavar="URL", help="URL of ingest.  [default: the ingest of the data directory]")
@key_file
@supervised_option
@with_settings("data")
def inbox(folder: str | None, to: str, key: str, supervised: bool, **options: Any) -> None:
    """Import every file that arrives in DIR. `tillstream up --inbox DIR` starts this process.

    The import of a file starts when the file has not changed for two seconds. After the import, the file and a
    report are in DIR/done, or in DIR/failed if nothing could be imported. Names that begin with a dot or end in
    .part, .tmp or .crdownload are ignored.
    """
    from tillstream.runtime import roles

    def role(role_settings: Settings, ready: roles.Ready, *, supervised: bool) -> None:
        if not role_settings.inbox:
            raise click.UsageError("name the folder: tillstream inbox DIR")
        roles.inbox(role_settings, ready, supervised=supervised, to=to, key=key)

    if folder is not None:
        options["inbox"] = folder
    _run_role("inbox", role, options, supervised=supervised)


def _run_role(name: str, role: Callable[..., None], options: dict[str, Any], *, supervised: bool) -> None:
    """Run a role, such as ingest. If a supervisor started this process, it sends the settings to use."""
    from tillstream.runtime.supervisor import ready_line, receive_settings

    role_settings = receive_settings() if supervised else resolve(options)[0]
    telemetry.configure(role_settings, name)
    role(role_settings, lambda address: click.echo(ready_line(name, address)), supervised=supervised)


@main.command(hidden=True)
@supervised_option
@with_settings("data")
def sell(supervised: bool, **options: Any) -> None:
    """Load the demo's past days, then send live sales. `tillstream up --demo` starts this process."""
    from tillstream.runtime import demo

    role = partial(demo.sell, progress=partial(progress_bar, lines=True))
    _run_role("demo", role, options, supervised=supervised)


@main.command(epilog=examples("tillstream check", "tillstream check --data /srv/tillstream"))
@with_settings("data")
def check(**options: Any) -> None:
    """Recompute every figure and report differences. The exit code is 1 if a figure differs.

    The metrics and the summary of every day are compared with the stored receipts, and the stored receipts with
    the log. If an engine runs on the data directory, the engine makes the comparison.
    """
    from tillstream.verification import check as verification

    report = verification.check(configure(options, "check"), composition.open_read_side)
    _print_report(report)
    sys.exit(0 if report.agrees else DIFFERENCES)


def _print_report(report: Report) -> None:
    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    scope = f"{report.metrics} metrics and the summaries of {report.days} days were recomputed"
    if report.agrees:
        click.echo(f"everything agrees: {report.records:,} records in the log = {counts}; {scope}")
        return
    rows = map(msgspec.structs.astuple, report.differences)
    print_table(("figure", "where", "shown", "recomputed"), rows, f"{len(report.differences)} differences")
    click.echo(f"{report.records:,} records in the log: {counts}; {scope}")


@main.command(epilog=examples("tillstream rebuild", "tillstream rebuild sales_by_category"))
@click.argument("metric", required=False)
@with_settings("data")
def rebuild(metric: str | None, **options: Any) -> None:
    """Rebuild the database from the log, or one METRIC from the stored receipts.

    No engine may run on the data directory.
    """
    from tillstream.clock import SystemClock
    from tillstream.verification import rebuild as verification

    resolved, directory = open_configured(options, "rebuild")
    open_read_side = partial(composition.open_read_side, directory, resolved, SystemClock())
    if metric is None:
        with progress_bar("rebuilding the database") as progress:
            records = verification.rebuild_database(directory, partial(open_read_side, rebuilding=True), progress)
        click.echo(f"the database is rebuilt from {records:,} records of the log")
        return
    rows = verification.rebuild_metric(directory, open_read_side, metric)
    click.echo(f"{metric} is rebuilt: {rows:,} rows")


@main.command("settings", epilog=examples("tillstream settings", "TILLSTREAM_ZONE=Europe/Lisbon tillstream settings"))
@with_settings()
def list_settings(**options: Any) -> None:
    """List every setting with its value and help. For a changed setting, list its origin and default too."""
    resolved, origins = resolve(options)
    for name in Settings.__struct_fields__:
        value, default = getattr(resolved, name), settings.default(name)
        click.echo(f"{name} = {_toml(settings.shown(name, value))}")
        click.echo(f"    {settings.describe(name)}")
        if name in origins:
            click.echo(f"    from {origins[name]}; default {_toml(default)}")


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    return msgspec.json.encode(value).decode()


@main.command(epilog="Example: tillstream version")
def version() -> None:
    """Print the version."""
    click.echo(tillstream.__version__)


for command in (generate, import_files, quarantine, stores, keys, password_group):
    main.add_command(command)
