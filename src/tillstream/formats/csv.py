"""CSV: a row for each line of a receipt, with the receipt's own fields repeated in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import BinaryIO

from tillstream.formats import table
from tillstream.formats.base import Decoded, Decoder, Record, Unreadable, text_of
from tillstream.formats.canonical import amount
from tillstream.formats.fields import NEEDED, amount_json, body, short, text_json
from tillstream.formats.rows import Row, Rows
from tillstream.formats.table import NoTable, Table
from tillstream.receipt.model import PERSONAL, Fault
from tillstream.receipt.validation import ITEMS_LIMIT

ROWS_LIMIT = 2 * ITEMS_LIMIT
"""Rows of one receipt: so many hold all the lines and payments that it may have."""

_EXPANSION = 8
_FAULTS_KEPT = 20
_DOUBTFUL_LIMIT = 100


class CsvDecoder(Decoder):
    """A header and rows."""

    name = "csv"
    title = "CSV"
    help = (
        "A table in UTF-8 whose first line names the columns, parted by `,`, `;` or tabs. A row is one line of a "
        "receipt and repeats the receipt's own fields; rows that follow each other with the same `storeID`, "
        "`terminalID`, `cashReceiptID` and `date` are one receipt. Columns of the receipt have the names of the JSON "
        "(`cashReceiptID`, `date`, …), its totals are `documentTotal.grossTotal` or just `grossTotal`, its lines "
        "`lines.productCode` and so on, its payments `settlements.paymentMechanism` and "
        "`settlements.settlementAmount`: in whatever rows these are filled, each is one payment. Needed are "
        f"{', '.join(f'`{name}`' for name in NEEDED)}; an empty cell says nothing, and a column of any other name is "
        'kept as a text. Decimals have a point or, where the delimiter is no comma, a comma as well; a `"1,50"` '
        'between commas is one and a half, a `"1,500"` could be either and is refused. Blanks around a cell mean '
        "nothing but in quotes. A receipt with a row that cannot be read is refused whole, and no other."
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
        first = text_of(head).partition("\n")[0]
        return {name.lower() for name in table.split(first)[1]} >= {"cashreceiptid", "storeid"}

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit_bytes = self.settings.receipt_limit_bytes
        rows = Rows(source, limit_bytes)
        found = rows.header()
        if found is None:
            return
        number, line = found
        try:
            columns = table.read(line)
        except NoTable as error:
            head = line.original if isinstance(line, Unreadable) else line
            yield Unreadable(error.faults, _with_more(head, source, limit_bytes), f"line {number}")
            return
        yield from _Receipts(columns, limit_bytes).made(rows.below(columns.delimiter, columns.width))


def _with_more(head: bytes, source: BinaryIO, limit_bytes: int) -> bytes:
    """What began with these bytes, up to the limit."""
    came = [head]
    left = limit_bytes - len(head)
    while left > 0 and (more := source.read(left)):
        came.append(more)
        left -= len(more)
    return b"".join(came)[:limit_bytes]


class _Group:
    """The rows of one receipt, as they come."""

    __slots__ = (
        "_limit_bytes", "_lines", "_most_rows", "_rows", "_settlements", "_size_bytes", "_table", "_wrong", "even", "key"
    )  # fmt: skip

    def __init__(self, table: Table, key: Sequence[str], limit_bytes: int) -> None:
        self.key = key
        # Whether all of its rows repeat the receipt's own fields in the same letters.
        self.even = True
        self._wrong = False
        self._rows: list[Row] = []
        self._lines: list[str] = []
        self._settlements: list[str] = []
        self._size_bytes = 0
        self._table = table
        self._limit_bytes = limit_bytes
        # In JSON each row names its columns.
        self._most_rows = min(ROWS_LIMIT, _EXPANSION * limit_bytes // len(table.header))

    def add(self, row: Row, line: str = "", settlement: str = "") -> None:
        """Take a row in, with its members; nothing more is held of a receipt that has grown over the limit."""
        if self._size_bytes <= self._limit_bytes and len(self._rows) <= self._most_rows:
            self._rows.append(row)
            self._size_bytes += len(row[1])
            if line:
                self._lines.append(line)
            if settlement:
                self._settlements.append(settlement)

    def add_wrong(self, row: Row) -> None:
        self._wrong = True
        self.add(row)

    def done(self) -> Decoded:
        """The receipt, or why it is none."""
        rows, table = self._rows, self._table
        original = table.header + b"".join([row[1] for row in rows])
        faults = self._faults()
        if faults:
            told = [fault for _, fault in faults[:_FAULTS_KEPT]]
            return Unreadable(told, original[: self._limit_bytes], f"line {faults[0][0]}")
        first = rows[0][2]
        made = body(table.receipt.members(first), table.total.members(first), self._lines, self._settlements)
        return Record(made, original)

    def _faults(self) -> list[tuple[int, Fault]]:
        rows, limit_bytes = self._rows, self._limit_bytes
        faults: list[tuple[int, Fault]] = []
        if self._wrong:
            faults = [(row[0], row[3]) for row in rows if row[3] is not None]
        elif not self.even:
            faults = list(islice(self._contradictions(), _FAULTS_KEPT))
        if self._size_bytes > limit_bytes or len(rows) > self._most_rows:
            error = f"up to line {rows[-1][0]} the receipt takes more than {limit_bytes} bytes or {ROWS_LIMIT} rows"
            faults.append((rows[-1][0], Fault("$", error, "the setting is receipt_limit_bytes")))
        return faults

    def _contradictions(self) -> Iterator[tuple[int, Fault]]:
        """Where a row does not repeat the receipt's own fields; what the first row has not is taken from the others."""
        first = self._rows[0][2]
        for number, _, cells, _ in self._rows:
            for field, at in zip(self._table.repeated.fields, self._table.repeated.at, strict=True):
                cell, had = cells[at], first[at]
                if cell == had or not cell:
                    continue
                if not had:
                    first[at] = cell
                elif field.known and not (field.amount and _same(cell, had)):
                    says, said = (text_json(short(each)) for each in (cell, had))
                    error = f"line {number} says {says}, and a line before it {said}"
                    if field.name in PERSONAL:
                        error = f"line {number} says another one than a line before it"
                    yield number, Fault(f"$.{field.path}", error, "every row of a receipt repeats it")


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same amount: `5.0` and `5,00`."""
    first, second = amount(amount_json(one)), amount(amount_json(other))
    return isinstance(first, Decimal) and first == second


class _Receipts:
    """Makes receipts of rows that follow each other with one key.

    A wrong row is held in doubt until the next good one: between two rows of a receipt it is one of that receipt's,
    and so it is beside one whose key it has.
    """

    def __init__(self, table: Table, limit_bytes: int) -> None:
        self._table = table
        self._limit_bytes = limit_bytes
        self._group: _Group | None = None
        self._repeated: Sequence[str] | None = None
        self._doubtful: list[Row] = []
        self._doubtful_bytes = 0

    def made(self, blocks: Iterator[list[Row]]) -> Iterator[Decoded]:
        """All of them in order."""
        for block in blocks:
            if block[0][3] is not None:
                yield from self._wrong(block[0])
                continue
            columns = list(zip(*[row[2] for row in block], strict=True))
            lines, settlements = self._table.lines.every(columns), self._table.settlements.every(columns)
            repeated = zip(*[columns[at] for at in self._table.repeated.at], strict=True)
            for row, line, settlement, cells in zip(block, lines, settlements, repeated, strict=True):
                if cells == self._repeated and self._group is not None:
                    self._group.add(row, line, settlement)
                else:
                    yield from self._good(row, cells, line, settlement)
        yield from self._close()
        yield from self._alone()

    def _key(self, cells: list[str]) -> Sequence[str]:
        """Empty where the row is too short to tell."""
        key = self._table.key
        return key.cells(cells) if max(key.at) < len(cells) else ()

    def _good(self, row: Row, repeated: Sequence[str], line: str, settlement: str) -> Iterator[Decoded]:
        number, raw, cells, _ = row
        key = self._table.key.cells(cells)
        if not any(key):
            if any(cells):
                error = f"line {number} does not say whose receipt it is"
                fault = Fault("$", error, "every row repeats its receipt's fields")
                yield from self._wrong((number, raw, cells, fault))
            return
        own: list[Row] = []
        if self._group is None or key != self._group.key:
            if self._group is not None:
                yield self._group.done()
            if self._doubtful:
                own = [each for each in self._doubtful if self._key(each[2]) == key]
                self._doubtful = [each for each in self._doubtful if self._key(each[2]) != key]
                yield from self._alone()
            self._group = _Group(self._table, key, self._limit_bytes)
        else:
            self._group.even = False
            own, self._doubtful, self._doubtful_bytes = self._doubtful, [], 0
        for each in own:
            self._group.add_wrong(each)
        self._group.add(row, line, settlement)
        self._repeated = repeated

    def _wrong(self, row: Row) -> Iterator[Decoded]:
        """One that fills a line or a payment and says nothing of whose it is was meant for the receipt above."""
        cells = row[2]
        key = self._key(cells)
        nobodys = len(cells) == self._table.width and not any(key)
        mine = nobodys and (self._table.lines.members(cells) or self._table.settlements.members(cells))
        if self._group is not None and (key == self._group.key or mine):
            self._group.add_wrong(row)
            return
        self._doubtful.append(row)
        self._doubtful_bytes += len(row[1])
        self._repeated = None
        if len(self._doubtful) > _DOUBTFUL_LIMIT or self._doubtful_bytes > self._limit_bytes:
            yield from self._alone()

    def _close(self) -> Iterator[Decoded]:
        if self._group is not None:
            yield self._group.done()
            self._group = None

    def _alone(self) -> Iterator[Decoded]:
        """The rows in doubt, each for itself."""
        for number, raw, _, fault in self._doubtful:
            if fault is not None:
                yield Unreadable([fault], (self._table.header + raw)[: self._limit_bytes], f"line {number}")
        self._doubtful, self._doubtful_bytes = [], 0
