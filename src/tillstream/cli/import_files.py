"""The command `tillstream import`, which sends receipts from files to ingest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tillstream.cli.options import configure, examples, give_up, key_file, with_settings
from tillstream.clock import SystemClock

if TYPE_CHECKING:
    from tillstream.importing.importer import ImportRun

FAULTS = 1
FAILED = 2
INTERRUPTED = 130
STATE_FOLDER = "tillstream"

EXAMPLES = examples(
    "tillstream import monday.ndjson.gz            import a file into the running tillstream",
    "tillstream import exports/ --dry-run          show counts and totals, and send nothing",
    "tillstream import exports/ --report out.json  write every fault and its location to a file",
    "unzip -p day.zip | tillstream import - --format json",
    "tillstream import day.json --to http://shop.example:3000",
)


@click.command("import", epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE... | DIR | -", type=click.Path(path_type=Path))
@click.option("--to", default="", metavar="URL", help="URL of ingest.  [default: the ingest of the data directory]")
@key_file
@click.option("--format", "named", metavar="NAME", help="Format of the files, such as json, .ndjson or a media type.")
@click.option("--dry-run", is_flag=True, help="Show counts and totals, and send nothing.")
@click.option("--restart", is_flag=True, help="Send files again that were already imported.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="JSON file to which all faults are written."
)
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Directory in which the progress is stored."
)
@give_up
@click.option("--quiet", is_flag=True, help="Show no progress.")
@with_settings("data", "currency", "zone")
@click.pass_context
def import_files(
    context: click.Context, /, files: tuple[Path, ...], dry_run: bool, quiet: bool, **options: Any
) -> None:
    """Import receipts from files of any known format.

    The format of a FILE is detected from its content or its name. Files may be compressed with gzip or zstd. DIR
    imports all files in a directory and its subdirectories. - reads from standard input.

    The receipts and their originals are sent to ingest in batches. After an interruption, the same command
    continues the import. Each receipt counts once. Items that are not receipts are listed with their location
    and kept in quarantine.

    The exit code is 0 if everything was accepted, 1 if there were faults, 2 if something failed, and 130 after
    Ctrl-C.
    """
    from tillstream.importing.console import ProgressDisplay, Summary
    from tillstream.importing.source_file import select, total_size

    paths = list(select(files))
    run = _import_run(paths, dry_run, options)
    summary = Summary()
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


def _import_run(paths: list[Path], dry_run: bool, options: dict[str, Any]) -> ImportRun:
    from tillstream.formats import registry
    from tillstream.importing.importer import Importer, ImportRun
    from tillstream.importing.uploader import find_destination, with_time_zones

    clock = SystemClock()
    settings = with_time_zones(configure(options, "import"), clock)
    formats = registry.load(settings)
    name = options["named"]
    decoder = formats.named(name) if name else None
    if name and decoder is None:
        known = ", ".join(dict.fromkeys(suffix[1:] for decoder in formats for suffix in decoder.suffixes))
        raise click.BadParameter(f"{name!r} is not a known format: {known}", param_hint="--format")
    destination = find_destination(settings, options["to"], options["key"])
    importer = Importer(
        settings=settings,
        formats=formats,
        clock=clock,
        state=options["state"] or _state_directory(),
        log_id=destination.log_id,
        channel="import",
        decoder=decoder,
        restart=options["restart"],
    )
    return ImportRun(paths, importer, None if dry_run else destination, options["give_up_s"], options["report"])


def _state_directory() -> Path:
    """Return the default directory of `--state`, as defined by version 0.8 of the XDG Base Directory Specification."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / STATE_FOLDER
