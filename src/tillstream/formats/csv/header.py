"""The header of a CSV source: finds the delimiter and maps columns to the fields of a receipt."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from operator import getitem
from typing import NamedTuple

from tillstream.formats.base import HEAD_BYTES
from tillstream.formats.fields import (
    KEY,
    LINES,
    LISTS,
    RECEIPT,
    REQUIRED,
    SETTLEMENTS,
    TOTAL,
    Field,
    Members,
    Selector,
    amount_json,
    find_field,
    selector,
    text_json,
    unambiguous_amount_json,
)
from tillstream.receipt.model import Fault

DELIMITERS = (",", ";", "\t")

_HINT = f"the first line must name the columns; required are {', '.join(REQUIRED)}"
_FAULTS_LIMIT = 20


class BadHeader(Exception):
    """The first line does not name the columns of a receipt table; `faults` say why."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(*faults)


class Columns(NamedTuple):
    """A group of columns: their fields, their indexes in a row, their JSON members, and a selector of their cells."""

    fields: list[Field]
    indexes: list[int]
    members: list[Members]
    select: Selector

    def row_json(self, row: list[str]) -> str:
        """The cells of one row as members of a JSON object, each with a trailing comma."""
        cells = self.select(row)
        return "".join(map(getitem, self.members, cells)) if any(cells) else ""

    def rows_json(self, table: Sequence[Sequence[str]]) -> list[str]:
        """`row_json` of many rows, given as all columns of the table."""
        if not self.indexes:
            return [""] * len(table[0])
        columns = [
            map(members.__getitem__, table[index]) for members, index in zip(self.members, self.indexes, strict=True)
        ]
        return list(map("".join, zip(*columns, strict=True)))


class Header(NamedTuple):
    """A parsed header: its line, the delimiter, the number of columns, and the columns by their use.

    `repeated` has the columns of the receipt and its totals, which every row of a receipt repeats.
    """

    line: bytes
    delimiter: str
    width: int
    receipt: Columns
    total: Columns
    lines: Columns
    settlements: Columns
    key: Columns
    repeated: Columns


def split_header(header: str) -> tuple[str, list[str]]:
    """Find the delimiter that gives the most known names. Returns it with the names."""
    best: tuple[int, str, list[str]] = (-1, DELIMITERS[0], [])
    for delimiter in DELIMITERS:
        reader = csv.reader((header,), delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            names = [name.strip() for name in next(reader)]
        except (csv.Error, StopIteration):
            continue
        known = sum((found := find_field(name)) is not None and found.known for name in names)
        best = max(best, (known, delimiter, names), key=lambda each: each[0])
    return best[1], best[2]


def parse_header(line: bytes) -> Header:
    """Parse the first line of a source. Raises `BadHeader`."""
    delimiter, names = split_header(_decode(line))
    fields = [find_field(name) for name in names]
    present = {field.path for field in fields if field is not None}
    missing = [path for path in REQUIRED if path not in present]
    if missing:
        raise BadHeader(Fault("$", f"the header has no column {', '.join(missing)}", _HINT))
    faults = [
        Fault(
            "$", f"the column {name} names a part of a receipt, not a field", "name a field such as lines.productCode"
        )
        for name, field in zip(names, fields, strict=True)
        if field is None
    ]
    # Spreadsheets may leave columns without a name at the end; these are ignored.
    paths = [field.path for field in fields if field is not None and field.path]
    faults += [Fault("$", f"the column {path} occurs twice") for path in dict.fromkeys(paths) if paths.count(path) > 1]
    if faults:
        raise BadHeader(*faults[:_FAULTS_LIMIT])
    header = line if line.endswith(b"\n") else line + b"\n"
    return _header([field for field in fields if field is not None], header, delimiter)


def _decode(line: bytes) -> str:
    if len(line) > HEAD_BYTES:
        error = f"the header has {len(line)} bytes, more than {HEAD_BYTES}"
        raise BadHeader(Fault("$", error, "it must end with a line feed and name only the columns of the table"))
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        fault = Fault("$", f"byte {error.start + 1} of the header is not UTF-8", "save the file as CSV in UTF-8")
        raise BadHeader(fault) from None
    if "\r" in text:
        raise BadHeader(Fault("$", "its lines end with carriage returns only", "save the file with line feeds"))
    return text


def _header(fields: Sequence[Field], line: bytes, delimiter: str) -> Header:
    write_amount = unambiguous_amount_json if delimiter == "," else amount_json
    members = [Members(field, write_amount if field.amount else text_json, len(fields)) for field in fields]

    def columns(belongs: Callable[[Field], bool]) -> Columns:
        at = [index for index, field in enumerate(fields) if field.path and belongs(field)]
        return Columns([fields[index] for index in at], at, [members[index] for index in at], selector(at))

    def columns_of(part: str) -> Columns:
        return columns(lambda field: field.part == part)

    return Header(
        line,
        delimiter,
        len(fields),
        columns_of(RECEIPT),
        columns_of(TOTAL),
        columns_of(LINES),
        columns_of(SETTLEMENTS),
        key=columns(lambda field: field.path in KEY),
        repeated=columns(lambda field: field.part not in LISTS),
    )
