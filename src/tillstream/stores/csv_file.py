"""The list of stores as a CSV file. If a file is invalid, the error lists all its faults."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tillstream.config.settings import ZONE_HINT, is_zone
from tillstream.errors import TillstreamError
from tillstream.stores.model import HOURS_HINT, HoursError, Opening, Store, StoreList, format_hours, parse_hours

COLUMNS = ("id", "name", "city", "region", "hours", "zone", "tills")
ID_LENGTH = 128
"""The maximum number of characters in an id. The store id of a receipt has the same limit."""

TEXT_LENGTH = 200
STORES_LIMIT = 100_000
TILLS_LIMIT = 999


class Fault(Struct, frozen=True):
    """A fault in a line of the file. `column` is empty if the whole line is wrong."""

    line: int
    column: str
    error: str
    hint: str = ""

    def __str__(self) -> str:
        position = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{position}: {self.error}" + (f"; {self.hint}" if self.hint else "")


class InvalidStoreList(TillstreamError):
    """The file is not a valid list of stores. `faults` contains all faults that were found."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(*faults)


def read(data: bytes) -> StoreList:
    """Read the list from the content of a CSV file in UTF-8. Raises `InvalidStoreList`.

    The first line names the columns. The separator is `,` or `;`.
    """
    rows = _rows(data)
    first_line, header = next(rows, (1, []))
    columns = _columns(first_line, header)
    faults: list[Fault] = []
    stores: dict[str, Store] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(columns):
            faults.append(Fault(line, "", f"it has {len(row)} cells, and the first line has {len(columns)}"))
            continue
        store = _store(line, dict(zip(columns, row, strict=True)), faults)
        if store.id in lines:
            faults.append(Fault(line, "id", f"{store.id!r} is already in line {lines[store.id]}"))
        elif store.id:
            lines[store.id] = line
            stores[store.id] = store
    if not stores and not faults:
        faults.append(Fault(first_line + 1, "", "it contains no store", "write one line for each store"))
    if len(stores) > STORES_LIMIT:
        faults.append(Fault(1, "", f"it has {len(stores):,} stores, more than {STORES_LIMIT:,}"))
    if faults:
        raise InvalidStoreList(*faults)
    return StoreList(stores)


def write(store_list: StoreList) -> str:
    """Return the list as CSV for `read`, with every column. Lines end with CRLF."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(cells(store) for store in store_list.by_id.values())
    return text.getvalue()


def cells(store: Store) -> list[str]:
    """Return the fields of a store as text in the order of `COLUMNS`. An unknown field is empty."""
    tills = str(store.tills) if store.tills else ""
    return [store.id, store.name, store.city, store.region, format_hours(store.hours), store.zone, tills]


def _rows(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, with the number of the line where it begins. Raises `InvalidStoreList`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidStoreList(Fault(line, "", "it is not in UTF-8", "save it as CSV in UTF-8")) from error
    delimiter = ";" if ";" in re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        because = f"the rest of the file is unreadable: {error}"
        raise InvalidStoreList(Fault(line, "", because, "look for an extra quote")) from error


def _columns(line: int, header: Sequence[str]) -> list[str]:
    names = [name.strip().casefold() for name in header]
    faults = [
        Fault(line, "", f"the column {name!r} does not exist", f"columns are {', '.join(COLUMNS)}")
        for name in names
        if name not in COLUMNS
    ]
    faults += [Fault(line, "", f"the column {name} occurs twice") for name in COLUMNS if names.count(name) > 1]
    if "id" not in names:
        faults.append(Fault(line, "", "the column id is missing", "the first line names the columns"))
    if faults:
        raise InvalidStoreList(*faults)
    return names


def _store(line: int, row: dict[str, str], faults: list[Fault]) -> Store:
    """Return the store of a row, and append the faults of the row to `faults`."""

    def refuse(column: str, error: str, hint: str = "") -> None:
        faults.append(Fault(line, column, error, hint))

    # Spreadsheets put no-break spaces and line breaks into cells. Any white space becomes a single space.
    texts = {column: " ".join(cell.split()) for column, cell in row.items()}
    for column, text in texts.items():
        limit = ID_LENGTH if column == "id" else TEXT_LENGTH
        if len(text) > limit:
            refuse(column, f"it has {len(text)} characters, more than {limit}")
        elif not text.isprintable():
            refuse(column, f"{text!r} contains unprintable characters")
    name, city, region, zone, tills = (texts.get(column, "") for column in ("name", "city", "region", "zone", "tills"))
    if not texts["id"]:
        refuse("id", "it is missing")
    if zone and not is_zone(zone):
        refuse("zone", f"{zone!r} is not a time zone", ZONE_HINT)
    if not re.fullmatch(r"[0-9]{0,3}", tills):
        refuse("tills", f"{tills!r} is not a number of tills", f"write 0 to {TILLS_LIMIT}, or nothing")
        tills = ""
    hours: tuple[Opening, ...] = ()
    try:
        hours = parse_hours(texts.get("hours", ""))
    except HoursError as error:
        refuse("hours", str(error), HOURS_HINT)
    return Store(texts["id"], name, city, region, zone, int(tills or 0), hours)
