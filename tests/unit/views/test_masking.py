"""Persons named in a receipt are hidden, and nothing else is changed."""

from __future__ import annotations

import json

import pytest

from tillstream.views.masking import MASK, mask


def test_given_a_receipt_when_masked_then_only_the_persons_are_hidden() -> None:
    text = '{"cashReceiptID": "1", "agentID" : "Ann",\n "customerID":42, "storeID": "7"}'
    assert mask(text) == f'{{"cashReceiptID": "1", "agentID" : {MASK},\n "customerID":{MASK}, "storeID": "7"}}'


@pytest.mark.parametrize(
    "value", ['"Ann \\" Bob"', "null", "-1.5e3", '{"name": "Ann", "of": ["Bob"]}', '["Ann", "Bob"]', "true"]
)
def test_given_any_json_value_when_masked_then_the_whole_value_is_hidden(value: str) -> None:
    masked = mask(f'{{"customerID": {value}, "storeID": "7"}}')
    assert json.loads(masked) == {"customerID": "•••", "storeID": "7"}


def test_given_an_escaped_or_differently_written_name_when_masked_then_it_is_hidden_too() -> None:
    masked = mask('{"customer\\u0049D": "Ann", "AGENTID": "Bob"}')
    assert "Ann" not in masked
    assert "Bob" not in masked


def test_given_the_name_as_a_value_or_inside_a_text_when_masked_then_nothing_changes() -> None:
    text = '{"a": "customerID", "b": "\\"customerID\\": \\"x\\"", "c": ["agentID"], "d": ": ", "e": "f"}'
    assert mask(text) == text


@pytest.mark.parametrize("rest", ['"Ann', "{'name': 'Ann'}", "Ann", '["Ann", '])
def test_given_text_that_breaks_off_behind_a_person_when_masked_then_all_that_follows_is_hidden(rest: str) -> None:
    assert mask(f'{{"storeID": "7", "customerID": {rest}') == f'{{"storeID": "7", "customerID": {MASK}'


def test_given_deep_nesting_behind_a_person_when_masked_then_all_that_follows_is_hidden() -> None:
    assert mask('{"agentID": ' + "[" * 100_000) == '{"agentID": ' + MASK


def test_given_text_that_is_no_json_when_masked_then_it_stays() -> None:
    assert mask("<receipt/>") == "<receipt/>"
