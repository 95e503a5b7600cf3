"""Starts the processes of `tillstream up`, restarts processes that die, and stops all processes in order.

A pipe connects the supervisor to the standard input of each process. The supervisor writes the settings to the
pipe. When the supervisor dies, the pipe closes, and each process ends.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread

import msgspec
import structlog
from msgspec.structs import replace

from tillstream.config.settings import Settings

logger = structlog.get_logger()

MIN_PAUSE_S = 0.2
"""The pause before the first restart of a process. The pause doubles with each restart."""

MAX_PAUSE_S = 10.0
STABLE_S = 30.0
"""If a process has run for this time, the pause before its restart is `MIN_PAUSE_S` again."""

STOP_LIMIT_S = 9.0
"""The maximum time from the signal to the end of the last process. Processes that take longer are killed."""

ORPHAN_LIMIT_S = 1.0
"""The maximum time that a process runs after the death of its supervisor."""

CONFIGURATION_ERROR = 2
"""The exit code of a process that cannot start with its settings. A restart would not help."""

READY = re.compile(r"(?P<name>\w+) ready at (?P<address>\S+?:(?P<port>\d+))\s*")


def command(verb: str) -> tuple[str, ...]:
    """Return the command line that runs a subcommand of tillstream, such as `ingest`, under a supervisor."""
    # With -P, a module in the working directory cannot replace a module of tillstream.
    return (sys.executable, "-P", "-m", "tillstream", verb, "--supervised")


def ready_line(name: str, address: str) -> str:
    """Return the line that a process prints when it is ready."""
    return f"{name} ready at {address}"


def receive_settings() -> Settings:
    """Read the settings from the supervisor. Raises `msgspec.DecodeError` if the pipe closes before they arrive."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)


def watch_supervisor(on_loss: Callable[[], object]) -> None:
    """Start a thread that calls `on_loss` when the supervisor dies, and kills this process `ORPHAN_LIMIT_S` later.

    The kill loses no receipt, because every acknowledged receipt is on disk.
    """

    def wait() -> None:
        while os.read(0, 1024):
            pass
        on_loss()
        time.sleep(ORPHAN_LIMIT_S)
        os._exit(1)

    Thread(target=wait, name="supervisor-watch", daemon=True).start()


@dataclass(slots=True, eq=False)
class Part:
    """A supervised process.

    It starts when the parts in `after` are ready. `port_setting` is the name of the setting for its port. The
    supervisor changes this setting to the bound port, so a restart does not change the address. If the process
    still runs `stop_share * STOP_LIMIT_S` seconds after the supervisor began to stop, the supervisor kills it.
    """

    name: str
    command: Sequence[str]
    port_setting: str = ""
    after: tuple[Part, ...] = ()
    stop_share: float = 1.0
    address: str = ""
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process if it is running."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """Keeps its parts running until SIGINT or SIGTERM, then stops them in the order of `parts`.

    The supervisor reads the ready line from the standard output of each part. When all parts with a port are ready,
    it calls `on_ready` with their addresses by name. A second signal kills every part. This loses no receipt, because
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
        """Run the parts until a signal. Return 0, or the exit code of a part that cannot start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        tasks = [asyncio.create_task(self._keep(part)) for part in self.parts]
        for task in tasks:
            task.add_done_callback(lambda _: self._stop.set())
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
                part.send(signal.SIGKILL)
        self._stop.set()

    async def _report_ready(self) -> None:
        serving = [part for part in self.parts if part.port_setting]
        for part in serving:
            await part.ready.wait()
        self._on_ready({part.name: part.address for part in serving})

    async def _keep(self, part: Part) -> None:
        """Run a part, and restart it whenever it dies."""
        loop = asyncio.get_running_loop()
        pause_s = MIN_PAUSE_S
        for other in part.after:
            await other.ready.wait()
        while not self._stop.is_set():
            started = loop.time()
            code = await self._run_once(part)
            if self._stop.is_set():
                return
            if code == CONFIGURATION_ERROR and not part.address:
                self._code = code
                return
            if loop.time() - started >= STABLE_S:
                pause_s = MIN_PAUSE_S
            logger.warning("supervisor.part_died", part=part.name, code=code, pause_s=pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _run_once(self, part: Part) -> int | None:
        # The lock prevents a start while `_stop_parts` runs.
        async with self._starting:
            if self._stop.is_set():
                return None
            process = await asyncio.create_subprocess_exec(
                *part.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
            part.process = process
        assert process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(msgspec.json.encode(self.settings) + b"\n")
            await process.stdin.drain()
        listening = asyncio.create_task(self._listen(part, process))
        code = await process.wait()
        listening.cancel()
        part.ready.clear()
        part.process = None
        return code

    async def _listen(self, part: Part, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            found = READY.fullmatch(line.decode(errors="replace"))
            if found is None:
                continue
            part.address = found["address"]
            if part.port_setting:
                self.settings = replace(self.settings, **{part.port_setting: int(found["port"])})
            part.ready.set()

    async def _stop_parts(self) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with self._starting:
            for part in self.parts:
                process = part.process
                if process is None:
                    continue
                part.send(signal.SIGTERM)
                limit_s = STOP_LIMIT_S * part.stop_share
                try:
                    await asyncio.wait_for(process.wait(), max(0.1, started + limit_s - loop.time()))
                except TimeoutError:
                    logger.warning("supervisor.part_killed", part=part.name, limit_s=limit_s)
                    part.send(signal.SIGKILL)
                    await process.wait()
