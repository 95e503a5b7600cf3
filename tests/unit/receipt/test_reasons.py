"""Entries are counted by path and kind of error, independent of texts that senders control."""

from __future__ import annotations

import json

import pytest
from msgspec import to_builtins

from tillstream.config.settings import Settings
from tillstream.engine.quarantine_rows import CONFLICT, UNREADABLE
from tillstream.formats.base import several
from tillstream.receipt.reasons import KINDS, group, split_group
from tillstream.receipt.validation import ReceiptError, Validator
from tillstream.web.i18n import localizer

RIGHT = {"cashReceiptID": "1", "storeID": "1", "date": "2026-11-23 10:00:00", "documentTotal": {"grossTotal": 1}}


def refused(body: object) -> str:
    came = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ReceiptError) as caught:
        Validator(Settings()).check(came, 0, "json/http")
    return group([to_builtins(fault) for fault in caught.value.faults])


@pytest.mark.parametrize(
    ("change", "grouped"),
    [
        ({"date": None}, "$.date wrong_type"),
        ({"date": "yesterday"}, "$.date not_a_date"),
        ({"storeID": ""}, "$.storeID no_receipt"),
        ({"storeID": "a\tb"}, "$.storeID control_character"),
        ({"storeID": "x" * 200}, "$.storeID too_long"),
        ({"storeID": []}, "$.storeID wrong_type"),
        ({"currency": "USD"}, "$.currency wrong_currency"),
        ({"documentTotal": {}}, "$.documentTotal.grossTotal missing"),
        ({"documentTotal": {"grossTotal": "abc"}}, "$.documentTotal.grossTotal not_a_number"),
        ({"documentTotal": {"grossTotal": 1e15}}, "$.documentTotal.grossTotal out_of_range"),
        ({"lines": [{}, {"quantity": "two"}]}, "$.lines[].quantity not_a_number"),
        ({"lines": {}}, "$.lines wrong_type"),
    ],
)
def test_the_group_of_a_fault_is_its_path_without_indexes_and_its_kind(change: dict[str, object], grouped: str) -> None:
    assert refused(RIGHT | change) == grouped


@pytest.mark.parametrize(
    ("came", "kind"),
    [
        (b"", "no_receipt"),
        (b"{", "unparseable"),
        (b"\xff", "wrong_charset"),
        (b"[" * 100_000, "too_deep"),
        (b"[]", "several"),
    ],
)
def test_the_path_of_invalid_json_is_the_whole_document(came: bytes, kind: str) -> None:
    assert refused(came) == f"$ {kind}"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("the header has no column storeID", "header"),
        ("byte 3 of the header is not UTF-8", "wrong_charset"),
        ("the column date comes twice", "repeated"),
        ("it has a DTD", "forbidden"),
        ("the body broke off", "broken_off"),
        ("it has a DTD or declares entities, which are never read", "forbidden"),
        ("it is not well-formed: mismatched tag (its line 2, character 6)", "unparseable"),
        ("the document broke off before </receipts>", "broken_off"),
        ("its charset is UTF-16 or UTF-32", "wrong_charset"),
        ("the record has 1001 bytes, more than 1000", "too_long"),
        ("there is no receipt in it: no <Transaction>", "no_receipt"),
        ("not an envelope: Object missing required field `source`", "missing"),
    ],
)
def test_errors_of_other_formats_have_a_kind(error: str, kind: str) -> None:
    assert group([{"path": "$", "error": error}]) == f"$ {kind}"


def test_errors_of_the_engine_have_a_kind() -> None:
    faults = [CONFLICT, UNREADABLE, *several(b"").faults]
    assert [group([to_builtins(fault)]) for fault in faults] == ["$ conflict", "$ unreadable", "$ several"]


@pytest.mark.parametrize("path", ["<b>", "a b", "x" * 100, ""])
def test_a_path_made_up_by_a_sender_is_replaced(path: str) -> None:
    assert group([{"path": path, "error": "beyond all words"}]) == "(other) other"
    assert split_group("(other) other") == ("(other)", "other")


def test_an_entry_without_reasons_has_a_group() -> None:
    assert split_group(group([])) == ("(other)", "other")
    assert split_group("$.lines[].quantity missing") == ("$.lines[].quantity", "missing")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_kind_has_a_message(language: str) -> None:
    assert {f"reason_{kind}" for kind in KINDS} <= localizer(language).messages.keys()
