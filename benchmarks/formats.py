"""Decoding and validation of every text format, compared with NDJSON."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from benchmarks.baskets import Baskets
from benchmarks.harness import BenchmarkError, Load, Plan, interleaved, median_rate, median_ratio
from benchmarks.result import Figure, Result
from benchmarks.writers import FORM_TITLE, NDJSON_TITLE, WRITERS
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.base import Decoded, Decoder, Record
from tillstream.receipt.validation import ReceiptError, Validator

TITLE = "decoding and validation of every format, compared with NDJSON"
TARGETS = {"XML": 0.05, "ARTS POSLog": 0.03}
"""Minimum rates relative to NDJSON, by the title of the format."""

DEFAULT_TARGET = 0.2

Decode = Callable[[], Iterable[Decoded]]


def run(plan: Plan) -> Result:
    settings = Settings()
    baskets = Baskets()
    receipts = [baskets.receipt() for _ in range(2_000 if plan.quick else 20_000)]
    decodes: dict[str, Decode] = {}
    not_measured = []
    for decoder in registry.load(settings):
        writer = WRITERS.get(decoder.title)
        if writer is None:
            not_measured.append(decoder.title)
        elif decoder.title == FORM_TITLE:
            decodes[decoder.title] = partial(_decode_each, decoder, [writer.write(receipt) for receipt in receipts])
        else:
            decodes[decoder.title] = partial(_decode_file, decoder, b"".join(writer.parts(receipts)))
    loads = interleaved(
        plan,
        {title: partial(_measure, title, decode, settings, len(receipts)) for title, decode in decodes.items()},
    )
    ndjson = loads[NDJSON_TITLE]
    figures = [Figure(NDJSON_TITLE, median_rate(ndjson), "/s")]
    for title, found in loads.items():
        if title != NDJSON_TITLE:
            note = f"{median_rate(found):,.0f}/s"
            target = TARGETS.get(title, DEFAULT_TARGET)
            figures.append(Figure(f"{title} / NDJSON", median_ratio(found, ndjson), "times", ">=", target, note))
    return Result(bench="formats", title=TITLE, figures=figures, runs=dict(loads) | {"not measured": not_measured})


def _decode_file(decoder: Decoder, payload: bytes) -> Iterable[Decoded]:
    return decoder.decode(io.BytesIO(payload))


def _decode_each(decoder: Decoder, payloads: Sequence[bytes]) -> Iterable[Decoded]:
    return map(decoder.one, payloads)


def _measure(title: str, decode: Decode, settings: Settings, count: int) -> Load:
    """Decode and validate all receipts, and measure the CPU time. Raises `BenchmarkError` if one is rejected."""
    validator, now_us = Validator(settings), SystemClock().now_us()
    began_ns = time.process_time_ns()
    receipts = 0
    for item in decode():
        if not isinstance(item, Record):
            raise BenchmarkError(f"{title}: {item}"[:500])
        try:
            validator.check(item.body, now_us, "x/bench", item.day)
        except ReceiptError as error:
            raise BenchmarkError(f"{title}: {error.faults[:3]} in {item.body[:200]!r}") from error
        receipts += 1
    seconds = (time.process_time_ns() - began_ns) / 1e9
    if receipts != count:
        raise BenchmarkError(f"{title}: {receipts} receipts of {count}")
    return Load(receipts, seconds, receipts / seconds, 0, 0, 0, 0, 0)
