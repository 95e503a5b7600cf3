"""Redaction hides personal data in any format, and changes nothing else in text that can be parsed."""

from __future__ import annotations

import json
import time

import pytest

from tillstream.queries.redaction import MASK, redact

QUOTED = f'"{MASK}"'


def test_given_a_receipt_when_redacted_then_only_personal_data_is_hidden() -> None:
    text = '{"cashReceiptID": "1", "agentID" : "Ann",\n "customerID":42, "storeID": "7"}'
    assert redact(text) == f'{{"cashReceiptID": "1", "agentID" : {QUOTED},\n "customerID":{QUOTED}, "storeID": "7"}}'


@pytest.mark.parametrize(
    "value", ['"Ann \\" Bob"', "null", "-1.5e3", '{"name": "Ann", "of": ["Bob"]}', '["Ann", "Bob"]', "true"]
)
def test_given_any_json_value_when_redacted_then_the_whole_value_is_hidden(value: str) -> None:
    masked = redact(f'{{"customerID": {value}, "storeID": "7"}}')
    assert json.loads(masked) == {"customerID": "•••", "storeID": "7"}


def test_given_an_escaped_name_or_other_letter_case_when_redacted_then_the_value_is_hidden() -> None:
    masked = redact('{"customer\\u0049D": "Ann", "AGENTID": "Bob"}')
    assert "Ann" not in masked
    assert "Bob" not in masked


def test_given_the_name_as_a_value_or_inside_a_text_when_redacted_then_nothing_changes() -> None:
    text = '{"a": "customerID", "b": "\\"customerID\\": \\"x\\"", "c": ["agentID"], "d": ": ", "e": "f"}'
    assert redact(text) == text
    assert redact(f"{text}\n{text}\n") == f"{text}\n{text}\n"


@pytest.mark.parametrize("rest", ['"Ann', "{'name': 'Ann'}", "Ann", '["Ann", '])
def test_given_text_truncated_in_a_personal_field_when_redacted_then_the_rest_is_hidden(rest: str) -> None:
    assert redact(f'{{"storeID": "7", "customerID": {rest}') == f'{{"storeID": "7", "customerID": {QUOTED}'


def test_given_deep_nesting_in_a_personal_field_when_redacted_then_the_rest_is_hidden() -> None:
    assert redact('{"agentID": ' + "[" * 100_000) == '{"agentID": ' + QUOTED


@pytest.mark.parametrize(
    "text", ["<receipt/>", "", "no receipt", "storeID;date\n7;x", "a=b&c=d", "\0\ufffd", "[[[", "7"]
)
def test_given_text_without_personal_data_when_redacted_then_it_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("<a><agentID>Ann</agentID><b>7</b></a>", "<a><agentID>•••</agentID><b>7</b></a>"),
        ('<a><n:AgentId x="Ann">A<b>n</b>n</n:AgentId ></a>', '<a><n:AgentId x="•••">•••</n:AgentId ></a>'),
        ("<a><agentID><![CDATA[</agentID]]>Ann</agentID></a>", "<a><agentID>•••</agentID></a>"),
        ("<a><agentID/><agentID></agentID><customerID> </customerID></a>",) * 2,
        ("<a><agentID><agentID>Ann</agentID>Ann</agentID>7</a>", "<a><agentID>•••</agentID>7</a>"),
        ("<a b='7' agentID = 'Ann' n:customerid=\"Bob\"/>", '<a b=\'7\' agentID = "•••" n:customerid="•••"/>'),
        ("<a>agentID: Ann</a>",) * 2,
        ("<a><!-- <agentID>Ann</agentID> --></a>", "<a><!-- <agentID>•••</agentID> --></a>"),
        ("<a><agentID>Ann</a>", "<a><agentID>•••"),
        ("<a><agentID>Ann", "<a><agentID>•••"),
        ("<a><agentID Ann", "<a><agentID Ann"),
        ("<!DOCTYPE a><a agentID='Ann", '<!DOCTYPE a><a agentID="•••"'),
    ],
)
def test_given_xml_when_redacted_then_personal_elements_and_attributes_are_hidden(text: str, masked: str) -> None:
    assert redact(text) == masked


HEADER = "storeID;lines.agentID;date;CustomerID"


