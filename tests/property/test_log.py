"""Records come back in order, however they are grouped, across restarts, from every position."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tillstream.config.settings import Settings
from tillstream.log.base import START, Batch, Position, pack_record_id, unpack_record_id
from tillstream.log.sqlite.log import SqliteLog

records = st.tuples(st.binary(max_size=30), st.binary(max_size=60), st.binary(max_size=20))
groups = st.lists(st.lists(records, max_size=9), max_size=8)


# Without a deadline, because every append waits for the disk.
@settings(max_examples=40, deadline=None)
@given(groups, st.integers(1, 5), st.integers(1, 12), st.booleans())
def test_appended_records_are_read_in_order(
    appended: list[list[tuple[bytes, bytes, bytes]]], per_row: int, limit: int, restart: bool
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "log.sqlite3"
        chosen = Settings(commit_limit_receipts=per_row)
        log = SqliteLog(path, writer=True, settings=chosen)
        for group in appended:
            batch = Batch()
            for record in group:
                batch.add(*record)
            log.append(batch)
            if restart:
                log.close()
                log = SqliteLog(path, writer=True, settings=chosen)
        reader = SqliteLog(path, writer=False, settings=chosen)
        expected = [record for group in appended for record in group]
        position, seen = START, []
        while chunks := list(reader.read(position, limit)):
            for chunk in chunks:
                seen += list(zip(chunk.heads, chunk.bodies, chunk.originals, strict=True))
            position = chunks[-1].position
            assert reader.count(position) == len(seen)
        assert seen == expected
        assert position == reader.end()
        reader.close()
        log.close()


@given(st.integers(0, 127), st.integers(0, 2**36 - 1), st.integers(0, 2**20 - 1))
def test_a_record_id_is_a_signed_64_bit_integer_and_keeps_its_parts(partition: int, offset: int, index: int) -> None:
    record_id = pack_record_id(partition, offset, index)
    assert unpack_record_id(record_id) == (partition, offset, index)
    assert 0 <= record_id < 2**63


@given(st.lists(st.integers(-1, 2**36 - 1), min_size=1, max_size=8))
def test_a_position_is_parsed_from_its_text(offsets: list[int]) -> None:
    position = Position(tuple(offsets))
    assert Position.parse(str(position)) == position
