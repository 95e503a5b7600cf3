"""CSV: groups the rows of a table into receipts.

A row holds one line of a receipt, or one payment, or both. Every row repeats the receipt's own fields and totals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import BinaryIO

from tillstream.formats.base import LIMIT_HINT, Decoded, DecodeError, Decoder, Record, Unreadable, read_up_to, text_of
from tillstream.formats.canonical import LISTS, RECEIPT, TOTAL, amount, amount_json, quote, receipt_json
from tillstream.formats.csv.table import REQUIRED, Header, Row, RowReader, header_line, parse_header, split_header
from tillstream.formats.json import lines
from tillstream.receipt.model import PERSONAL, Fault
from tillstream.receipt.validation import ITEMS_LIMIT

ROWS_LIMIT = 2 * ITEMS_LIMIT
"""The maximum number of rows in a receipt. Each line and each payment may need a row of its own."""

# The JSON of a receipt repeats the column names for every row, so it is larger than the rows. If the header is long,
# fewer rows are allowed, so that the JSON stays below about 8 times the size limit of a receipt.
_JSON_EXPANSION_LIMIT = 8
_FAULTS_LIMIT = 20
_UNASSIGNED_ROWS_LIMIT = 100


class CsvDecoder(Decoder):
    """The format with a table whose header names the columns."""

    name = "csv"
    title = "CSV"
    help = (
        "A table in UTF-8. The first line names the columns. The delimiter is `,`, `;` or a tab. A row is one line of "
        "a receipt and repeats the receipt's own fields. Consecutive rows with the same `storeID`, `terminalID`, "
        "`cashReceiptID` and `date` are one receipt. Columns of the receipt have the names of the JSON "
        "(`cashReceiptID`, `date`, …). Columns of its totals are `documentTotal.grossTotal` or just `grossTotal`, "
        "columns of its lines are `lines.productCode` and so on, and columns of its payments are "
        "`settlements.paymentMechanism` and `settlements.settlementAmount`. A row with a payment fills these columns. "
        f"Required are {', '.join(f'`{name}`' for name in REQUIRED)}. Empty cells are ignored. Columns with other names "
        'become text fields. Amounts have a decimal point or a decimal comma. If the delimiter is a comma, `"1,50"` is '
        'one and a half, but `"1,500"` is ambiguous and rejected. Spaces around a cell are ignored, except in quotes. '
        "A bad row makes its receipt invalid, but affects no other receipt."
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
        numbered_lines = lines(source, limit_bytes)
        first = header_line(numbered_lines)
        if first is None:
            return
        number, line = first
        where = f"line {number}"
        if isinstance(line, Unreadable):
            yield Unreadable(line.faults, read_up_to(limit_bytes, source, line.original), where)
            return
        try:
            header = parse_header(line)
        except DecodeError as error:
            yield Unreadable(error.faults, read_up_to(limit_bytes, source, line), where)
            return
        rows = RowReader(numbered_lines, limit_bytes, header.delimiter, header.width).rows()
        yield from _RowGrouper(header, limit_bytes).receipts(rows)


class _ReceiptRows:
    """Collects the rows of one receipt."""

    def __init__(self, header: Header, key: Sequence[str], limit_bytes: int) -> None:
        self.key = key
        self.consistent = True
        """Whether all rows have the same texts in the columns that every row must repeat."""
        self._rows: list[Row] = []
        self._lines: list[str] = []
        self._settlements: list[str] = []
        self._size_bytes = 0
        self._header = header
        self._limit_bytes = limit_bytes
        self._rows_limit = min(ROWS_LIMIT, _JSON_EXPANSION_LIMIT * limit_bytes // len(header.line))

    def add(self, row: Row, line: str = "", settlement: str = "") -> None:
        """Add a row with the JSON of its line and settlement. Rows after the one that exceeds a limit are ignored."""
        if self._size_bytes > self._limit_bytes or len(self._rows) > self._rows_limit:
            return
        self._rows.append(row)
        self._size_bytes += len(row.raw)
        if line:
            self._lines.append(line)
        if settlement:
            self._settlements.append(settlement)

    def decode(self) -> Decoded:
        """Return the receipt, or its faults."""
        header, rows = self._header, self._rows
        original = header.line + b"".join([row.raw for row in rows])
        faults = self._faults()
        if faults:
            first_faults = [fault for _, fault in faults[:_FAULTS_LIMIT]]
            return Unreadable(first_faults, original[: self._limit_bytes], f"line {faults[0][0]}")
        receipt, total = (header.parts[part].row_json(rows[0].cells) for part in (RECEIPT, TOTAL))
        return Record(receipt_json(receipt, total, self._lines, self._settlements), original)

    def _faults(self) -> list[tuple[int, Fault]]:
        """Return the faults of the receipt with their line numbers."""
        faults = [(row.number, row.fault) for row in self._rows if row.fault is not None]
        if not faults and not self.consistent:
            faults = list(islice(self._contradictions(), _FAULTS_LIMIT))
        if self._size_bytes > self._limit_bytes or len(self._rows) > self._rows_limit:
            last = self._rows[-1].number
            error = f"up to line {last} the receipt has more than {self._limit_bytes} bytes or {ROWS_LIMIT} rows"
            faults.append((last, Fault("$", error, LIMIT_HINT)))
        return faults

    def _contradictions(self) -> Iterator[tuple[int, Fault]]:
        """Yield a fault for each repeated cell that contradicts an earlier row.

        An empty cell contradicts nothing. In the first row, it is filled with the first text below it in the same
        column. Texts of unknown fields may differ between rows.
        """
        first, repeated = self._rows[0].cells, self._header.repeated
        for row in self._rows:
            for field, index in zip(repeated.fields, repeated.indexes, strict=True):
                cell, expected = row.cells[index], first[index]
                if cell == expected or not cell:
                    continue
                if not expected:
                    first[index] = cell
                elif field.known and not (field.amount and _is_same_amount(cell, expected)):
                    error = f"line {row.number} has {quote(cell)}, but an earlier line has {quote(expected)}"
                    if field.name in PERSONAL:
                        error = f"line {row.number} differs from an earlier line"
                    yield row.number, Fault(f"$.{field.path}", error, "every row of a receipt must repeat it")


def _is_same_amount(one: str, other: str) -> bool:
    """Whether two texts are the same amount, such as `5.0` and `5,00`."""
    first, second = amount(amount_json(one)), amount(amount_json(other))
    return isinstance(first, Decimal) and first == second


class _RowGrouper:
    """Groups consecutive rows with the same key (the cells that identify a receipt) into receipts.

    A bad row between two good rows of one receipt belongs to that receipt, whatever key the bad row has. A bad row
    before the first good row of a receipt, or after the last one, belongs to the receipt if it has the same key. Most
    other bad rows become separate faults (`_add_bad` describes an exception). Often only the next good row shows where
    a bad row belongs. Until then, the bad row is unassigned.
    """

    def __init__(self, header: Header, limit_bytes: int) -> None:
        self._header = header
        self._limit_bytes = limit_bytes
        self._current: _ReceiptRows | None = None
        self._repeated_cells: Sequence[str] | None = None
        self._unassigned: list[Row] = []

    def receipts(self, blocks: Iterator[list[Row]]) -> Iterator[Decoded]:
        """Yield all receipts and faults in order. A block contains only good rows, or one bad row."""
        for block in blocks:
            if block[0].fault is not None:
                yield from self._add_bad(block[0])
                continue
            table = list(zip(*[row.cells for row in block], strict=True))
            lines, settlements = (self._header.parts[part].rows_json(table) for part in LISTS)
            repeated = zip(*self._header.repeated.select(table), strict=True)
            for row, line, settlement, cells in zip(block, lines, settlements, repeated, strict=True):
                if cells == self._repeated_cells and self._current is not None:
                    self._current.add(row, line, settlement)
                else:
                    yield from self._add(row, cells, line, settlement)
        if self._current is not None:
            yield self._current.decode()
        yield from self._release_unassigned()

    def _key(self, row: Row) -> list[str]:
        """Return the cells that identify the receipt of a row, or an empty list if the row has too few cells."""
        key = self._header.key
        return key.select(row.cells) if max(key.indexes) < len(row.cells) else []

    def _add(self, row: Row, repeated_cells: Sequence[str], line: str, settlement: str) -> Iterator[Decoded]:
        """Add a good row that may start a new receipt.

        `receipts` handles the most common row itself: a row with the same repeated cells as the row before.
        """
        key = self._key(row)
        if not any(key):
            if any(row.cells):
                error = f"line {row.number} does not name a receipt"
                fault = Fault("$", error, "every row must have the fields of its receipt")
                yield from self._add_bad(row._replace(fault=fault))
            return
        bad_rows = self._unassigned
        if self._current is not None and key == self._current.key:
            self._current.consistent = False
            self._unassigned = []
        else:
            if self._current is not None:
                yield self._current.decode()
            if bad_rows:
                self._unassigned = [each for each in bad_rows if self._key(each) != key]
                bad_rows = [each for each in bad_rows if self._key(each) == key]
                yield from self._release_unassigned()
            self._current = _ReceiptRows(self._header, key, self._limit_bytes)
        for bad_row in bad_rows:
            self._current.add(bad_row)
        self._current.add(row, line, settlement)
        self._repeated_cells = repeated_cells

    def _add_bad(self, row: Row) -> Iterator[Decoded]:
        """Add a bad row to the current receipt or to the unassigned rows.

        The row belongs to the current receipt if it has the same key, or if it has a line or a payment but no key.
        """
        header, key = self._header, self._key(row)
        continues = len(row.cells) == header.width and not any(key)
        continues = continues and any(header.parts[part].row_json(row.cells) for part in LISTS)
        if self._current is not None and (key == self._current.key or continues):
            self._current.add(row)
            return
        self._unassigned.append(row)
        self._repeated_cells = None
        size_bytes = sum(len(each.raw) for each in self._unassigned)
        if len(self._unassigned) > _UNASSIGNED_ROWS_LIMIT or size_bytes > self._limit_bytes:
            yield from self._release_unassigned()

    def _release_unassigned(self) -> Iterator[Decoded]:
        """Yield a separate fault for each unassigned row."""
        for row in self._unassigned:
            if row.fault is not None:
                original = (self._header.line + row.raw)[: self._limit_bytes]
                yield Unreadable([row.fault], original, f"line {row.number}")
        self._unassigned = []
