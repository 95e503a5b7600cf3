"""A group commit as a row: whatever is changed in it is noticed."""

from __future__ import annotations

from typing import Any

import pytest
import zstandard

from tillstream.log.base import Position
from tillstream.log.frame import Frame
from tillstream.log.sqlite.row import MOST_FRAME_BYTES, Row, believed, checksum, gap, is_sound, pack, unpack, weight

compress = zstandard.ZstdCompressor(level=1).compress


@pytest.fixture
def row() -> Row:
    return pack(7, 102, [b"h1\n", b"h2\n"], [b"{}", b""], [b"", b"came"], compress)


def sealed(row: Row, **changes: Any) -> Row:
    """The row changed, with a checksum that fits."""
    changed = row._replace(**changes)
    return changed._replace(checksum=checksum(changed))


def test_a_row_gives_back_its_records(row: Row) -> None:
    chunk = unpack(row)
    assert (chunk.offset, chunk.count, chunk.position, chunk.fault) == (7, 2, Position((7,)), "")
    assert [list(frame) for frame in (chunk.heads, chunk.bodies, chunk.originals)] == [
        [b"h1\n", b"h2\n"],
        [b"{}", b""],
        [b"", b"came"],
    ]


def test_originals_that_are_all_empty_take_no_room() -> None:
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
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 0x10
        damage: dict[str, Any] = {field: bytes(changed)}
        chunk = unpack(row._replace(**damage))
        assert "checksum" in chunk.fault
        assert (chunk.count, len(chunk.heads)) == (2, 0)


def test_a_sealed_row_that_makes_no_sense_is_a_fault_too(row: Row) -> None:
    assert "unpacked" in unpack(sealed(row, bodies=b"rubbish")).fault
    assert "unpacked" in unpack(sealed(row, heads=compress(b"\x09\0\0\0"))).fault
    assert "2 records" in unpack(sealed(row, bodies=compress(Frame.of([b"{}"]).pack()))).fault


def test_a_gap_counts_what_the_totals_say(row: Row) -> None:
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
def test_a_sealed_count_that_is_wrong_is_a_fault_too(row: Row, records: int) -> None:
    for changed in (sealed(row, records=records), sealed(row, records=records, originals=None)):
        chunk = unpack(changed)
        assert chunk.fault
        assert 0 <= chunk.count <= 3


def test_a_sealed_frame_of_an_absurd_size_is_not_unpacked(row: Row) -> None:
    claimed = b"\x28\xb5\x2f\xfd\xe0" + (MOST_FRAME_BYTES + 1).to_bytes(8, "little")
    assert "cannot be unpacked: " in unpack(sealed(row, bodies=claimed)).fault


def test_a_damaged_row_is_believed_as_far_as_it_makes_sense(row: Row) -> None:
    assert believed(row, 100) == 2
    assert believed(row._replace(records=-5), 100) == 2
    assert believed(row._replace(total=-5), 100) == 2
    assert believed(row._replace(total=2**60, records=-1), 100) == 0


def test_reading_a_row_always_comes_nearer_to_the_end(row: Row) -> None:
    odd: list[Any] = [None, -3, 0, 0.5, b"x"]
    assert [weight(row._replace(records=value)) for value in odd] == [1] * 5
    assert weight(row) == 2


def test_a_gap_before_a_damaged_row_is_counted_behind_it(row: Row) -> None:
    broken = row._replace(total=10**9)
    assert not is_sound(broken)
    assert gap(3, broken, 60).count == 0
