"""Given receipts under way; when ingest and the engine are killed at random moments, again and again;
then every acknowledged receipt is there exactly once, none is invented, and every figure agrees."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.crash_harness import Client, Role, assert_survives

KILLS = 26
"""Of each process; at least 25 are asked for."""

LONGEST_LIFE_S = {"ingest": 2.0, "engine": 5.0}
"""A process is killed at a random moment of its first seconds: while it starts, recovers or works."""


@pytest.mark.torture
def test_what_was_acknowledged_survives_being_killed(tmp_path: Path, seed: str) -> None:
    assert_survives(tmp_path / "data", seed, KILLS, partial(_torment, seed))


def _torment(seed: str, ingest: Role, engine: Role, _: Sequence[Client]) -> None:
    failures: list[BaseException] = []

    def kill_often(role: Role) -> None:
        moments = random.Random(f"{seed} {role.name}")
        try:
            for _ in range(KILLS):
                time.sleep(moments.uniform(0.0, LONGEST_LIFE_S[role.name]))
                role.kill()
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    killers = [threading.Thread(target=kill_often, args=(role,)) for role in (ingest, engine)]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    if failures:
        raise failures[0]
