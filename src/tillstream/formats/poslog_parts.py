"""The parts of POSLog transactions that come again: a head, kinds of line items, and a tail, each with texts that differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from tillstream.formats.canonical import encode
from tillstream.formats.poslog_reckoning import Item, Rest
from tillstream.formats.poslog_sale import Sale
from tillstream.formats.poslog_totals import ZERO
from tillstream.formats.xml_forms import AMOUNT, TEXT, Filling, Sample, Slot

# What is read of these says how to read others, so a form holds for one such text only.
_DECISIVE = re.compile(
    r"<(?:[^<>:\s]*:)?(?:(?:RewardCategory|TaxIncludedInPriceFlag|TenderID)[^<>]*|[^<>]*\bUnits=[^<>]*)>$"
)
_MEASURED = re.compile(r"<[^<>]*\bUnits=\s*[\"']([^\"']*)[\"'][^<>]*>(?!\1<)")
_NAMING = re.compile(r"(?:ID|Number)(?:\s[^<>]*)?>$")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:(\.)(\d{1,9}))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZERO = re.compile(r"-?[0.]+", re.ASCII)
_NUMBER = re.compile(AMOUNT, re.ASCII)

_POSITIVE = r"(?![0.]+<)(?!0[0-9])[0-9]{1,13}+(?:\.[0-9]{1,6})?"


Texts = tuple[bytes, ...]

Term = tuple[int, int]
"""Which of the texts an amount is (-1: it is zero), and its sign."""

_NOTHING: Term = (-1, 1)


class Reading(Protocol):
    """What a transaction says; `timed`: its date and its business day are as local ones are."""

    @property
    def header(self) -> Mapping[str, str]: ...
    @property
    def day(self) -> str: ...
    @property
    def sale(self) -> Sale: ...
    @property
    def timed(self) -> bool: ...


def divide(before: str, text: str) -> Sequence[str | tuple[str, str]]:
    """Which parts of a text may differ from record to record. A number's sign and its being zero decide too much."""
    if _DECISIVE.search(before) or (_ZERO.fullmatch(text) and not _NAMING.search(before)):
        return [text]
    if moment := _MOMENT.fullmatch(text):
        parts: list[str | tuple[str, str]] = [(moment[1], "date"), "T", (moment[2], "time")]
        return [*parts, moment[3], (moment[4], "digits")] if moment[3] else parts
    if _DATE.fullmatch(text):
        return [(text, "date")]
    if text.startswith("-") and _NUMBER.fullmatch(text):
        return ["-", (text[1:], "text")]
    return [(text, "text")]


class Unfit(Exception):
    """The part is none that a form can be made of."""


Match = Callable[[bytes], "re.Match[bytes] | None"]


class Kind(NamedTuple):
    """A kind of line items: what becomes an `Item` of the texts."""

    match: Match
    line: Filling | None
    amount: Term
    line_tax: Term
    taxes: list[Term]
    settlements: Filling | None
    rates: list[Filling]
    included: bool
    rest: Rest | None
    """What all of them are alike in, where that is anything."""

    def item(self, texts: Texts) -> Item:
        settlements = b"" if self.settlements is None else self.settlements.fill(texts)
        rest = self.rest and self.rest._replace(
            line_tax=minor(self.line_tax, texts),
            taxes=[minor(term, texts) for term in self.taxes],
            rates=[rate.fill(texts)[1:-1] for rate in self.rates],
        )
        if self.line is None:
            return Item(settlements=settlements, included=self.included, rest=rest)
        amount = told(self.amount, texts)
        whole = int(amount.replace(b".", b"")) if amount else 0
        return Item(self.line.fill(texts), amount, whole, settlements, self.included, rest)


class StreamConsumer(NamedTuple):
    """What stands behind the items, and what it comes to with the head; `day` is the place of the business day.

    `untaxed` is the total's tax where it is zero.
    """

    match: Match
    header: Filling
    day: int | None
    gross: Term
    tax: Term | None
    untaxed: bytes


def minor(term: Term, texts: Texts) -> int:
    """The amount in minor units; its text has just the currency's decimals."""
    place, sign = term
    return sign * int(texts[place].replace(b".", b"")) if place >= 0 else 0


def told(term: Term, texts: Texts) -> bytes:
    """The amount as it came; empty for one that is zero."""
    place, sign = term
    if place < 0:
        return b""
    return texts[place] if sign > 0 else b"-" + texts[place]


