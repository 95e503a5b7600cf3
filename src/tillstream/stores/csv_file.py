"""The list of stores as a CSV file. Reading reports every fault with its line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tillstream.config.settings import is_zone
from tillstream.errors import TillstreamError
from tillstream.stores import opening_hours
from tillstream.stores.model import Opening, Store, StoreList

COLUMNS = ("id", "name", "city", "region", "hours", "zone", "tills")
ID_LENGTH = 128
"""Maximum characters of an id; the limit is the same as for the store of a receipt."""

TEXT_LENGTH = 200
STORES_LIMIT = 100_000
TILLS_LIMIT = 999


class Fault(Struct, frozen=True):
    """A fault in one line of the file; `column` is empty if the whole line is wrong."""

    line: int
    column: str
    error: str
    hint: str = ""

    def __str__(self) -> str:
        position = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{position}: {self.error}" + (f"; {self.hint}" if self.hint else "")


class InvalidStoreList(TillstreamError):
    """The file is not a valid list of stores; `faults` has every fault in the order of lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__(faults)


def read(data: bytes) -> StoreList:
    """Read a CSV file in UTF-8. The first line names the columns; the separator is `,` or `;`.

    Raises `InvalidStoreList`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidStoreList([Fault(line, "", "it is not in UTF-8", "save it as CSV in UTF-8")]) from error
    faults: list[Fault] = []
    stores: dict[str, Store] = {}
    lines: dict[str, int] = {}
    rows = _rows(text, faults)
    first_line, header = next(rows, (1, []))
    if faults:
        raise InvalidStoreList(faults)
    columns = _columns(first_line, header)
    for line, row in rows:
        if len(row) != len(columns):
            faults.append(Fault(line, "", f"it has {len(row)} cells, and the first line has {len(columns)}"))
            continue
        store, store_faults = _store(line, dict(zip(columns, row, strict=True)))
        faults += store_faults
        if store.id in lines:
            faults.append(Fault(line, "id", f"{store.id!r} is already in line {lines[store.id]}"))
        elif store.id:
            lines[store.id] = line
            stores[store.id] = store
    if not lines and not faults:
        faults.append(Fault(first_line + 1, "", "there is no store", "write one line for each store"))
    if len(lines) > STORES_LIMIT:
        faults.append(Fault(1, "", f"it has {len(lines):,} stores, more than {STORES_LIMIT:,}"))
    if faults:
        raise InvalidStoreList(faults)
    return StoreList(stores)


def write(store_list: StoreList) -> str:
    """Format the list as CSV for `read`, with every column; lines end with CRLF."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(cells(store) for store in store_list.by_id.values())
    return text.getvalue()


def cells(store: Store) -> list[str]:
    """The fields of a store as text, in the order of `COLUMNS`; an unknown field is empty."""
    tills = str(store.tills) if store.tills else ""
    hours = opening_hours.format_week(store.hours)
    return [store.id, store.name, store.city, store.region, hours, store.zone, tills]


def _rows(text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the number of its first line. A syntax error is a fault and ends them."""
    delimiter = ";" if ";" in re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        faults.append(Fault(line, "", f"the rest of the file is unreadable: {error}", "look for an extra quote"))


def _columns(line: int, header: list[str]) -> list[str]:
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
        raise InvalidStoreList(faults)
    return names


def _store(line: int, row: dict[str, str]) -> tuple[Store, list[Fault]]:
    faults: list[Fault] = []
    # Spreadsheets put no-break spaces and line breaks into cells. They count as a space.
    texts = {column: " ".join(cell.split()) for column, cell in row.items()}
    for column, text in texts.items():
        limit = ID_LENGTH if column == "id" else TEXT_LENGTH
        if len(text) > limit:
            faults.append(Fault(line, column, f"it has {len(text)} characters, more than {limit}"))
        elif not text.isprintable():
            faults.append(Fault(line, column, f"{text!r} contains unprintable characters"))
    if not texts["id"]:
        faults.append(Fault(line, "id", "it is missing"))
    zone, tills = texts.get("zone", ""), texts.get("tills", "")
    if zone and not is_zone(zone):
        faults.append(Fault(line, "zone", f"{zone!r} is not a time zone", "use an IANA name such as Europe/Paris"))
    if tills and not re.fullmatch(r"[0-9]{1,3}", tills):
        hint = f"write 0 to {TILLS_LIMIT}, or nothing"
        faults.append(Fault(line, "tills", f"{tills!r} is not a number of tills", hint))
        tills = ""
    hours: tuple[Opening, ...] = ()
    try:
        hours = opening_hours.parse(texts.get("hours", ""))
    except opening_hours.HoursError as error:
        faults.append(Fault(line, "hours", str(error), opening_hours.HINT))
    name, city, region = (texts.get(column, "") for column in ("name", "city", "region"))
    return Store(texts["id"], name, city, region, zone, int(tills or 0), hours), faults
