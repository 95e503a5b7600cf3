"""The live feed: one snapshot for all, the latest for each, nothing while nobody watches."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.dashboard import views_of
from tests.support.pipeline import Pipeline, body
from tillstream.dashboard import live as live_module
from tillstream.dashboard.live import LiveFeed
from tillstream.errors import LogUnavailable
from tillstream.settings import Settings
from tillstream.views.views import Views

LIMIT_S = 20


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(live_interval_ms=20))
    yield pipeline
    pipeline.close()


class Counting:
    """The views, and how many snapshots were asked of them."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self.snapshots = 0

    def trouble(self) -> None:
        return None

    def snapshot(self) -> Any:
        self.snapshots += 1
        return self._views.snapshot()


class Viewer:
    """Reads a stream event by event."""

    def __init__(self, feed: LiveFeed) -> None:
        self._stream: AsyncIterator[bytes] = feed.stream()

    async def open(self) -> Viewer:
        assert await anext(self._stream) == b"retry: 1000\n\n"
        return self

    async def next(self) -> tuple[int, str, Any]:
        event = (await anext(self._stream)).decode()
        number, name, data = (line.partition(": ")[2] for line in event.strip().split("\n"))
        assert event.endswith("\n\n")
        return int(number), name, json.loads(data)

    async def leave(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT_S):
            await main()

    asyncio.run(limited())


def test_given_a_viewer_when_a_receipt_is_committed_then_it_is_told(pipeline: Pipeline) -> None:
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        first, name, snapshot = await viewer.next()
        assert (name, snapshot["summary"]["receipts"]) == ("snapshot", 0)
        pipeline.append(body())
        pipeline.drain()
        feed.notify()
        second, _, snapshot = await viewer.next()
        assert second > first
        assert snapshot["summary"]["revenue"] == "5.00"
        feed.close()

    run(main)


def test_given_many_commits_when_viewers_read_slowly_then_they_skip_to_the_latest(pipeline: Pipeline) -> None:
    counting = Counting(views_of(pipeline))
    feed = LiveFeed(counting, pipeline.settings)  # type: ignore[arg-type]

    async def main() -> None:
        quick, slow = await Viewer(feed).open(), await Viewer(feed).open()
        await slow.next()
        receipts = 0
        while receipts < 10:
            pipeline.append(body(cashReceiptID=str(receipts)))
            pipeline.drain()
            feed.notify()
            _, _, snapshot = await quick.next()
            receipts = snapshot["summary"]["receipts"] or 0
        last, _, _ = await slow.next()
        assert last == counting.snapshots
        feed.close()

    run(main)


def test_given_several_viewers_when_a_snapshot_is_made_then_it_is_made_once(pipeline: Pipeline) -> None:
    counting = Counting(views_of(pipeline))
    feed = LiveFeed(counting, pipeline.settings)  # type: ignore[arg-type]

    async def main() -> None:
        viewers = [await Viewer(feed).open() for _ in range(20)]
        events = await asyncio.gather(*(viewer.next() for viewer in viewers))
        assert {number for number, _, _ in events} == {1}
        assert counting.snapshots == 1
        feed.close()

    run(main)


def test_given_nobody_watches_when_receipts_are_committed_then_no_snapshot_is_made(pipeline: Pipeline) -> None:
    counting = Counting(views_of(pipeline))
    feed = LiveFeed(counting, pipeline.settings)  # type: ignore[arg-type]

    async def main() -> None:
        feed.notify()
        viewer = await Viewer(feed).open()
        await viewer.next()
        await viewer.leave()
        assert feed.viewers == 0
        made = counting.snapshots
        feed.notify()
        again = await Viewer(feed).open()
        await again.next()
        assert counting.snapshots == made + 1
        feed.close()

    run(main)


def test_given_nothing_happens_when_a_viewer_waits_then_the_feed_speaks_all_the_same(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "HEARTBEAT_S", 0.05)
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        numbers = [(await viewer.next())[0] for _ in range(3)]
        assert numbers == sorted(set(numbers))
        feed.close()

    run(main)


def test_given_an_engine_that_stands_still_when_a_viewer_watches_then_it_is_told_why(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = LogUnavailable("read the log", "a file", "disk I/O error")
    monkeypatch.setattr(pipeline.engine, "trouble", lambda: error)
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        _, name, data = await viewer.next()
        assert (name, data) == ("trouble", {"error": "the figures stand still: disk I/O error"})
        feed.close()

    run(main)


def test_given_the_store_fails_when_a_viewer_watches_then_it_is_told_and_the_feed_goes_on(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(live_interval_ms=20))
    feed = LiveFeed(views_of(pipeline), pipeline.settings)
    pipeline.close()

    async def main() -> None:
        viewer = await Viewer(feed).open()
        _, name, data = await viewer.next()
        assert (name, list(data)) == ("trouble", ["error"])
        feed.notify()
        assert (await viewer.next())[1] == "trouble"
        feed.close()

    run(main)


def test_given_viewers_when_the_feed_closes_then_every_stream_ends(pipeline: Pipeline) -> None:
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        viewers = [await Viewer(feed).open() for _ in range(3)]
        await asyncio.gather(*(viewer.next() for viewer in viewers))
        waiting = [asyncio.create_task(viewer.next()) for viewer in viewers]
        feed.close()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [StopAsyncIteration] * 3
        assert feed.viewers == 0

    run(main)


def test_given_another_thread_when_it_notifies_then_the_viewer_is_told(pipeline: Pipeline) -> None:
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        viewer = await Viewer(feed).open()
        await viewer.next()
        thread = threading.Thread(target=feed.notify)
        thread.start()
        await viewer.next()
        thread.join()
        feed.close()

    run(main)


def test_given_its_loop_has_ended_when_notified_and_closed_then_nothing_is_raised(pipeline: Pipeline) -> None:
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        await (await Viewer(feed).open()).next()
        feed.viewers += 1  # as where the process ends while someone watches

    run(main)
    feed.notify()
    feed.close()
    assert feed.viewers == 1


def test_given_as_many_viewers_as_may_when_asked_then_the_feed_is_full(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "VIEWER_LIMIT", 1)
    feed = LiveFeed(views_of(pipeline), pipeline.settings)

    async def main() -> None:
        states = [feed.full]
        viewer = await Viewer(feed).open()
        states.append(feed.full)
        await viewer.leave()
        assert [*states, feed.full] == [False, True, False]

    run(main)
