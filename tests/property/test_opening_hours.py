"""Formatted opening hours and CSV files parse back equal; any other input is parsed or refused."""

from __future__ import annotations

from datetime import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tillstream.stores.csv_file import TEXT_LENGTH, InvalidStoreList, read, write
from tillstream.stores.model import MIDNIGHT, HoursError, Opening, Store, StoreList, format_hours, parse_hours

DAY_MINUTES = 24 * 60


def at(minute: int) -> time:
    return MIDNIGHT if minute == DAY_MINUTES else time(*divmod(minute, 60))


@st.composite
def weeks(draw: st.DrawFn) -> tuple[Opening, ...]:
    """Any week of ordered spans of whole minutes. Spans may touch, and equal days are frequent."""
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
def stores(draw: st.DrawFn) -> Store:
    hours = draw(weeks().filter(lambda week: len(format_hours(week)) <= TEXT_LENGTH))
    zone, tills = draw(st.sampled_from(("", "Indian/Reunion"))), draw(st.integers(0, 999))
    name, city, region = draw(texts), draw(texts), draw(texts)
    return Store(draw(texts.filter(bool)), name, city, region, zone, tills, hours)


@given(weeks())
def test_formatted_hours_parse_back_equal(week: tuple[Opening, ...]) -> None:
    assert parse_hours(format_hours(week)) == week


@given(st.lists(stores(), min_size=1, max_size=5, unique_by=lambda store: store.id))
def test_a_written_list_reads_back_equal(stores: list[Store]) -> None:
    store_list = StoreList({store.id: store for store in stores})
    assert read(write(store_list).encode()).by_id == store_list.by_id


@given(st.text(alphabet="MoTuSa0123456789:;,-– ", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        week = parse_hours(text)
    except HoursError:
        return
    assert parse_hours(format_hours(week)) == week


@given(st.binary(max_size=200) | st.text(alphabet='id,;nameours"\r\n 12', max_size=200).map(str.encode))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    try:
        result: object = read(data).by_id
    except InvalidStoreList as error:
        result = error.faults
    assert result
