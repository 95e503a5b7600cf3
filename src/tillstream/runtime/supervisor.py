"""Runs the parts of `tillstream up` as processes: starts them, restarts dead ones and stops them in order."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from msgspec.structs import replace

from tillstream.config.settings import Settings
from tillstream.runtime import parent_pipe

logger = structlog.get_logger()

FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 10.0
RAN_WELL_S = 30.0
"""After a part has run this long, the pause before its next restart is the first one again."""

STOP_LIMIT_S = 9.0
"""Maximum time from the signal to the end of the last part; a slower part is killed."""

CONFIGURATION_ERROR = 2
"""Exit code of a part that cannot start with its settings; a restart would not help."""

READY = re.compile(r"(?P<name>\w+) ready at (?P<address>\S+?:(?P<port>\d+))\s*")


def command(verb: str) -> tuple[str, ...]:
    """The command line of a part."""
    # With -P a module in the working directory cannot replace one of tillstream's.
    return (sys.executable, "-P", "-m", "tillstream", verb, "--supervised")


def ready_line(name: str, address: str) -> str:
    """The line that a part prints when it is ready."""
    return f"{name} ready at {address}"


@dataclass(slots=True, eq=False)
class Part:
    """A supervised process. A restart keeps its address, because `port_setting` is set to the bound port."""

    name: str
    command: Sequence[str]
    port_setting: str = ""
    after: tuple[Part, ...] = ()
    stop_share: float = 1.0
    address: str = ""
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Keeps its parts running until SIGINT or SIGTERM, then stops them in their order in the list.

    A part starts when the parts in its `after` are ready. It must end within `stop_share` of the stop
    limit. The supervisor reads the ready line from the standard output of a part; parts inherit its
    standard error and log there. A second signal kills every part. No receipt is lost then, because
    every acknowledged receipt is on disk.
    """

    def __init__(
        self, settings: Settings, parts: Sequence[Part], on_ready: Callable[[Mapping[str, str]], None]
    ) -> None:
        self.settings = settings
        self.parts = parts
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._starting = asyncio.Lock()
        self._code = 0

    async def run(self) -> int:
        """Supervise until a signal; return 0, or the exit code of a part that cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        tasks = [asyncio.create_task(self._stop_after(self._keep(part))) for part in self.parts]
        tasks.append(asyncio.create_task(self._report_ready()))
        await self._stop.wait()
        await self._stop_parts()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        return self._code

    def _on_signal(self) -> None:
        if self._stop.is_set():
            for part in self.parts:
                _send(part, signal.SIGKILL)
        self._stop.set()

    async def _report_ready(self) -> None:
        serving = [part for part in self.parts if part.port_setting]
        for part in serving:
            await part.ready.wait()
        self._on_ready({part.name: part.address for part in serving})

    async def _stop_after(self, keeping: Coroutine[None, None, None]) -> None:
        """Stop everything when the coroutine ends, even with an error."""
        try:
            await keeping
        finally:
            self._stop.set()

    async def _keep(self, part: Part) -> None:
        """Run a part and restart it when it dies. The pauses grow while it dies early."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_S
        for other in part.after:
            await other.ready.wait()
        while not self._stop.is_set():
            began = loop.time()
            code = await self._run_once(part)
            if self._stop.is_set():
                return
            if code == CONFIGURATION_ERROR and not part.address:
                self._code = code
                self._stop.set()
                return
            if loop.time() - began >= RAN_WELL_S:
                pause = FIRST_PAUSE_S
            logger.warning("supervisor.part_died", part=part.name, code=code, pause_s=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _run_once(self, part: Part) -> int | None:
        # The lock prevents a start while `_stop_parts` runs.
        async with self._starting:
            if self._stop.is_set():
                return None
            process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            part.process = process
        assert process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(parent_pipe.pack(self.settings))
            await process.stdin.drain()
        listening = asyncio.create_task(self._listen(part, process))
        code = await process.wait()
        listening.cancel()
        part.ready.clear()
        part.process = None
        return code

    async def _listen(self, part: Part, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            found = READY.fullmatch(raw.decode(errors="replace").rstrip("\n"))
            if found is None:
                continue
            part.address = found["address"]
            if part.port_setting:
                self.settings = replace(self.settings, **{part.port_setting: int(found["port"])})
            part.ready.set()

    async def _stop_parts(self) -> None:
        """Stop the parts one by one, in their order in the list."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._starting:
            for part in self.parts:
                process = part.process
                if process is None:
                    continue
                _send(part, signal.SIGTERM)
                left = max(0.1, began + STOP_LIMIT_S * part.stop_share - loop.time())
                try:
                    await asyncio.wait_for(process.wait(), left)
                except TimeoutError:
                    logger.warning("supervisor.part_killed", part=part.name, limit_s=STOP_LIMIT_S * part.stop_share)
                    _send(part, signal.SIGKILL)
                    await process.wait()


def _send(part: Part, number: signal.Signals) -> None:
    if part.process is not None and part.process.returncode is None:
        with suppress(ProcessLookupError):
            part.process.send_signal(number)
