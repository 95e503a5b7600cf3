"""granian on a bound socket: it tells its port, serves, and ends when told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from granian.constants import Interfaces

from tests.support.certificate import certificate
from tillstream.config import ports
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.http_server import BoundServer


class Echo:
    """Answers with the body; `/slow` never answers."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.path == "/slow":
            self.began.set()
            await asyncio.Event().wait()
        protocol.response_bytes(200, [], await protocol())


async def served(
    ask: Callable[[str, Echo], Any], *, limit_s: float = 5.0, settings: Settings | None = None
) -> list[str]:
    """Serve while `ask` runs, then stop; what happened, in order."""
    happened: list[str] = []
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    app = Echo()
    settings = settings or Settings()
    server = BoundServer(app, Interfaces.RSGI, settings, ports.listen("127.0.0.1", 0, "--ingest-port"))
    running = asyncio.create_task(
        server.run("the echo", stop, bound.set_result, lambda: happened.append("stopping"), limit_s)
    )
    happened.append(await ask(ports.address("127.0.0.1", await bound, tls=settings.tls), app))
    stop.set()
    await running
    return happened


def test_it_serves_on_the_bound_port_until_it_is_told_to_stop() -> None:
    async def ask(url: str, _app: Echo) -> str:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, content="hello")).text

    assert asyncio.run(served(ask)) == ["hello", "stopping"]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_with_a_certificate_it_serves_by_tls(tmp_path: Path, kind: str) -> None:
    own = certificate(tmp_path, kind)

    async def ask(url: str, _app: Echo) -> str:
        async with httpx.AsyncClient(verify=own.trusted) as client:
            return f"{url[:5]} {(await client.post(url, content='hello')).text}"

    assert asyncio.run(served(ask, settings=Settings(**own.settings))) == ["https hello", "stopping"]


def test_a_request_that_never_ends_is_cut_off_after_the_limit() -> None:
    async def ask(url: str, app: Echo) -> str:
        client = httpx.AsyncClient()
        asking = asyncio.create_task(client.get(f"{url}/slow"))
        await app.began.wait()
        asking.cancel()
        return "asked"

    assert asyncio.run(served(ask, limit_s=0.2)) == ["asked", "stopping"]


def test_a_server_that_ends_by_itself_is_an_error() -> None:
    async def ask() -> None:
        server = BoundServer(Echo(), Interfaces.RSGI, Settings(), ports.listen("127.0.0.1", 0, "--ingest-port"))
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, server.stop)
        await server.run("the echo", asyncio.Event(), lambda _: None, lambda: None, 1.0)

    with pytest.raises(OperationalError, match="could not serve the echo on port"):
        asyncio.run(ask())
