"""The dashboard of a pipeline, as an application without a socket and as a server on a free port."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from tests.inprocess.pipeline import Pipeline
from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.clock import Clock, SystemClock
from tillstream.config.data_directory import open_directory
from tillstream.config.ports import address
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.quarantine.decisions import Decisions
from tillstream.quarantine.replay import Replayer
from tillstream.quarantine.service import LocalQuarantineService
from tillstream.queries.queries import Queries
from tillstream.web.live.feed import LiveFeed
from tillstream.web.middleware.auth import Authenticator
from tillstream.web.server import application, live_feed, serve


def queries_of(pipeline: Pipeline) -> Queries:
    return Queries(
        pipeline.database,
        pipeline.log,
        pipeline.metrics,
        pipeline.settings,
        pipeline.clock,
        pipeline.engine.failure,
        stores=pipeline.shops,
    )


def quarantine_service_of(
    pipeline: Pipeline, queries: Queries, ingest: Callable[[], str] | str = "http://127.0.0.1:9"
) -> LocalQuarantineService:
    """The quarantine service of a pipeline. By default its ingest is unreachable."""
    replayer = Replayer((lambda: ingest) if isinstance(ingest, str) else ingest, dict, registry.load(pipeline.settings))
    decisions = Decisions(pipeline.path / "decisions.ndjson")
    return LocalQuarantineService(queries, pipeline.database, pipeline.log, decisions, replayer, pipeline.clock)


def alerts_of(pipeline: Pipeline, queries: Queries) -> AlertEvaluator:
    return AlertEvaluator(pipeline.database, pipeline.log, pipeline.settings, queries.calendar, pipeline.shops)


def feed_of(queries: Queries, alerts: AlertEvaluator, settings: Settings, clock: Clock | None = None) -> LiveFeed:
    return live_feed(queries, alerts, settings, clock or SystemClock())


def open_authenticator(pipeline: Pipeline) -> Authenticator:
    """An authenticator that allows every request."""
    directory = open_directory(pipeline.path / "open")
    return Authenticator(directory, Settings(insecure=True), SystemClock(), secrets.token_bytes)


class DashboardClient:
    """Calls the dashboard's application without a socket."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        demo: bool = False,
        ingest: str = "http://127.0.0.1:9",
        authenticator: Authenticator | None = None,
    ) -> None:
        queries = queries_of(pipeline)
        alerts = alerts_of(pipeline, queries)
        self._app = application(
            queries,
            alerts,
            quarantine_service_of(pipeline, queries, ingest),
            feed_of(queries, alerts, pipeline.settings),
            pipeline.settings,
            lambda: {"log_lag_records": 3.0},
            authenticator or open_authenticator(pipeline),
            demo=demo,
        )

    def request(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        *,
        form: dict[str, str] | None = None,
        client_address: str = "127.0.0.1",
        **parameters: str,
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False, client=(client_address, 5_000))
            async with httpx.AsyncClient(transport=transport, base_url="http://dashboard") as client:
                return await client.request(
                    method, path, params=parameters or None, headers=headers, content=content, data=form
                )

        return asyncio.run(send())

    def json(self, path: str, **parameters: str) -> Any:
        answer = self.request(path, "GET", None, None, form=None, client_address="127.0.0.1", **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


class DashboardServer:
    """The dashboard's server in a thread with its own event loop."""

    def __init__(self, app: Starlette, live: LiveFeed, settings: Settings) -> None:
        self.live = live
        self.port = 0
        self._tls = settings.tls
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, args=(app, settings))
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure:
            raise self._failure

    @property
    def address(self) -> str:
        return address("127.0.0.1", self.port, tls=self._tls)

    def _run(self, app: Starlette, settings: Settings) -> None:
        async def main() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await serve(app, self.live, settings, self._stop, self._started)

        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - the constructor raises it
            self._failure = error
        finally:
            self._ready.set()

    def _started(self, port: int) -> None:
        self.port = port
        self._ready.set()

    def stop(self, timeout_s: float = 10) -> None:
        """Stop the server. Fails after the timeout."""
        if self._thread.is_alive() and self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout_s)
        assert not self._thread.is_alive(), "the server still runs"


@contextmanager
def dashboard_server(
    pipeline: Pipeline,
    *,
    live: LiveFeed | None = None,
    settings: Settings | None = None,
    authenticator: Authenticator | None = None,
) -> Iterator[DashboardServer]:
    queries, settings = queries_of(pipeline), settings or pipeline.settings
    alerts = alerts_of(pipeline, queries)
    live = live or feed_of(queries, alerts, settings)
    service = quarantine_service_of(pipeline, queries)
    app = application(
        queries, alerts, service, live, settings, dict, authenticator or open_authenticator(pipeline), demo=False
    )
    server = DashboardServer(app, live, settings)
    try:
        yield server
    finally:
        server.stop()
