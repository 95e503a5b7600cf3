"""Fixtures for the timeouts of a log on RabbitMQ."""

from __future__ import annotations

import pytest

from tillstream.log.rabbitmq import connection, streams, topology

CONFIRM_TIMEOUT_S = streams.CONFIRM_TIMEOUT_S
LONG_TIMEOUT_S = 10.0


@pytest.fixture(autouse=True)
def long_broker_timeouts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set long timeouts, because the shared broker may be slow. It is never killed, so new streams need no delay."""
    if "own_node" not in request.fixturenames:
        monkeypatch.setattr(topology, "NEW_STREAM_DELAY_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", LONG_TIMEOUT_S)
    monkeypatch.setattr(streams, "CONFIRM_TIMEOUT_S", LONG_TIMEOUT_S)


@pytest.fixture
def production_broker_timeouts(long_broker_timeouts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the timeouts of production."""
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", CONFIRM_TIMEOUT_S)
    monkeypatch.setattr(streams, "CONFIRM_TIMEOUT_S", CONFIRM_TIMEOUT_S)
