"""Rows: packing, and how every change in a row is detected."""

from __future__ import annotations

from typing import Any

import pytest
import zstandard

from tillstream.log.base import Frame
from tillstream.log.sqlite.row import MAX_FRAME_BYTES, Row, RowDamaged

compress = zstandard.ZstdCompressor(level=1).compress


@pytest.fixture
def row() -> Row:
    return Row.pack(7, 102, [b"h1\n", b"h2\n"], [b"{}", b""], [b"", b"came"], compress)


def test_a_packed_row_unpacks_to_its_records(row: Row) -> None:
    assert (row.position, row.records, row.total, row.previous_total) == (7, 2, 102, 100)
    assert [list(frame) for frame in row.unpack()] == [[b"h1\n", b"h2\n"], [b"{}", b""], [b"", b"came"]]


def test_empty_originals_are_not_stored() -> None:
    row = Row.pack(0, 2, [b"h1\n", b"h2\n"], [b"{}", b"{}"], [b"", b""], compress)
    assert row.originals is None
    for same in (row, row._replace(originals=b"")):
        assert list(same.unpack()[2]) == [b"", b""]


@pytest.mark.parametrize("field", ["position", "records", "total", "checksum"])
def test_a_changed_number_is_damage(row: Row, field: str) -> None:
    with pytest.raises(RowDamaged, match="checksum"):
        row._replace(**{field: getattr(row, field) + 1}).unpack()


@pytest.mark.parametrize("field", ["heads", "bodies", "originals"])
def test_a_flipped_bit_anywhere_is_damage(row: Row, field: str) -> None:
    blob = getattr(row, field)
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 0x10
        damage: dict[str, Any] = {field: bytes(changed)}
        with pytest.raises(RowDamaged, match="checksum"):
            row._replace(**damage).unpack()


def test_a_row_with_inconsistent_frames_is_damaged(row: Row) -> None:
    for bodies, reason in (
        (b"rubbish", "unpacked"),
        (compress(b"\x09\0\0\0"), "unpacked"),
        (compress(Frame.of([b"{}"]).pack()), "2 records"),
    ):
        with pytest.raises(RowDamaged, match=reason):
            row._replace(bodies=bodies).sealed().unpack()


@pytest.mark.parametrize("field", ["records", "total", "checksum", "heads", "bodies", "originals"])
@pytest.mark.parametrize("value", [None, 0, -1, 2**63 - 1, 0.5, b"", b"x", "x"])
def test_any_value_in_any_column_is_damage(row: Row, field: str, value: Any) -> None:
    with pytest.raises(RowDamaged, match="row 7 of the log"):
        row._replace(**{field: value}).unpack()


@pytest.mark.parametrize("records", [-1, 0, 3, 2**62])
def test_a_wrong_count_is_damage_even_with_a_correct_checksum(row: Row, records: int) -> None:
    for changed in (row._replace(records=records), row._replace(records=records, originals=None)):
        with pytest.raises(RowDamaged):
            changed.sealed().unpack()


def test_a_frame_that_claims_a_huge_size_is_not_unpacked(row: Row) -> None:
    claimed = b"\x28\xb5\x2f\xfd\xe0" + (MAX_FRAME_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(RowDamaged, match="cannot be unpacked: "):
        row._replace(bodies=claimed).sealed().unpack()


def test_every_row_has_a_positive_weight(row: Row) -> None:
    invalid: list[Any] = [None, -3, 0, 0.5, b"x"]
    assert [row._replace(records=value).weight for value in invalid] == [1] * 5
    assert row.weight == 2
