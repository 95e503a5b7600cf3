"""`tillstream quarantine`: lists, shows, replays and discards quarantine entries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click
import msgspec

from tillstream import composition
from tillstream.cli.options import EPILOG, configure, print_table, with_settings
from tillstream.clock import SystemClock
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, OperationalError

if TYPE_CHECKING:
    from tillstream.database.base import Row
    from tillstream.quarantine.service import Outcome, QuarantineService

EXIT_UNRESOLVED = 1
"""Exit code if an entry was not resolved."""

PAGE_ENTRIES = 100
REASONS_SHOWN = 3

EXAMPLES = f"""\b
Examples:
  tillstream quarantine list --reason currency             list receipts that were refused for their currency
  tillstream quarantine show 5242880                       show one entry with its original
  tillstream quarantine replay --all --source csv/http     post them to ingest again, after the cause is fixed
  tillstream quarantine show 5242880 --raw > one.json      write the original to a file; edit it, and then:
  tillstream quarantine replay 5242880 --from one.json     post the edited file instead
  tillstream quarantine discard --all --day 2026-11-23     take entries off the list

{EPILOG}"""

Command = TypeVar("Command", bound=Callable[..., Any])

_FILTERS = {
    "reason": "only entries with this text in a path or an error",
    "source": "only entries of this format and entrance, such as json/http",
    "day": "only entries received on this day, YYYY-MM-DD",
    "kind": "only refused, unreadable or conflict",
}


def _with_filters(command: Command) -> Command:
    for name, text in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", metavar="TEXT", help=text)(command)
    return command


@click.group(epilog=EXAMPLES)
def quarantine() -> None:
    """List, show, replay and discard content that did not become a receipt."""


@quarantine.command("list", epilog=EXAMPLES)
@_with_filters
@click.option("--settled", is_flag=True, help="list entries that were replayed or discarded instead of open ones")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="most entries to list")
@click.option("--json", "as_json", is_flag=True, help="print JSON with all details")
@with_settings("data")
def list_entries(settled: bool, limit: int, as_json: bool, **options: Any) -> None:
    """List open entries, the newest first."""
    filters = {**_pop_filters(options), "limit": str(limit), **({"settled": "1"} if settled else {})}
    with _opened(options) as service:
        page = service.page(filters)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(page), indent=2))
        return
    if not page["entries"]:
        click.echo("no entry matches these filters" if len(filters) > 1 else "the quarantine has no open entries")
        return
    _print_table(page["entries"])
    if page["next"]:
        click.echo(f"there are more than these {limit}: add --limit, or a filter")


@quarantine.command(epilog=EXAMPLES)
@click.argument("entry")
@click.option("--raw", is_flag=True, help="write the original bytes, with the names of persons")
@click.option("--json", "as_json", is_flag=True, help="print JSON")
@with_settings("data")
def show(entry: str, raw: bool, as_json: bool, **options: Any) -> None:
    """Show one ENTRY: its original, source, time and every reason. A conflict also shows the two receipts' differences."""
    if raw:
        click.echo(_raw(entry, options), nl=False)
        return
    with _opened(options) as service:
        found = service.one(entry)
    if found is None:
        raise click.BadParameter(f"there is no entry {entry}", param_hint="ENTRY")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _print_entry(found)


@quarantine.command(epilog=EXAMPLES)
@click.argument("entries", nargs=-1, metavar="[ENTRY]…")
@click.option("--all", "every", is_flag=True, help="replay all open entries, or all that match the filters")
@_with_filters
@click.option("--from", "file", type=click.File("rb"), help="post this file instead")
@click.option("--type", "type_", metavar="TEXT", default="", help="media type or format (csv) of the content")
@with_settings("data")
def replay(entries: tuple[str, ...], every: bool, file: BinaryIO | None, type_: str, **options: Any) -> None:
    """Post originals to ingest again. Accepted entries are resolved; refused ones stay, with the reasons."""
    from tillstream.quarantine.service import Edit

    filters = _selection(entries, every, options)
    if file is not None and len(entries) != 1:
        raise click.UsageError("--from goes with one ENTRY")
    content = b"" if file is None else file.read()
    if file is not None and not content:
        raise OperationalError("replay", file.name, "it is empty")
    edit = Edit(content, type_)
    unresolved = []
    with _opened(options) as service, _progress("replaying") as progress:
        for entry in entries or _open_ids(service, filters):
            outcome = service.replay(entry, edit)
            unresolved.append(outcome.stays)
            _print_errors(outcome)
            progress(len(unresolved))
    _exit(unresolved, "replayed")


@quarantine.command(epilog=EXAMPLES)
@click.argument("entries", nargs=-1, metavar="[ENTRY]…")
@click.option("--all", "every", is_flag=True, help="discard all open entries, or all that match the filters")
@_with_filters
@click.option("--yes", is_flag=True, help="don't ask")
@with_settings("data")
def discard(entries: tuple[str, ...], every: bool, yes: bool, **options: Any) -> None:
    """Take entries off the list without a replay. They stay in the log, and no figure changes."""
    filters = _selection(entries, every, options)
    unresolved = []
    with _opened(options) as service:
        selected = list(entries) or list(_open_ids(service, filters))
        if selected and not yes:
            click.confirm(f"discard {len(selected):,} of the quarantine?", abort=True)
        with _progress("discarding") as progress:
            for start in range(0, len(selected), PAGE_ENTRIES):
                for outcome in service.discard(selected[start : start + PAGE_ENTRIES]):
                    unresolved.append(outcome.stays)
                    _print_errors(outcome)
                progress(len(unresolved))
    _exit(unresolved, "discarded")


