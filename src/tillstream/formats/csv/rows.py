"""Rows of a CSV source. Quoted cells may have line breaks in them, and a bad row affects no other row."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import BinaryIO

from tillstream.formats.base import BOM, Unreadable
from tillstream.formats.json import lines
from tillstream.receipt.model import Fault

ROW_LINES = 1_000
"""Maximum number of lines of one row, which may have line breaks in its cells."""

_BLOCK_BYTES = 32_768

Row = tuple[int, bytes, list[str], Fault | None]
"""A row: the number of its first line, its bytes, its cells, and its fault. With a fault, the cells are a guess."""

_NumberedLine = tuple[int, bytes | Unreadable]
_Parse = Callable[[Iterator[str]], Iterator[list[str]]]


class RowReader:
    """Reads a source: `header` first, then the `rows` below it."""

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._lines = lines(source, limit_bytes)
        self._limit_bytes = limit_bytes
        # Lines that were read but not used, because a block or a quoted row did not take them.
        self._unused: deque[_NumberedLine] = deque()

    def header(self) -> _NumberedLine | None:
        """The first line that is not blank, without byte-order mark. None if there is none."""
        for number, line in self._lines:
            if isinstance(line, Unreadable):
                return number, line
            bare = line.removeprefix(BOM) if number == 1 else line
            if bare.strip():
                return number, bare
        return None

    def rows(self, delimiter: str, width: int) -> Iterator[list[Row]]:
        """Read all rows except blank ones, in blocks.

        A bad row is a block of its own. After it, reading goes on with the next line.
        """
        dialect = csv.reader((), delimiter=delimiter, strict=True, skipinitialspace=True).dialect
        parse = partial(csv.reader, dialect=dialect)
        while (block := self._block()) or self._unused:
            raw = [line for _, line in block if isinstance(line, bytes)]
            cells = _parse_block(raw, delimiter, parse)
            if set(map(len, cells)) == {width}:
                yield list(zip((number for number, _ in block), raw, cells, repeat(None), strict=False))
            else:
                self._unused.extendleft(reversed(block))
            while self._unused:
                row = self._row(delimiter, width, parse)
                if row is not None:
                    yield [row]

    def _block(self) -> list[_NumberedLine]:
        """Read lines to be parsed together, which is faster. An unreadable line ends the block."""
        block: list[_NumberedLine] = []
        size_bytes = 0
        for item in self._lines:
            line = item[1]
            if isinstance(line, Unreadable):
                self._unused.append(item)
                break
            block.append(item)
            size_bytes += len(line)
            if size_bytes > _BLOCK_BYTES:
                break
        return block

    def _row(self, delimiter: str, width: int, parse: _Parse) -> Row | None:
        number, line = self._unused.popleft()
        if isinstance(line, Unreadable):
            return number, line.original, _guess_cells(line.original, delimiter), line.faults[0]
        if b'"' in line:
            return self._quoted_row(number, line, parse, delimiter, width)
        try:
            text = line.decode().strip(" \r\n")
        except UnicodeDecodeError as error:
            return number, line, _guess_cells(line, delimiter), _not_utf8(error, number)
        cells = [cell.strip(" ") for cell in text.split(delimiter)]
        if len(cells) == width:
            return number, line, cells, None
        return (number, line, cells, _wrong_width(number, cells, width)) if text else None

    def _next(self) -> _NumberedLine | None:
        return self._unused.popleft() if self._unused else next(self._lines, None)

    def _quoted_row(self, number: int, line: bytes, parse: _Parse, delimiter: str, width: int) -> Row:
        taken: list[_NumberedLine] = [(number, line)]
        cells: list[str] = []
        try:
            cells = next(parse(self._texts(taken)))
            fault = None if len(cells) == width else _wrong_width(number, cells, width)
        except UnicodeDecodeError as error:
            fault = _not_utf8(error, taken[-1][0])
        except (csv.Error, StopIteration) as error:
            reason = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            fault = Fault("$", f"line {number}: {reason}", 'double a quote inside a quoted cell: "5"" tart"')
        if fault is not None:
            self._unused.extendleft(reversed(taken[1:]))
            whole = cells and len(taken) == 1
            return number, line, cells if whole else _guess_cells(line, delimiter), fault
        raw = b"".join(part for _, part in taken if isinstance(part, bytes))
        return number, raw, _strip_unquoted(cells, raw.decode()), None

    def _texts(self, taken: list[_NumberedLine]) -> Iterator[str]:
        """The lines of a quoted row as the parser asks for them, up to the limits. Appends further lines to `taken`."""
        line = taken[0][1]
        size = 0
        while isinstance(line, bytes):
            yield line.decode()
            size += len(line)
            if size > self._limit_bytes or len(taken) >= ROW_LINES:
                return
            item = self._next()
            if item is None:
                return
            taken.append(item)
            line = item[1]


def _parse_block(lines: list[bytes], delimiter: str, parse: _Parse) -> list[list[str]]:
    """The cells of lines that are one row each. Empty if the lines have to be parsed one by one."""
    try:
        text = b"".join(lines).decode()
    except UnicodeDecodeError:
        return []
    texts = text.removesuffix("\n").split("\n")
    space_before_delimiter = " " + delimiter
    if '"' not in text:
        if space_before_delimiter in text or delimiter + " " in text:
            return [[cell.strip(" ") for cell in line.strip("\r").split(delimiter)] for line in texts]
        return [line.strip(" \r").split(delimiter) for line in texts]
    if space_before_delimiter in text or " \r" in text or " \n" in text:
        return []
    try:
        rows = list(parse(iter(texts)))
    except csv.Error:
        return []
    return rows if len(rows) == len(lines) else []


def _guess_cells(line: bytes, delimiter: str) -> list[str]:
    """The likely cells of a bad row, from which its receipt may be found."""
    return [cell.strip(' "\r\n') for cell in line.decode(errors="replace").split(delimiter)]


def _strip_unquoted(cells: list[str], text: str) -> list[str]:
    """Strip the spaces at the end of cells, except within quotes."""
    if not any(cell.endswith(" ") for cell in cells):
        return cells
    return [
        cell.rstrip(" ") if cell.endswith(" ") and '"' + cell.replace('"', '""') + '"' not in text else cell
        for cell in cells
    ]


def _wrong_width(number: int, cells: list[str], width: int) -> Fault:
    error = f"line {number} has {len(cells)} cells, but the header has {width} columns"
    return Fault("$", error, 'put a cell with the delimiter in quotes: "1,50"')


def _not_utf8(error: UnicodeDecodeError, number: int) -> Fault:
    return Fault("$", f"byte {error.start + 1} of line {number} is not UTF-8", "save the file as CSV in UTF-8")
