"""Given an ingest that takes, refuses, stays silent or is none; when batches are carried to it; then all is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.ingest import encoded
from tests.support.scripted_ingest import DROP, scripted_ingest
from tillstream.errors import OperationalError
from tillstream.formats import envelope
from tillstream.formats.base import Record
from tillstream.importing import uploader as module
from tillstream.importing.batches import Batch
from tillstream.importing.destination import Destination
from tillstream.importing.uploader import IngestSilent, Taken, Uploader

TAKEN = '{"accepted":2}'


def batch(*bodies: bytes) -> Batch:
    lines = [envelope.receipt(Record(body), "json/import") for body in bodies]
    return Batch(0, len(lines), lines, list(range(len(lines))))


class Told:
    """A courier with what it told."""

    def __init__(self, url: str, give_up_s: float | None = 10) -> None:
        self.stop = asyncio.Event()
        self.said: list[str] = []
        self.courier = Uploader(Destination(url), Random(1), self.stop, give_up_s=give_up_s, tell=self.said.append)


def carry(url: str, work: Callable[[Told], Awaitable[None]], give_up_s: float | None = 10) -> Told:
    async def main() -> Told:
        told = Told(url, give_up_s)
        try:
            await asyncio.wait_for(work(told), 20)
        finally:
            await told.courier.close()
        return told

    return asyncio.run(main())


async def settled(told: Told) -> None:
    while not await told.courier.settled():
        pass


def test_what_ingest_made_of_each_batch_is_told_to_its_owner(ingest: Ingest, url: str) -> None:
    mixed, bad = batch(encoded(1), b"{}", encoded(2)), batch(b"{}")
    mine, other = object(), object()

    async def work(told: Told) -> None:
        assert await told.courier.post(mixed, mine)
        assert await told.courier.post(bad, mine)
        await settled(told)
        (_, first), (_, second) = sorted(told.courier.collect(mine), key=lambda each: -each[1].accepted)
        assert (first.accepted, [each.index for each in first.rejected]) == (2, [1])
        assert first.rejected[0].errors[0]["path"] == "$.cashReceiptID"
        assert (second.accepted, len(second.rejected)) == (0, 1)
        await told.courier.post(bad, other)
        await settled(told)
        assert told.courier.collect(mine) == []

    carry(url, work)
    assert [record["source"] for record in ingest.records()] == ["json/import"] * 5


def test_after_trouble_the_same_batch_is_sent_again() -> None:
    async def work(told: Told) -> None:
        await told.courier.post(batch(b"1", b"2"), self)
        await settled(told)
        assert [taken for _, taken in told.courier.collect(self)] == [Taken(2)]

    self = object()
    with scripted_ingest("503 0", DROP, "429 0", f"202 - {TAKEN}") as ingest:
        carry(ingest.url, work)
    assert len(ingest.requests) == 4
    assert len({request.body for request in ingest.requests}) == 1
    assert ingest.requests[0].headers["content-type"] == envelope.MEDIA_TYPE


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            '413 - {"errors":[{"path":"$","error":"too much","hint":"send less"}]}',
            "it answered 413: too much; send less",
        ),
        ("404 - <html>", "it answered 404, and not as ingest does; name the address of ingest with --to"),
        ("202 - {}", "it answered 202, and not as ingest does"),
        ('202 - {"accepted":1}', "it answered 202, and not as ingest does"),
        ('422 - {"errors":[]}', "it answered 422, and not as ingest does"),
    ],
)
def test_an_answer_that_acknowledges_nothing_ends_it(step: str, said: str) -> None:
    async def work(told: Told) -> None:
        await told.courier.post(batch(b"1", b"2"), None)
        await settled(told)

    with scripted_ingest(step) as ingest, pytest.raises(OperationalError) as raised:
        carry(ingest.url, work)
    assert said in str(raised.value)


def test_a_wait_is_told_once_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_S", 0.2)
    with scripted_ingest() as gone:
        url = gone.url

    async def work(told: Told) -> None:
        await told.courier.post(batch(b"1", b"2"), None)
        while not told.said:
            assert not await told.courier.settled()
        assert told.courier.waiting
        with scripted_ingest(f"202 - {TAKEN}", port=int(url.rpartition(":")[2])):
            await settled(told)

    told = carry(url, work, give_up_s=None)
    waiting, over = told.said
    assert waiting.startswith(f"waiting for ingest at {url}/receipts (")
    assert over == ""


def test_it_gives_up_in_time_or_waits_until_it_is_stopped() -> None:
    with scripted_ingest() as gone:
        url = gone.url

    async def work(told: Told) -> None:
        for _ in range(module.CONNECTIONS):
            assert await told.courier.post(batch(b"1"), None)
        assert not await told.courier.post(batch(b"1"), None)

    with pytest.raises(IngestSilent, match=r"nothing was acknowledged for 0\.3 s \(.*is `tillstream up` running\?"):
        carry(url, work, give_up_s=0.3)

    async def stopped(told: Told) -> None:
        asyncio.get_running_loop().call_later(0.3, told.stop.set)
        await work(told)

    carry(url, stopped, give_up_s=None)
