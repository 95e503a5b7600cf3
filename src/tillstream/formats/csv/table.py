"""The table of a CSV file: the header, which maps columns to fields of a receipt, and the rows.

Quoted cells may contain line breaks. A bad row affects no other row.
"""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import partial
from operator import getitem
from typing import NamedTuple, TypeVar

from tillstream.formats.base import BOM, HEAD_BYTES, DecodeError, Unreadable
from tillstream.formats.canonical import LISTS, PARTS, Field, Members, amount_json, find_field, text_json
from tillstream.receipt.model import Fault

T = TypeVar("T")

DELIMITERS = (",", ";", "\t")
REQUIRED = ("cashReceiptID", "storeID", "date", "documentTotal.grossTotal")
"""The paths of the fields that every table must have."""

KEY = ("storeID", "terminalID", "cashReceiptID", "date")
"""The paths of the fields that identify a receipt. Consecutive rows with the same texts there belong to one receipt."""

ROW_LINES = 1_000
"""The maximum number of lines in a row. If the cells of a row contain line breaks, the row has several lines."""

_HEADER_HINT = f"the first line must name the columns; required are {', '.join(REQUIRED)}"
_PART_HINT = "name a field such as lines.productCode"
_FAULTS_LIMIT = 20
_BLOCK_BYTES = 16_384
# The maximum number of cached texts for all columns of a table together.
_CACHED_TEXTS = 100_000
_CACHED_TEXTS_PER_COLUMN = 4_096


# -- header


class Columns(NamedTuple):
    """Some columns of a table.

    Each column has one item in every list: its field, its index in a row, and a cache of the JSON for its cells.
    """

    fields: list[Field]
    indexes: list[int]
    members: list[Members]

    def select(self, row: Sequence[T]) -> list[T]:
        """Select the items at the indexes of these columns."""
        return [row[index] for index in self.indexes]

    def row_json(self, row: Sequence[str]) -> str:
        """Write the cells of a row as members of a JSON object, each with a trailing comma."""
        return "".join(map(getitem, self.members, self.select(row)))

    def rows_json(self, table: Sequence[Sequence[str]]) -> list[str]:
        """Write many rows, each as `row_json` does. `table` holds the cells by column: one sequence per column."""
        if not self.indexes:
            return [""] * len(table[0])
        columns = zip(self.members, self.select(table), strict=True)
        written = [map(members.__getitem__, cells) for members, cells in columns]
        return list(map("".join, zip(*written, strict=True)))


class Header(NamedTuple):
    """A parsed header. `line` holds its bytes, and `width` is the number of columns.

    `parts` groups the columns by the part of the receipt that their fields belong to. `key` holds the columns that
    identify a receipt. `repeated` holds all columns that belong to neither lines nor payments: every row of a receipt
    must repeat their texts.
    """

    line: bytes
    delimiter: str
    width: int
    parts: dict[str, Columns]
    key: Columns
    repeated: Columns


