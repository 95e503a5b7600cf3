"""The command `tillstream import`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tillstream import telemetry
from tillstream.cli.options import EPILOG, give_up, key_file, resolve, with_settings
from tillstream.clock import SystemClock

if TYPE_CHECKING:
    from tillstream.importing.importer import ImportRun

FAULTS = 1
FAILED = 2
INTERRUPTED = 130
STATE_FOLDER = "tillstream"

EXAMPLES = f"""\b
Examples:
  tillstream import monday.ndjson.gz            into the tillstream that runs here
  tillstream import exports/ --dry-run          show counts and totals, send nothing
  tillstream import exports/ --report out.json  with every fault and its location
  unzip -p day.zip | tillstream import - --format json
  tillstream import day.json --to http://shop.example:3000

Exit code: 0 if everything was accepted, 1 if there were faults, 2 if something failed, 130 after Ctrl-C.

{EPILOG}"""


@click.command("import", epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE... | DIR | -", type=click.Path(path_type=Path))
@click.option("--to", default="", metavar="URL", help="Address of ingest.  [default: the one that runs here]")
@key_file
@click.option("--format", "named", metavar="NAME", help="Format of the files: json, .ndjson or a media type.")
@click.option("--dry-run", is_flag=True, help="Only decode and validate: show counts and totals, send nothing.")
@click.option("--restart", is_flag=True, help="Send files again that were imported before, completely or in part.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Write all faults to this JSON file.")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="Directory of the stored progress.")
@give_up
@click.option("--quiet", is_flag=True, help="Show no progress.")
@with_settings("data", "currency", "zone")
@click.pass_context
def import_files(context: click.Context, /, files: tuple[Path, ...], dry_run: bool, quiet: bool, **given: Any) -> None:
    """Import receipts from files of any known format.

    The format of a FILE is found by its content or its name, and gzip and zstd are decompressed. A DIR
    means the files in it and below it, - means standard input. The receipts are sent to ingest in
    batches, with their originals. The progress is stored, so the same command continues after an
    interruption, and each receipt counts once. Items that are not receipts are listed with their
    location, and kept in quarantine.
    """
    from tillstream.importing.console import ProgressDisplay, Summary
    from tillstream.importing.source_file import select, total_size

    paths = list(select(files))
    run = _import_run(paths, dry_run, given)
    summary = Summary()
    complete = False
    try:
        with ProgressDisplay(SystemClock(), total_size(paths), quiet=quiet) as display:
            complete = run.run(display, summary)
    finally:
        if summary.files:
            summary.show(dry_run=dry_run)
    if not complete:
        click.echo("interrupted" if dry_run else "interrupted; the same command continues where it stopped", err=True)
        context.exit(INTERRUPTED)
    if summary.problems:
        context.exit(FAILED)
    if summary.refused:
        context.exit(FAULTS)


def _import_run(paths: list[Path], dry_run: bool, given: dict[str, Any]) -> ImportRun:
    """The run for these options."""
    from tillstream.formats import registry
    from tillstream.importing.importer import Importer, ImportRun
    from tillstream.importing.uploader import find_destination, with_time_zones

    values, _ = resolve(given)
    telemetry.configure(values, "import")
    clock = SystemClock()
    values = with_time_zones(values, clock)
    formats = registry.load(values)
    decoder = formats.named(given["named"]) if given["named"] else None
    if given["named"] and decoder is None:
        known = ", ".join(dict.fromkeys(suffix[1:] for each in formats for suffix in each.suffixes))
        raise click.BadParameter(f"{given['named']!r} is no known format: {known}", param_hint="--format")
    destination = find_destination(values, given["to"], given["key"])
    importer = Importer(
        settings=values,
        formats=formats,
        clock=clock,
        state=given["state"] or _state_directory(),
        log_id=destination.log_id,
        channel="import",
        decoder=decoder,
        restart=given["restart"],
    )
    return ImportRun(paths, importer, None if dry_run else destination, given["give_up_s"], given["report"])


def _state_directory() -> Path:
    """The default of `--state`, by version 0.8 of the XDG Base Directory Specification."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / STATE_FOLDER
