"""The sender delivers each receipt once, whatever the server does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from tests.support.scripted_ingest import DROP, GARBAGE, SILENCE, ScriptedIngest, scripted_ingest
from tillstream.client.messages import head, target
from tillstream.client.sender import Request, Sender
from tillstream.client.tally import Tally


def send(
    ingest: ScriptedIngest, *bodies: bytes, receipts: int = 1, connections: int = 1, timeout_s: float = 30
) -> Tally:
    """Send the bodies one after the other, or on several connections, and wait until all are settled."""
    to = target(ingest.url)
    start = head(to, "/receipt", "application/json", simulated=False)
    requests = [Request(start + b"%d\r\n\r\n%b" % (len(body), body), receipts, 0) for body in bodies]

    async def main() -> Tally:
        sender = Sender(to, connections, Tally(), Random(1))
        try:
            sender.feed(iter(requests))
            for _ in range(200):
                if await sender.drained(0.05):
                    return sender.tally
                sender.drop_silent(timeout_s)
            raise AssertionError("not settled in 10 s")
        finally:
            await sender.close()

    return asyncio.run(main())


def test_an_accepted_receipt_is_sent_once() -> None:
    with scripted_ingest() as ingest:
        tally = send(ingest, b"1", b"2", b"3")

    assert [request.body for request in ingest.requests] == [b"1", b"2", b"3"]
    assert (tally.sent, tally.accepted, tally.refused, tally.retried) == (3, 3, 0, 0)
    assert tally.latency.count == 3
    assert ingest.connections == 1


@pytest.mark.parametrize("trouble", ["408 -", "429 0", "503 0", "503", "500", "502 -", DROP, GARBAGE])
def test_after_an_error_the_same_bytes_are_sent_until_they_are_accepted(trouble: str) -> None:
    with scripted_ingest(trouble, trouble) as ingest:
        tally = send(ingest, b"1", b"2")

    assert [request.body for request in ingest.requests] == [b"1", b"1", b"1", b"2"]
    assert (tally.sent, tally.accepted, tally.refused, tally.retried) == (2, 2, 0, 2)
    assert tally.problem


def test_without_a_response_the_connection_is_closed_and_the_receipt_sent_again() -> None:
    with scripted_ingest(SILENCE) as ingest:
        tally = send(ingest, b"1", timeout_s=0.2)

    assert [request.body for request in ingest.requests] == [b"1", b"1"]
    assert (tally.accepted, tally.retried, tally.problem) == (1, 1, "no answer within 0.2 s")


def test_the_pause_is_as_long_as_retry_after() -> None:
    with scripted_ingest("503 1") as ingest:
        tally = send(ingest, b"1")

    assert tally.latency.max_us >= 1_000_000
    assert tally.retried == 1


@pytest.mark.parametrize("status", ["400", "401", "404", "413", "415", "422"])
def test_a_refusal_is_counted_and_not_sent_again(status: str) -> None:
    with scripted_ingest(f'{status} - {{"errors":[]}}') as ingest:
        tally = send(ingest, b"1", b"2")

    assert len(ingest.requests) == 2
    assert (tally.accepted, tally.refused, tally.refusal) == (1, 1, f'{status} {{"errors":[]}}')


@pytest.mark.parametrize(
    ("answer", "accepted"), [('{"accepted":3,"rejected":[{}]}', 3), ("{}", 4), ('{"accepted":9}', 4), ("nonsense", 4)]
)
def test_the_response_gives_the_accepted_receipts_of_a_batch(answer: str, accepted: int) -> None:
    with scripted_ingest(f"202 - {answer}") as ingest:
        tally = send(ingest, b"batch", receipts=4)

    assert (tally.accepted, tally.refused) == (accepted, 4 - accepted)


def test_the_callback_gets_each_final_response() -> None:
    told: list[tuple[bytes, int, bytes]] = []

    async def main() -> int:
        to = target(ingest.url)
        start = head(to, "/receipts", "application/json", simulated=False)
        sender = Sender(
            to, 2, Tally(), Random(1), lambda request, answer: told.append((request.data[-1:], *answer[::2]))
        )
        try:
            for body in (b"1", b"2"):
                sender.submit(Request(start + b"1\r\n\r\n" + body, 1, 0))
            busy = sender.free
            assert await sender.drained(10)
            return sender.free - busy
        finally:
            await sender.close()

    with scripted_ingest("503 0", '202 - {"accepted":1}', '422 - {"errors":[]}') as ingest:
        assert asyncio.run(main()) == 2

    assert sorted(status for _, status, _ in told) == [202, 422]
    assert {body for _, _, body in told} == {b'{"accepted":1}', b'{"errors":[]}'}


def test_all_connections_are_used_with_one_request_in_flight_on_each() -> None:
    with scripted_ingest() as ingest:
        tally = send(ingest, *(b"%d" % number for number in range(200)), connections=8)

    assert ingest.connections == 8
    assert sorted(int(request.body) for request in ingest.requests) == list(range(200))
    assert tally.accepted == 200


def test_a_server_that_starts_later_gets_everything_once() -> None:
    with scripted_ingest() as free:
        url = free.url
    port = int(url.rpartition(":")[2])

    async def main() -> tuple[Tally, ScriptedIngest]:
        to = target(url)
        sender = Sender(to, 2, Tally(), Random(1))
        try:
            sender.submit(Request(head(to, "/receipt", "application/json", simulated=False) + b"1\r\n\r\n1", 1, 0))
            while not sender.tally.problem:
                assert not await sender.drained(0.02)
            with scripted_ingest(port=port) as ingest:
                assert await sender.drained(10)
                return sender.tally, ingest
        finally:
            await sender.close()

    tally, ingest = asyncio.run(main())

    assert (tally.accepted, tally.retried) == (1, 0)
    assert [request.body for request in ingest.requests] == [b"1"]


def test_an_error_in_the_source_ends_the_run() -> None:
    def broken() -> Iterator[Request]:
        yield Request(head(to, "/receipt", "application/json", simulated=False) + b"1\r\n\r\n1", 1, 0)
        raise ZeroDivisionError("in the middle")

    async def main() -> None:
        sender = Sender(to, 1, Tally(), Random(1))
        try:
            sender.feed(broken())
            await sender.drained(10)
        finally:
            await sender.close()

    with scripted_ingest() as ingest:
        to = target(ingest.url)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())