def split_header(header: str) -> tuple[str, list[str]]:
    """Return the delimiter that yields the most known field names, and the column names that it yields."""
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
    """Parse the header of a table. Raises `DecodeError` if it is invalid, such as without a required column."""
    delimiter, names = split_header(_decode(line))
    found = {name: find_field(name) for name in names}
    fields = [field for name in names if (field := found[name]) is not None]
    paths = [field.path for field in fields]
    if missing := [path for path in REQUIRED if path not in paths]:
        raise DecodeError(Fault("$", f"the header has no column {', '.join(missing)}", _HEADER_HINT))
    faults = [
        Fault("$", f"the column {name} names a part of a receipt, not a field", _PART_HINT)
        for name in names
        if found[name] is None
    ]
    # Columns without a name are ignored. Spreadsheets may add such columns at the end.
    twice = [path for path, count in Counter(paths).items() if path and count > 1]
    faults += [Fault("$", f"the column {path} occurs twice") for path in twice]
    if faults:
        raise DecodeError(*faults[:_FAULTS_LIMIT])
    write_amount = partial(amount_json, comma_may_group=delimiter == ",")
    limit = min(_CACHED_TEXTS_PER_COLUMN, 1 + _CACHED_TEXTS // len(fields))
    members = [Members(field, write_amount if field.amount else text_json, limit) for field in fields]

    indexes = {field: index for index, field in enumerate(fields)}

    def columns(chosen: list[Field]) -> Columns:
        at = [indexes[field] for field in chosen]
        return Columns(chosen, at, [members[index] for index in at])

    named = [field for field in fields if field.path]
    return Header(
        line if line.endswith(b"\n") else line + b"\n",
        delimiter,
        len(fields),
        parts={part: columns([field for field in named if field.part == part]) for part in PARTS},
        key=columns([field for field in named if field.path in KEY]),
        repeated=columns([field for field in named if field.part not in LISTS]),
    )


def _decode(line: bytes) -> str:
    if len(line) > HEAD_BYTES:
        error = f"the header has {len(line)} bytes, more than {HEAD_BYTES}"
        raise DecodeError(Fault("$", error, "it must end with a line feed and name only the columns of the table"))
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        fault = Fault("$", f"byte {error.start + 1} of the header is not UTF-8", "save the file as CSV in UTF-8")
        raise DecodeError(fault) from None
    if "\r" in text:
        raise DecodeError(Fault("$", "its lines end with carriage returns only", "save the file with line feeds"))
    return text


# -- rows


class Row(NamedTuple):
    """A row: the number of its first line, its bytes and its cells. If it has a fault, its cells may be guesses."""

    number: int
    raw: bytes
    cells: list[str]
    fault: Fault | None = None


NumberedLine = tuple[int, bytes | Unreadable]
"""A line number and a line, as `tillstream.formats.json.lines` yields them."""


def header_line(numbered_lines: Iterator[NumberedLine]) -> NumberedLine | None:
    """Return the first line that is not blank, without its byte-order mark, or None if all lines are blank."""
    for number, line in numbered_lines:
        if isinstance(line, Unreadable):
            return number, line
        bare = line.removeprefix(BOM) if number == 1 else line
        if bare.strip():
            return number, bare
    return None


class RowReader:
    """Reads the rows of a table from the lines below its header."""

    def __init__(
        self, numbered_lines: Iterator[NumberedLine], limit_bytes: int, delimiter: str, column_count: int
    ) -> None:
        self._lines = numbered_lines
        self._limit_bytes = limit_bytes
        self._delimiter = delimiter
        self._column_count = column_count
        self._parse = partial(csv.reader, delimiter=delimiter, strict=True, skipinitialspace=True)
        # Lines that have been read but are not yet part of a row.
        self._unused: deque[NumberedLine] = deque()

    def rows(self) -> Iterator[list[Row]]:
        """Yield all rows in blocks. Blank lines are ignored, and a bad row is a separate block.

        If a quote is not closed, all following lines seem to belong to the row. So a bad row consists of its first
        line only, and the line below it starts the next row.
        """
        while (block := self._block()) or self._unused:
            raw = [line for _, line in block]
            cells = self._parse_block(raw)
            if set(map(len, cells)) == {self._column_count}:
                yield list(map(Row, (number for number, _ in block), raw, cells))
            else:
                self._unused.extendleft(reversed(block))
            while self._unused:
                if row := self._row(*self._unused.popleft()):
                    yield [row]

    def _block(self) -> list[tuple[int, bytes]]:
        """Read the lines of the next block. An unreadable line ends the block."""
        block: list[tuple[int, bytes]] = []
        size_bytes = 0
        for number, line in self._lines:
            if isinstance(line, Unreadable):
                self._unused.append((number, line))
                break
            block.append((number, line))
            size_bytes += len(line)
            if size_bytes > _BLOCK_BYTES:
                break
        return block

    def _parse_block(self, lines: list[bytes]) -> list[list[str]]:
        """Parse all lines of a block in one fast call. Return an empty list if they must be parsed one by one."""
        try:
            text = b"".join(lines).decode()
        except UnicodeDecodeError:
            return []
        if f" {self._delimiter}" in text or " \r" in text or " \n" in text:
            return []
        try:
            rows = list(self._parse(text.removesuffix("\n").split("\n")))
        except csv.Error:
            return []
        return rows if len(rows) == len(lines) else []

    def _row(self, number: int, line: bytes | Unreadable) -> Row | None:
        if isinstance(line, Unreadable):
            return Row(number, line.original, self._guess_cells(line.original), line.faults[0])
        if b'"' in line:
            return self._quoted_row(number, line)
        try:
            text = line.decode().strip(" \r\n")
        except UnicodeDecodeError as error:
            return Row(number, line, self._guess_cells(line), _not_utf8(error, number))
        cells = [cell.strip(" ") for cell in text.split(self._delimiter)]
        return Row(number, line, cells, self._wrong_width(number, cells)) if text else None

    def _quoted_row(self, number: int, line: bytes) -> Row:
        used: list[NumberedLine] = [(number, line)]
        cells: list[str] = []
        try:
            cells = next(self._parse(self._texts(used)))
            fault = self._wrong_width(number, cells)
        except UnicodeDecodeError as error:
            fault = _not_utf8(error, used[-1][0])
        except (csv.Error, StopIteration) as error:
            reason = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            fault = Fault("$", f"line {number}: {reason}", 'double a quote inside a quoted cell: "5"" tart"')
        if fault is not None:
            self._unused.extendleft(reversed(used[1:]))
            is_one_line = cells and len(used) == 1
            return Row(number, line, cells if is_one_line else self._guess_cells(line), fault)
        raw = b"".join(part for _, part in used if isinstance(part, bytes))
        return Row(number, raw, _strip_unquoted(cells, raw.decode()))

    def _texts(self, used: list[NumberedLine]) -> Iterator[str]:
        """Yield the lines of a quoted row to the parser, which takes lines until the row is complete.

        If the row exceeds a limit, the lines end. `used` holds the first line. Every further line is appended to it.
        """
        line = used[0][1]
        size = 0
        while isinstance(line, bytes):
            yield line.decode()
            size += len(line)
            if size > self._limit_bytes or len(used) >= ROW_LINES:
                return
            item = self._unused.popleft() if self._unused else next(self._lines, None)
            if item is None:
                return
            used.append(item)
            line = item[1]

    def _guess_cells(self, line: bytes) -> list[str]:
        """Return the likely cells of a bad row, because they may identify its receipt."""
        return [cell.strip(' "\r\n') for cell in line.decode(errors="replace").split(self._delimiter)]

    def _wrong_width(self, number: int, cells: list[str]) -> Fault | None:
        if len(cells) == self._column_count:
            return None
        error = f"line {number} has {len(cells)} cells, but the header has {self._column_count} columns"
        return Fault("$", error, 'put a cell with the delimiter in quotes: "1,50"')


def _strip_unquoted(cells: list[str], text: str) -> list[str]:
    """Strip trailing spaces from unquoted cells, because the CSV parser keeps them. `text` is the whole row."""
    return [
        cell.rstrip(" ") if cell.endswith(" ") and '"' + cell.replace('"', '""') + '"' not in text else cell
        for cell in cells
    ]


def _not_utf8(error: UnicodeDecodeError, number: int) -> Fault:
    return Fault("$", f"byte {error.start + 1} of line {number} is not UTF-8", "save the file as CSV in UTF-8")
