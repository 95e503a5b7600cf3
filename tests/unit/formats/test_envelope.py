"""Records and refusals travel unchanged in envelopes."""

from __future__ import annotations

import io

import msgspec
import pytest

from tillstream.config.settings import Settings
from tillstream.formats import envelope, registry
from tillstream.formats.base import Decoded, Record, Unreadable
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.receipt.model import Fault

decoder = EnvelopeDecoder(Settings())


def opened(*lines: bytes) -> list[Decoded]:
    return list(decoder.decode(io.BytesIO(b"\n".join(lines))))


def test_a_record_keeps_its_original_its_day_and_its_source() -> None:
    record = Record(b'{"a": 1.50 }', b"\xff<a>\n", "2026-11-23")
    assert opened(envelope.receipt(record, "poslog/import"), b"", envelope.receipt(Record(b"{}"), "csv/inbox")) == [
        record._replace(source="poslog/import"),
        Record(b"{}", source="csv/inbox"),
    ]


def test_a_refusal_keeps_its_faults_and_its_original() -> None:
    faults = [Fault("$.date", "it is missing", "a receipt needs it"), Fault("$", "no")]
    (found,) = opened(envelope.refusal(faults, b"\xff", "csv/import"))
    assert found == Unreadable(faults, b"\xff", "line 1", "csv/import")


@pytest.mark.parametrize(("path", "kept"), [("", "$"), ("date", "$.date"), ("$", "$"), ("$.date", "$.date")])
def test_a_fault_always_has_a_path_and_a_reason(path: str, kept: str) -> None:
    line = b'{"source": "a/b", "faults": [{"path": "%b", "error": ""}]}' % path.encode()
    (found,) = opened(line)
    assert isinstance(found, Unreadable)
    assert found.faults == [Fault(kept, "it was refused")]


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"{", "$"),
        (b"[]", "$"),
        (b"[" * 100_000, "$"),
        (b'{"source": "A/b", "receipt": {}}', "$.source"),
        (b'{"source": "a/b\tc", "receipt": {}}', "$"),
        (b'{"source": "a/b", "receipt": {}, "day": "monday"}', "$.day"),
        (b'{"source": "a/b"}', "$.receipt"),
        (b'{"source": "a/b", "receipt": {}, "original": "?"}', "$"),
    ],
)
def test_a_bad_envelope_is_a_fault(line: bytes, path: str) -> None:
    found, after = opened(line, envelope.receipt(Record(b"{}"), "a/b"))
    assert isinstance(found, Unreadable)
    assert (found.faults[0].path, found.original, found.where) == (path, line, "line 1")
    assert after == Record(b"{}", source="a/b")


def test_envelopes_are_recognised() -> None:
    assert decoder.recognises(envelope.receipt(Record(b"{}"), "a/b"))
    assert not decoder.recognises(b'{"cashReceiptID":')


def test_a_body_with_line_breaks_is_written_on_one_line_and_kept_as_original() -> None:
    body = b'{"cashReceiptID": 1.10,\n  "a": "x"}'
    line = envelope.receipt(Record(body), "json/import")
    assert b"\n" not in line
    assert opened(line) == [Record(b'{"cashReceiptID":1.10,"a":"x"}', body, source="json/import")]
    own = envelope.receipt(Record(body, b"<xml/>"), "xml/import")
    (record,) = opened(own)
    assert isinstance(record, Record)
    assert record.original == b"<xml/>"


@pytest.mark.parametrize("body", [b"", b'{"a": ', b'{"a": "x\ny"}', b'{}, "day": "2026-11-23"'])
def test_a_body_that_is_not_json_raises(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        envelope.receipt(Record(body), "json/import")


def test_an_envelope_is_told_apart_from_an_order_with_a_source() -> None:
    formats = registry.load(Settings())
    order = b'{"line_items": [], "state": "OPEN", "total_money": {"amount": 1}}'
    found = formats.recognised(b'{"source": "json/import", "receipt": %b}' % order)
    assert found is not None
    assert found.name == "records"
    found = formats.recognised(b'{"source": {"name": "App"}, %b' % order[1:])
    assert found is not None
    assert found.name == "square"
