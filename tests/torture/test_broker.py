"""RabbitMQ, ingest and the engine are killed repeatedly at random times while receipts are posted. Afterwards every
acknowledged receipt is stored exactly once, and all figures agree."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.crash_harness import Client, assert_survives, wait_for_progress
from tests.support.rabbitmq import Node
from tests.support.role_processes import RoleProcess

KILLS = 10
"""The number of kills of the broker. During some of them, ingest or the engine is killed too."""


@pytest.mark.torture
def test_acknowledged_receipts_survive_kills_of_the_broker(own_node: Node, tmp_path: Path, seed: str) -> None:
    options = ("--log", "rabbitmq", "--rabbitmq-url", own_node.url())
    assert_survives(tmp_path / "data", seed, KILLS, partial(_kill_broker, own_node, seed), *options)


def _kill_broker(node: Node, seed: str, ingest: RoleProcess, engine: RoleProcess, clients: Sequence[Client]) -> None:
    moments = random.Random(f"{seed} broker")
    wait_for_progress(clients)
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.0, 3.0))
        node.kill()
        if moments.random() < 0.3:
            role = moments.choice((ingest, engine))
            role.kill()
            role.restart()
        time.sleep(moments.uniform(0.0, 1.0))
        node.start()
        wait_for_progress(clients[:1])
