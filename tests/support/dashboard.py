"""The dashboard over a pipeline: its application without a socket, and its server on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.support.pipeline import Pipeline
from tillstream.clock import Clock, SystemClock
from tillstream.dashboard.live import LiveFeed
from tillstream.dashboard.server import application, serve
from tillstream.settings import Settings
from tillstream.views.views import Views


def views_of(pipeline: Pipeline) -> Views:
    return Views(
        pipeline.store,
        pipeline.log,
        pipeline.metrics,
        pipeline.settings,
        pipeline.clock,
        pipeline.engine.trouble,
        shops=pipeline.shops,
    )


def feed_of(views: Views, settings: Settings, clock: Clock | None = None) -> LiveFeed:
    return LiveFeed("overview", views.live, views.trouble, settings, clock or SystemClock())


class Answers:
    """Asks the dashboard's application directly."""

    def __init__(self, pipeline: Pipeline, *, demo: bool = False) -> None:
        views = views_of(pipeline)
        live = feed_of(views, pipeline.settings)
        self._app = application(views, live, pipeline.settings, lambda: {"log_lag_records": 3.0}, demo=demo)

    def ask(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **parameters: str
    ) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://dashboard") as client:
                return await client.request(method, path, params=parameters or None, headers=headers)

        return asyncio.run(asked())

    def json(self, path: str, **parameters: str) -> Any:
        answer = self.ask(path, "GET", None, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Served:
    """The dashboard's server in a thread with a loop of its own."""

    def __init__(self, views: Views, settings: Settings, *, live: LiveFeed | None = None, demo: bool = False) -> None:
        self.live = live or feed_of(views, settings)
        self.port = 0
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, args=(views, settings, demo))
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure:
            raise self._failure

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self, views: Views, settings: Settings, demo: bool) -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(views, self.live, settings, self._stop, self._started, dict, demo=demo)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self._failure = error
        finally:
            self._ready.set()

    def _started(self, port: int) -> None:
        self.port = port
        self._ready.set()

    def stop(self, timeout_s: float = 10) -> None:
        """Have it stop; fails where it does not within the time."""
        if self._thread.is_alive() and self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the server goes on"


@contextmanager
def served(pipeline: Pipeline, *, live: LiveFeed | None = None, demo: bool = False) -> Iterator[Served]:
    server = Served(views_of(pipeline), pipeline.settings, live=live, demo=demo)
    try:
        yield server
    finally:
        server.stop()
