"""Given a payload; when it is sorted; then every part of it is told, within limits, here or in a thread of its own."""

from __future__ import annotations

import asyncio
import gzip
import threading
from typing import Any

import msgspec
import pytest

from tests.support.ingest import JSON, NDJSON, RECEIVED_US, encoded, receipt
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.base import Record
from tillstream.formats.registry import Formats
from tillstream.ingest.decoding import Apart, Sorted, Sorter, came, replayed
from tillstream.ingest.responses import Refused


def sorter(**settings: Any) -> tuple[Sorter, Formats]:
    changed = msgspec.structs.replace(Settings(), **settings)
    formats = registry.load(changed)
    return Sorter(changed, formats), formats


def sort(payload: bytes, media_type: str = NDJSON, **settings: Any) -> Sorted:
    sorting, formats = sorter(**settings)
    decoder = formats.decoder(media_type)
    assert decoder is not None
    return sorting.all(decoder, payload, "json/http", RECEIVED_US)


def test_what_is_right_goes_to_the_log_and_what_is_not_is_refused_by_its_place() -> None:
    found = sort(encoded(1) + b"\n{\n" + encoded(2))
    assert (found.accepted, [index for index, _ in found.rejected], found.parseable) == (2, [1], True)
    assert list(found.batch.bodies) == [encoded(1), b"", encoded(2)]
    assert found.answer is not None
    assert (found.answer.status, found.empty) == (202, None)


def test_what_is_of_other_stores_is_told_and_no_record() -> None:
    sorting, formats = sorter()
    decoder = formats.decoder(NDJSON)
    assert decoder is not None
    payload = encoded(1) + b"\n" + encoded(2, storeID="13") + b"\n{"
    found = sorting.all(decoder, payload, "json/http", RECEIVED_US, frozenset({b"S-1"}))
    assert (found.accepted, found.foreign, [index for index, _ in found.rejected]) == (1, 1, [1, 2])
    assert list(found.batch.bodies) == [encoded(1), b""]
    with pytest.raises(Refused) as refusal:
        sorting.all(decoder, payload, "json/http", RECEIVED_US, frozenset({b"14"}))
    assert refusal.value.answer.status == 403


def test_nothing_at_all_has_no_answer_but_a_reason() -> None:
    for payload, parseable in ((b"", False), (b" \n", False), (b"[]", True)):
        found = sort(payload, JSON)
        assert (found.answer, found.batch.heads) == (None, [])
        assert found.empty is not None
        assert found.empty.parseable is parseable


def test_behind_so_many_faults_only_the_first_of_each_receipt_is_told() -> None:
    found = sort(b'{"lines":[0,0,0,0]}\n' * 1_000)
    told = [len(faults) for _, faults in found.rejected]
    assert (told[0], told[-1], len(told)) == (8, 1, 1_000)
    assert sum(told) < 3_500
    notes = found.batch.heads[-1].split(b"\t")[-1]
    assert len(msgspec.json.decode(notes)) == 1


def test_what_stops_refuses_what_is_under_way() -> None:
    sorting, formats = sorter()
    sorting.stopping = True
    with pytest.raises(Refused) as refused:
        sorting.all(next(iter(formats)), encoded(), "json/http", RECEIVED_US)
    assert refused.value.answer.status == 503


@pytest.mark.parametrize(
    ("payload", "said", "hint"),
    [
        (b"PK\x03\x04rest", "it looks like a zip archive", "send the files that are in it"),
        (gzip.compress(encoded()), "it looks like gzip data", "send it with Content-Encoding: gzip"),
        (b"\x28\xb5\x2f\xfdrest", "it looks like zstd data", "send it with Content-Encoding: zstd"),
        (b"<receipt/>", "it looks like XML, and was taken for NDJSON", "send it as application/xml"),
    ],
)
def test_what_the_payload_seems_to_be_is_told_with_the_last_fault(payload: bytes, said: str, hint: str) -> None:
    (index, faults) = sort(payload).rejected[-1]
    assert index == 0 or payload.startswith(b"\x1f")
    assert (faults[-1].error, faults[-1].hint.startswith(hint)) == (said, True)


def test_apart_works_in_one_thread_of_its_own_with_decoders_of_its_own() -> None:
    async def run() -> tuple[set[int], bool]:
        settings = Settings()
        formats = registry.load(settings)
        apart = Apart(settings, formats)
        threads = await asyncio.gather(*(apart.run(threading.get_ident) for _ in range(5)))
        decoder = next(iter(formats))
        single = await apart.run(
            lambda: apart.sorter.one(apart.sorter.like(decoder), encoded(), "json/http", RECEIVED_US)
        )
        apart.close()
        return set(threads), single.decoded == Record(encoded()) and apart.sorter.stopping

    threads, stopped = asyncio.run(run())
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert stopped


def test_a_source_tells_what_came_out_of_quarantine_and_a_record_what_came() -> None:
    assert [replayed(source) for source in ("json/replay", "json/replay/simulated", "json/http")] == [True, True, False]
    body = encoded(**receipt(3))
    assert (came(Record(body)), came(Record(body, b"original"))) == (body, b"original")
