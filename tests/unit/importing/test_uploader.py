"""Batches reach the ingest that was found, results reach the import of their file, and every other response ends the import."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.ingest import encoded
from tests.support.scripted_ingest import DROP, scripted_ingest
from tillstream.access import machine_token
from tillstream.clock import SystemClock
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats import envelope
from tillstream.formats.base import Record
from tillstream.importing import uploader as module
from tillstream.importing.batches import Batch
from tillstream.importing.uploader import (
    Acknowledged,
    BatchResult,
    Destination,
    Uploader,
    find_destination,
    log_id,
    with_time_zones,
)
from tillstream.stores import repository
from tillstream.stores.model import Store, StoreList

TAKEN = '{"accepted":2}'


def batch(*bodies: bytes) -> Batch:
    lines = [envelope.receipt(Record(body), "json/import") for body in bodies]
    return Batch(0, len(lines), lines, list(range(len(lines))))


class Recorded:
    """An uploader and its notifications."""

    def __init__(self, url: str, give_up_s: float | None = 10) -> None:
        self.stop = asyncio.Event()
        self.notifications: list[str] = []
        self.uploader = Uploader(
            Destination(url), Random(1), self.stop, give_up_s=give_up_s, notify=self.notifications.append
        )


def upload(url: str, work: Callable[[Recorded], Awaitable[None]], give_up_s: float | None = 10) -> Recorded:
    async def main() -> Recorded:
        recorded = Recorded(url, give_up_s)
        try:
            await asyncio.wait_for(work(recorded), 20)
        finally:
            recorded.uploader.close()
        return recorded

    return asyncio.run(main())


async def drained(recorded: Recorded) -> None:
    while not await recorded.uploader.drained():
        pass


def test_batches_are_acknowledged_with_their_results(ingest: Ingest, url: str) -> None:
    mixed, bad = batch(encoded(1), b"{}", encoded(2)), batch(b"{}")
    bad.first = 3
    mine: Acknowledged = {}

    async def work(recorded: Recorded) -> None:
        assert await recorded.uploader.post(mixed, mine)
        assert await recorded.uploader.post(bad, mine)
        await drained(recorded)
        first, second = mine[0][1], mine[3][1]
        assert (first.accepted, [each.index for each in first.rejected]) == (2, [1])
        assert first.rejected[0].errors[0].path == "$.cashReceiptID"
        assert (second.accepted, len(second.rejected)) == (0, 1)

    upload(url, work)
    assert [record["source"] for record in ingest.records()] == ["json/import"] * 4


def test_the_same_batch_is_sent_again_after_a_failure() -> None:
    async def work(recorded: Recorded) -> None:
        acknowledged: Acknowledged = {}
        await recorded.uploader.post(batch(b"1", b"2"), acknowledged)
        await drained(recorded)
        assert [result for _, result in acknowledged.values()] == [BatchResult(2)]

    with scripted_ingest("503 0", DROP, "429 0", f"202 - {TAKEN}") as ingest:
        upload(ingest.url, work)
    assert len(ingest.requests) == 4
    assert len({request.body for request in ingest.requests}) == 1
    assert ingest.requests[0].headers["content-type"] == envelope.MEDIA_TYPE


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            '413 - {"errors":[{"path":"$","error":"too much","hint":"send less"}]}',
            "it answered 413: too much; send less",
        ),
        ("404 - <html>", "it answered 404: the response is not from an ingest; name the address of ingest with --to"),
        ("202 - {}", "it answered 202: the response is not from an ingest"),
        ('202 - {"accepted":1}', "it answered 202: the response is not from an ingest"),
        ('422 - {"errors":[]}', "it answered 422: the response is not from an ingest"),
    ],
)
def test_a_response_that_acknowledges_nothing_is_an_error(step: str, message: str) -> None:
    async def work(recorded: Recorded) -> None:
        await recorded.uploader.post(batch(b"1", b"2"), {})
        await drained(recorded)

    with scripted_ingest(step) as ingest, pytest.raises(OperationalError) as raised:
        upload(ingest.url, work)
    assert message in str(raised.value)


def test_a_wait_and_its_end_are_each_notified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_S", 0.2)
    with scripted_ingest() as gone:
        url = gone.url

    async def work(recorded: Recorded) -> None:
        await recorded.uploader.post(batch(b"1", b"2"), {})
        while not recorded.notifications:
            assert not await recorded.uploader.drained()
        assert recorded.uploader.waiting
        with scripted_ingest(f"202 - {TAKEN}", port=int(url.rpartition(":")[2])):
            await drained(recorded)

    recorded = upload(url, work, give_up_s=None)
    waiting, over = recorded.notifications
    assert waiting.startswith(f"waiting for ingest at {url}/receipts (")
    assert over == ""


def test_the_uploader_gives_up_after_its_limit_or_waits_until_it_is_stopped() -> None:
    with scripted_ingest() as gone:
        url = gone.url

    async def work(recorded: Recorded) -> None:
        for _ in range(module.CONNECTIONS):
            assert await recorded.uploader.post(batch(b"1"), {})
        assert not await recorded.uploader.post(batch(b"1"), {})

    with pytest.raises(OperationalError, match=r"nothing was acknowledged for 0\.3 s \(.*is `tillstream up` running\?"):
        upload(url, work, give_up_s=0.3)

    async def stopped(recorded: Recorded) -> None:
        asyncio.get_running_loop().call_later(0.3, recorded.stop.set)
        await work(recorded)

    upload(url, stopped, give_up_s=None)


def test_a_named_ingest_is_the_destination(tmp_path: Path) -> None:
    assert find_destination(Settings(data=str(tmp_path)), "http://x:1/") == Destination("http://x:1", "http://x:1")


def test_the_ingest_of_the_data_directory_is_found_with_the_id_of_its_log(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    with open_directory(settings.data_path).lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        found = find_destination(settings)
    assert found == Destination("http://127.0.0.1:4321", log_id(settings), same_machine=True)
    assert found.log_id


def test_each_key_has_its_own_log_id_that_contains_no_secret(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    one, other = f"ts_00000001_{'A' * 43}", f"ts_00000002_{'A' * 43}"
    with open_directory(settings.data_path).lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        for to in ("", "http://x:1"):
            found = [find_destination(settings, to, key) for key in ("", one, other)]
            assert [each.key for each in found] == ["", one, other]
            assert len({each.log_id for each in found}) == 3
            assert not any("A" * 43 in each.log_id for each in found)


def test_without_a_running_ingest_the_address_comes_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "none"))
    assert find_destination(settings).url == "http://127.0.0.1:3000"
    assert find_destination(Settings(data=str(tmp_path), ingest_port=3001, host="::")).url == "http://[::1]:3001"
    assert log_id(settings) == ""


def test_only_the_ingest_of_the_directory_gets_the_machine_token(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    directory = open_directory(settings.data_path)
    token = machine_token.token(directory, secrets.token_bytes)
    assert (find_destination(settings).key, find_destination(settings).same_machine) == ("", False)
    with directory.lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        assert (find_destination(settings).key, find_destination(settings).same_machine) == (token, True)


def test_a_directory_that_was_replaced_has_another_log_id(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    open_directory(settings.data_path)
    first = log_id(settings)
    (tmp_path / "data" / "format.json").rename(tmp_path / "data" / "old.new")
    open_directory(settings.data_path)
    assert log_id(settings) != first


def test_time_zones_come_from_the_store_list_of_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    assert with_time_zones(settings, SystemClock()) == settings
    repository.write(open_directory(settings.data_path).store_list, StoreList({"7": Store("7", zone="Europe/London")}))
    assert with_time_zones(settings, SystemClock()).store_zones == {"7": "Europe/London"}
