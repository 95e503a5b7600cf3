"""Any receipt written as CSV reads back equal in every style, and broken files never raise."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.encoders import to_csv
from tests.support.receipt_strategies import has_same_content, valid_receipts
from tillstream.config.settings import Settings
from tillstream.formats.base import Record, Unreadable
from tillstream.formats.csv.decoder import CsvDecoder
from tillstream.receipt.validation import Validator

RECEIVED_US = 1_795_435_200_000_000

csv = CsvDecoder(Settings())
validator = Validator(Settings())
untimed = settings(deadline=None)
styles = st.tuples(st.sampled_from([",", ";", "\t"]), st.booleans())
several = st.lists(valid_receipts(), min_size=1, max_size=4, unique_by=lambda each: each["cashReceiptID"])


@untimed
@given(several, styles)
def test_receipts_read_back_equal_with_one_key(written: list[dict[str, Any]], style: tuple[str, bool]) -> None:
    delimiter, comma = style
    found = list(csv.decode(io.BytesIO(to_csv(written, delimiter, comma=comma))))
    assert len(found) == len(written)
    for receipt, record in zip(written, found, strict=True):
        assert isinstance(record, Record), record
        assert has_same_content(record.body, receipt)
        _, key, day = validator.check(record.body, RECEIVED_US, "csv/http")
        body = json.dumps(receipt, default=str).encode()
        assert validator.check(body, RECEIVED_US, "json/http")[1:] == (key, day)
        assert csv.one(record.original) == record


@untimed
@given(several, styles, st.data())
def test_broken_files_are_faults_and_never_raise(
    written: list[dict[str, Any]], style: tuple[str, bool], data: st.DataObject
) -> None:
    payload = bytearray(to_csv(written, style[0], comma=style[1]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        piece = st.binary(max_size=3) | st.sampled_from([b'"', b",", b";", b"\n", b"\r", b"\t", b'""', b'",'])
        payload[at : at + data.draw(st.integers(0, 9))] = data.draw(piece)
    for each in csv.decode(io.BytesIO(payload)):
        if isinstance(each, Record):
            json.loads(each.body)
        else:
            assert isinstance(each, Unreadable)
            assert each.faults
            assert each.where.startswith("line ")