def _pop_filters(options: dict[str, Any]) -> dict[str, str]:
    """Remove the filters from the options of a verb and return those that are set."""
    filters = {name: options.pop(name) for name in _FILTERS}
    return {name: text for name, text in filters.items() if text is not None}


def _selection(entries: tuple[str, ...], every: bool, options: dict[str, Any]) -> dict[str, str]:
    filters = _pop_filters(options)
    if bool(entries) == every:
        raise click.UsageError("name entries, or say --all")
    if entries and filters:
        raise click.UsageError("filters go with --all")
    return filters


def _open_ids(service: QuarantineService, filters: Mapping[str, str]) -> Iterator[str]:
    """The ids of all open entries, page by page."""
    query = {**filters, "limit": str(PAGE_ENTRIES)}
    while True:
        page = service.page(query)
        yield from (entry["id"] for entry in page["entries"])
        if not page["next"]:
            return
        query["cursor"] = page["next"]


@contextmanager
def _opened(options: dict[str, Any]) -> Iterator[QuarantineService]:
    settings = configure(options, "quarantine")
    directory = open_directory(settings.data_path, create=False)
    try:
        with open_service(directory, settings) as service:
            yield service
    except BadQuery as error:
        raise click.BadParameter(str(error)) from error


@contextmanager
def open_service(directory: DataDirectory, settings: Settings) -> Iterator[QuarantineService]:
    """The service of the engine that runs on the directory, or else one over its files.

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


def _raw(entry: str, options: dict[str, Any]) -> bytes:
    """The original from the log. It names persons, which the API of the engine masks."""
    from tillstream.queries.quarantine import parse_entry_id

    settings = configure(options, "quarantine")
    try:
        record_id = parse_entry_id(entry)
    except BadQuery as error:
        raise click.BadParameter(str(error), param_hint="ENTRY") from error
    directory = open_directory(settings.data_path, create=False)
    with closing(composition.open_log(directory, settings, writer=False)) as log:
        record = log.fetch([record_id]).get(record_id)
    if record is None:
        raise click.BadParameter(f"the log has no record of {entry}", param_hint="ENTRY")
    _, body, original = record
    return original or body


def _print_table(entries: list[Row]) -> None:
    rows = []
    for entry in entries:
        decision = f" {entry['settled']['decision']}" if entry["settled"] else ""
        lines = [f"{reason['path']}: {reason['error']}" for reason in entry["reasons"]]
        more = [f"and {len(lines) - REASONS_SHOWN} more"] if len(lines) > REASONS_SHOWN else []
        cells = [
            entry["id"],
            entry["received_at"][:19].replace("T", " "),
            entry["kind"] + decision,
            entry["source"],
            "\n".join(lines[:REASONS_SHOWN] + more),
        ]
        rows.append(cells)
    print_table(("entry", "received (UTC)", "what", "source", "reasons"), rows)


def _print_entry(entry: Row) -> None:
    click.echo(f"entry {entry['id']}: {entry['kind']}, from {entry['source']}, received {entry['received_at']}")
    for reason in entry["reasons"]:
        hint = f"; {reason['hint']}" if reason.get("hint") else ""
        click.echo(f"  {reason['path']}: {reason['error']}{hint}")
    if entry["settled"]:
        receipt = f" as receipt {entry['settled']['key']}" if entry["settled"]["key"] else ""
        click.echo(f"  {entry['settled']['decision']} {entry['settled']['at']}{receipt}")
    if conflict := entry.get("conflict"):
        first = conflict["first"]
        click.echo(f"\nreceipt {first['key']} counts, from {first['source']}, received {first['received_at']}")
        for field in conflict["fields"]:
            if field["differs"]:
                click.echo(f"  {field['path']}: {field['first']} counts, {field['second']} came later")
        click.echo(f"\nthe receipt that counts:\n{first['original']}")
    original = entry["original"]
    click.echo("\nthe log no longer has the original" if original is None else f"\noriginal:\n{original}")


def _print_errors(outcome: Outcome) -> None:
    for error in outcome.errors:
        path = "" if error["path"] == "id" else f"{error['path']}: "
        hint = f"; {error['hint']}" if error.get("hint") else ""
        click.echo(f"{outcome.id}: {path}{error['error']}{hint}", err=True)


def _exit(unresolved: list[bool], done: str) -> None:
    text = f"{unresolved.count(False):,} {done}"
    click.echo(f"{text}, {sum(unresolved):,} not" if any(unresolved) else text)
    if any(unresolved):
        sys.exit(EXIT_UNRESOLVED)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int], None]]:
    """A counter on standard error, if that is a terminal."""
    from rich.console import Console

    with Console(stderr=True).status(title) as status:
        yield lambda done: status.update(f"{title} {done:,}")
