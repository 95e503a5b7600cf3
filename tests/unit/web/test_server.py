"""The dashboard's server: its port, its live streams, its end."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.inprocess.dashboard import DashboardServer, dashboard_server
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tests.support.waiting import wait_until
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.errors import PortTaken
from tillstream.web.live import feed as live_module
from tillstream.web.live.feed import LiveFeed


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(dashboard_port=0, live_interval_ms=50))
    yield pipeline
    pipeline.close()


def asking(server: DashboardServer) -> socket.socket:
    """A viewer that never reads: its socket takes little, so the server's side fills."""
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    viewer.connect(("127.0.0.1", server.port))
    viewer.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: dashboard\r\n\r\n")
    return viewer


def ids(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.startswith("id: "))


def updates(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))


def test_given_port_zero_when_it_serves_then_the_bound_port_is_told_and_answers(pipeline: Pipeline) -> None:
    with dashboard_server(pipeline) as server:
        assert server.port > 0
        assert httpx.get(f"{server.address}/health/ready").json()["status"] == "ready"
        assert "text/html" in httpx.get(f"{server.address}/").headers["content-type"]


def test_given_a_watcher_when_a_receipt_is_committed_then_it_comes_over_the_wire(pipeline: Pipeline) -> None:
    with (
        dashboard_server(pipeline) as server,
        httpx.stream("GET", f"{server.address}/api/v1/live", timeout=20) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        events = updates(answer.iter_lines())
        assert next(events)["tiles"]["receipts"]["value"] == 0
        pipeline.append(body())
        pipeline.drain()
        server.live.notify()
        assert next(events)["tiles"]["receipts"]["value"] == 1


def test_given_a_watcher_when_it_leaves_then_it_no_longer_counts(pipeline: Pipeline) -> None:
    with dashboard_server(pipeline) as server:
        with httpx.stream("GET", f"{server.address}/api/v1/live", timeout=20) as answer:
            # Kept, because lines that nobody holds any more close the connection.
            events = updates(answer.iter_lines())
            next(events)
            assert server.live.viewers == 1
        wait_until(lambda: server.live.viewers == 0, "the watcher is gone")


def test_given_open_streams_when_it_is_told_to_stop_then_it_does_and_they_end(pipeline: Pipeline) -> None:
    with (
        dashboard_server(pipeline) as server,
        httpx.stream("GET", f"{server.address}/api/v1/live", timeout=20) as answer,
    ):
        lines = answer.iter_lines()
        next(updates(lines))
        server.stop(timeout_s=5)
        assert not list(lines)[-1]
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.address}/health/live")


def test_given_viewers_that_read_nothing_when_updates_are_made_then_they_cost_no_memory_and_lose_their_places(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"figures": "x" * 500_000}
    live = LiveFeed("overview", lambda: state, lambda: None, Settings(live_interval_ms=1), SystemClock())
    stuck, made, allowed_bytes = 20, 60, 100_000_000
    assert stuck * made * len(state["figures"]) > 5 * allowed_bytes
    with dashboard_server(pipeline, live=live) as server, ExitStack() as open_sockets:
        for _ in range(stuck):
            open_sockets.enter_context(asking(server))
        wait_until(lambda: live.viewers == stuck, "all of them watch")
        with httpx.stream("GET", f"{server.address}/api/v1/live", timeout=20) as answer:
            events, before = ids(answer.iter_lines()), psutil.Process().memory_info().rss
            for _ in range(made):
                next(events)
                live.notify()
            assert psutil.Process().memory_info().rss - before < allowed_bytes
            assert live.viewers == stuck + 1
            monkeypatch.setattr(live_module, "STUCK_S", 0.1)
            while live.viewers > 1:
                live.notify()
                next(events)


def test_given_viewers_that_read_nothing_when_it_is_told_to_stop_then_it_does(pipeline: Pipeline) -> None:
    state = {"figures": "x" * 5_000_000}
    live = LiveFeed("overview", lambda: state, lambda: None, Settings(live_interval_ms=50), SystemClock())
    with dashboard_server(pipeline, live=live) as server, asking(server):

        def stuck() -> bool:
            # A few updates fit between here and there; the next one is on its way for ever.
            live.notify()
            return any(viewer.sending_since is not None for viewer in live._viewers)

        wait_until(stuck, "an update is on its way")
        server.stop(timeout_s=5)


def test_given_a_taken_port_when_it_would_serve_then_it_is_refused(pipeline: Pipeline) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(dashboard_port=taken.getsockname()[1])
        with pytest.raises(PortTaken, match="--dashboard-port"), dashboard_server(pipeline, settings=settings):
            pass
