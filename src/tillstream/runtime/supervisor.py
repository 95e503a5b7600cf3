"""Runs the parts of `tillstream up` as processes: starts them, restarts one that dies, stops them in order."""

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
"""A part that ran for this long is restarted after the first pause again."""

STOP_LIMIT_S = 9.0
"""From the signal to the end of the last part; whoever needs longer is killed."""

CONFIGURATION_ERROR = 2
"""Exit code of a part that cannot start as it was told to; trying again would not help."""

READY = re.compile(r"(?P<name>\w+) ready at (?P<address>\S+?:(?P<port>\d+))\s*")


def command(verb: str) -> tuple[str, ...]:
    """The command of a part; -P, lest a module in the working directory be taken for one of ours."""
    return (sys.executable, "-P", "-m", "tillstream", verb, "--supervised")


def ready_line(name: str, address: str) -> str:
    """What a part prints once it serves."""
    return f"{name} ready at {address}"


@dataclass(slots=True, eq=False)
class Part:
    """One supervised process. `port_setting` is fixed to the bound port, so a restart keeps the address."""

    name: str
    command: Sequence[str]
    port_setting: str = ""
    after: tuple[Part, ...] = ()
    stop_share: float = 1.0
    address: str = ""
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Keeps its parts running until SIGINT or SIGTERM, then stops them in the order given.

    A part begins once those named in its `after` are ready. `stop_share` is the part of the stop
    limit by which it must have ended. Of what a part prints only its ready line is read; it logs to
    standard error, which it has from us. A second signal kills what still runs: what was acknowledged
    is on disk, so nothing of it is lost.
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
        """Supervise until told to stop; the exit code: 0, or that of a part which cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        tasks = [asyncio.create_task(self._to_the_end(self._keep(part))) for part in self.parts]
        tasks.append(asyncio.create_task(self._welcome()))
        await self._stop.wait()
        await self._end()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        return self._code

    def _signalled(self) -> None:
        if self._stop.is_set():
            for part in self.parts:
                _send(part, signal.SIGKILL)
        self._stop.set()

    async def _welcome(self) -> None:
        serving = [part for part in self.parts if part.port_setting]
        for part in serving:
            await part.ready.wait()
        self._on_ready({part.name: part.address for part in serving})

    async def _to_the_end(self, keeping: Coroutine[None, None, None]) -> None:
        try:
            await keeping
        finally:
            self._stop.set()

    async def _keep(self, part: Part) -> None:
        """Run a part again and again, with ever longer pauses while it doesn't run well."""
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
            logger.warning("part died, restarting it", part=part.name, code=code, pause_s=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _run_once(self, part: Part) -> int | None:
        # The lock keeps a part from being born behind the back of `_end`.
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

    async def _end(self) -> None:
        """Stop the parts one by one: whoever feeds ends before those whom it feeds."""
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
                    logger.warning("part did not stop in time, killing it", part=part.name)
                    _send(part, signal.SIGKILL)
                    await process.wait()


def _send(part: Part, number: signal.Signals) -> None:
    if part.process is not None and part.process.returncode is None:
        with suppress(ProcessLookupError):
            part.process.send_signal(number)
