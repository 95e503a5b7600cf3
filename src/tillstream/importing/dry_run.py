"""A dry run: a file is decoded and validated here, and nothing is sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.config.settings import Settings
from tillstream.formats.base import Record, Skip
from tillstream.importing.batches import place
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.outcome import Outcome
from tillstream.importing.source_file import CannotRead, SourceFile
from tillstream.importing.transfer import Show
from tillstream.receipt.amounts import minor_unit, round_amount
from tillstream.receipt.validation import ReceiptError, Validator

SHOW_EVERY = 1_000


class _DocumentTotal(Struct):
    grossTotal: msgspec.Raw  # noqa: N815 - the seed's own name


class _Totalled(Struct):
    documentTotal: _DocumentTotal  # noqa: N815


class DryRun:
    """Decodes and validates as ingest would."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._validator = Validator(settings)
        self._read = msgspec.json.Decoder(_Totalled).decode
        self._unit = minor_unit(settings.currency)

    @contextmanager
    def of(self, opened: SourceFile, show: Show) -> Iterator[tuple[Outcome, Checkpoint]]:
        """The outcome, with the sum of the receipts' gross totals, and the ledger with its refusals.

        Raises `CannotRead` where the file cannot be read to its end.
        """
        outcome = Outcome(file=opened.name, format=opened.decoder.title)
        with (
            tempfile.TemporaryDirectory(prefix="tillstream-") as gone,
            closing(Checkpoint(Path(gone), "trial")) as ledger,
        ):
            try:
                total = self._go_through(opened, ledger, show)
            except OSError as error:
                raise CannotRead("read", opened.name, error.strerror or error, "mend that, and try again") from error
            ledger.counts.finished = True
            outcome.enter(ledger.counts)
            outcome.total = f"{total} {self._settings.currency}"
            yield outcome, ledger

    def _go_through(self, opened: SourceFile, ledger: Checkpoint, show: Show) -> Decimal:
        total = 0 * self._unit
        source = f"{opened.decoder.name}/import"
        for index, item in enumerate(opened.items()):
            if index % SHOW_EVERY == 0:
                show(ledger, opened.position)
            if isinstance(item, Skip):
                ledger.add(index + 1, 0, 0, {item.kind: 1}, ())
                continue
            try:
                if not isinstance(item, Record):
                    raise ReceiptError(item.faults, parseable=False)
                self._validator.check(item.body, self._clock.now_us(), source, item.day)
                total += self._gross(item.body)
                ledger.add(index + 1, 1, 0, {}, ())
            except ReceiptError as error:
                where = "" if isinstance(item, Record) else item.where
                refusal = Refusal(index, where or place(index), [fault.as_dict() for fault in error.faults])
                ledger.add(index + 1, 0, 1, {}, [refusal])
        return total

    def _gross(self, body: bytes) -> Decimal:
        """The gross total as the engine rounds it: noise away, then to the minor unit."""
        written = bytes(self._read(body).documentTotal.grossTotal)
        try:
            amount = Decimal(written.decode())
        except InvalidOperation:
            amount = Decimal(msgspec.json.decode(written, type=str).strip())
        return round_amount(amount, self._unit)
