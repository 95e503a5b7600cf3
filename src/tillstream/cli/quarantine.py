"""`tillstream quarantine`: lists what was set aside, shows it, replays it and discards it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from tillstream import composition, telemetry
from tillstream.config.data_directory import open_directory
from tillstream.config.options import EPILOG, resolve, with_settings
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, OperationalError

if TYPE_CHECKING:
    from tillstream.database.base import Row
    from tillstream.quarantine.service import Outcome, QuarantineService

STAYS = 1
"""Exit code where an entry was not settled."""

PAGE_ENTRIES = 100
REASONS_SHOWN = 3

EXAMPLES = f"""\b
Examples:
  tillstream quarantine list --reason currency             what was refused for its currency
  tillstream quarantine show 5242880                       one entry, with what came
  tillstream quarantine replay --all --source csv/http     post it to ingest again, once the cause is mended
  tillstream quarantine show 5242880 --raw > one.json      edit it, and then:
  tillstream quarantine replay 5242880 --from one.json
  tillstream quarantine discard --all --day 2026-11-23     take it off the list

{EPILOG}"""

Command = TypeVar("Command", bound=Callable[..., Any])

_FILTERS = {
    "reason": "only those with this text in a path or an error of theirs",
    "source": "only those of this format and entrance, such as json/http",
    "day": "only those received on this day, YYYY-MM-DD",
    "kind": "only refused, unreadable or conflict",
}


def _filtered(command: Command) -> Command:
    for name, text in reversed(_FILTERS.items()):
        command = click.option(f"--{name}", metavar="TEXT", help=text)(command)
    return command


@click.group(epilog=EXAMPLES)
def quarantine() -> None:
    """List, show, replay and discard what did not become a receipt."""


@quarantine.command("list", epilog=EXAMPLES)
@_filtered
@click.option("--settled", is_flag=True, help="those that were replayed or discarded")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="so many at most")
@click.option("--json", "as_json", is_flag=True, help="as JSON, with everything that is known")
@with_settings("data")
def show_list(settled: bool, limit: int, as_json: bool, **given: Any) -> None:
    """List what waits, the newest first."""
    filters = {**_taken(given), "limit": str(limit), **({"settled": "1"} if settled else {})}
    with _opened(given) as quarantine_service:
        found = quarantine_service.page(filters)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    if not found["entries"]:
        click.echo("there is nothing like that in quarantine" if len(filters) > 1 else "nothing waits in quarantine")
        return
    _print(found["entries"])
    if found["next"]:
        click.echo(f"there are more than these {limit}: add --limit, or a filter")


@quarantine.command(epilog=EXAMPLES)
@click.argument("entry")
@click.option("--raw", is_flag=True, help="write the very bytes that came, persons included")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@with_settings("data")
def show(entry: str, raw: bool, as_json: bool, **given: Any) -> None:
    """Show one ENTRY: what came, when and whence, and every reason; of a conflict what differs from what stands."""
    if raw:
        click.echo(_raw(entry, given), nl=False)
        return
    with _opened(given) as quarantine_service:
        found = quarantine_service.one(entry)
    if found is None:
        raise click.BadParameter(f"there is no entry {entry}", param_hint="ENTRY")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _tell(found)


@quarantine.command(epilog=EXAMPLES)
@click.argument("entries", nargs=-1, metavar="[ENTRY]…")
@click.option("--all", "every", is_flag=True, help="all that wait, or those that the filters leave")
@_filtered
@click.option("--from", "file", type=click.Path(path_type=Path, dir_okay=False), help="post this instead of what came")
@click.option("--type", "type_", metavar="TEXT", default="", help="media type or format (csv) of what is posted")
@with_settings("data")
def replay(entries: tuple[str, ...], every: bool, file: Path | None, type_: str, **given: Any) -> None:
    """Post what came to ingest again. What is taken is settled; what is refused again says why and stays."""
    from tillstream.quarantine.service import Edit

    filters = _chosen(entries, every, given)
    if file is not None and len(entries) != 1:
        raise click.UsageError("--from goes with one ENTRY")
    edit = Edit(b"" if file is None else _content(file), type_)
    with _opened(given) as quarantine_service, _bar("replaying") as progress:
        outcomes = []
        for entry in entries or _every(quarantine_service, filters):
            outcome = quarantine_service.replay(entry, edit)
            outcomes.append(outcome.stays)
            _tell_stay(outcome)
            progress(len(outcomes))
    _end(outcomes, "replayed")


@quarantine.command(epilog=EXAMPLES)
@click.argument("entries", nargs=-1, metavar="[ENTRY]…")
@click.option("--all", "every", is_flag=True, help="all that wait, or those that the filters leave")
@_filtered
@click.option("--yes", is_flag=True, help="don't ask")
@with_settings("data")
def discard(entries: tuple[str, ...], every: bool, yes: bool, **given: Any) -> None:
    """Take entries off the list without a replay. They stay in the log, and no figure changes."""
    filters = _chosen(entries, every, given)
    with _opened(given) as quarantine_service:
        chosen = list(entries) or list(_every(quarantine_service, filters))
        if chosen and not yes:
            click.confirm(f"discard {len(chosen):,} of the quarantine?", abort=True)
        stays = []
        with _bar("discarding") as progress:
            for start in range(0, len(chosen), PAGE_ENTRIES):
                for outcome in quarantine_service.discard(chosen[start : start + PAGE_ENTRIES]):
                    stays.append(outcome.stays)
                    _tell_stay(outcome)
                progress(len(stays))
    _end(stays, "discarded")


def _taken(given: dict[str, Any]) -> dict[str, str]:
    """The filters, taken out of the options of a verb."""
    filters = {name: given.pop(name) for name in _FILTERS}
    return {name: text for name, text in filters.items() if text is not None}


def _chosen(entries: tuple[str, ...], every: bool, given: dict[str, Any]) -> dict[str, str]:
    filters = _taken(given)
    if bool(entries) == every:
        raise click.UsageError("name entries, or say --all")
    if entries and filters:
        raise click.UsageError("filters go with --all")
    return filters


def _every(quarantine_service: QuarantineService, filters: Mapping[str, str]) -> Iterator[str]:
    """The ids of all entries that wait now, page by page."""
    asked = {**filters, "limit": str(PAGE_ENTRIES)}
    while True:
        found = quarantine_service.page(asked)
        yield from (entry["id"] for entry in found["entries"])
        if not found["next"]:
            return
        asked["cursor"] = found["next"]


@contextmanager
def _opened(given: dict[str, Any]) -> Iterator[QuarantineService]:
    from tillstream.cli.quarantine_service import open_desk

    values = _settings(given)
    directory = open_directory(values.data_path, create=False)
    try:
        with open_desk(directory, values) as quarantine_service:
            yield quarantine_service
    except BadQuery as error:
        raise click.BadParameter(str(error)) from error


def _settings(given: dict[str, Any]) -> Settings:
    values, _ = resolve(given)
    telemetry.configure(values, "quarantine")
    return values


def _raw(entry: str, given: dict[str, Any]) -> bytes:
    """What came, from the log itself: it names persons, whom the dashboard's port hides."""
    from tillstream.queries.quarantine import place_of

    values = _settings(given)
    try:
        place = place_of(entry)
    except BadQuery as error:
        raise click.BadParameter(str(error), param_hint="ENTRY") from error
    directory = open_directory(values.data_path, create=False)
    with closing(composition.open_log(directory, values, writer=False)) as log:
        found = log.fetch([place]).get(place)
    if found is None:
        raise click.BadParameter(f"the log has nothing of {entry}", param_hint="ENTRY")
    _, body, came = found
    return came or body


