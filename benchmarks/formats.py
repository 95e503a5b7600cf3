"""Every text format decoded, from bytes to canonical receipts that are validated, beside our own NDJSON."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from benchmarks.baskets import Baskets
from benchmarks.harness import CannotRun, Load, Plan, interleaved, median_rate, median_ratio
from benchmarks.result import Figure, Result
from benchmarks.written import FORM_TITLE, NDJSON_TITLE, WRITERS
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.base import Decoded, Decoder, Record
from tillstream.receipt.validation import ReceiptError, Validator

TITLE = "every format beside NDJSON, bytes to validated receipts"
TARGETS = {"XML": 0.05, "ARTS POSLog": 0.03}
"""Minimum rates relative to NDJSON by the title of a format."""

OTHER_TARGET = 0.2

Decode = Callable[[], Iterable[Decoded]]


def run(plan: Plan) -> Result:
    settings = Settings()
    baskets = Baskets()
    receipts = [baskets.receipt() for _ in range(2_000 if plan.quick else 20_000)]
    decodes: dict[str, Decode] = {}
    without = []
    for decoder in registry.load(settings):
        writer = WRITERS.get(decoder.title)
        if writer is None:
            without.append(decoder.title)
        elif decoder.title == FORM_TITLE:
            decodes[decoder.title] = partial(_each, decoder, [writer.one(receipt) for receipt in receipts])
        else:
            decodes[decoder.title] = partial(_all, decoder, b"".join(writer.parts(receipts)))
    loads = interleaved(
        plan,
        {title: partial(_decoded, title, decode, settings, len(receipts)) for title, decode in decodes.items()},
    )
    ours = loads[NDJSON_TITLE]
    figures = [Figure(NDJSON_TITLE, median_rate(ours), "/s")]
    for title, found in loads.items():
        if title != NDJSON_TITLE:
            note = f"{median_rate(found):,.0f}/s"
            target = TARGETS.get(title, OTHER_TARGET)
            figures.append(Figure(f"{title} over NDJSON", median_ratio(found, ours), "times", ">=", target, note))
    return Result(bench="formats", title=TITLE, figures=figures, runs=dict(loads) | {"without a writer": without})


def _all(decoder: Decoder, payload: bytes) -> Iterable[Decoded]:
    return decoder.decode(io.BytesIO(payload))


def _each(decoder: Decoder, payloads: Sequence[bytes]) -> Iterable[Decoded]:
    return map(decoder.one, payloads)


def _decoded(title: str, decode: Decode, settings: Settings, count: int) -> Load:
    """One pass over all receipts, in processor time: nothing waits here. Raises `CannotRun` where one of them is no receipt."""
    validator, now_us = Validator(settings), SystemClock().now_us()
    began_ns = time.process_time_ns()
    receipts = 0
    for item in decode():
        if not isinstance(item, Record):
            raise CannotRun(f"{title}: {item}"[:500])
        try:
            validator.check(item.body, now_us, "x/bench", item.day)
        except ReceiptError as error:
            raise CannotRun(f"{title}: {error.faults[:3]} in {item.body[:200]!r}") from error
        receipts += 1
    seconds = (time.process_time_ns() - began_ns) / 1e9
    if receipts != count:
        raise CannotRun(f"{title}: {receipts} receipts of {count}")
    return Load(receipts, seconds, receipts / seconds, 0, 0, 0, 0, 0)
