"""Given receipts under way over RabbitMQ; when the broker, ingest and the engine are killed at random moments, again and
again; then every acknowledged receipt is there exactly once, none is invented, and every figure agrees."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.crash_harness import Client, Role, assert_survives, wait_for_progress
from tests.support.rabbitmq import Node

KILLS = 10
"""Of the broker; each time one of the other two may go with it."""


@pytest.mark.torture
def test_what_was_acknowledged_survives_a_broker_that_is_killed(own_node: Node, tmp_path: Path, seed: str) -> None:
    options = ("--log", "rabbitmq", "--rabbitmq-url", own_node.url())
    assert_survives(tmp_path / "data", seed, KILLS, partial(_torment, own_node, seed), *options)


def _torment(node: Node, seed: str, ingest: Role, engine: Role, clients: Sequence[Client]) -> None:
    moments = random.Random(f"{seed} broker")
    wait_for_progress(clients)
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.0, 3.0))
        node.kill()
        if moments.random() < 0.3:
            moments.choice((ingest, engine)).kill()
        time.sleep(moments.uniform(0.0, 1.0))
        node.start()
        wait_for_progress(clients[:1])
