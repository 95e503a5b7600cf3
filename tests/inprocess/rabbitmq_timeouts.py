"""Timeouts of a log on RabbitMQ for tests."""

from __future__ import annotations

import pytest

from tillstream.log.rabbitmq import connection, streams, topology

CONFIRM_TIMEOUT_S = streams.CONFIRM_TIMEOUT_S
PATIENT_S = 10.0


@pytest.fixture(autouse=True)
def long_broker_timeouts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long timeouts, as a broker shared by many tests may be slow; no delay for new streams if it is never killed."""
    if "own_node" not in request.fixturenames:
        monkeypatch.setattr(topology, "NEW_STREAM_DELAY_S", 0.0)
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", PATIENT_S)
    monkeypatch.setattr(streams, "CONFIRM_TIMEOUT_S", PATIENT_S)


@pytest.fixture
def production_broker_timeouts(long_broker_timeouts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeouts that tillstream uses outside of tests."""
    monkeypatch.setattr(connection, "REPLY_TIMEOUT_S", CONFIRM_TIMEOUT_S)
    monkeypatch.setattr(streams, "CONFIRM_TIMEOUT_S", CONFIRM_TIMEOUT_S)
