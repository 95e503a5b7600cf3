"""`tillstream import`: the command line of the import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tillstream import telemetry
from tillstream.clock import SystemClock
from tillstream.config.options import EPILOG, give_up, key_file, resolve, with_settings

if TYPE_CHECKING:
    from tillstream.importing.run import Run

FAULTY = 1
COULD_NOT = 2
INTERRUPTED = 130
STATE_FOLDER = "tillstream"

EXAMPLES = f"""\b
Examples:
  tillstream import monday.ndjson.gz            into the tillstream that runs here
  tillstream import exports/ --dry-run          count and add up, send nothing
  tillstream import exports/ --report out.json  with every fault and its place
  unzip -p day.zip | tillstream import - --format json
  tillstream import day.json --to http://shop.example:3000

Exit code: 0 when all was taken, 1 when there were faults, 2 when something could not be done,
130 after Ctrl-C.

{EPILOG}"""


@click.command("import", epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE... | DIR | -", type=click.Path(path_type=Path))
@click.option("--to", default="", metavar="URL", help="Address of ingest.  [default: the one that runs here]")
@key_file
@click.option("--format", "named", metavar="NAME", help="Format of the files: json, .ndjson or a media type.")
@click.option("--dry-run", is_flag=True, help="Decode and validate only: counts and totals, nothing is sent.")
@click.option("--restart", is_flag=True, help="Begin anew with files that were imported before, or in part.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write everything as JSON there.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Where it is kept how far it came.")
@give_up
@click.option("--quiet", is_flag=True, help="Show no progress.")
@with_settings("data", "currency", "zone")
@click.pass_context
def take(context: click.Context, /, files: tuple[Path, ...], dry_run: bool, quiet: bool, **given: Any) -> None:
    """Import receipts from files of any known format.

    A FILE is decoded here, by its content or its name, gzip and zstd undone, and sent to ingest in
    batches with the originals. A DIR stands for the files in it, - for standard input. What ingest
    acknowledged is remembered: the same command goes on where it was interrupted, and a receipt
    counts once however often it comes. What is no receipt is listed with its place, and kept in
    quarantine.
    """
    from tillstream.importing.console import Running, Summary
    from tillstream.importing.selection import chosen, size_bytes

    paths = list(chosen(files))
    run = _prepared(paths, dry_run, given)
    summary = Summary()
    whole = False
    try:
        with Running(SystemClock(), size_bytes(paths), quiet=quiet) as running:
            whole = run.run(running, summary)
    finally:
        if summary.files:
            summary.show(dry=dry_run)
    if not whole:
        click.echo("interrupted; the same command goes on where it was" if not dry_run else "interrupted", err=True)
        context.exit(INTERRUPTED)
    if summary.problems:
        context.exit(COULD_NOT)
    if summary.refused:
        context.exit(FAULTY)


def _prepared(paths: list[Path], dry_run: bool, given: dict[str, Any]) -> Run:
    """The run that the options ask for."""
    from tillstream.formats import registry
    from tillstream.importing import destination
    from tillstream.importing.run import Run
    from tillstream.importing.taking import Taker

    values, _ = resolve(given)
    telemetry.configure(values, "import")
    clock = SystemClock()
    values = destination.with_zones(values, clock)
    formats = registry.load(values)
    wanted = formats.named(given["named"]) if given["named"] else None
    if given["named"] and wanted is None:
        known = ", ".join(dict.fromkeys(suffix[1:] for each in formats for suffix in each.suffixes))
        raise click.BadParameter(f"{given['named']!r} is no known format: {known}", param_hint="--format")
    to = destination.find(values, given["to"], given["key"])
    taker = Taker(
        settings=values,
        formats=formats,
        clock=clock,
        state=given["state"] or _state(),
        mark=to.mark,
        entrance="import",
        wanted=wanted,
        restart=given["restart"],
    )
    return Run(paths, taker, None if dry_run else to, given["give_up_s"], given["report"])


def _state() -> Path:
    """By the XDG Base Directory Specification, version 0.8."""
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state"
    return base / STATE_FOLDER
