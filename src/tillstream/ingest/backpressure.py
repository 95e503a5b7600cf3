"""Lets the engine catch up: while it is behind and moving, each group commit waits a little, and takes more with it."""

from __future__ import annotations

import asyncio

import structlog

from tillstream.errors import LogUnavailable
from tillstream.ingest.group_commit import Committer
from tillstream.log.base import Log

BEHIND_RECORDS = 15_000
"""So far behind the engine may be before commits wait: about a second of work."""

CROWD_RECORDS = 500
"""With fewer records since the last look there is nothing to pace."""

STEP_S = 0.002
LIMIT_S = 0.03
INTERVAL_S = 0.25

STILL_LOOKS = 8
"""After so many looks at an engine that does not move, ingest goes on as if there were none."""

_logger = structlog.get_logger()


class Pace:
    """Where processors are few, ingest at full speed would leave the engine too little of them, and the
    figures would fall behind for as long as the crowd lasts. An engine that stands still slows nothing.
    """

    def __init__(self, log: Log, committer: Committer) -> None:
        self._log = log
        self._committer = committer
        self._appended = 0
        self._folded = 0
        self._still = 0

    async def watch(self) -> None:
        """Until cancelled, set how long commits wait."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            appended = self._committer.appended_records
            if appended - self._appended < CROWD_RECORDS:
                self._committer.pause_s = 0.0
                self._appended = appended
                continue
            try:
                lag = await asyncio.to_thread(self._log.lag)
            except LogUnavailable as error:
                _logger.debug("pace_unknown", error=str(error))
                self._committer.pause_s = 0.0
                continue
            self._committer.pause_s = self.after(appended, lag, self._committer.pause_s)

    def after(self, appended: int, lag: int, pause_s: float) -> float:
        """How long commits wait from now on, after so many appended records, with so many of them not folded yet."""
        # The lag is read a moment after the count, so their difference trembles by what came in between.
        folded = appended - lag
        moved = folded >= self._folded + CROWD_RECORDS
        self._still = 0 if moved else self._still + 1
        self._folded = folded if moved else self._folded
        self._appended = appended
        if self._still >= STILL_LOOKS:
            return 0.0
        return min(LIMIT_S, pause_s + STEP_S) if lag > BEHIND_RECORDS else max(0.0, pause_s - STEP_S)