class Learner:
    """Makes parts of marked samples. `read` reads a transaction: what stands before it, and its text."""

    def __init__(self, read: Callable[[str, str], Reading | None], digits: int) -> None:
        self._read = read
        self._digits = digits
        self._exact = rf"{_POSITIVE}(?<=\.[0-9]{{{digits}}})" if digits else r"[1-9][0-9]{0,12}+"

    def tail(self, head: Sample, sample: Sample) -> StreamConsumer:
        """Raises `Unfit`, as the others do."""
        read = self._sold(head, sample)
        totals, slots = read.sale.totals, [*head.slots, *sample.slots]
        if not totals.gross or not read.header or read.sale.lines:
            raise Unfit
        marked = _Marked(slots, self._digits)
        gross, tax = marked.term(totals.gross), None if totals.tax is None else marked.term(totals.tax)
        header = Filling(encode(read.header)[:-1], marked.marks)
        places = {mark: place for place, mark in enumerate(marked.marks)}
        if read.day and read.day not in places:
            raise Unfit
        patterns = marked.patterns([header], self._exact)[len(head.slots) :]
        untaxed = str(totals.tax).encode() if tax else b""
        return StreamConsumer(sample.pattern(patterns).fullmatch, header, places.get(read.day), gross, tax, untaxed)

    def kind(self, head: Sample, sample: Sample, tail: Sample) -> Kind:
        sale = self._sold(head, sample, tail).sale
        marked = _Marked(sample.slots, self._digits)
        line = next(iter(sale.lines), None)
        if len(sale.lines) > 1 or (line and line.reduction) or _MEASURED.search("".join(sample.fixed)):
            raise Unfit
        marked.check(
            value for told in [*(line.told for line in sale.lines), *sale.settlements] for value in told.values()
        )
        taxes = [marked.term(tax.amount) for tax in sale.taxes]
        percents = [tax.percent + ZERO for tax in sale.taxes if tax.percent is not None]
        marked.check(percents)
        written, settled = None, None
        if line:
            written = Filling(encode({**line.told, "creditAmount": ZERO})[:-2], marked.marks)
        if sale.settlements:
            settled = Filling(encode(sale.settlements)[1:-1], marked.marks)
        rates = [Filling(encode({"taxPercentage": percent}), marked.marks) for percent in percents]
        amount = marked.term(line.amount, exactly=True) if line else _NOTHING
        line_tax = marked.term(line.tax) if line else _NOTHING
        untaxed = [tax.amount for tax in sale.taxes if not tax.amount] if taxes else [line.tax if line else ZERO]
        rest = Rest(
            untaxed=sum(untaxed, ZERO),
            taxable=not line or line.taxable,
            itemised=bool(line and line.itemised),
            rated=bool(line and "taxPercentage" in line.told),
            based=any(tax.percent is not None and tax.base is not None for tax in sale.taxes),
        )
        alike = None if rest == Rest() and str(rest.untaxed) == "0" and not taxes and line_tax == _NOTHING else rest
        patterns = marked.patterns([each for each in (written, settled, *rates) if each], self._exact)
        match = sample.pattern(patterns).fullmatch
        return Kind(match, written, amount, line_tax, taxes, settled, rates, sale.totals.included, alike)

    def _sold(self, *parts: Sample) -> Reading:
        """What a transaction of marked parts says. Raises `Unfit`."""
        read = self._read(parts[0].before, "".join([part.marked for part in parts]))
        if read is None or not read.timed:
            raise Unfit
        return read


class _Marked:
    """The slots of a part: which of them amounts are, and which are reckoned with."""

    def __init__(self, slots: Sequence[Slot], digits: int) -> None:
        self.marks = [slot.mark for slot in slots]
        self._slots = slots
        self._digits = digits
        self._places = {Decimal(slot.mark): place for place, slot in enumerate(slots) if not slot.pattern}
        self._money: set[int] = set()

    def check(self, values: Iterable[Any]) -> None:
        """Raises `Unfit` where an amount is none that came, but one that was made of several."""
        for value in values:
            if isinstance(value, Decimal) and value and abs(value) not in self._places:
                raise Unfit

    def term(self, amount: Decimal, *, exactly: bool = False) -> Term:
        """The amount as one of the texts. Raises `Unfit`, also where a zero has more decimals than the currency
        (or others, if that matters)."""
        self.check([amount])
        if amount:
            place = self._places[abs(amount)]
            self._money.add(place)
            return place, -1 if amount < 0 else 1
        written = -int(amount.as_tuple().exponent)
        if written > self._digits or (exactly and written != self._digits):
            raise Unfit
        return -1, 1

    def patterns(self, fillings: Sequence[Filling], exact: str) -> list[str]:
        """What may stand in each slot."""
        bare = {place for filling in fillings for place in filling.bare}
        used = {place for filling in fillings for place in filling.order}
        found = []
        for place, slot in enumerate(self._slots):
            number = place in bare or (place not in used and _NUMBER.fullmatch(slot.text))
            found.append(exact if place in self._money else slot.pattern or (_POSITIVE if number else TEXT))
        return found
