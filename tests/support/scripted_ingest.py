"""An HTTP server with scripted answers, to test how clients handle errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

ACCEPT = "202"
DROP = "drop"
SILENCE = "silence"
GARBAGE = "garbage"


@dataclass
class Received:
    """A received request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedIngest:
    """Answers the n-th request with `script[n]`, and with 202 after the end of the script.

    A step is `DROP`, `SILENCE`, `GARBAGE`, or a status with optional `Retry-After` seconds and body, for example `503 1`
    or `422 - {"errors": []}`.
    """

    script: Sequence[str] = ()
    url: str = ""
    requests: list[Received] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                number = len(self.requests)
                self.requests.append(request)
                step = self.script[number] if number < len(self.script) else ACCEPT
                if step == DROP:
                    break
                if step == SILENCE:
                    await reader.read()
                    break
                writer.write(b"SSH-2.0-nonsense\r\n\r\n" if step == GARBAGE else _answer(step))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
    except asyncio.IncompleteReadError:
        return None
    return Received(head[0].split(" ")[1], headers, body)


def _answer(step: str) -> bytes:
    status, _, rest = step.partition(" ")
    retry_after, _, body = rest.partition(" ")
    header = f"Retry-After: {retry_after}\r\n" if retry_after not in ("", "-") else ""
    text = body or "{}"
    return f"HTTP/1.1 {status} Scripted\r\n{header}Content-Length: {len(text)}\r\n\r\n{text}".encode()


@contextmanager
def scripted_ingest(*script: str, port: int = 0) -> Iterator[ScriptedIngest]:
    """Run the server in a thread, on a free port by default."""
    ingest = ScriptedIngest(script)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        server = await asyncio.start_server(ingest.serve, "127.0.0.1", port)
        ingest.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        assert ready.wait(10)
        yield ingest
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
