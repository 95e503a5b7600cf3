"""A thread that keeps a connection to the broker, and what is made on it, as long as there is a broker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

import structlog
from pika.exceptions import AMQPError

from tillstream.errors import LogUnavailable, OperationalError
from tillstream.log.rabbitmq.connection import Blocked, Connection, Lost, address, parameters

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 2.0
BEGINNINGS = 5
PATIENCE_S = 0.9
"""How long a call waits for a connection that is being made for the first time, or anew."""

FIRST_ATTEMPT_S = 8.0
WORK_LIMIT_S = 30.0
CLOSE_S = 5.0
GOODBYE_S = 1.0

_logger = structlog.get_logger()

Session = TypeVar("Session")
Result = TypeVar("Result")


class ReconnectingConnection(Generic[Session]):
    """Connects, and connects again with ever longer pauses; `begin` makes a session of each connection.

    While the broker is away calls fail at once, with the reason of the last attempt: they wait only
    for an attempt that may succeed.
    """

    def __init__(self, url: str, name: str, begin: Callable[[Connection], Awaitable[Session]]) -> None:
        self._parameters = parameters(url, name)
        self.address = address(self._parameters)
        self.user: str = self._parameters.credentials.username
        self._begin = begin
        self._change = Condition()
        self._session: Session | None = None
        self._connection: Connection | None = None
        self._open: set[asyncio.Future[None]] = set()
        self._reason = ""
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._keeper: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._keeper = self._loop.create_task(self._keep())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._keeper)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _keep(self) -> None:
        pause, told = FIRST_PAUSE_S, ""
        while True:
            reason = "it is closed"
            try:
                connection, session = await self._connect()
                if told:
                    _logger.info("broker_back", broker=self.address)
                pause, told = FIRST_PAUSE_S, ""
                self._set(session, "")
                reason = await connection.over
            except (Lost, AMQPError, OperationalError) as error:
                reason = str(error) or type(error).__name__
                self._set(None, reason)
            except Exception as error:
                _logger.exception("broker_session_failed", broker=self.address)
                self._set(None, str(error))
            if self._closing:
                await self._part()
                return
            if self._session is not None:
                # A connection that was good a moment ago is made anew at once, and calls wait for it.
                self._set(None, "")
                _logger.warning("broker_lost", broker=self.address, reason=reason)
                continue
            if reason != told:
                told = reason
                _logger.warning("broker_away", broker=self.address, reason=reason)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _connect(self) -> tuple[Connection, Session]:
        """Two that declare the same streams at once may meet them half made: so it is tried more than once."""
        attempt = 0
        while True:
            attempt += 1
            self._connection = connection = await Connection.open(self._parameters)
            self._open.add(connection.closed)
            connection.closed.add_done_callback(self._open.discard)
            try:
                return connection, await self._begin(connection)
            except Lost as error:
                connection.end(str(error))
                if attempt == BEGINNINGS or self._closing:
                    raise
            except BaseException as error:
                connection.end(f"it could not be used: {error}")
                raise
            await asyncio.sleep(FIRST_PAUSE_S)

    def _set(self, session: Session | None, reason: str) -> None:
        with self._change:
            self._session, self._reason = session, reason
            self._change.notify_all()

    def call(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Result:
        """Run the work on the session, on the link's thread. Raises `LogUnavailable`."""
        return self.begin_call(doing, work)()

    def begin_call(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Callable[[], Result]:
        """Start the work; what it returns waits for the result. Both raise `LogUnavailable`."""
        session = self._wait(doing)
        try:
            future = asyncio.run_coroutine_threadsafe(work(session), self._loop)
        except RuntimeError as error:
            raise self._unavailable(doing, "it was closed") from error
        return partial(self._result, doing, future)

    def _result(self, doing: str, future: Future[Result]) -> Result:
        try:
            return future.result(WORK_LIMIT_S)
        except Blocked as error:
            raise self._unavailable(doing, str(error)) from error
        except (Lost, AMQPError) as error:
            self._loop.call_soon_threadsafe(self._give_up, str(error))
            raise self._unavailable(doing, str(error)) from error
        except (TimeoutError, CancelledError) as error:
            future.cancel()
            self.renew("the broker takes too long")
            raise self._unavailable(doing, "the broker takes too long") from error

    def first(self) -> None:
        """Wait until the first attempt has led to a session, or failed."""
        with self._change:
            self._change.wait_for(lambda: self._session is not None or self._reason or self._closing, FIRST_ATTEMPT_S)

    def _wait(self, doing: str) -> Session:
        with self._change:
            self._change.wait_for(lambda: self._session is not None or self._reason or self._closing, PATIENCE_S)
            if self._session is None:
                reason = "it was closed" if self._closing else self._reason or "there is no connection yet"
                raise self._unavailable(doing, reason)
            return self._session

    def _unavailable(self, doing: str, reason: str) -> LogUnavailable:
        return LogUnavailable(doing, self.address, reason, "it is tried again by itself; is RabbitMQ up?")

    def renew(self, reason: str) -> None:
        """Make a new session on a new connection."""
        self._loop.call_soon_threadsafe(self._give_up, reason)

    def _give_up(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._set(self._session, "it was closed")
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(CLOSE_S)

    def _end(self) -> None:
        if self._connection is not None and not self._connection.over.done():
            self._connection.end("it was closed")
        elif self._keeper is not None:
            self._keeper.cancel()

    async def _part(self) -> None:
        """Wait until the goodbye is said and every socket closed."""
        if self._open:
            await asyncio.wait(self._open, timeout=GOODBYE_S)
