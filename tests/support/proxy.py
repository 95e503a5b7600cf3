"""A TCP proxy on loopback that can simulate a network partition."""

from __future__ import annotations

import asyncio
from threading import Event, Thread

from tests.support.free_ports import free_port

WAIT_S = 10.0


class Proxy:
    """Forwards connections to `target_port` after `open`. During a partition it accepts connections but forwards no data."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._connected = asyncio.Event()
        self._connected.set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Start to listen and to forward."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(WAIT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def partition(self) -> None:
        self._loop.call_soon_threadsafe(self._connected.clear)

    def heal(self) -> None:
        """End the partition. Data is forwarded again."""
        self._loop.call_soon_threadsafe(self._connected.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            try:
                await asyncio.gather(self._forward(reader, target_writer), self._forward(target_reader, writer))
            finally:
                target_writer.close()
        except OSError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._connected.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        done = Event()

        async def end() -> None:
            if self._server is not None:
                self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            done.set()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        done.wait(WAIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()
