"""Backpressure: while the engine lags behind, group commits wait a little, which makes them larger and leaves CPU time."""

from __future__ import annotations

import asyncio

import structlog

from tillstream.errors import LogUnavailable
from tillstream.ingest.group_commit import Committer
from tillstream.log.base import Log

LAG_LIMIT_RECORDS = 15_000
"""Commits wait if the lag exceeds this: about one second of the engine's work."""

ACTIVITY_RECORDS = 500
"""Fewer records than this between two checks count as no activity."""

PAUSE_STEP_S = 0.002
PAUSE_LIMIT_S = 0.03
CHECK_INTERVAL_S = 0.25

STALLED_CHECKS = 8
"""After this many checks without progress of the engine, commits no longer wait for it."""

_logger = structlog.get_logger()


class Backpressure:
    """Sets the pause before each group commit.

    With few CPUs, ingest at full speed would starve the engine, and the figures would fall behind for as long as the
    load lasts. An engine that is stopped or stalled slows nothing down.
    """

    def __init__(self, log: Log, committer: Committer) -> None:
        self._log = log
        self._committer = committer
        self._appended = 0
        self._folded = 0
        self._stalled_checks = 0

    async def run(self) -> None:
        """Adjust the pause until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            appended = self._committer.appended_records
            if appended - self._appended < ACTIVITY_RECORDS:
                self._committer.pause_s = 0.0
                self._appended = appended
                continue
            try:
                lag = await asyncio.to_thread(self._log.lag)
            except LogUnavailable as error:
                _logger.debug("ingest.lag_unknown", error=str(error))
                self._committer.pause_s = 0.0
                continue
            self._committer.pause_s = self.next_pause_s(appended, lag, self._committer.pause_s)

    def next_pause_s(self, appended: int, lag: int, pause_s: float) -> float:
        """The pause from now on. `appended` counts records in the log, `lag` those that the engine has not folded."""
        # The lag is read a moment after the count, so the difference is off by the records between the two.
        folded = appended - lag
        progress = folded >= self._folded + ACTIVITY_RECORDS
        self._stalled_checks = 0 if progress else self._stalled_checks + 1
        self._folded = folded if progress else self._folded
        self._appended = appended
        if self._stalled_checks >= STALLED_CHECKS:
            return 0.0
        if lag > LAG_LIMIT_RECORDS:
            return min(PAUSE_LIMIT_S, pause_s + PAUSE_STEP_S)
        return max(0.0, pause_s - PAUSE_STEP_S)
