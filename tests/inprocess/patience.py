"""How long a log on RabbitMQ in this process waits for its broker."""

from __future__ import annotations

import pytest

from tillstream.log.rabbitmq import confirms, connection, topology

CONFIRM_S = confirms.CONFIRM_S
PATIENT_S = 10.0


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside other tests a broker may be slow; one that is never killed need not have its tables on disk."""
    if "own_node" not in request.fixturenames:
        monkeypatch.setattr(topology, "SETTLE_S", 0.0)
    monkeypatch.setattr(connection, "SILENCE_S", PATIENT_S)
    monkeypatch.setattr(confirms, "CONFIRM_S", PATIENT_S)


@pytest.fixture
def impatient(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is silent is given up as soon as it is outside of tests."""
    monkeypatch.setattr(connection, "SILENCE_S", CONFIRM_S)
    monkeypatch.setattr(confirms, "CONFIRM_S", CONFIRM_S)
