"""Opening hours as text, such as `Mo-Sa 07:00-19:30; Su 07:00-13:00`: parsing and formatting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import time
from itertools import pairwise

from tillstream.errors import TillstreamError
from tillstream.stores.model import Opening

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MIDNIGHT = time.max
"""The time for `24:00`. A store that closes at `24:00` is open until the last moment of the day."""

HINT = "write 07:00-19:30, or 07:00-13:00 16:00-19:30, or Mo-Sa 07:00-19:30; Su 07:00-13:00"

_FRENCH = ("Lu", "Ma", "Me", "Je", "Ve", "Sa", "Di")
_NUMBERS = {name.casefold(): day for names in (WEEKDAYS, _FRENCH) for day, name in enumerate(names)}
_PART = re.compile(r"(?:(?P<days>[a-z][a-z,-]*) )?(?P<spans>[^a-z]*)", re.ASCII | re.IGNORECASE)
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})", re.ASCII)


class HoursError(TillstreamError):
    """The text is not valid opening hours; the message names the wrong part."""


def parse(text: str) -> tuple[Opening, ...]:
    """The spans of a week, ordered by weekday and time; an empty text gives none. Raises `HoursError`.

    A semicolon separates parts; a space or a comma separates the spans of a part. A part without
    weekdays applies to all seven.
    """
    week: dict[int, tuple[Opening, ...]] = {}
    for part in filter(None, (_normalize(each) for each in text.split(";"))):
        match = _PART.fullmatch(part)
        if match is None or not match["spans"].strip():
            raise HoursError(f"{part!r} is not opening hours")
        spans = sorted(_span(each) for each in match["spans"].replace(",", " ").split())
        for (opens, closes), (next_opens, _) in pairwise(spans):
            if next_opens < closes:
                raise HoursError(f"the span from {opens:%H:%M} overlaps the next one")
        for day in _days(match["days"]) if match["days"] else range(7):
            if day in week:
                raise HoursError(f"{WEEKDAYS[day]} occurs twice")
            week[day] = tuple(Opening(day, *span) for span in spans)
    return tuple(opening for day in sorted(week) for opening in week[day])


def format_week(openings: Sequence[Opening]) -> str:
    """Format the openings for `parse`; days with equal hours share a part. Times are whole minutes."""
    week: dict[int, str] = {}
    for each in sorted(openings, key=lambda opening: (opening.weekday, opening.opens)):
        span = f"{each.opens:%H:%M}-{'24:00' if each.closes == MIDNIGHT else format(each.closes, '%H:%M')}"
        week[each.weekday] = f"{week[each.weekday]} {span}" if each.weekday in week else span
    days: dict[str, list[int]] = {}
    for day, spans in week.items():
        days.setdefault(spans, []).append(day)
    return "; ".join(spans if len(same) == 7 else f"{_format_days(same)} {spans}" for spans, same in days.items())


def _normalize(part: str) -> str:
    """Put one space between words and none around a dash or a comma."""
    return re.sub(r" ?([,-]) ?", r"\1", " ".join(part.replace("–", "-").split()))


def _span(text: str) -> tuple[time, time]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise HoursError(f"{text!r} is not a span of time")
    try:
        opens = time(int(match[1]), int(match[2]))
        closes = MIDNIGHT if (match[3], match[4]) == ("24", "00") else time(int(match[3]), int(match[4]))
    except ValueError:
        raise HoursError(f"{text!r} contains an invalid time") from None
    if closes <= opens:
        raise HoursError(f"{text!r} ends before it begins; split hours past midnight: Fr 18:00-24:00; Sa 00:00-02:00")
    return opens, closes


def _days(text: str) -> list[int]:
    """Numbers of the weekdays in a text such as `Mo-Fr,Su`. A range may wrap around: `Sa-Mo`."""
    days: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers = [_NUMBERS.get(name.casefold()) for name in (first, last if dash else first)]
        if numbers[0] is None or numbers[1] is None:
            raise HoursError(f"{part!r} is not a weekday; weekdays are {', '.join(WEEKDAYS)}")
        days += [(numbers[0] + step) % 7 for step in range((numbers[1] - numbers[0]) % 7 + 1)]
    return days


def _format_days(days: Iterable[int]) -> str:
    """Format ordered weekdays for `parse`; consecutive days become a range."""
    ranges: list[list[int]] = []
    for day in days:
        if ranges and ranges[-1][-1] == day - 1:
            ranges[-1].append(day)
        else:
            ranges.append([day])
    return ",".join(
        WEEKDAYS[each[0]] if len(each) == 1 else f"{WEEKDAYS[each[0]]}-{WEEKDAYS[each[-1]]}" for each in ranges
    )
