"""Mutated files of every format become receipts, skips or faults. They cause no exception and no endless loop in a decoder,
and no server error in ingest."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.inprocess.clock import ManualClock
from tests.inprocess.decoder_fuzzing import RECEIVED_US, SETTINGS, DecoderError, Fuzz, watchdog
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.ingest import Connection, encoded
from tillstream.formats import registry
from tillstream.formats.base import Decoder
from tillstream.receipt.model import RECEIPT

pytestmark = pytest.mark.torture

MUTATIONS = 20_000
POSTED = 300
SEED = os.environ.get("TILLSTREAM_SEED", "1")

KINDS = [type(decoder) for decoder in registry.load(SETTINGS)]
every_format = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.media_types[0])


@every_format
def test_no_mutation_breaks_a_decoder(kind: type[Decoder]) -> None:
    fuzz = Fuzz(kind, SEED)
    assert fuzz.receipts_of_valid_files() > 0
    for number in range(MUTATIONS):
        finding = fuzz.finding(number)
        if finding is not None:
            message = f"mutation {number} of {fuzz.name}, TILLSTREAM_SEED={SEED}: {finding.payload!r}"
            raise AssertionError(message) from finding.error


def test_the_watchdog_stops_an_endless_loop() -> None:
    with pytest.raises(DecoderError, match="of CPU time"), watchdog(limit_s=0.05):
        spin()


@every_format
def test_no_mutation_breaks_ingest_or_the_engine(kind: type[Decoder], tmp_path: Path) -> None:
    fuzz = Fuzz(kind, SEED)
    statuses: Counter[int] = Counter()
    ingest = Ingest(tmp_path, clock=ManualClock(RECEIVED_US), receipt_limit_bytes=SETTINGS.receipt_limit_bytes)
    try:
        connection = ingest.connect()
        for number in range(POSTED):
            payload = fuzz.payload(number)
            for path in ("/receipt", "/receipts"):
                status, closed = post(connection, path, payload, kind.media_types[0])
                assert status < 500, (
                    f"{path} answers {status} to mutation {number}, TILLSTREAM_SEED={SEED}: {payload!r}"
                )
                statuses[status] += 1
                connection = ingest.connect() if closed else connection
        assert ingest.request("GET", "/health/ready").status == 200
        assert ingest.post("/receipt", encoded("alive")).status == 202
        accepted = sum(record["kind"] == RECEIPT for record in ingest.records())
    finally:
        ingest.close()
    assert statuses[202], statuses
    assert statuses[400] + statuses[422], statuses
    assert processed_receipts(tmp_path) == accepted


def spin() -> None:
    """Loop forever."""
    while True:
        pass


def post(connection: Connection, path: str, payload: bytes, media_type: str) -> tuple[int, bool]:
    """The status of the answer, and whether the server closes the connection after it."""
    answer = connection.request("POST", path, payload, [("content-type", media_type)])
    return answer.status, answer.headers.get("connection") == "close"


def processed_receipts(directory: Path) -> int:
    """Process the log, and return the number of receipts. Fails if a receipt is unreadable."""
    pipeline = Pipeline(directory)
    try:
        steps = pipeline.drain()
    finally:
        pipeline.engine.close()
        pipeline.database.close()
        pipeline.log.close()
    assert sum(step.faults for step in steps) == 0
    return sum(step.receipts + step.duplicates + step.conflicts for step in steps)
