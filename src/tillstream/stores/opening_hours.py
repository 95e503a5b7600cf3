"""Opening hours as people write them: `Mo-Sa 07:00-19:30; Su 07:00-13:00`, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import time
from itertools import pairwise

from tillstream.errors import TillstreamError
from tillstream.stores.model import Opening

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MIDNIGHT = time.max
"""What `24:00` is read as: a shop that closes then is open until the day's last moment."""

HINT = "write 07:00-19:30, or 07:00-13:00 16:00-19:30, or Mo-Sa 07:00-19:30; Su 07:00-13:00"

_FRENCH = ("Lu", "Ma", "Me", "Je", "Ve", "Sa", "Di")
_NUMBERS = {name.casefold(): day for names in (WEEKDAYS, _FRENCH) for day, name in enumerate(names)}
_PART = re.compile(r"(?:(?P<days>[a-z][a-z,-]*) )?(?P<spans>[^a-z]*)", re.ASCII | re.IGNORECASE)
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", re.ASCII)


class HoursError(TillstreamError):
    """The text is no opening hours; the message says which part of it is wrong."""


def parse(text: str) -> tuple[Opening, ...]:
    """The spans of a week, by weekday and time; none where the text is empty. Raises `HoursError`.

    Parts are parted by `;`, spans by a space or a comma. A part without weekdays is for all seven.
    """
    week: dict[int, tuple[Opening, ...]] = {}
    for part in filter(None, (_tidy(each) for each in text.split(";"))):
        found = _PART.fullmatch(part)
        if found is None or not found["spans"].strip():
            raise HoursError(f"{part!r} is no opening hours")
        spans = sorted(_span(each) for each in found["spans"].replace(",", " ").split())
        for (opens, closes), (next_opens, _) in pairwise(spans):
            if next_opens < closes:
                raise HoursError(f"a span begins before that from {opens:%H:%M} ends")
        for day in _days(found["days"]) if found["days"] else range(7):
            if day in week:
                raise HoursError(f"{WEEKDAYS[day]} is given twice")
            week[day] = tuple(Opening(day, *span) for span in spans)
    return tuple(opening for day in sorted(week) for opening in week[day])


def written(openings: Sequence[Opening]) -> str:
    """The openings as `parse` reads them, days of equal hours together. They are of whole minutes."""
    week: dict[int, str] = {}
    for each in sorted(openings, key=lambda opening: (opening.weekday, opening.opens)):
        span = f"{each.opens:%H:%M}-{'24:00' if each.closes == MIDNIGHT else format(each.closes, '%H:%M')}"
        week[each.weekday] = f"{week[each.weekday]} {span}" if each.weekday in week else span
    days: dict[str, list[int]] = {}
    for day, spans in week.items():
        days.setdefault(spans, []).append(day)
    return "; ".join(spans if len(same) == 7 else f"{_named(same)} {spans}" for spans, same in days.items())


def _tidy(part: str) -> str:
    """One space between words, and none around a dash or a comma."""
    return re.sub(r" ?([,-]) ?", r"\1", " ".join(part.replace("–", "-").split()))


def _span(text: str) -> tuple[time, time]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise HoursError(f"{text!r} is no span of time")
    try:
        opens = time(int(found[1]), int(found[2]))
        closes = MIDNIGHT if (found[3], found[4]) == ("24", "00") else time(int(found[3]), int(found[4]))
    except ValueError:
        raise HoursError(f"{text!r} has a time that no clock shows") from None
    if closes <= opens:
        raise HoursError(f"{text!r} ends before it begins; hours past midnight are two spans, 18:00-24:00 one of them")
    return opens, closes


def _days(text: str) -> list[int]:
    """Numbers of the weekdays in `Mo-Fr,Su`; a range may run over the end of the week."""
    days: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers = [_NUMBERS.get(name.casefold()) for name in (first, last if dash else first)]
        if numbers[0] is None or numbers[1] is None:
            raise HoursError(f"{part!r} is no weekday: there are {', '.join(WEEKDAYS)}")
        days += [(numbers[0] + step) % 7 for step in range((numbers[1] - numbers[0]) % 7 + 1)]
    return days


def _named(days: Iterable[int]) -> str:
    """Weekdays in order as `parse` reads them, neighbours as a range."""
    ranges: list[list[int]] = []
    for day in days:
        if ranges and ranges[-1][-1] == day - 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ",".join(
        WEEKDAYS[each[0]] if len(each) == 1 else f"{WEEKDAYS[each[0]]}-{WEEKDAYS[each[-1]]}" for each in ranges
    )
