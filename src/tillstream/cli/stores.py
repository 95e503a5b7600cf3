"""The command `tillstream stores`, which imports, shows and exports the list of stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tillstream.cli.options import examples, open_configured, print_table, with_settings
from tillstream.config.settings import Settings
from tillstream.errors import StoreListError
from tillstream.stores import csv_file, repository
from tillstream.stores.model import StoreList
from tillstream.stores.repository import Changes, compare

FAULTS_SHOWN = 20
FILE_LIMIT_BYTES = 64 * 1024 * 1024

EXAMPLES = examples(
    "tillstream stores import stores.csv     import the list; the existing list is replaced",
    "tillstream stores list                  show the list",
    "tillstream stores export > stores.csv   write the list to a file, to edit and import it again",
)

FILE_EXAMPLE = """\b
A file:
  id,name,city,region,hours,zone,tills
  12,Rennes Sainte-Anne,Rennes,Bretagne,Mo-Sa 07:00-19:30; Su 07:00-13:00,,3
  97411,Saint-Denis Barachois,Saint-Denis,La Réunion,06:00-12:30 14:00-18:30,Indian/Reunion,2

"""


@click.group(epilog=EXAMPLES)
def stores() -> None:
    """Import, show and export the list of stores: names, cities, opening hours, time zones and tills."""


@stores.command("import", epilog=FILE_EXAMPLE + EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings("data", "shops_file")
def import_list(file: Path, **options: Any) -> None:
    """Import the list of stores from a CSV FILE. The new list replaces the existing list.

    The first line names the columns in any order: id, and any of name, city, region, hours, zone and tills.
    If a line is wrong, nothing changes. A running tillstream uses new names at once, and new time zones after
    its next start.
    """
    store_list = _read(file)
    settings, directory = open_configured(options, "stores", create=True)
    with directory.lock("stores"):
        path = repository.path(directory, settings)
        changes = compare(_existing(path), store_list)
        repository.write(path, store_list)
    click.echo(changes)
    _print_zones(settings, store_list, changes)


@stores.command("list", epilog=EXAMPLES)
@with_settings("data", "shops_file")
def show(**options: Any) -> None:
    """Show the list of stores."""
    store_list = _stored(options)
    if not store_list.by_id:
        click.echo("no store list has been imported; import one with `tillstream stores import FILE`")
        return
    print_table(csv_file.COLUMNS, map(csv_file.cells, store_list.by_id.values()))


@stores.command(epilog=EXAMPLES)
@with_settings("data", "shops_file")
def export(**options: Any) -> None:
    """Write the list of stores as CSV, in the format of `tillstream stores import`."""
    click.echo(csv_file.write(_stored(options)).encode(), nl=False)


def _stored(options: dict[str, Any]) -> StoreList:
    settings, directory = open_configured(options, "stores")
    return repository.read(repository.path(directory, settings))


def _read(file: Path) -> StoreList:
    """Read the list in the file. If it is invalid, print its faults and raise `StoreListError`."""
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise StoreListError("read", file, error.strerror or error, "check the path") from error
    if len(data) > FILE_LIMIT_BYTES:
        because = f"it has more than {FILE_LIMIT_BYTES:,} bytes"
        raise StoreListError("import", file, because, "check that the file is the list of stores")
    try:
        return csv_file.read(data)
    except csv_file.InvalidStoreList as error:
        for fault in error.faults[:FAULTS_SHOWN]:
            click.echo(f"{file}: {fault}", err=True)
        more = len(error.faults) - FAULTS_SHOWN
        if more > 0:
            click.echo(f"{file}: and {more:,} more", err=True)
        because = "it has 1 fault" if len(error.faults) == 1 else f"it has {len(error.faults):,} faults"
        hint = "nothing changed; correct the file and import it again"
        raise StoreListError("import", file, because, hint) from error


def _existing(path: Path) -> StoreList:
    try:
        return repository.read(path)
    except StoreListError as error:
        # The import replaces the existing list, so it must also work if that list is unreadable.
        click.echo(f"tillstream: {error}", err=True)
        return StoreList()


def _print_zones(settings: Settings, store_list: StoreList, changes: Changes) -> None:
    if changes.zones:
        click.echo(
            f"time zones changed: {len(changes.zones):,}; "
            "`tillstream up` uses them for new receipts after its next start"
        )
    for store_id, zone in settings.store_zones.items():
        if store_list.get(store_id).zone not in ("", zone):
            click.echo(f"store {store_id} stays in {zone}: the setting store_zones overrides the list")
