"""Bodies are decompressed, decoded and validated, within limits, on the event loop or in the worker's thread."""

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
from tillstream.ingest.decoding import (
    Content,
    DecodedRequest,
    DecodeWorker,
    RequestDecoder,
    is_replay,
    original_of,
)
from tillstream.ingest.responses import Refused
from tillstream.receipt.validation import ReceiptError


def request_decoder(**settings: Any) -> tuple[RequestDecoder, Formats]:
    changed = msgspec.structs.replace(Settings(), **settings)
    formats = registry.load(changed)
    return RequestDecoder(changed, formats), formats


def decode(payload: bytes, media_type: str = NDJSON, **settings: Any) -> DecodedRequest:
    requests, formats = request_decoder(**settings)
    decoder = formats.decoder(media_type)
    assert decoder is not None
    return requests.decode_all(Content(decoder, payload, "json/http", RECEIVED_US))


def test_valid_receipts_get_a_record_and_invalid_ones_are_rejected_by_their_index() -> None:
    found = decode(encoded(1) + b"\n{\n" + encoded(2))
    assert (found.accepted, [index for index, _ in found.rejected], found.parseable) == (2, [1], True)
    assert list(found.batch.bodies) == [encoded(1), b"", encoded(2)]
    assert found.response.status == 202


def test_receipts_of_other_stores_are_rejected_without_a_record() -> None:
    requests, formats = request_decoder()
    decoder = formats.decoder(NDJSON)
    assert decoder is not None
    payload = encoded(1) + b"\n" + encoded(2, storeID="13") + b"\n{"
    found = requests.decode_all(Content(decoder, payload, "json/http", RECEIVED_US), frozenset({b"S-1"}))
    assert (found.accepted, found.forbidden, [index for index, _ in found.rejected]) == (1, 1, [1, 2])
    assert list(found.batch.bodies) == [encoded(1), b""]
    with pytest.raises(Refused) as refusal:
        requests.decode_all(Content(decoder, payload, "json/http", RECEIVED_US), frozenset({b"14"}))
    assert refusal.value.response.status == 403


@pytest.mark.parametrize(("payload", "parseable"), [(b"", False), (b" \n", False), (b"[]", True)])
def test_an_empty_payload_is_an_error(payload: bytes, parseable: bool) -> None:
    with pytest.raises(ReceiptError) as raised:
        decode(payload, JSON)
    assert raised.value.parseable is parseable


def test_after_many_faults_only_the_first_of_each_receipt_is_reported() -> None:
    found = decode(b'{"lines":[0,0,0,0]}\n' * 1_000)
    counts = [len(faults) for _, faults in found.rejected]
    assert (counts[0], counts[-1], len(counts)) == (8, 1, 1_000)
    assert sum(counts) < 3_500
    notes = found.batch.heads[-1].split(b"\t")[-1]
    assert len(msgspec.json.decode(notes)) == 1


def test_stopping_ends_the_decoding_in_progress() -> None:
    requests, formats = request_decoder()
    requests.stopping = True
    with pytest.raises(Refused) as refused:
        requests.decode_all(Content(next(iter(formats)), encoded(), "json/http", RECEIVED_US))
    assert refused.value.response.status == 503


@pytest.mark.parametrize(
    ("payload", "error", "hint"),
    [
        (b"PK\x03\x04rest", "it looks like a zip archive", "send the files that are in it"),
        (gzip.compress(encoded()), "it looks like gzip data", "send it with Content-Encoding: gzip"),
        (b"\x28\xb5\x2f\xfdrest", "it looks like zstd data", "send it with Content-Encoding: zstd"),
        (b"<receipt/>", "it looks like XML, but was sent as NDJSON", "send it as application/xml"),
    ],
)
def test_the_likely_format_of_a_payload_is_the_last_fault(payload: bytes, error: str, hint: str) -> None:
    (index, faults) = decode(payload).rejected[-1]
    assert index == 0 or payload.startswith(b"\x1f")
    assert (faults[-1].error, faults[-1].hint.startswith(hint)) == (error, True)


def test_the_worker_decodes_in_one_thread_with_decoders_of_its_own() -> None:
    async def run() -> tuple[set[int], bool]:
        settings = Settings()
        formats = registry.load(settings)
        worker = DecodeWorker(settings, formats)
        threads = await asyncio.gather(*(worker.run(threading.get_ident) for _ in range(5)))
        decoder = next(iter(formats))
        single = await worker.run(
            lambda: worker.decoder.decode_one(Content(decoder, encoded(), "json/http", RECEIVED_US))
        )
        worker.close()
        return set(threads), single.decoded == Record(encoded()) and worker.decoder.stopping

    threads, stopped = asyncio.run(run())
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert stopped


def test_the_source_marks_replays_and_the_original_is_the_body_unless_it_differs() -> None:
    assert [is_replay(source) for source in ("json/replay", "json/replay/simulated", "json/http")] == [
        True,
        True,
        False,
    ]
    sent = encoded(**receipt(3))
    assert (original_of(Record(sent)), original_of(Record(sent, b"original"))) == (sent, b"original")
