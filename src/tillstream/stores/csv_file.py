"""The list of shops as a CSV file: read with every fault named by its line, and written."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from tillstream.errors import TillstreamError
from tillstream.stores import opening_hours
from tillstream.stores.model import Opening, Store, StoreList

COLUMNS = ("id", "name", "city", "region", "hours", "zone", "tills")
ID_LENGTH = 128
"""Most characters of an id, as of a receipt's store."""

TEXT_LENGTH = 200
SHOP_LIMIT = 100_000
TILL_LIMIT = 999


class Fault(Struct, frozen=True):
    """What is wrong in one line of the file; `column` is empty where it is the line as a whole."""

    line: int
    column: str
    error: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{where}: {self.error}" + (f"; {self.hint}" if self.hint else "")


class WrongList(TillstreamError):
    """The file is no list of shops; `faults` has all that is wrong, by line."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__(faults)


def read(data: bytes) -> StoreList:
    """The shops of a CSV file in UTF-8 whose first line names its columns; `,` or `;` part them.

    Raises `WrongList`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WrongList([Fault(line, "", "it is not in UTF-8", "save it as CSV in UTF-8")]) from error
    faults: list[Fault] = []
    shops: dict[str, Store] = {}
    lines: dict[str, int] = {}
    rows = _rows(text, faults)
    first_line, header = next(rows, (1, []))
    if faults:
        raise WrongList(faults)
    columns = _columns(first_line, header)
    for number, cells in rows:
        if len(cells) != len(columns):
            faults.append(Fault(number, "", f"it has {len(cells)} cells, and the first line names {len(columns)}"))
            continue
        shop, wrong = _shop(number, dict(zip(columns, cells, strict=True)))
        faults += wrong
        if shop.id in lines:
            faults.append(Fault(number, "id", f"{shop.id!r} stands in line {lines[shop.id]} already"))
        elif shop.id:
            lines[shop.id] = number
            shops[shop.id] = shop
    if not lines and not faults:
        faults.append(Fault(first_line + 1, "", "there is no shop in it", "write a line for each"))
    if len(lines) > SHOP_LIMIT:
        faults.append(Fault(1, "", f"it has {len(lines):,} shops, more than {SHOP_LIMIT:,}"))
    if faults:
        raise WrongList(faults)
    return StoreList(shops)


def write(shops: StoreList) -> str:
    """The list as `read` takes it, with every column; lines end with CRLF."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(cells(shop) for shop in shops.by_id.values())
    return text.getvalue()


def cells(shop: Store) -> list[str]:
    """What is known of a shop, in the order of `COLUMNS`; empty where it is unknown."""
    tills = str(shop.tills) if shop.tills else ""
    return [shop.id, shop.name, shop.city, shop.region, opening_hours.written(shop.hours), shop.zone, tills]


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this IANA name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _rows(text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its first line; what ends them early is a fault."""
    delimiter = ";" if ";" in re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        faults.append(Fault(number, "", f"it cannot be read on from here: {error}", "look for a quote too many"))


def _columns(line: int, header: list[str]) -> list[str]:
    names = [name.strip().casefold() for name in header]
    faults = [
        Fault(line, "", f"there is no column {name!r}", f"columns are {', '.join(COLUMNS)}")
        for name in names
        if name not in COLUMNS
    ]
    faults += [Fault(line, "", f"the column {name} comes twice") for name in COLUMNS if names.count(name) > 1]
    if "id" not in names:
        faults.append(Fault(line, "", "the column id is missing", "the first line names the columns"))
    if faults:
        raise WrongList(faults)
    return names


def _shop(line: int, given: dict[str, str]) -> tuple[Store, list[Fault]]:
    faults: list[Fault] = []
    # Spreadsheets leave no-break spaces and line ends in cells; they mean a space.
    texts = {column: " ".join(cell.split()) for column, cell in given.items()}
    for column, text in texts.items():
        limit = ID_LENGTH if column == "id" else TEXT_LENGTH
        if len(text) > limit:
            faults.append(Fault(line, column, f"it has {len(text)} characters, more than {limit}"))
        elif not text.isprintable():
            faults.append(Fault(line, column, f"{text!r} has characters that cannot be shown"))
    if not texts["id"]:
        faults.append(Fault(line, "id", "it is missing"))
    zone, tills, openings = texts.get("zone", ""), texts.get("tills", ""), texts.get("hours", "")
    if zone and not is_zone(zone):
        faults.append(Fault(line, "zone", f"{zone!r} is not a time zone", "use an IANA name such as Europe/Paris"))
    if tills and not re.fullmatch(r"[0-9]{1,3}", tills):
        faults.append(Fault(line, "tills", f"{tills!r} is no number of tills", f"write 0 to {TILL_LIMIT}, or nothing"))
        tills = ""
    open_hours: tuple[Opening, ...] = ()
    try:
        open_hours = opening_hours.parse(openings)
    except opening_hours.HoursError as error:
        faults.append(Fault(line, "hours", str(error), opening_hours.HINT))
    name, city, region = (texts.get(column, "") for column in ("name", "city", "region"))
    return Store(texts["id"], name, city, region, zone, int(tills or 0), open_hours), faults
