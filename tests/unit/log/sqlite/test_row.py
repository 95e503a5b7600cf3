"""Rows: packing, and how every change in a row is detected."""

from __future__ import annotations

from typing import Any

import pytest
import zstandard

from tillstream.log.base import Frame, Position
from tillstream.log.sqlite.row import (
    MAX_FRAME_BYTES,
    Row,
    checksum,
    gap,
    is_intact,
    pack,
    plausible_records,
    total_after,
    unpack,
    weight,
)

compress = zstandard.ZstdCompressor(level=1).compress


@pytest.fixture
def row() -> Row:
    return pack(7, 102, [b"h1\n", b"h2\n"], [b"{}", b""], [b"", b"came"], compress)


def sealed(row: Row, **changes: Any) -> Row:
    """The changed row with a correct checksum."""
    changed = row._replace(**changes)
    return changed._replace(checksum=checksum(changed))


def test_a_packed_row_unpacks_to_its_records(row: Row) -> None:
    chunk = unpack(row)
    assert (chunk.offset, chunk.count, chunk.position, chunk.fault) == (7, 2, Position((7,)), "")
    assert [list(frame) for frame in (chunk.heads, chunk.bodies, chunk.originals)] == [
        [b"h1\n", b"h2\n"],
        [b"{}", b""],
        [b"", b"came"],
    ]


def test_empty_originals_are_not_stored() -> None:
    row = pack(0, 2, [b"h1\n", b"h2\n"], [b"{}", b"{}"], [b"", b""], compress)
    assert row.originals is None
    assert list(unpack(row).originals) == [b"", b""]
    assert list(unpack(row._replace(originals=b"")).originals) == [b"", b""]


@pytest.mark.parametrize("field", ["position", "records", "total", "checksum"])
def test_a_changed_number_is_a_fault(row: Row, field: str) -> None:
    changed = row._replace(**{field: getattr(row, field) + 1})
    assert "checksum" in unpack(changed).fault


@pytest.mark.parametrize("field", ["heads", "bodies", "originals"])
def test_a_flipped_bit_anywhere_is_a_fault(row: Row, field: str) -> None:
    blob = getattr(row, field)
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 0x10
        damage: dict[str, Any] = {field: bytes(changed)}
        chunk = unpack(row._replace(**damage))
        assert "checksum" in chunk.fault
        assert (chunk.count, len(chunk.heads)) == (2, 0)


def test_a_row_with_inconsistent_frames_is_a_fault(row: Row) -> None:
    assert "unpacked" in unpack(sealed(row, bodies=b"rubbish")).fault
    assert "unpacked" in unpack(sealed(row, heads=compress(b"\x09\0\0\0"))).fault
    assert "2 records" in unpack(sealed(row, bodies=compress(Frame.of([b"{}"]).pack()))).fault


def test_a_gap_counts_the_difference_of_the_totals(row: Row) -> None:
    chunk = gap(3, row, 60)
    assert (chunk.offset, chunk.position, chunk.count) == (6, Position((6,)), 40)
    assert "rows 4 to 6" in chunk.fault
    assert gap(3, row, 500).count == 0


@pytest.mark.parametrize("field", ["records", "total", "checksum", "heads", "bodies", "originals"])
@pytest.mark.parametrize("value", [None, 0, -1, 2**63 - 1, 0.5, b"", b"x", "x"])
def test_any_value_in_any_column_is_a_fault(row: Row, field: str, value: Any) -> None:
    chunk = unpack(row._replace(**{field: value}))
    assert (chunk.offset, chunk.position) == (7, Position((7,)))
    assert chunk.fault
    assert chunk.count == (1 if (field, value) == ("records", 1) else 0 if field == "records" else 2)


@pytest.mark.parametrize("records", [-1, 0, 3, 2**62])
def test_a_wrong_count_is_a_fault_even_with_a_correct_checksum(row: Row, records: int) -> None:
    for changed in (sealed(row, records=records), sealed(row, records=records, originals=None)):
        chunk = unpack(changed)
        assert chunk.fault
        assert 0 <= chunk.count <= 3


def test_a_frame_that_claims_a_huge_size_is_not_unpacked(row: Row) -> None:
    claimed = b"\x28\xb5\x2f\xfd\xe0" + (MAX_FRAME_BYTES + 1).to_bytes(8, "little")
    assert "cannot be unpacked: " in unpack(sealed(row, bodies=claimed)).fault


def test_the_plausible_records_of_a_damaged_row_come_from_its_total_or_its_count(row: Row) -> None:
    assert plausible_records(row, 100) == 2
    assert plausible_records(row._replace(records=-5), 100) == 2
    assert plausible_records(row._replace(total=-5), 100) == 2
    assert plausible_records(row._replace(total=2**60, records=-1), 100) == 0


def test_every_row_has_a_positive_weight(row: Row) -> None:
    invalid: list[Any] = [None, -3, 0, 0.5, b"x"]
    assert [weight(row._replace(records=value)) for value in invalid] == [1] * 5
    assert weight(row) == 2


def test_a_gap_before_a_damaged_row_has_no_count(row: Row) -> None:
    broken = row._replace(total=10**9)
    assert not is_intact(broken)
    assert gap(3, broken, 60).count == 0
    assert total_after(broken, 60) == 62
    assert total_after(row, 60) == 102
