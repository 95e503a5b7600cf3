"""A form is made of a layout that comes again, and used for nothing but that."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tillstream.formats import xml_forms
from tillstream.formats.xml_forms import AMOUNT, TEXT, Filling, Finish, Forms, Sample


def learn(sample: Sample) -> tuple[Sequence[str], Finish[bytes]] | None:
    """Of `<a>1</a><b>2</b>`: what stands in it, backwards."""
    body = "/".join(reversed(sample.marks)).encode()
    return [TEXT] * len(sample.slots), Filling(body, sample.marks).fill


def backwards(record: str) -> bytes:
    return "/".join(reversed(re.findall(r">([^<]+)<", record))).encode()


def noted(forms: Forms[bytes], record: str, times: int = 2) -> Forms[bytes]:
    for _ in range(times):
        forms.note("", record, backwards(record))
    return forms


def test_a_layout_that_comes_again_has_a_form() -> None:
    forms = Forms[bytes](learn)
    assert noted(forms, "<a>1</a><b>2</b>", 1).read("", b"<a>3</a><b>4</b>") is None
    assert noted(forms, "<a>5</a><b>6</b>", 1).read("", b"<a>3</a><b>4</b>") == b"4/3"
    assert forms.read("", "<a>é</a><b>%s</b>".encode()) == "%s/é".encode()


@pytest.mark.parametrize(
    "record",
    [
        b"<a>3</a><b>4</b> ",
        b"<a>3</a><c>4</c>",
        b"<a>3</a><b></b>",
        b"<a> 3</a><b>4</b>",
        b"<a>3 </a><b>4</b>",
        b"<a>3&amp;</a><b>4</b>",
        b'<a>3"</a><b>4</b>',
        b"<a>3\\</a><b>4</b>",
        b"<a>3\n4</a><b>4</b>",
        b"<a>3></a><b>4</b>",
        b"<a>\xff</a><b>4</b>",
        b"<a>\xef\xbf\xbf</a><b>4</b>",
        b"<a>3</a><b>4</b><b>4</b>",
    ],
)
def test_what_differs_in_more_than_its_texts_or_stands_otherwise_in_json_is_parsed(record: bytes) -> None:
    forms = noted(Forms[bytes](learn), "<a>1</a><b>2</b>")
    assert forms.read("", record) is None


def test_the_namespaces_around_a_record_belong_to_its_form() -> None:
    forms = noted(Forms[bytes](learn), "<a>1</a><b>2</b>")
    assert forms.read("", b"<a>3</a><b>4</b>") == b"4/3"
    assert forms.read("<_ xmlns='urn:a'>", b"<a>3</a><b>4</b>") is None


@pytest.mark.parametrize(
    "record", ["<a>1</a>", "<a>1</a><b>&lt;</b>", "<a>1</a><b><!-- --></b><c>2</c>", "<a>" + "1" * 9_000 + "</a>"]
)
def test_no_form_is_made_of_what_it_could_not_hold(record: str) -> None:
    assert not noted(Forms[bytes](learn), record, 5)._known


def test_a_form_that_does_not_make_the_same_is_not_kept() -> None:
    forms = Forms[bytes](learn)
    for _ in range(3):
        forms.note("", "<a>1</a><b>2</b>", b"something else")
    assert not forms._known


def test_forms_are_few_and_made_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Sample] = []

    def counted(sample: Sample) -> tuple[Sequence[str], Finish[bytes]] | None:
        made.append(sample)
        return learn(sample)

    forms = Forms[bytes](counted)
    for number in range(3_000):
        noted(forms, f"<a{number}>1</a{number}><b>2</b>", 2)
    spent = len(made) * xml_forms._COST_RECORDS
    assert xml_forms._CREDIT_RECORDS <= spent <= xml_forms._CREDIT_RECORDS + 6_000
    assert sum(map(len, forms._known.values())) <= xml_forms._FORMS_LIMIT
    assert len(forms._seen) <= xml_forms._SEEN_LIMIT + 1


@pytest.mark.parametrize("number", ["0", "-0.5", "12.345678", "1" * 13])
def test_an_amount_stands_in_json_as_it_stands_in_xml(number: str) -> None:
    assert re.fullmatch(AMOUNT, number)


@pytest.mark.parametrize("number", ["007", "-01", "+1", ".5", "1.", "1e5", "", "1.2345678", "1" * 14, "١"])
def test_a_number_that_is_written_otherwise_is_parsed(number: str) -> None:
    assert not re.fullmatch(AMOUNT.encode(), number.encode())


def test_a_filling_tells_numbers_from_texts() -> None:
    marks = ["811", "822", "833", "844"]
    filling = Filling(b'{"a":811,"b":"822","c":[-833],"d":"x 844, 5 %"}', marks)
    assert filling.bare == {0, 2}
    assert filling.fill([b"1", b"2", b"3", b"4"]) == b'{"a":1,"b":"2","c":[-3],"d":"x 4, 5 %"}'
    assert Filling(b"none", []).fill([b"1"]) == b"none"
