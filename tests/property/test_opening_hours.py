"""Whatever hours a shop has, what is written of them is read as they were; whatever is typed, it is read or refused."""

from __future__ import annotations

from datetime import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tillstream.stores.csv_file import TEXT_LENGTH, WrongList, read, write
from tillstream.stores.model import Opening, Store, StoreList
from tillstream.stores.opening_hours import MIDNIGHT, HoursError, parse, written

DAY_MINUTES = 24 * 60


def at(minute: int) -> time:
    return MIDNIGHT if minute == DAY_MINUTES else time(*divmod(minute, 60))


@st.composite
def weeks(draw: st.DrawFn) -> tuple[Opening, ...]:
    """Any week: spans of whole minutes in order, which may touch; equal days are frequent."""
    edges = st.lists(st.integers(0, DAY_MINUTES), min_size=0, max_size=4, unique=True).map(sorted)
    kinds = draw(st.lists(edges, min_size=1, max_size=3))
    openings = []
    for weekday in range(7):
        minutes = draw(st.sampled_from(kinds))
        gaps = draw(st.sampled_from((1, 2)))
        spans = list(pairwise(minutes))[::gaps]
        openings += [Opening(weekday, at(opens), at(closes)) for opens, closes in spans]
    return tuple(openings)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20)


@st.composite
def shops(draw: st.DrawFn) -> Store:
    hours = draw(weeks().filter(lambda week: len(written(week)) <= TEXT_LENGTH))
    zone, tills = draw(st.sampled_from(("", "Indian/Reunion"))), draw(st.integers(0, 999))
    name, city, region = draw(texts), draw(texts), draw(texts)
    return Store(draw(texts.filter(bool)), name, city, region, zone, tills, hours)


@given(weeks())
def test_what_is_written_of_hours_is_read_as_they_were(week: tuple[Opening, ...]) -> None:
    assert parse(written(week)) == week


@given(st.lists(shops(), min_size=1, max_size=5, unique_by=lambda shop: shop.id))
def test_what_is_written_of_a_list_is_read_as_it_was(listed: list[Store]) -> None:
    given_list = StoreList({shop.id: shop for shop in listed})
    assert read(write(given_list).encode()).by_id == given_list.by_id


@given(st.text(alphabet="MoTuSa0123456789:;,-– ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        week = parse(text)
    except HoursError:
        return
    assert parse(written(week)) == week


@given(st.binary(max_size=200) | st.text(alphabet='id,;nameours"\r\n 12', max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    try:
        found: object = read(data).by_id
    except WrongList as error:
        found = error.faults
    assert found
