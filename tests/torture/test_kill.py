"""Ingest and the engine are killed repeatedly at random times while receipts are posted. Afterwards every acknowledged
receipt is stored exactly once, and all figures agree."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support.crash_harness import Client, assert_survives
from tests.support.role_processes import RoleProcess

KILLS = 26
"""The number of kills of each process."""

MAX_LIFETIME_S = {"ingest": 2.0, "engine": 5.0}
"""The maximum time between the start of a process and its kill. A process may be starting, recovering or working then."""


@pytest.mark.torture
def test_acknowledged_receipts_survive_kills_of_both_roles(tmp_path: Path, seed: str) -> None:
    assert_survives(tmp_path / "data", seed, KILLS, partial(_kill_roles, seed))


def _kill_roles(seed: str, ingest: RoleProcess, engine: RoleProcess, _: Sequence[Client]) -> None:
    failures: list[BaseException] = []

    def kill_repeatedly(role: RoleProcess) -> None:
        moments = random.Random(f"{seed} {role.role}")
        try:
            for _ in range(KILLS):
                time.sleep(moments.uniform(0.0, MAX_LIFETIME_S[role.role]))
                role.kill()
                role.restart()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failures.append(error)

    killers = [threading.Thread(target=kill_repeatedly, args=(role,)) for role in (ingest, engine)]
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    if failures:
        raise failures[0]
