"""CSV: a table with a row for each line of a receipt. Every row repeats the receipt's own fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import BinaryIO

from tillstream.formats.base import LIMIT_HINT, Decoded, Decoder, Record, Unreadable, text_of
from tillstream.formats.canonical import amount
from tillstream.formats.csv.header import BadHeader, Header, parse_header, split_header
from tillstream.formats.csv.rows import Row, RowReader
from tillstream.formats.fields import REQUIRED, amount_json, receipt_json, shorten, text_json
from tillstream.receipt.model import PERSONAL, Fault
from tillstream.receipt.validation import ITEMS_LIMIT

ROWS_LIMIT = 2 * ITEMS_LIMIT
"""Maximum number of rows of one receipt: enough for all the lines and payments that a receipt may have."""

# JSON repeats the names of the columns in every row, so the JSON of a receipt may be this much larger than its limit.
_JSON_EXPANSION_LIMIT = 8
_FAULTS_LIMIT = 20
_UNASSIGNED_ROWS_LIMIT = 100


class CsvDecoder(Decoder):
    """Decoder of a table with a header."""

    name = "csv"
    title = "CSV"
    help = (
        "A table in UTF-8. The first line names the columns; the delimiter is `,`, `;` or a tab. A row is one line of "
        "a receipt and repeats the receipt's own fields. Consecutive rows with the same `storeID`, `terminalID`, "
        "`cashReceiptID` and `date` are one receipt. Columns of the receipt have the names of the JSON "
        "(`cashReceiptID`, `date`, …). Columns of its totals are `documentTotal.grossTotal` or just `grossTotal`, "
        "columns of its lines are `lines.productCode` and so on, and columns of its payments are "
        "`settlements.paymentMechanism` and `settlements.settlementAmount`. Each row in which the latter are filled "
        f"has one payment. Required are {', '.join(f'`{name}`' for name in REQUIRED)}. Empty cells are ignored, and "
        "columns with other names are kept as text. Amounts have a decimal point, or a decimal comma. Between commas, "
        'a `"1,50"` is one and a half; a `"1,500"` is ambiguous and refused. Spaces around a cell are ignored, except '
        "in quotes. A receipt with a bad row is refused as a whole; other receipts are not affected."
    )
    media_types = ("text/csv", "application/csv")
    suffixes = (".csv",)
    example = (
        "storeID;terminalID;cashReceiptID;date;grossTotal;netTotal;taxPayable;lines.productCode;"
        "lines.productDescription;lines.quantity;lines.taxPercentage;lines.settlementAmount;"
        "settlements.paymentMechanism;settlements.settlementAmount\n"
        "12;2;1047;2026-11-23 10:15:00;3,60;3,41;0,19;0102;Baguette;2;5,5;2,40;CB;3,60\n"
        "12;2;1047;2026-11-23 10:15:00;3,60;3,41;0,19;0207;Croissant;1;5,5;1,20;;\n"
    )

    def recognises(self, head: bytes) -> bool:
        if b"cashreceiptid" not in head.lower():
            return False
        _, names = split_header(text_of(head).partition("\n")[0])
        return {name.lower() for name in names} >= {"cashreceiptid", "storeid"}

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit_bytes = self.settings.receipt_limit_bytes
        reader = RowReader(source, limit_bytes)
        first = reader.header()
        if first is None:
            return
        number, line = first
        if isinstance(line, Unreadable):
            yield Unreadable(line.faults, _read_up_to(line.original, source, limit_bytes), f"line {number}")
            return
        try:
            header = parse_header(line)
        except BadHeader as error:
            yield Unreadable(error.faults, _read_up_to(line, source, limit_bytes), f"line {number}")
            return
        yield from _RowGrouper(header, limit_bytes).receipts(reader.rows(header.delimiter, header.width))


def _read_up_to(start: bytes, source: BinaryIO, limit_bytes: int) -> bytes:
    """Read on after these bytes, up to the limit."""
    pieces = [start]
    left = limit_bytes - len(start)
    while left > 0 and (more := source.read(left)):
        pieces.append(more)
        left -= len(more)
    return b"".join(pieces)[:limit_bytes]


class _ReceiptRows:
    """The rows of one receipt."""

    __slots__ = (
        "_has_bad_row",
        "_header",
        "_limit_bytes",
        "_lines",
        "_rows",
        "_rows_limit",
        "_settlements",
        "_size_bytes",
        "consistent",
        "key",
    )

    def __init__(self, header: Header, key: Sequence[str], limit_bytes: int) -> None:
        self.key = key
        self.consistent = True
        """Whether all rows repeat the receipt's own fields with the same texts."""
        self._has_bad_row = False
        self._rows: list[Row] = []
        self._lines: list[str] = []
        self._settlements: list[str] = []
        self._size_bytes = 0
        self._header = header
        self._limit_bytes = limit_bytes
        self._rows_limit = min(ROWS_LIMIT, _JSON_EXPANSION_LIMIT * limit_bytes // len(header.line))

    def add(self, row: Row, line: str = "", settlement: str = "") -> None:
        """Add a row with the JSON of its line and settlement. Rows beyond the limit are dropped."""
        if self._size_bytes <= self._limit_bytes and len(self._rows) <= self._rows_limit:
            self._rows.append(row)
            self._size_bytes += len(row[1])
            if line:
                self._lines.append(line)
            if settlement:
                self._settlements.append(settlement)

    def add_bad(self, row: Row) -> None:
        self._has_bad_row = True
        self.add(row)

    def decode(self) -> Decoded:
        rows, header = self._rows, self._header
        original = header.line + b"".join([row[1] for row in rows])
        faults = self._faults()
        if faults:
            first_faults = [fault for _, fault in faults[:_FAULTS_LIMIT]]
            return Unreadable(first_faults, original[: self._limit_bytes], f"line {faults[0][0]}")
        cells = rows[0][2]
        receipt, total = header.receipt.row_json(cells), header.total.row_json(cells)
        return Record(receipt_json(receipt, total, self._lines, self._settlements), original)

    def _faults(self) -> list[tuple[int, Fault]]:
        """Faults with their line numbers."""
        rows, limit_bytes = self._rows, self._limit_bytes
        faults: list[tuple[int, Fault]] = []
        if self._has_bad_row:
            faults = [(row[0], row[3]) for row in rows if row[3] is not None]
        elif not self.consistent:
            faults = list(islice(self._contradictions(), _FAULTS_LIMIT))
        if self._size_bytes > limit_bytes or len(rows) > self._rows_limit:
            error = f"up to line {rows[-1][0]} the receipt has more than {limit_bytes} bytes or {ROWS_LIMIT} rows"
            faults.append((rows[-1][0], Fault("$", error, LIMIT_HINT)))
        return faults

    def _contradictions(self) -> Iterator[tuple[int, Fault]]:
        """Find rows that do not repeat the receipt's own fields. Fills empty cells of the first row from the others."""
        first, repeated = self._rows[0][2], self._header.repeated
        for number, _, cells, _ in self._rows:
            for field, index in zip(repeated.fields, repeated.indexes, strict=True):
                cell, expected = cells[index], first[index]
                if cell == expected or not cell:
                    continue
                if not expected:
                    first[index] = cell
                elif field.known and not (field.amount and _is_same_amount(cell, expected)):
                    error = f"line {number} has {_shown(cell)}, but an earlier line has {_shown(expected)}"
                    if field.name in PERSONAL:
                        error = f"line {number} differs from an earlier line"
                    yield number, Fault(f"$.{field.path}", error, "every row of a receipt must repeat it")


def _shown(cell: str) -> str:
    return text_json(shorten(cell))


def _is_same_amount(one: str, other: str) -> bool:
    """Whether two texts are the same amount: `5.0` and `5,00`."""
    first, second = amount(amount_json(one)), amount(amount_json(other))
    return isinstance(first, Decimal) and first == second


class _RowGrouper:
    """Groups consecutive rows with the same key into receipts.

    A bad row between two rows of a receipt belongs to it, and so does a bad row next to a receipt with the same key.
    All other bad rows are faults of their own. Until that is clear, they are unassigned.
    """

    def __init__(self, header: Header, limit_bytes: int) -> None:
        self._header = header
        self._limit_bytes = limit_bytes
        self._current: _ReceiptRows | None = None
        self._repeated_cells: Sequence[str] | None = None
        self._unassigned: list[Row] = []
        self._unassigned_bytes = 0

    def receipts(self, blocks: Iterator[list[Row]]) -> Iterator[Decoded]:
        """Decode all receipts in order."""
        for block in blocks:
            if block[0][3] is not None:
                yield from self._add_bad(block[0])
                continue
            table = list(zip(*[row[2] for row in block], strict=True))
            lines, settlements = self._header.lines.rows_json(table), self._header.settlements.rows_json(table)
            repeated = zip(*[table[index] for index in self._header.repeated.indexes], strict=True)
            for row, line, settlement, cells in zip(block, lines, settlements, repeated, strict=True):
                if cells == self._repeated_cells and self._current is not None:
                    self._current.add(row, line, settlement)
                else:
                    yield from self._add(row, cells, line, settlement)
        if self._current is not None:
            yield self._current.decode()
        yield from self._release_unassigned()

    def _key(self, cells: list[str]) -> Sequence[str]:
        """Key of a row. Empty if the row is too short to have it."""
        key = self._header.key
        return key.select(cells) if max(key.indexes) < len(cells) else ()

    def _add(self, row: Row, repeated_cells: Sequence[str], line: str, settlement: str) -> Iterator[Decoded]:
        """Add a row whose repeated cells differ from those of the row before it."""
        number, raw, cells, _ = row
        key = self._header.key.select(cells)
        if not any(key):
            if any(cells):
                error = f"line {number} does not name a receipt"
                fault = Fault("$", error, "every row must have the fields of its receipt")
                yield from self._add_bad((number, raw, cells, fault))
            return
        if self._current is not None and key == self._current.key:
            self._current.consistent = False
            bad_rows, self._unassigned, self._unassigned_bytes = self._unassigned, [], 0
        else:
            if self._current is not None:
                yield self._current.decode()
            bad_rows = [each for each in self._unassigned if self._key(each[2]) == key]
            self._unassigned = [each for each in self._unassigned if self._key(each[2]) != key]
            yield from self._release_unassigned()
            self._current = _ReceiptRows(self._header, key, self._limit_bytes)
        for bad_row in bad_rows:
            self._current.add_bad(bad_row)
        self._current.add(row, line, settlement)
        self._repeated_cells = repeated_cells

    def _add_bad(self, row: Row) -> Iterator[Decoded]:
        """Add a bad row to the current receipt or to the unassigned rows.

        A row without a key that has a line or a payment belongs to the current receipt.
        """
        cells, header = row[2], self._header
        key = self._key(cells)
        continues = len(cells) == header.width and not any(key)
        continues = continues and bool(header.lines.row_json(cells) or header.settlements.row_json(cells))
        if self._current is not None and (key == self._current.key or continues):
            self._current.add_bad(row)
            return
        self._unassigned.append(row)
        self._unassigned_bytes += len(row[1])
        self._repeated_cells = None
        if len(self._unassigned) > _UNASSIGNED_ROWS_LIMIT or self._unassigned_bytes > self._limit_bytes:
            yield from self._release_unassigned()

    def _release_unassigned(self) -> Iterator[Decoded]:
        """Yield each unassigned row as a fault of its own."""
        for number, raw, _, fault in self._unassigned:
            if fault is not None:
                yield Unreadable([fault], (self._header.line + raw)[: self._limit_bytes], f"line {number}")
        self._unassigned, self._unassigned_bytes = [], 0
