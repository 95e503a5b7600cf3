"""The rows of a CSV source, cut one by one: cells in quotes may hold line breaks, and a wrong row hides no other."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from typing import BinaryIO

from tillstream.formats.base import Unreadable
from tillstream.formats.json import BOM, lines
from tillstream.receipt.model import Fault

ROW_LINES = 1_000
"""Lines that one row may take, with the line breaks in its cells."""

_BLOCK_BYTES = 32_768

_Item = tuple[int, bytes | Unreadable]
_Read = Callable[[Iterator[str]], Iterator[list[str]]]


Row = tuple[int, bytes, list[str], Fault | None]
"""The number of its first line, its bytes and cells. With a fault, the cells are a guess at those of its first line."""


class Rows:
    """The rows of a source: `header` first, then those below it."""

    def __init__(self, source: BinaryIO, limit_bytes: int) -> None:
        self._lines = lines(source, limit_bytes)
        self._limit_bytes = limit_bytes
        # Lines that were looked at as parts of a row and are none of it.
        self._again: deque[_Item] = deque()

    def header(self) -> _Item | None:
        """The first line that is not blank, without a byte-order mark; None where there is none."""
        for number, line in self._lines:
            if isinstance(line, Unreadable):
                return number, line
            bare = line.removeprefix(BOM) if number == 1 else line
            if bare.strip():
                return number, bare
        return None

    def below(self, delimiter: str, width: int) -> Iterator[list[Row]]:
        """Every row but the blank ones, some together. A row that is wrong stands alone and has a fault, and the next
        line is looked at anew.
        """
        read = partial(
            csv.reader, dialect=csv.reader((), delimiter=delimiter, strict=True, skipinitialspace=True).dialect
        )
        while (block := self._block()) or self._again:
            raw = [line for _, line in block if isinstance(line, bytes)]
            cells = _at_once(raw, delimiter, read)
            if set(map(len, cells)) == {width}:
                yield list(zip((number for number, _ in block), raw, cells, repeat(None), strict=False))
            else:
                self._again.extendleft(reversed(block))
            while self._again:
                row = self._row(delimiter, width, read)
                if row is not None:
                    yield [row]

    def _block(self) -> list[_Item]:
        """So many lines that looking at them together pays; what is no line comes to `_again`."""
        block: list[_Item] = []
        size_bytes = 0
        for item in self._lines:
            line = item[1]
            if isinstance(line, Unreadable):
                self._again.append(item)
                break
            block.append(item)
            size_bytes += len(line)
            if size_bytes > _BLOCK_BYTES:
                break
        return block

    def _row(self, delimiter: str, width: int, read: _Read) -> Row | None:
        number, line = self._again.popleft()
        if isinstance(line, Unreadable):
            return number, line.original, _guess(line.original, delimiter), line.faults[0]
        if b'"' in line:
            return self._quoted(number, line, read, delimiter, width)
        try:
            text = line.decode().strip(" \r\n")
        except UnicodeDecodeError as error:
            return number, line, _guess(line, delimiter), _no_text(error, number)
        cells = [cell.strip(" ") for cell in text.split(delimiter)]
        if len(cells) == width:
            return number, line, cells, None
        return (number, line, cells, _wrong_width(number, cells, width)) if text else None

    def _next(self) -> _Item | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def _quoted(self, number: int, line: bytes, read: _Read, delimiter: str, width: int) -> Row:
        taken: list[_Item] = [(number, line)]
        cells: list[str] = []
        try:
            cells = next(read(self._texts(taken)))
            fault = None if len(cells) == width else _wrong_width(number, cells, width)
        except UnicodeDecodeError as error:
            fault = _no_text(error, taken[-1][0])
        except (csv.Error, StopIteration) as error:
            reason = "a quote is not closed" if "unexpected end" in str(error) else str(error)
            fault = Fault("$", f"line {number}: {reason}", 'a cell with a quote in it is written "5"" tart"')
        if fault is not None:
            self._again.extendleft(reversed(taken[1:]))
            whole = cells and len(taken) == 1
            return number, line, cells if whole else _guess(line, delimiter), fault
        raw = b"".join(part for _, part in taken if isinstance(part, bytes))
        return number, raw, _without_blanks(cells, raw.decode()), None

    def _texts(self, taken: list[_Item]) -> Iterator[str]:
        """The lines that the reader asks for, up to the limit of a row; those behind the first go to `taken`."""
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


def _at_once(lines: list[bytes], delimiter: str, read: _Read) -> list[list[str]]:
    """The cells of lines that are a row each; nothing where one of them needs a look of its own."""
    try:
        text = b"".join(lines).decode()
    except UnicodeDecodeError:
        return []
    texts = text.removesuffix("\n").split("\n")
    before = " " + delimiter
    if '"' not in text:
        if before in text or delimiter + " " in text:
            return [[cell.strip(" ") for cell in line.strip("\r").split(delimiter)] for line in texts]
        return [line.strip(" \r").split(delimiter) for line in texts]
    if before in text or " \r" in text or " \n" in text:
        return []
    try:
        rows = list(read(iter(texts)))
    except csv.Error:
        return []
    return rows if len(rows) == len(lines) else []


def _guess(line: bytes, delimiter: str) -> list[str]:
    """The cells of a row that cannot be read, to know whose row it is."""
    return [cell.strip(' "\r\n') for cell in line.decode(errors="replace").split(delimiter)]


def _without_blanks(cells: list[str], text: str) -> list[str]:
    """The cells without blanks at their ends, but where they stand in quotes: those stay."""
    if not any(cell.endswith(" ") for cell in cells):
        return cells
    return [
        cell.rstrip(" ") if cell.endswith(" ") and '"' + cell.replace('"', '""') + '"' not in text else cell
        for cell in cells
    ]


def _wrong_width(number: int, cells: list[str], width: int) -> Fault:
    error = f"line {number} has {len(cells)} cells, and the header names {width} columns"
    return Fault("$", error, 'a cell with the delimiter in it stands in quotes: "1,50"')


def _no_text(error: UnicodeDecodeError, number: int) -> Fault:
    return Fault("$", f"byte {error.start + 1} of line {number} is not UTF-8", "save the file as CSV in UTF-8")
