"""A run sends its phases to a scripted ingest and reports the outcome."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import pytest

from tests.inprocess.clock import ManualClock
from tests.support.decimal_receipts import gross_cents, parse_receipt
from tests.support.scripted_ingest import SILENCE, scripted_ingest
from tillstream.client.sender import Tally
from tillstream.clock import SystemClock
from tillstream.errors import OperationalError
from tillstream.generator.run import IngestTimeout, generate, report, run
from tillstream.generator.schedule import Options

NOON_US = 1_772_449_200_000_000  # Monday 2026-03-02 12:00:00 in Paris
START = datetime(2026, 3, 2, 9)


def quiet(_tally: Tally) -> None: ...


def test_two_bursts_with_one_seed_and_start_send_the_same_bytes() -> None:
    with scripted_ingest() as ingest:
        for _ in range(2):
            generate(Options(url=ingest.url, seed=7, burst=500, start=START), quiet)
    bodies = [request.body for request in ingest.requests]

    assert sorted(bodies[:500]) == sorted(bodies[500:])
    assert len(set(bodies)) == 500


def test_two_runs_with_one_seed_sell_the_same_amounts_at_any_time() -> None:
    with scripted_ingest() as ingest:
        for now_us in (NOON_US, NOON_US + 50_000_000_000):
            generate(Options(url=ingest.url, seed=7, burst=300), quiet, ManualClock(now_us))
    receipts = [parse_receipt(request.body) for request in ingest.requests]

    first = {
        (receipt["storeID"], receipt["terminalID"], receipt["cashReceiptID"], gross_cents(receipt))
        for receipt in receipts[:300]
    }
    second = {
        (receipt["storeID"], receipt["terminalID"], receipt["cashReceiptID"], gross_cents(receipt))
        for receipt in receipts[300:]
    }
    assert first == second
    assert len(first) == 300


def test_a_paced_run_keeps_its_rate_and_ends_after_its_duration() -> None:
    with scripted_ingest() as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, rate=100, duration_s=1), quiet)

    assert outcome.clean
    assert outcome.accepted == len(ingest.requests) == pytest.approx(100, abs=15)
    assert outcome.seconds >= 0.9


def test_a_burst_ends_after_its_duration_with_all_responses() -> None:
    with scripted_ingest() as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, burst=10**9, duration_s=0.5), quiet)

    assert outcome.clean
    assert outcome.accepted == len(ingest.requests) > 0


def test_batches_are_ndjson_and_the_last_one_has_the_rest() -> None:
    with scripted_ingest() as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, burst=250, batch=100, connections=1), quiet)

    assert outcome.accepted == 250
    assert [len(request.body.splitlines()) for request in ingest.requests] == [100, 100, 50]
    assert {(request.path, request.headers["content-type"]) for request in ingest.requests} == {
        ("/receipts", "application/x-ndjson")
    }
    assert all(parse_receipt(line) for request in ingest.requests for line in request.body.splitlines())


@pytest.mark.parametrize(("start", "marked"), [(START, True), (None, False)])
def test_receipts_with_a_start_date_are_marked_as_simulated(start: datetime | None, marked: bool) -> None:
    with scripted_ingest() as ingest:
        generate(Options(url=ingest.url, seed=7, burst=3, start=start), quiet)

    assert {request.headers.get("tillstream-source") == "simulated" for request in ingest.requests} == {marked}


def test_one_run_sends_past_days_and_then_live_sales() -> None:
    options = {"seed": 7, "stores": 3, "tills": (2, 2), "backfill_days": 1, "live": True, "rate": 50.0, "count": 20}
    phases: set[str] = set()
    with scripted_ingest() as ingest:
        outcome = generate(Options(url=ingest.url, **options), lambda tally: phases.add(tally.phase))  # type: ignore[arg-type]

    live = [request for request in ingest.requests if request.path == "/receipt"]
    past = [request for request in ingest.requests if request.path == "/receipts"]
    assert phases == {"past days", "live"}
    assert len(live) == 20
    assert {request.headers.get("tillstream-source") for request in past} == {"simulated"}
    assert outcome.accepted == 20 + sum(len(request.body.splitlines()) for request in past)


def test_a_compressed_day_takes_its_share_of_the_time() -> None:
    with scripted_ingest() as ingest:
        options = Options(url=ingest.url, seed=7, stores=1, tills=(1, 1), profile="day", speed=40_000)
        outcome = generate(options, quiet, ManualClock(NOON_US))

    assert outcome.accepted > 30
    assert outcome.seconds == pytest.approx(12 * 3600 / 40_000, abs=1)
    assert {parse_receipt(request.body)["date"][:10] for request in ingest.requests} == {"2026-03-02"}


def test_server_errors_delay_receipts_but_lose_and_repeat_none() -> None:
    with scripted_ingest("503 0", "drop", "429 0", "202", "drop", "503 0") as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, burst=100, connections=4), quiet)

    assert outcome.clean
    assert outcome.retried == 5
    assert len({request.body for request in ingest.requests}) == 100


def test_a_run_with_a_refused_receipt_is_not_clean() -> None:
    with scripted_ingest('422 - {"errors":[]}') as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, burst=10), quiet)

    assert (outcome.accepted, outcome.refused, outcome.clean) == (9, 1, False)
    assert outcome.refusal == '422 {"errors":[]}'


def test_without_a_server_the_run_ends_with_an_error_and_a_report() -> None:
    with scripted_ingest() as gone:
        url = gone.url

    with pytest.raises(
        IngestTimeout, match=r"nothing was acknowledged for 0\.3 s .*check that `tillstream up` is running"
    ) as raised:
        generate(Options(url=url, seed=7, burst=10, give_up_s=0.3), quiet)

    assert raised.value.target == f"{url}/receipt"
    assert raised.value.report is not None
    assert raised.value.report.accepted == 0
    assert not raised.value.report.clean


def test_pauses_between_receipts_do_not_count_as_time_without_progress() -> None:
    with scripted_ingest() as ingest:
        outcome = generate(Options(url=ingest.url, seed=7, rate=2, count=3, give_up_s=0.2), quiet)

    assert outcome.accepted == 3


def test_a_wrong_address_is_refused_before_any_receipt_is_created() -> None:
    with pytest.raises(OperationalError, match="not an http"):
        generate(Options(url="127.0.0.1:3000", seed=7, burst=10), quiet)


def test_a_stopped_run_reports_the_receipts_with_a_response() -> None:
    async def main(url: str) -> tuple[int, float]:
        stop = asyncio.Event()

        def stop_after_some(tally: Tally) -> None:
            if tally.accepted >= 50:
                stop.set()

        began = time.perf_counter()
        outcome = await run(Options(url=url, seed=7, rate=500), stop_after_some, SystemClock(), stop)
        assert outcome.clean
        return outcome.accepted, time.perf_counter() - began

    with scripted_ingest() as ingest:
        accepted, seconds = asyncio.run(main(ingest.url))

    assert accepted == len(ingest.requests) >= 50
    assert seconds < 5


def test_a_stopped_run_reports_the_receipts_without_a_response() -> None:
    async def main(url: str) -> int:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, stop.set)
        outcome = await run(Options(url=url, seed=7, burst=1), quiet, SystemClock(), stop)
        assert not outcome.clean
        return outcome.unacknowledged

    with scripted_ingest(SILENCE) as ingest:
        assert asyncio.run(main(ingest.url)) == 1


def test_a_report_without_latencies_has_zeros() -> None:
    outcome = report(Tally(), seed=3, seconds=0)

    assert (outcome.latency_p99_ms, outcome.receipts_per_second, outcome.clean) == (0, 0, True)


@pytest.mark.parametrize(("accepted", "refused", "clean"), [(5, 0, True), (4, 1, False), (4, 0, False)])
def test_a_run_is_clean_if_every_receipt_was_accepted(accepted: int, refused: int, clean: bool) -> None:
    outcome = report(Tally(sent=5, accepted=accepted, refused=refused), seed=3, seconds=2)

    assert outcome.clean is clean
    assert outcome.unacknowledged == 5 - accepted - refused
    assert outcome.receipts_per_second == accepted / 2
