"""The header of a CSV source: which column means which field, and how its cells become JSON."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from operator import getitem
from typing import NamedTuple

from tillstream.formats.base import HEAD_BYTES, Unreadable
from tillstream.formats.fields import (
    KEY,
    LISTS,
    NEEDED,
    PARTS,
    Choose,
    Field,
    Values,
    amount_json,
    careful_amount_json,
    chooser,
    field,
    text_json,
)
from tillstream.receipt.model import Fault

DELIMITERS = (",", ";", "\t")

_HINT = f"the first line names the columns; these are needed: {', '.join(NEEDED)}"
_FAULTS_KEPT = 20


class NoTable(Exception):
    """The first line names no columns of receipts; `faults` say why."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__(*faults)


class Columns(NamedTuple):
    """Some columns of a table: their fields, where they stand, and what their cells are in JSON.

    `cells` takes theirs from a row.
    """

    fields: list[Field]
    at: list[int]
    values: list[Values]
    cells: Choose

    def members(self, row: list[str]) -> str:
        """What the row has in these columns, as members of a JSON object with a comma behind each."""
        cells = self.cells(row)
        return "".join(map(getitem, self.values, cells)) if any(cells) else ""

    def every(self, columns: Sequence[Sequence[str]]) -> list[str]:
        """The members of many rows, of which all of the table's columns are given."""
        if not self.at:
            return [""] * len(columns[0])
        members = [map(each.__getitem__, columns[at]) for each, at in zip(self.values, self.at, strict=True)]
        return list(map("".join, zip(*members, strict=True)))


class Table(NamedTuple):
    """What the header says: columns of the receipt, of its totals, lines and settlements, of its key, and all those
    that every row of a receipt repeats.
    """

    header: bytes
    delimiter: str
    width: int
    receipt: Columns
    total: Columns
    lines: Columns
    settlements: Columns
    key: Columns
    repeated: Columns


def split(header: str) -> tuple[str, list[str]]:
    """The delimiter and the names: whichever delimiter gives the most names that are known."""
    best: tuple[int, str, list[str]] = (-1, DELIMITERS[0], [])
    for delimiter in DELIMITERS:
        reader = csv.reader((header,), delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            names = [name.strip() for name in next(reader)]
        except (csv.Error, StopIteration):
            continue
        known = sum((found := field(name)) is not None and found.known for name in names)
        best = max(best, (known, delimiter, names), key=lambda each: each[0])
    return best[1], best[2]


def read(line: bytes | Unreadable) -> Table:
    """Raises `NoTable`."""
    if isinstance(line, Unreadable):
        raise NoTable(*line.faults)
    if len(line) > HEAD_BYTES:
        error = f"the header has {len(line)} bytes, more than {HEAD_BYTES}"
        raise NoTable(Fault("$", error, "its line must end with a line feed, and name only what is in the table"))
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        fault = Fault("$", f"byte {error.start + 1} of the header is not UTF-8", "save the file as CSV in UTF-8")
        raise NoTable(fault) from None
    if "\r" in text:
        raise NoTable(Fault("$", "its lines end with carriage returns alone", "save it with line feeds"))
    delimiter, names = split(text)
    fields = [field(name) for name in names]
    lacking = [need for need in NEEDED if need not in {each.path for each in fields if each is not None}]
    if lacking:
        raise NoTable(Fault("$", f"the header has no column {', '.join(lacking)}", _HINT))
    faults = [
        Fault("$", f"the column {name} names a part of a receipt and no field of it", "such as lines.productCode")
        for name, each in zip(names, fields, strict=True)
        if each is None
    ]
    # A column without a name is what spreadsheets leave behind the last one: nothing is read from it.
    paths = [each.path for each in fields if each is not None and each.path]
    faults += [Fault("$", f"the column {path} comes twice") for path in dict.fromkeys(paths) if paths.count(path) > 1]
    if faults:
        raise NoTable(*faults[:_FAULTS_KEPT])
    header = line if line.endswith(b"\n") else line + b"\n"
    return _of_fields([each for each in fields if each is not None], header, delimiter)


def _of_fields(fields: Sequence[Field], header: bytes, delimiter: str) -> Table:
    amounts = careful_amount_json if delimiter == "," else amount_json
    values = [Values(each, amounts if each.amount else text_json, len(fields)) for each in fields]

    def columns(which: Callable[[Field], bool]) -> Columns:
        at = [index for index, each in enumerate(fields) if each.path and which(each)]
        return Columns([fields[index] for index in at], at, [values[index] for index in at], chooser(at))

    def of(part: str) -> Columns:
        return columns(lambda each: each.part == part)

    receipt, total, lines, settlements = map(of, PARTS)
    return Table(
        header,
        delimiter,
        len(fields),
        receipt,
        total,
        lines,
        settlements,
        columns(lambda each: each.path in KEY),
        columns(lambda each: each.part not in LISTS),
    )