@pytest.mark.parametrize(
    ("row", "masked"),
    [
        ("7;Ann;x;Bob", "7;•••;x;•••"),
        (" 7 ; Ann;x;", " 7 ;•••;x;"),
        ('"7;7";"A;""nn\nAnn";"x";"Bob"', '"7;7";•••;"x";•••'),
        ('7" tart;Ann;x;Bob', '7" tart;•••;x;•••'),
        ("7;7;Ann;x;Bob", "•••;•••;•••;•••;•••"),
        ("7;x;Bob", "•••;•••;•••"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_given_a_table_when_redacted_then_personal_columns_are_hidden_and_more_in_shifted_rows(
    row: str, masked: str, end: str
) -> None:
    assert redact(f"{HEADER}{end}{row}{end}{row}") == f"{HEADER}{end}{masked}{end}{masked}"


@pytest.mark.parametrize("row", ["7;2;1047;Ann", '"7";"Ann;Ann";"x";"y"', "7\t2\t\tAnn\r\n7\t2\t\tBob"])
def test_given_rows_without_a_header_when_redacted_then_every_cell_is_hidden(row: str) -> None:
    masked = redact(row)
    assert not set("7Ann2x1047Bob") & set(masked)
    assert masked.count(MASK) >= 3


def test_given_a_header_without_personal_fields_when_redacted_then_nothing_changes() -> None:
    text = "storeID;cashReceiptID;date;grossTotal\n7;1;then;1,20\n7;1\n"
    assert redact(text) == text


def test_given_a_format_without_personal_fields_when_redacted_then_nothing_changes() -> None:
    assert redact("7;2;1047;Ann", ()) == "7;2;1047;Ann"


def test_given_a_quote_that_is_not_closed_when_a_table_is_redacted_then_personal_data_is_hidden() -> None:
    masked = redact(f'{HEADER}\n"7;Ann;x;Bob\n8;Ann;x;Bob\n')
    assert "Ann" not in masked
    assert "Bob" not in masked


def test_given_a_form_when_redacted_then_personal_values_are_hidden() -> None:
    text = "storeID=7&agentID=Ann+A&customer%49D=Bob&lines%5B0%5D.agentid=Ann&note=agentID&customerID="
    masked = f"storeID=7&agentID={MASK}&customer%49D={MASK}&lines%5B0%5D.agentid={MASK}&note=agentID&customerID="
    assert redact(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "{'customerID': 'Ann', 'storeID': 7}",
        "customerID: Ann\nstoreID: 7",
        "storeID: 7\n customer-id => (Ann, Ann)",
        "customerID = Ann; storeID = 7",
        '{"a": b, "customerID": "Ann"}',
        '{"customerID": "Ann", "customerID": [1, "Ann"',
        "storeID=7&customerID=Ann A&x",
        "text before <customerID>Ann",
        '<a customerID="Ann',
        "{'customerID': {'of': ['Ann']}}",
        '"{\\"customerID\\": \\"Ann\\"}" and more',
    ],
)
def test_given_text_in_no_format_when_redacted_then_the_value_after_a_personal_name_is_hidden(text: str) -> None:
    assert "Ann" not in redact(text)


def test_given_given_names_when_redacted_then_only_those_fields_are_hidden() -> None:
    assert redact('{"card_details": {"a": 1}, "agentID": "Ann"}', ["card_details"]) == (
        f'{{"card_details": {QUOTED}, "agentID": "Ann"}}'
    )


@pytest.mark.parametrize(
    ("head", "unit"),
    [
        ("", "<customerID>"),
        ("", "<customerID a='"),
        ("", "customerID:"),
        ("storeID;a;b;customerID\n", '"\n'),
        ("storeID;a;b;customerID\n", ";"),
        ("", '"customerID":'),
        ("", "&customerID="),
        ("", " customerID="),
        ("", "\\"),
        ("", '"'),
        ("", "<"),
    ],
)
def test_given_adversarial_text_when_redacted_then_the_time_is_proportional_to_its_length(head: str, unit: str) -> None:
    def taken_s(size: int) -> float:
        text = head + unit * (size // len(unit))
        started = time.process_time()
        redact(text)
        return time.process_time() - started

    # Quadratic time would be 64 times as long.
    assert taken_s(800_000) < 32 * max(taken_s(100_000), 0.01)
