"""The command `tillstream quarantine`, which lists, shows, replays and discards quarantine entries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from tillstream import composition
from tillstream.cli.options import as_json, examples, open_configured, print_json, print_table, with_settings
from tillstream.clock import SystemClock
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.receipt.model import Fault

if TYPE_CHECKING:
    from tillstream.quarantine.service import Outcome, QuarantineService
    from tillstream.queries.quarantine import Entry, EntryDetails

EXIT_UNRESOLVED = 1
"""Exit code if an entry was not resolved."""

PAGE_ENTRIES = 100
"""Number of entries that are listed or discarded in one request."""

REASONS_SHOWN = 3

EXAMPLES = examples(
    "tillstream quarantine list --reason currency             list receipts that were refused for their currency",
    "tillstream quarantine show 5242880                       show one entry with its original",
    "tillstream quarantine replay --all --source csv/http     post these entries again after the cause is fixed",
    "tillstream quarantine show 5242880 --raw > one.json      write the original to a file, to edit it",
    "tillstream quarantine replay 5242880 --from one.json     post the edited file",
    "tillstream quarantine discard --all --day 2026-11-23     remove entries from the list",
)

FILTERS = {
    "reason": "Only entries with this text in a path or an error.",
    "source": "Only entries of this format and entry point, such as json/http.",
    "day": "Only entries received on this day, YYYY-MM-DD.",
    "kind": "Only entries of this kind: refused, unreadable or conflict.",
}

Command = Callable[..., None]


def _with_filters(command: Command) -> Command:
    """Add an option for each filter. The command gets the filters that are set as its argument `filters`."""

    @wraps(command)
    def collect(**options: Any) -> None:
        filters = {name: text for name in FILTERS if (text := options.pop(name)) is not None}
        command(filters=filters, **options)

    for name, text in reversed(FILTERS.items()):
        click.option(f"--{name}", metavar="TEXT", help=text)(collect)
    return collect


def _with_selection(command: Command) -> Command:
    """Add the arguments that select entries: either ids of entries, or --all with optional filters."""

    @wraps(command)
    def check(entries: tuple[str, ...], every: bool, filters: dict[str, str], **options: Any) -> None:
        if bool(entries) == every:
            raise click.UsageError("name entries, or use --all")
        if entries and filters:
            raise click.UsageError("filters need --all")
        command(entries=entries, filters=filters, **options)

    selecting = click.option("--all", "every", is_flag=True, help="All open entries that match the filters.")
    return click.argument("entries", nargs=-1, metavar="[ENTRY]…")(selecting(_with_filters(check)))


@click.group(epilog=EXAMPLES)
def quarantine() -> None:
    """List, show, replay and discard content that did not become a receipt."""


@quarantine.command("list", epilog=EXAMPLES)
@_with_filters
@click.option("--settled", is_flag=True, help="List replayed and discarded entries instead of open entries.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Maximum number of entries."
)
@as_json
@with_settings("data")
def list_entries(filters: dict[str, str], settled: bool, limit: int, as_json: bool, **options: Any) -> None:
    """List open entries. The newest entry comes first."""
    with open_service(*open_configured(options, "quarantine")) as service:
        page = service.page({**filters, "limit": str(limit), **({"settled": "1"} if settled else {})})
    if as_json:
        print_json(page)
        return
    if not page.entries:
        click.echo("no entry matches the filters" if filters or settled else "the quarantine has no open entries")
        return
    _print_table(page.entries)
    if page.next:
        click.echo(f"there are more than {limit} entries; use --limit or a filter")


@quarantine.command(epilog=EXAMPLES)
@click.argument("entry")
@click.option("--raw", is_flag=True, help="Write the bytes of the original, including personal data.")
@as_json
@with_settings("data")
def show(entry: str, raw: bool, as_json: bool, **options: Any) -> None:
    """Show an ENTRY with its original, source, time and reasons. For a conflict, show how the two receipts differ."""
    if raw:
        click.echo(_original(entry, options), nl=False)
        return
    with open_service(*open_configured(options, "quarantine")) as service:
        found = service.one(entry)
    if found is None:
        raise click.BadParameter(f"entry {entry} does not exist", param_hint="ENTRY")
    if as_json:
        print_json(found)
    else:
        _print_entry(found)


@quarantine.command(epilog=EXAMPLES)
@_with_selection
@click.option("--from", "file", type=click.File("rb"), help="Post this file instead of the original.")
@click.option("--type", "type_", metavar="TEXT", default="", help="Media type or format (csv) of the content.")
@with_settings("data")
def replay(
    entries: tuple[str, ...], filters: dict[str, str], file: BinaryIO | None, type_: str, **options: Any
) -> None:
    """Post originals to ingest again. An entry is resolved if ingest accepts its content."""
    from tillstream.quarantine.service import Edit

    if file is not None and len(entries) != 1:
        raise click.UsageError("--from needs exactly one ENTRY")
    content = b"" if file is None else file.read()
    if file is not None and not content:
        raise OperationalError("replay", file.name, "it is empty")
    edit = Edit(content, type_)
    with open_service(*open_configured(options, "quarantine")) as service:
        ids = entries or _open_ids(service, filters)
        _finish((service.replay(entry, edit) for entry in ids), "replayed")


@quarantine.command(epilog=EXAMPLES)
@_with_selection
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_settings("data")
def discard(entries: tuple[str, ...], filters: dict[str, str], yes: bool, **options: Any) -> None:
    """Remove entries from the list without a replay. They stay in the log, and figures do not change."""
    with open_service(*open_configured(options, "quarantine")) as service:
        ids = list(entries or _open_ids(service, filters))
        if ids and not yes:
            click.confirm(f"discard {len(ids):,} entries?", abort=True)
        pages = (ids[start : start + PAGE_ENTRIES] for start in range(0, len(ids), PAGE_ENTRIES))
        _finish((outcome for page in pages for outcome in service.discard(page)), "discarded")


def _open_ids(service: QuarantineService, filters: Mapping[str, str]) -> Iterator[str]:
    """Yield the ids of all open entries that match the filters."""
    query = {**filters, "limit": str(PAGE_ENTRIES)}
    while True:
        page = service.page(query)
        yield from (entry.id for entry in page.entries)
        if not page.next:
            return
        query["cursor"] = page.next


@contextmanager
def open_service(settings: Settings, directory: DataDirectory) -> Iterator[QuarantineService]:
    """Open the quarantine service of a data directory.

    If an engine runs on the directory, the service sends requests to the engine. Otherwise it opens the files.

    Raises `DatabaseUnavailable` or `DataDirectoryError`.
    """
    from tillstream.access import machine_token
    from tillstream.quarantine.service import RemoteQuarantineService

    holder = directory.holder("engine")
    if holder is not None:
        yield RemoteQuarantineService(holder, machine_token.authorization(directory))
        return
    with directory.lock("engine"), composition.open_read_side(directory, settings, SystemClock()) as read_side:
        yield read_side.quarantine_service


def _original(entry: str, options: dict[str, Any]) -> bytes:
    """Read the original from the log. The quarantine service would mask personal data in it."""
    from tillstream.queries.quarantine import parse_entry_id

    settings, directory = open_configured(options, "quarantine")
    record_id = parse_entry_id(entry)
    with closing(composition.open_log(directory, settings, writer=False)) as log:
        record = log.fetch([record_id]).get(record_id)
    if record is None:
        raise click.BadParameter(f"the log has no record of {entry}", param_hint="ENTRY")
    _, body, original = record
    return original or body


def _print_table(entries: list[Entry]) -> None:
    rows = []
    for entry in entries:
        decision = f" {entry.settled.decision}" if entry.settled else ""
        lines = [f"{reason.path}: {reason.error}" for reason in entry.reasons]
        more = [f"and {len(lines) - REASONS_SHOWN} more"] if len(lines) > REASONS_SHOWN else []
        received = entry.received_at[:19].replace("T", " ")
        reasons = "\n".join(lines[:REASONS_SHOWN] + more)
        rows.append((entry.id, received, entry.kind + decision, entry.source or "", reasons))
    print_table(("entry", "received (UTC)", "kind", "source", "reasons"), rows)


def _print_entry(entry: EntryDetails) -> None:
    click.echo(f"entry {entry.id}: {entry.kind}, from {entry.source}, received {entry.received_at}")
    for reason in entry.reasons:
        click.echo(f"  {_describe(reason)}")
    if entry.settled:
        receipt = f" as receipt {entry.settled.key}" if entry.settled.key else ""
        click.echo(f"  {entry.settled.decision} {entry.settled.at}{receipt}")
    if entry.conflict:
        first = entry.conflict.first
        click.echo(f"\nreceipt {first.key} counts, from {first.source}, received {first.received_at}")
        for field in entry.conflict.fields:
            if field.differs:
                click.echo(f"  {field.path}: {field.first} counts, {field.second} came later")
        click.echo(f"\nthe receipt that counts:\n{first.original}")
    click.echo(
        "\nthe log no longer contains the original" if entry.original is None else f"\noriginal:\n{entry.original}"
    )


def _describe(fault: Fault) -> str:
    path = "" if fault.path == "id" else f"{fault.path}: "
    hint = f"; {fault.hint}" if fault.hint else ""
    return f"{path}{fault.error}{hint}"


def _finish(outcomes: Iterable[Outcome], done: str) -> None:
    """Print the errors and counts of the outcomes, then exit with `EXIT_UNRESOLVED` if an entry was not resolved."""
    from rich.console import Console

    unresolved = []
    with Console(stderr=True).status(done) as status:
        for outcome in outcomes:
            unresolved.append(outcome.stays)
            for error in outcome.errors:
                click.echo(f"{outcome.id}: {_describe(Fault(**error))}", err=True)
            status.update(f"{len(unresolved):,} {done}")
    text = f"{unresolved.count(False):,} {done}"
    click.echo(f"{text}, {sum(unresolved):,} not" if any(unresolved) else text)
    if any(unresolved):
        sys.exit(EXIT_UNRESOLVED)
