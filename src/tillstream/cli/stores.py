"""`tillstream stores`: takes the list of shops from a CSV file, shows it and writes it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tillstream import telemetry
from tillstream.config.data_directory import open_directory
from tillstream.config.options import EPILOG, resolve, with_settings
from tillstream.config.settings import Settings
from tillstream.errors import StoreListError
from tillstream.stores import csv_file, repository
from tillstream.stores.changes import Changes, compare
from tillstream.stores.model import StoreList

FAULTS_SHOWN = 20
FILE_LIMIT_BYTES = 64 * 1024 * 1024

EXAMPLES = f"""\b
Examples:
  tillstream stores import stores.csv     take the list, in place of the one before
  tillstream stores list                  show it
  tillstream stores export > stores.csv   write it, to be edited and imported again

{EPILOG}"""

IMPORT_EXAMPLE = f"""\b
A file:
  id,name,city,region,hours,zone,tills
  12,Rennes Sainte-Anne,Rennes,Bretagne,Mo-Sa 07:00-19:30; Su 07:00-13:00,,3
  97411,Saint-Denis Barachois,Saint-Denis,La Réunion,06:00-12:30 14:00-18:30,Indian/Reunion,2

{EXAMPLES}"""


@click.group(epilog=EXAMPLES)
def stores() -> None:
    """Take, show and write the list of shops: names, places, opening hours, time zones, tills."""


@stores.command("import", epilog=IMPORT_EXAMPLE)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings("data", "shops_file")
def take(file: Path, **given: Any) -> None:
    """Take the list of shops from a CSV FILE, in place of the one before.

    Its first line names the columns, in any order: id, and any of name, city, region, hours, zone,
    tills. When a line is wrong, nothing is changed. What runs on the directory sees the names at
    once; a time zone counts from the next start.
    """
    values, _ = resolve(given)
    telemetry.configure(values, "stores")
    shops = _read(file)
    directory = open_directory(values.data_path)
    with directory.lock("stores"):
        place = repository.place(directory, values)
        changes = compare(_before(place), shops)
        repository.write(place, shops)
    click.echo(changes)
    _tell_of_zones(values, shops, changes)


@stores.command("list", epilog=EXAMPLES)
@with_settings("data", "shops_file")
def show(**given: Any) -> None:
    """Show the list of shops."""
    from rich.console import Console
    from rich.table import Table

    shops = _kept(given)
    if not shops.by_id:
        click.echo("there is no list of shops yet; take one with `tillstream stores import FILE`")
        return
    shown = Table(*csv_file.COLUMNS)
    for shop in shops.by_id.values():
        shown.add_row(*map(_literal, csv_file.cells(shop)))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


@stores.command(epilog=EXAMPLES)
@with_settings("data", "shops_file")
def export(**given: Any) -> None:
    """Write the list of shops as CSV, in the form that import takes."""
    click.echo(csv_file.write(_kept(given)).encode(), nl=False)


def _kept(given: dict[str, Any]) -> StoreList:
    values, _ = resolve(given)
    telemetry.configure(values, "stores")
    return repository.read(repository.place(open_directory(values.data_path, create=False), values))


def _read(file: Path) -> StoreList:
    """The list in the file; every fault of it is printed. Raises `StoreListError`."""
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise StoreListError("read", file, error.strerror or error, "check the path") from error
    if len(data) > FILE_LIMIT_BYTES:
        raise StoreListError("import", file, f"it has more than {FILE_LIMIT_BYTES:,} bytes", "is it the list of shops?")
    try:
        return csv_file.read(data)
    except csv_file.WrongList as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            click.echo(f"{file}: {fault}", err=True)
        more = len(error.faults) - FAULTS_SHOWN
        if more > 0:
            click.echo(f"{file}: and {more:,} more", err=True)
        found = "there is a fault in it" if len(error.faults) == 1 else f"there are {len(error.faults):,} faults in it"
        raise StoreListError("import", file, found, "nothing was changed; mend the file and import it again") from error


def _before(place: Path) -> StoreList:
    try:
        return repository.read(place)
    except StoreListError as error:
        # Importing is how a broken list is mended, so that one is no reason to refuse.
        click.echo(f"tillstream: {error}", err=True)
        return StoreList()


def _tell_of_zones(settings: Settings, shops: StoreList, changes: Changes) -> None:
    if changes.zones:
        click.echo(
            f"the time zone of {len(changes.zones):,} changed: it counts from the next start of `tillstream up` on, "
            "for receipts that come from then on"
        )
    for store, zone in settings.store_zones.items():
        if shops.get(store).zone not in ("", zone):
            click.echo(f"shop {store} stays in {zone}: the setting store_zones wins over the list")


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
