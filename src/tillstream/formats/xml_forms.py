"""Forms: a till writes its records alike, so what came of one is filled in with the texts of the next.

Parsing XML into elements and reading those takes some ten times as long as one expression that knows the layout.
A form is made by reading a record with a mark for each of its texts: where the marks come out, the texts belong.
It is used for what it matches in every sign but those texts, and every other record is read as ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

_Result = TypeVar("_Result")

# Making a form takes as long as reading some fifty records, so only so many are made in so many records.
_COST_RECORDS = 100
_CREDIT_RECORDS = 2_000
_SEEN_TIMES = 2
_SEEN_LIMIT = 1_000
_FORMS_LIMIT = 64
_SLOTS_LIMIT = 400
_TEXT_LIMIT = 8_192

_BETWEEN_TAGS = re.compile(r">([^<>]+)<")
_UNFIT = re.compile(r"&|<!|<\?")

TEXT = r"[^\s<>&\"\\\x00-\x1f][^<>&\"\\\x00-\x1f]*+(?<!\s)"
"""A text that stands in JSON as it stands in XML, without blanks around it."""

AMOUNT = r"-?+(?!0[0-9])[0-9]{1,13}+(?:\.[0-9]{1,6})?"
"""A number that stands in JSON as it stands in XML."""


class Slot(NamedTuple):
    """One text of a record: as it came, what stands for it in the marked record, and what may stand there.

    The pattern is empty where `Learn` is to say it.
    """

    text: str
    mark: str
    pattern: str = ""


Divide = Callable[[str, str], "Sequence[str | tuple[str, str]]"]
"""Takes what stands before a text, and the text; gives its parts: those that must stay as they are, and those that
may differ with their kind (`text`, `date`, `time`, `digits`)."""


class Sample(NamedTuple):
    """A record taken apart: `fixed[0]`, a slot, `fixed[1]`, a slot and so on."""

    before: str
    fixed: list[str]
    slots: list[Slot]

    def filled(self, texts: Sequence[str], fixed: Callable[[str], str] = str) -> str:
        return "".join(map("".join, zip(map(fixed, self.fixed), [*texts, ""], strict=True)))

    @property
    def marked(self) -> str:
        return self.filled([slot.mark for slot in self.slots])

    @property
    def marks(self) -> list[str]:
        return [slot.mark for slot in self.slots]

    def pattern(self, patterns: Sequence[str]) -> re.Pattern[bytes]:
        """What records like it match, with a pattern for each slot."""
        return re.compile(self.filled([f"({each})" for each in patterns], re.escape).encode())


class Filling:
    """A text in which marks stand, some perhaps several times: what to put there instead."""

    def __init__(self, body: bytes, marks: Sequence[str]) -> None:
        places = {mark: place for place, mark in enumerate(marks)}
        text = body.decode()
        pieces = re.split("(" + "|".join(map(re.escape, marks)) + ")", text) if marks else [text]
        self.order = [places[mark] for mark in pieces[1::2]]
        self.bare = {
            place
            for place, before, behind in zip(self.order, pieces[0::2], pieces[2::2], strict=False)
            if re.search(r"[:,\[]-?$", before) and behind[:1] in (",", "}", "]")
        }
        """Those that stand as numbers."""
        fixed = [piece.encode().replace(b"%", b"%%") for piece in pieces[0::2]]
        self._template = b"%b".join(fixed)
        self._choose = _chooser(self.order)

    def fill(self, texts: Sequence[bytes]) -> bytes:
        filled: bytes = self._template % self._choose(texts)
        return filled


def _chooser(order: Sequence[int]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    if len(order) > 1:
        return itemgetter(*order)
    return lambda texts: tuple([texts[place] for place in order])


Finish = Callable[[tuple[bytes, ...]], "_Result | None"]
Learn = Callable[[Sample], "tuple[Sequence[str], Finish[_Result]] | None"]


class _Form(NamedTuple, Generic[_Result]):
    match: Callable[[bytes], re.Match[bytes] | None]
    finish: Finish[_Result]


def whole(before: str, text: str) -> Sequence[str | tuple[str, str]]:  # noqa: ARG001 - as a `Divide`
    return [(text, "text")]


class Forms(Generic[_Result]):
    """The forms of one decoder. `learn` reads a marked record and says what may stand in each slot and how to finish."""

    def __init__(self, learn: Learn[_Result]) -> None:
        self._learn = learn
        self._known: dict[tuple[str, int], list[_Form[_Result]]] = {}
        self._last_before = ""
        self._last = _Form[_Result](re.compile(rb"(?!)").match, lambda _: None)
        self._seen: dict[int, int] = {}
        self._count = 0
        self._credit = _CREDIT_RECORDS

    def read(self, before: str, record: bytes) -> _Result | None:
        """What a form makes of the record, in UTF-8; None where none fits. `before` declares its namespaces."""
        if not is_text(record):
            return None
        if before == self._last_before and (found := self._last.match(record)):
            return self._last.finish(found.groups())
        for form in self._known.get((before, record.count(b"<")), ()):
            if found := form.match(record):
                self._last, self._last_before = form, before
                return form.finish(found.groups())
        return None

    def note(self, before: str, text: str, result: _Result) -> None:
        """A record that was read without a form, and what came of it: make a form, if its kind was seen before."""
        self._credit = min(self._credit + 1, _CREDIT_RECORDS)
        if self._credit < _COST_RECORDS or not is_plain(text):
            return
        sample = take_apart(before, text)
        key = hash((before, *sample.fixed))
        if len(self._seen) > _SEEN_LIMIT:
            self._seen.clear()
        self._seen[key] = times = self._seen.get(key, 0) + 1
        if times != _SEEN_TIMES or not 2 <= len(sample.slots) <= _SLOTS_LIMIT:
            return
        self._credit -= _COST_RECORDS
        learned = self._learn(sample)
        if learned is None:
            return
        patterns, finish = learned
        pattern, record = sample.pattern(patterns), text.encode()
        found = pattern.fullmatch(record)
        if found and finish(found.groups()) == result:
            self._keep((before, record.count(b"<")), _Form(pattern.fullmatch, finish))

    def _keep(self, key: tuple[str, int], form: _Form[_Result]) -> None:
        self._count += 1
        if self._count > _FORMS_LIMIT:
            self._known.clear()
            self._count = 1
        self._known.setdefault(key, []).append(form)


def take_apart(before: str, text: str, divide: Divide = whole, first: int = 0) -> Sample:
    """A record or a part of one; its marks are numbered from `first`."""
    pieces = _BETWEEN_TAGS.split(text)
    fixed, slots = [pieces[0]], list[Slot]()
    for between, behind in zip(pieces[1::2], pieces[2::2], strict=True):
        fixed[-1] += ">"
        for part in [between] if between.isspace() else divide(fixed[-1], between):
            if isinstance(part, str):
                fixed[-1] += part
            else:
                slots.append(_slot(first + len(slots), *part))
                fixed.append("")
        fixed[-1] += "<" + behind
    return Sample(before, fixed, slots)


def is_plain(text: str) -> bool:
    """Whether forms may be made of a record: short, and nothing in it but elements and texts."""
    return len(text) <= _TEXT_LIMIT and not _UNFIT.search(text)


def is_text(record: bytes) -> bool:
    """Whether it is UTF-8 of signs that XML may have."""
    if record.isascii():
        return True
    try:
        record.decode()
    except UnicodeDecodeError:
        return False
    return b"\xef\xbf\xbe" not in record and b"\xef\xbf\xbf" not in record


def _slot(number: int, text: str, kind: str) -> Slot:
    if kind == "date":
        return Slot(text, f"{5_000 + number}-01-01", r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    if kind == "time":
        return Slot(text, f"{number // 60:02}:{number % 60:02}:59", r"[0-9]{2}:[0-9]{2}:[0-9]{2}")
    return Slot(text, f"8{number:04}7391", "[0-9]{1,9}" if kind == "digits" else "")
