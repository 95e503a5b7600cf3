"""The guarantees of the log port. The test class of each backend inherits the suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Event, Thread

import pytest

from tests.inprocess.pipeline import head
from tests.support.receipts import NOON_US, body
from tillstream.errors import LogUnavailable
from tillstream.log.base import START, Batch, Chunk, Log, Position, pack_record_id

Open = Callable[[bool], Log]
"""Opens the same log again: True for its writer, False for a reader."""

LoseEnd = Callable[[Position], None]
"""Removes the records after a position from the closed log, as a disk does that ignores syncs."""


def batch(first: int, count: int, *, original: bytes = b"") -> Batch:
    made = Batch()
    for number in range(first, first + count):
        made.add(f"head {number}\n".encode(), f'{{"number": {number},\n"x": "é"}}'.encode(), original)
    return made


def append(log: Log, records: Batch) -> Position:
    """Append, and return the position after the records."""
    log.append(records)
    return log.end()


def receipts(first: int, count: int) -> Batch:
    """Receipts of two stores, which a log may put into different partitions."""
    made = Batch()
    for number in range(first, first + count):
        receipt = body(cashReceiptID=str(number), storeID=str(number % 2))
        made.add(head(receipt, NOON_US), json.dumps(receipt).encode())
    return made


def read_ids(log: Log, limit: int) -> dict[bytes, int]:
    """The record id of each body, read with a limit."""
    position = START
    found: dict[bytes, int] = {}
    while chunks := list(log.read(position, limit)):
        for chunk in chunks:
            found |= dict(zip(chunk.bodies, chunk.record_ids, strict=True))
        position = chunks[-1].position
    return found


def numbers(chunks: Iterator[Chunk]) -> list[int]:
    found = []
    for chunk in chunks:
        assert not chunk.fault
        assert len(chunk.heads) == len(chunk.bodies) == len(chunk.originals) == chunk.count
        found += [int(head.split()[1]) for head in chunk.heads]
    return found


class LogSuite:
    """Every reader finds all appended records in order, across restarts, crashes and concurrent calls."""

    @pytest.fixture
    def open_log(self) -> Iterator[Open]:
        raise NotImplementedError

    @pytest.fixture
    def lose_end(self) -> LoseEnd:
        raise NotImplementedError

    @pytest.fixture
    def writer(self, open_log: Open) -> Log:
        return open_log(True)

    @pytest.fixture
    def reader(self, writer: Log, open_log: Open) -> Log:
        return open_log(False)

    def test_an_empty_log_ends_at_its_start(self, reader: Log) -> None:
        assert reader.end() == START
        assert list(reader.read(START, 10)) == []
        assert reader.count(reader.end()) == 0
        assert reader.lag() == 0

    def test_a_reader_may_open_before_the_writer(self, open_log: Open) -> None:
        reader = open_log(False)
        assert reader.end() == START
        assert list(reader.read(START, 10)) == []
        open_log(True).append(batch(0, 3))
        assert numbers(reader.read(START, 10)) == [0, 1, 2]

    def test_records_are_read_byte_for_byte(self, writer: Log, reader: Log) -> None:
        records = Batch()
        records.add(b"receipt\ta\n", b'{"a":\n1}', b"")
        records.add(b"refusal\t\n", b"", b"\x00\xff not even text \n")
        writer.append(records)
        (chunk,) = reader.read(START, 10)
        assert list(chunk.heads) == records.heads
        assert list(chunk.bodies) == records.bodies
        assert list(chunk.originals) == records.originals

    def test_records_are_read_in_the_order_of_their_appends(self, writer: Log, reader: Log) -> None:
        for first in range(0, 30, 10):
            writer.append(batch(first, 10))
        assert numbers(reader.read(START, 1_000)) == list(range(30))

    def test_the_end_is_the_position_after_the_last_append(self, writer: Log, reader: Log) -> None:
        writer.append(batch(0, 3))
        end = writer.end()
        assert reader.end() == end
        writer.append(batch(3, 2))
        assert numbers(reader.read(end, 10)) == [3, 4]

    def test_each_chunk_has_the_position_to_continue_from(self, writer: Log, reader: Log) -> None:
        for first in range(5):
            writer.append(batch(first, 1))
        position, seen = START, []
        while chunks := list(reader.read(position, 2)):
            seen += numbers(iter(chunks))
            position = chunks[-1].position
        assert seen == [0, 1, 2, 3, 4]
        assert position == reader.end()

    def test_a_read_stops_after_the_limit(self, writer: Log, reader: Log) -> None:
        for first in range(0, 50, 5):
            writer.append(batch(first, 5))
        assert len(numbers(reader.read(START, 12))) == 15

    def test_an_abandoned_read_does_not_block_other_calls(self, writer: Log, reader: Log) -> None:
        for first in range(0, 50, 5):
            writer.append(batch(first, 5))
        abandoned = islice(reader.read(START, 1_000), 1)
        assert numbers(abandoned) == [0, 1, 2, 3, 4]
        writer.append(batch(50, 5))
        assert len(numbers(reader.read(START, 1_000))) == 55

    def test_an_empty_batch_adds_nothing(self, writer: Log, reader: Log) -> None:
        writer.append(batch(0, 1))
        end = writer.end()
        writer.append(Batch())
        assert writer.end() == reader.end() == end

    def test_originals_are_stored(self, writer: Log, reader: Log) -> None:
        writer.append(batch(0, 2, original=b"as it came"))
        writer.append(batch(2, 1))
        assert [list(chunk.originals) for chunk in reader.read(START, 10)] == [[b"as it came"] * 2, [b""]]

    def test_records_are_fetched_by_id(self, writer: Log, reader: Log) -> None:
        writer.append(batch(0, 5))
        writer.append(batch(5, 5, original=b"as it came"))
        chunks = list(reader.read(START, 100))
        ids = {
            int(head.split()[1]): record_id
            for chunk in chunks
            for head, record_id in zip(chunk.heads, chunk.record_ids, strict=True)
        }
        missing = pack_record_id(0, chunks[-1].offset + 1, 0), pack_record_id(0, chunks[0].offset, 1_000)
        found = reader.fetch([ids[7], ids[2], *missing, ids[7]])
        assert found.keys() == {ids[7], ids[2]}
        assert found[ids[7]] == (b"head 7\n", '{"number": 7,\n"x": "é"}'.encode(), b"as it came")
        assert found[ids[2]][2] == b""

    def test_a_record_has_the_same_id_for_every_read_limit(self, writer: Log, reader: Log) -> None:
        for first in range(0, 60, 20):
            writer.append(receipts(first, 20))
        by_body = read_ids(reader, 1_000)
        assert len(set(by_body.values())) == 60
        assert read_ids(reader, 1) == read_ids(reader, 7) == by_body
        found = reader.fetch(list(by_body.values()))
        assert {body: record_id for record_id, (_, body, _) in found.items()} == by_body

    def test_count_is_the_number_of_records_up_to_a_position(self, writer: Log, reader: Log) -> None:
        first, second = append(writer, batch(0, 3)), append(writer, batch(3, 4))
        assert [reader.count(position) for position in (START, first, second)] == [0, 3, 7]

    def test_the_lag_is_the_number_of_records_after_the_committed_position(self, writer: Log, reader: Log) -> None:
        first = append(writer, batch(0, 3))
        writer.append(batch(3, 4))
        assert writer.lag() == 7
        reader.publish(first, committed=True)
        assert writer.lag() == reader.lag() == 4
        reader.publish(reader.end(), committed=True)
        assert writer.lag() == 0

    def test_a_prepared_position_does_not_change_the_lag(self, writer: Log, reader: Log) -> None:
        first, second = append(writer, batch(0, 3)), append(writer, batch(3, 4))
        reader.publish(first, committed=True)
        reader.publish(second, committed=False)
        assert writer.lag() == reader.lag() == 4
        reader.publish(START, committed=True)
        assert writer.lag() == 7

    @pytest.mark.parametrize("committed", [None, START])
    def test_a_position_that_the_engine_may_have_read_is_never_reused(
        self, writer: Log, reader: Log, open_log: Open, lose_end: LoseEnd, committed: Position | None
    ) -> None:
        remaining, lost = append(writer, batch(0, 1)), append(writer, batch(1, 2))
        reader.publish(lost, committed=False)
        if committed is not None:
            reader.publish(committed, committed=True)
        reader.close()
        writer.close()
        lose_end(remaining)
        open_log(True).append(batch(3, 1))
        chunks = [chunk for chunk in open_log(False).read(START, 100) if not chunk.fault]
        assert numbers(iter(chunks)) == [0, 3]
        assert chunks[1].position.offsets > lost.offsets

    def test_records_survive_a_restart(self, writer: Log, open_log: Open) -> None:
        writer.append(batch(0, 3))
        writer.close()
        again = open_log(True)
        again.append(batch(3, 2))
        assert numbers(open_log(False).read(START, 100)) == [0, 1, 2, 3, 4]
        assert again.count(again.end()) == 5

    def test_a_reader_stays_open_while_the_writer_restarts(self, writer: Log, reader: Log, open_log: Open) -> None:
        end = append(writer, batch(0, 3))
        assert reader.end() == end
        writer.close()
        open_log(True).append(batch(3, 2))
        assert numbers(reader.read(end, 100)) == [3, 4]

    def test_a_reader_cannot_append(self, reader: Log) -> None:
        with pytest.raises(LogUnavailable, match="reading only"):
            reader.append(batch(0, 1))

    def test_a_concurrent_reader_sees_each_record_once_and_in_order(self, writer: Log, reader: Log) -> None:
        written, done = 0, Event()

        def write() -> None:
            nonlocal written
            try:
                for size in range(1, 120):
                    writer.append(batch(written, size))
                    written += size
            finally:
                done.set()

        thread = Thread(target=write)
        thread.start()
        position, seen = START, []
        while not done.is_set() or position != reader.end():
            for chunk in reader.read(position, 50):
                seen += numbers(iter([chunk]))
                position = chunk.position
        thread.join()
        assert seen == list(range(written))

    def test_one_reader_serves_many_threads(self, writer: Log, reader: Log) -> None:
        for first in range(0, 200, 10):
            writer.append(batch(first, 10))
        results: list[list[int]] = []
        threads = [Thread(target=lambda: results.append(numbers(reader.read(START, 1_000)))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [list(range(200))] * 6