def _content(file: Path) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise OperationalError("read", file, error.strerror or error, "check the path") from error
    if not content:
        raise OperationalError("replay", file, "it is empty")
    return content


def _print(entries: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("entry", "received (UTC)", "what", "source", "reasons")
    for entry in entries:
        became = f" {entry['settled']['decision']}" if entry["settled"] else ""
        lines = [f"{each['path']}: {each['error']}" for each in entry["reasons"]]
        more = [f"and {len(lines) - REASONS_SHOWN} more"] if len(lines) > REASONS_SHOWN else []
        cells = [
            entry["id"],
            entry["received_at"][:19].replace("T", " "),
            entry["kind"] + became,
            entry["source"],
            "\n".join(lines[:REASONS_SHOWN] + more),
        ]
        table.add_row(*map(escape, cells))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _tell(entry: Row) -> None:
    click.echo(f"entry {entry['id']}: {entry['kind']}, from {entry['source']}, received {entry['received_at']}")
    for reason in entry["reasons"]:
        hint = f"; {reason['hint']}" if reason.get("hint") else ""
        click.echo(f"  {reason['path']}: {reason['error']}{hint}")
    if entry["settled"]:
        became = f" as receipt {entry['settled']['key']}" if entry["settled"]["key"] else ""
        click.echo(f"  {entry['settled']['decision']} {entry['settled']['at']}{became}")
    if conflict := entry.get("conflict"):
        first = conflict["first"]
        click.echo(f"\nreceipt {first['key']} stands, from {first['source']}, received {first['received_at']}")
        for field in conflict["fields"]:
            if field["differs"]:
                click.echo(f"  {field['path']}: {field['first']} stands, {field['second']} came later")
        click.echo(f"\nwhat stands:\n{first['original']}")
    came = entry["original"]
    click.echo("\nthe log no longer has what came" if came is None else f"\nwhat came:\n{came}")


def _tell_stay(outcome: Outcome) -> None:
    for error in outcome.errors:
        path = "" if error["path"] == "id" else f"{error['path']}: "
        hint = f"; {error['hint']}" if error.get("hint") else ""
        click.echo(f"{outcome.id}: {path}{error['error']}{hint}", err=True)


def _end(stays: list[bool], done: str) -> None:
    told = f"{stays.count(False):,} {done}"
    click.echo(f"{told}, {sum(stays):,} not" if any(stays) else told)
    if any(stays):
        sys.exit(STAYS)


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int], None]]:
    """A count on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description} {task.completed:,.0f}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done: bar.update(task, completed=done)
