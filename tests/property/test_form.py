"""Any receipt written as a form reads back equal, and broken forms never raise."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.encoders import to_csv, to_form
from tests.support.receipt_strategies import has_same_content, valid_receipts
from tillstream.config.settings import Settings
from tillstream.formats.base import Record, Unreadable
from tillstream.formats.csv.decoder import CsvDecoder
from tillstream.formats.form import FormDecoder
from tillstream.receipt.validation import Validator

RECEIVED_US = 1_795_435_200_000_000

form = FormDecoder(Settings())
validator = Validator(Settings())
untimed = settings(deadline=None)


@untimed
@given(valid_receipts(blanks=False), st.booleans())
def test_a_receipt_reads_back_equal_with_the_key_of_its_csv(receipt: dict[str, Any], comma: bool) -> None:
    payload = to_form(receipt, comma=comma)
    record = form.one(payload)
    assert isinstance(record, Record), record
    assert record.original == payload
    assert has_same_content(record.body, receipt)
    table = CsvDecoder(Settings()).one(to_csv([receipt]))
    assert isinstance(table, Record), table
    _, key, day = validator.check(record.body, RECEIVED_US, "form/http")
    assert validator.check(table.body, RECEIVED_US, "csv/http")[1:] == (key, day)


@untimed
@given(valid_receipts(blanks=False))
def test_a_field_without_an_equals_sign_changes_nothing(receipt: dict[str, Any]) -> None:
    payload = to_form(receipt)
    regular, irregular = form.one(payload), form.one(payload + b"&note")
    assert isinstance(regular, Record), regular
    assert isinstance(irregular, Record), irregular
    assert irregular.body == regular.body


@untimed
@given(valid_receipts(), st.data())
def test_broken_forms_are_faults_and_never_raise(receipt: dict[str, Any], data: st.DataObject) -> None:
    payload = bytearray(to_form(receipt))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        piece = st.binary(max_size=3) | st.sampled_from([b"%", b"&", b"=", b"[", b"].", b"%FF", b"+"])
        payload[at : at + data.draw(st.integers(0, 9))] = data.draw(piece)
    found = form.one(bytes(payload))
    if isinstance(found, Record):
        json.loads(found.body)
    else:
        assert isinstance(found, Unreadable)
        assert found.faults
