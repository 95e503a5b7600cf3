"""The sender delivers each receipt once, whatever the server does, and counts outcomes and latencies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

import pytest

from tests.support.scripted_ingest import DROP, GARBAGE, SILENCE, ScriptedIngest, scripted_ingest
from tillstream.client.sender import (
    RESPONSE_LIMIT_BYTES,
    BadResponse,
    Latency,
    Request,
    Response,
    Sender,
    Tally,
    Target,
    parse,
)
from tillstream.errors import OperationalError


def send(
    ingest: ScriptedIngest, *bodies: bytes, receipts: int = 1, connections: int = 1, timeout_s: float = 30
) -> Tally:
    """Send the bodies one after the other, or on several connections, and wait until all are settled."""
    to = Target.parse(ingest.url)
    start = to.head("/receipt", "application/json")
    requests = [Request(start, body, receipts) for body in bodies]

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
            sender.close()

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
    assert (tally.accepted, tally.retried, tally.problem) == (1, 1, "no response within 0.2 s")


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
    final: list[tuple[int, bytes]] = []

    async def main() -> int:
        to = Target.parse(ingest.url)
        start = to.head("/receipts", "application/json")
        sender = Sender(to, 2, Tally(), Random(1))
        try:
            for body in (b"1", b"2"):
                sender.submit(Request(start, body, 1, on_response=lambda each: final.append((each.status, each.body))))
            idle = len(sender.idle)
            assert await sender.drained(10)
            return len(sender.idle) - idle
        finally:
            sender.close()

    with scripted_ingest("503 0", '202 - {"accepted":1}', '422 - {"errors":[]}') as ingest:
        assert asyncio.run(main()) == 2

    assert sorted(final) == [(202, b'{"accepted":1}'), (422, b'{"errors":[]}')]


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
        to = Target.parse(url)
        sender = Sender(to, 2, Tally(), Random(1))
        try:
            sender.submit(Request(to.head("/receipt", "application/json"), b"1", 1))
            while not sender.tally.problem:
                assert not await sender.drained(0.02)
            with scripted_ingest(port=port) as ingest:
                assert await sender.drained(10)
                return sender.tally, ingest
        finally:
            sender.close()

    tally, ingest = asyncio.run(main())

    assert (tally.accepted, tally.retried) == (1, 0)
    assert [request.body for request in ingest.requests] == [b"1"]


def test_an_error_in_the_source_ends_the_run() -> None:
    def broken() -> Iterator[Request]:
        yield Request(to.head("/receipt", "application/json"), b"1", 1)
        raise ZeroDivisionError("in the middle")

    async def main() -> None:
        sender = Sender(to, 1, Tally(), Random(1))
        try:
            sender.feed(broken())
            await sender.drained(10)
        finally:
            sender.close()

    with scripted_ingest() as ingest:
        to = Target.parse(ingest.url)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())


ANSWER = b'HTTP/1.1 503 Service Unavailable\r\nRETRY-AFTER: 2\r\nContent-Length: 7\r\n\r\n{"a":1}'


def test_a_response_is_parsed_only_when_it_is_complete() -> None:
    assert parse(ANSWER) == Response(503, 2.0, b'{"a":1}')
    for length in range(len(ANSWER)):
        assert parse(ANSWER[:length]) is None


def test_the_length_may_be_anywhere_in_the_headers() -> None:
    assert parse(b"HTTP/1.1 202 Accepted\r\ncontent-length:2\r\nServer: x\r\n\r\n{}") == Response(202, None, b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 99999999999\r\n\r\n",
        b"x" * (RESPONSE_LIMIT_BYTES + 1),
    ],
)
def test_other_bytes_are_a_bad_response(data: bytes) -> None:
    with pytest.raises(BadResponse):
        parse(data)


def test_a_date_in_retry_after_is_ignored() -> None:
    told = parse(b"HTTP/1.1 429 x\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n")

    assert told == Response(429, None, b"")


@pytest.mark.parametrize(
    ("url", "authority", "base"),
    [
        ("http://127.0.0.1:3000", "127.0.0.1:3000", ""),
        ("http://localhost/", "localhost:80", ""),
        ("https://tills.example/in/", "tills.example:443", "/in"),
        ("http://[::1]:3000", "[::1]:3000", ""),
    ],
)
def test_an_address_is_parsed(url: str, authority: str, base: str) -> None:
    to = Target.parse(url)

    assert f"\r\nHost: {authority}\r\n".encode() in to.head("/receipt", "application/json")
    assert (to.base, to.tls) == (base, url.startswith("https"))


@pytest.mark.parametrize(
    "url", ["", "localhost:3000", "ftp://x", "http://", "http://x:port", "http://x:99999", "http://a..b:80"]
)
def test_a_wrong_address_is_an_error_with_an_example(url: str) -> None:
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1:3000"):
        Target.parse(url)


def test_simulated_receipts_are_marked_in_the_head() -> None:
    to = Target.parse("http://127.0.0.1:3000/in")

    assert to.head("/receipt", "application/json", simulated=True) == (
        b"POST /in/receipt HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nContent-Type: application/json\r\n"
        b"Tillstream-Source: simulated\r\nContent-Length: "
    )
    assert b"simulated" not in to.head("/receipt", "application/json")


def test_the_head_has_the_key_if_there_is_one() -> None:
    to = Target.parse("http://127.0.0.1:3000")
    assert b"\r\nAuthorization: Bearer ts_1\r\n" in to.head("/receipt", "application/json", key="ts_1")
    assert b"Authorization" not in to.head("/receipt", "application/json")


def test_percentiles_are_upper_bounds_within_a_sixteenth_of_an_octave() -> None:
    random = Random(1)
    values = sorted(int(random.lognormvariate(8, 2)) for _ in range(10_000))
    latency = Latency()
    for value in values:
        latency.add(value)

    for percent in (10, 50, 90, 99):
        exact = values[int(len(values) * percent / 100) - 1]
        assert exact <= latency.percentile_us(percent) <= exact * 1.07 + 1
    assert latency.max_us == values[-1]
    assert latency.percentile_us(100) == values[-1]


@pytest.mark.parametrize("value", [0, 1, 2, 15, 16, 17, 31, 32, 33, 1000, 123_456_789])
def test_a_single_latency_is_its_own_percentile(value: int) -> None:
    latency = Latency()
    latency.add(value)

    assert latency.percentile_us(50) == value
