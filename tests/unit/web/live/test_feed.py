"""The live feed: one state for all, the latest for each, nothing while nobody watches."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.clock import ManualClock
from tests.inprocess.dashboard import alerts_of, feed_of, queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US, body
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.web.live import feed as live_module
from tillstream.web.live.feed import Event, LiveFeed, preamble

LIMIT_S = 20
NOON_MS = NOON_US // 1_000


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(live_interval_ms=20))
    yield pipeline
    pipeline.close()


class Counting:
    """States that count how often they were asked for."""

    def __init__(self) -> None:
        self.made = 0

    def read(self) -> dict[str, Any]:
        self.made += 1
        return {"made": self.made}


def counting_feed(counting: Counting, interval_ms: int = 20) -> LiveFeed:
    settings = Settings(live_interval_ms=interval_ms)
    return LiveFeed("overview", counting.read, lambda: None, settings, ManualClock(NOON_US))


class Viewer:
    """A client that takes one message after the other: the feed waits while it does not."""

    def __init__(self, feed: LiveFeed, **headers: str) -> None:
        scope = {
            "type": "http",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        self._messages: asyncio.Queue[Any] = asyncio.Queue(1)
        self._asked = False
        self._left = asyncio.Event()
        self.task = asyncio.ensure_future(feed.stream(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self._messages.put(message)
        await self._messages.join()

    async def take(self) -> Any:
        message = await self._messages.get()
        self._messages.task_done()
        return message

    async def open(self) -> Viewer:
        self.head = dict((await self.take())["headers"])
        self.greeting = (await self.take())["body"]
        return self

    async def next(self) -> tuple[int, str, Any]:
        message = await self.take()
        assert message["more_body"]
        event = message["body"].decode()
        number, name, data = (line.partition(": ")[2] for line in event.strip().split("\n"))
        assert event.endswith("\n\n")
        return int(number), name, json.loads(data)

    async def ends(self) -> None:
        """The stream ends as a whole answer does."""
        assert await self.take() == {"type": "http.response.body", "body": b"", "more_body": False}
        await self.task

    async def leave(self) -> None:
        """Hang up; what is on its way is lost, as in a closed socket."""
        self._left.set()
        while not self.task.done():
            if not self._messages.empty():
                await self.take()
            await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await main()

    asyncio.run(limited())


def test_given_a_viewer_when_a_receipt_is_committed_then_it_is_told(pipeline: Pipeline) -> None:
    feed = feed_of(queries := queries_of(pipeline), alerts_of(pipeline, queries), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        assert viewer.greeting == b"retry: 1000\n\n"
        first, name, state = await viewer.next()
        assert (name, state["tiles"]["receipts"]["value"]) == ("overview", 0)
        pipeline.append(body())
        pipeline.drain()
        feed.notify()
        second, _, state = await viewer.next()
        assert second > first
        assert state["tiles"]["revenue"]["value"] == "5.00"
        await viewer.leave()

    run(main)


def test_given_a_clock_when_events_are_made_then_their_ids_are_its_milliseconds_and_only_grow() -> None:
    clock = ManualClock(NOON_US)
    feed = LiveFeed("overview", dict, lambda: None, Settings(live_interval_ms=1), clock)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        ids = [(await viewer.next())[0]]
        for seconds in (0, -60, 120):
            clock.advance(seconds)
            feed.notify()
            ids.append((await viewer.next())[0])
        assert ids == [NOON_MS, NOON_MS + 1, NOON_MS + 2, NOON_MS + 60_000]
        await viewer.leave()

    run(main)


def test_given_a_viewer_that_accepts_gzip_when_it_watches_then_it_gets_the_same_text_packed(pipeline: Pipeline) -> None:
    feed = feed_of(queries := queries_of(pipeline), alerts_of(pipeline, queries), pipeline.settings)

    async def main() -> None:
        plain, packed = await Viewer(feed).open(), await Viewer(feed, accept_encoding="gzip, br").open()
        assert packed.head[b"content-encoding"] == b"gzip"
        assert b"content-encoding" not in plain.head
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert unpacking.decompress(packed.greeting) == plain.greeting
        sent = await asyncio.gather(plain.take(), packed.take())
        assert unpacking.decompress(sent[1]["body"]) == sent[0]["body"]
        assert len(sent[1]["body"]) < len(sent[0]["body"])
        await asyncio.gather(plain.leave(), packed.leave())

    run(main)


def test_given_many_updates_when_a_viewer_reads_slowly_then_it_skips_to_the_latest() -> None:
    counting = Counting()
    feed = counting_feed(counting)

    async def main() -> None:
        quick, slow = await Viewer(feed).open(), await Viewer(feed).open()
        assert (await slow.next())[2] == {"made": 1}
        state = {"made": 0}
        while state["made"] < 10:
            feed.notify()
            _, _, state = await quick.next()
        under_way, latest = (await slow.next())[2], (await slow.next())[2]
        assert under_way["made"] < 10
        assert latest["made"] == counting.made
        await asyncio.gather(quick.leave(), slow.leave())

    run(main)


def test_given_several_viewers_when_an_update_is_made_then_it_is_made_once() -> None:
    counting = Counting()
    feed = counting_feed(counting)

    async def main() -> None:
        viewers = [await Viewer(feed).open() for _ in range(20)]
        events = await asyncio.gather(*(viewer.next() for viewer in viewers))
        assert {number for number, _, _ in events} == {NOON_MS}
        assert counting.made == 1
        await asyncio.gather(*(viewer.leave() for viewer in viewers))

    run(main)


def test_given_nobody_watches_when_receipts_are_committed_then_nothing_is_made() -> None:
    counting = Counting()
    feed = counting_feed(counting)

    async def main() -> None:
        feed.notify()
        viewer = await Viewer(feed).open()
        await viewer.next()
        await viewer.leave()
        assert feed.viewers == 0
        made = counting.made
        feed.notify()
        await asyncio.sleep(0.1)  # five intervals
        assert counting.made == made
        again = await Viewer(feed).open()
        assert (await again.next())[2] == {"made": made + 1}
        await again.leave()

    run(main)


def test_given_others_watch_when_a_viewer_comes_back_then_it_gets_the_current_state_at_once() -> None:
    feed = counting_feed(Counting(), interval_ms=5_000)

    async def main() -> None:
        watching = await Viewer(feed).open()
        number, _, state = await watching.next()
        back = await Viewer(feed, last_event_id=str(number - 1)).open()
        assert await back.next() == (number, "overview", state)
        await asyncio.gather(watching.leave(), back.leave())

    run(main)


def test_given_a_page_that_has_the_current_state_when_it_comes_back_then_it_hears_of_the_next() -> None:
    feed = counting_feed(Counting(), interval_ms=200)

    async def main() -> None:
        watching = await Viewer(feed).open()
        number, _, _ = await watching.next()
        back = await Viewer(feed, last_event_id=str(number)).open()
        assert (await back.next())[0] > number
        await asyncio.gather(watching.leave(), back.leave())

    run(main)


def test_given_a_page_that_is_loaded_again_when_it_watches_then_it_does_not_wait_for_the_next_update() -> None:
    feed = counting_feed(Counting(), interval_ms=5_000)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        first = await viewer.next()
        await viewer.leave()
        again = await Viewer(feed).open()
        assert await again.next() == first
        await again.leave()

    run(main)


def test_given_nothing_happens_when_a_viewer_waits_then_the_feed_speaks_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "HEARTBEAT_S", 0.05)
    feed = counting_feed(Counting())

    async def main() -> None:
        viewer = await Viewer(feed).open()
        numbers = [(await viewer.next())[0] for _ in range(3)]
        assert numbers == sorted(set(numbers))
        await viewer.leave()

    run(main)


def test_given_an_engine_that_stands_still_when_a_viewer_watches_then_it_is_told_why(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = LogUnavailable("read the log", "a file", "disk I/O error")
    monkeypatch.setattr(pipeline.engine, "failure", lambda: error)
    feed = feed_of(queries := queries_of(pipeline), alerts_of(pipeline, queries), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        _, name, data = await viewer.next()
        assert (name, data) == ("trouble", {"error": "the figures are not updated: disk I/O error"})
        await viewer.leave()

    run(main)


def test_given_the_store_fails_when_a_viewer_watches_then_it_is_told_and_the_feed_goes_on(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(live_interval_ms=20))
    feed = feed_of(queries := queries_of(pipeline), alerts_of(pipeline, queries), pipeline.settings)
    pipeline.close()

    async def main() -> None:
        viewer = await Viewer(feed).open()
        _, name, data = await viewer.next()
        assert (name, list(data)) == ("trouble", ["error"])
        feed.notify()
        assert (await viewer.next())[1] == "trouble"
        await viewer.leave()

    run(main)


def test_given_viewers_when_the_feed_closes_then_every_stream_ends() -> None:
    feed = counting_feed(Counting())

    async def main() -> None:
        viewers = [await Viewer(feed).open() for _ in range(3)]
        await asyncio.gather(*(viewer.next() for viewer in viewers))
        feed.close()
        await asyncio.gather(*(viewer.ends() for viewer in viewers))
        assert feed.viewers == 0

    run(main)


def test_given_a_viewer_that_does_not_read_when_the_feed_closes_then_its_stream_ends_too() -> None:
    feed = counting_feed(Counting())

    async def main() -> None:
        stuck, other = await Viewer(feed).open(), await Viewer(feed).open()
        await other.next()
        feed.close()
        await stuck.task
        await other.ends()

    run(main)


def test_given_a_viewer_that_does_not_read_when_it_takes_too_long_then_its_place_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "STUCK_S", 0.05)
    monkeypatch.setattr(live_module, "HEARTBEAT_S", 0.05)
    feed = counting_feed(Counting())

    async def main() -> None:
        stuck = await Viewer(feed).open()
        await stuck.task
        assert feed.viewers == 0

    run(main)


def test_given_a_viewer_whose_request_is_cancelled_when_it_waits_then_it_no_longer_counts() -> None:
    feed = counting_feed(Counting())

    async def main() -> None:
        viewer = await Viewer(feed).open()
        await viewer.next()
        viewer.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await viewer.task
        assert feed.viewers == 0

    run(main)


def test_given_another_thread_when_it_notifies_then_the_viewer_is_told() -> None:
    feed = counting_feed(Counting())

    async def main() -> None:
        viewer = await Viewer(feed).open()
        await viewer.next()
        thread = threading.Thread(target=feed.notify)
        thread.start()
        await viewer.next()
        thread.join()
        await viewer.leave()

    run(main)


def test_given_its_loop_has_ended_when_notified_and_closed_then_nothing_is_raised() -> None:
    feed = counting_feed(Counting())

    async def main() -> None:
        viewer = await Viewer(feed).open()
        await viewer.next()
        viewer.task.cancel()

    run(main)
    feed.notify()
    feed.close()
    assert feed.viewers == 0


def test_given_as_many_viewers_as_may_when_asked_then_the_feed_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "VIEWER_LIMIT", 1)
    feed = counting_feed(Counting())

    async def main() -> None:
        states = [feed.full]
        viewer = await Viewer(feed).open()
        states.append(feed.full)
        await viewer.leave()
        assert [*states, feed.full] == [False, True, False]

    run(main)


def unpacked(stream: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(stream)


def test_given_data_when_made_an_event_then_it_is_a_server_sent_event() -> None:
    assert Event.of(7, "overview", b'{"a":1}').text == b'id: 7\nevent: overview\ndata: {"a":1}\n\n'


def test_given_streams_that_took_other_events_when_unpacked_then_each_has_what_was_sent_to_it() -> None:
    events = [Event.of(number, "overview", b'{"revenue":"%d.00"}' % number * 40) for number in range(1, 5)]
    for taken in (events, events[::2], events[2:]):
        stream = preamble(1_000, gzip=True) + b"".join(each.compressed for each in taken)
        text = preamble(1_000, gzip=False) + b"".join(each.text for each in taken)
        assert unpacked(stream) == text


def test_given_a_part_of_a_stream_when_unpacked_then_every_event_so_far_is_whole() -> None:
    stream = preamble(1_000, gzip=True)
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert unpacking.decompress(stream) == b"retry: 1000\n\n"
    for number in (1, 2):
        sent = Event.of(number, "overview", b'{"revenue":"1.00"}')
        assert unpacking.decompress(sent.encoded(gzip=True)) == sent.encoded(gzip=False)
