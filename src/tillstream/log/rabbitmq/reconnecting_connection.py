"""A connection to the broker that reconnects by itself, on a thread with its own event loop."""

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
from tillstream.log.rabbitmq.connection import BrokerBlocked, Connection, ConnectionLost, address, parameters

MIN_BACKOFF_S = 0.1
MAX_BACKOFF_S = 2.0
SESSION_ATTEMPTS = 5
SESSION_WAIT_S = 0.9
"""How long a call waits while the connection is being made."""

FIRST_ATTEMPT_S = 8.0
CALL_TIMEOUT_S = 30.0
THREAD_TIMEOUT_S = 5.0
SOCKET_TIMEOUT_S = 1.0

_logger = structlog.get_logger()

Session = TypeVar("Session")
Result = TypeVar("Result")


class ReconnectingConnection(Generic[Session]):
    """Keeps a session on a connection, and reconnects with exponential backoff.

    `open_session` makes a session of each new connection. While the broker is away, calls fail at
    once with the reason of the last attempt. They wait only while an attempt may still succeed.
    """

    def __init__(self, url: str, name: str, open_session: Callable[[Connection], Awaitable[Session]]) -> None:
        self._parameters = parameters(url, name)
        self.address = address(self._parameters)
        self.user: str = self._parameters.credentials.username
        self._open_session = open_session
        self._change = Condition()
        self._session: Session | None = None
        self._connection: Connection | None = None
        self._open_sockets: set[asyncio.Future[None]] = set()
        self._reason = ""
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._maintain())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _maintain(self) -> None:
        backoff_s, logged_reason = MIN_BACKOFF_S, ""
        while True:
            reason = "it is closed"
            try:
                connection, session = await self._connect()
                if logged_reason:
                    _logger.info("rabbitmq.reconnected", broker=self.address)
                backoff_s, logged_reason = MIN_BACKOFF_S, ""
                self._set(session, "")
                reason = await connection.ended
            except (ConnectionLost, AMQPError, OperationalError) as error:
                reason = str(error) or type(error).__name__
                self._set(None, reason)
            except Exception as error:
                _logger.exception("rabbitmq.session_failed", broker=self.address)
                self._set(None, str(error))
            if self._closing:
                if self._open_sockets:
                    await asyncio.wait(self._open_sockets, timeout=SOCKET_TIMEOUT_S)
                return
            if self._session is not None:
                # The connection worked until now: reconnect without a pause, while calls wait.
                self._set(None, "")
                _logger.warning("rabbitmq.connection_lost", broker=self.address, reason=reason)
                continue
            if reason != logged_reason:
                logged_reason = reason
                _logger.warning("rabbitmq.unreachable", broker=self.address, reason=reason)
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    async def _connect(self) -> tuple[Connection, Session]:
        """Connect and open a session.

        Processes that declare the same streams at the same time disturb each other, so a lost
        connection is retried.
        """
        attempt = 0
        while True:
            attempt += 1
            self._connection = connection = await Connection.open(self._parameters)
            self._open_sockets.add(connection.closed)
            connection.closed.add_done_callback(self._open_sockets.discard)
            try:
                return connection, await self._open_session(connection)
            except ConnectionLost as error:
                connection.end(str(error))
                if attempt == SESSION_ATTEMPTS or self._closing:
                    raise
            except BaseException as error:
                connection.end(f"it could not be used: {error}")
                raise
            await asyncio.sleep(MIN_BACKOFF_S)

    def _set(self, session: Session | None, reason: str) -> None:
        with self._change:
            self._session, self._reason = session, reason
            self._change.notify_all()

    def call(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Result:
        """Run a coroutine on the session, on the connection's thread. Raises `LogUnavailable`."""
        return self.submit(doing, work)()

    def submit(self, doing: str, work: Callable[[Session], Coroutine[Any, Any, Result]]) -> Callable[[], Result]:
        """Start a coroutine like `call`, and return a function that waits for its result."""
        session = self._wait_for_session(doing)
        try:
            future = asyncio.run_coroutine_threadsafe(work(session), self._loop)
        except RuntimeError as error:
            raise self._unavailable(doing, "it was closed") from error
        return partial(self._result, doing, future)

    def _result(self, doing: str, future: Future[Result]) -> Result:
        try:
            return future.result(CALL_TIMEOUT_S)
        except BrokerBlocked as error:
            raise self._unavailable(doing, str(error)) from error
        except (ConnectionLost, AMQPError) as error:
            self.reconnect(str(error))
            raise self._unavailable(doing, str(error)) from error
        except (TimeoutError, CancelledError) as error:
            future.cancel()
            self.reconnect("the broker takes too long")
            raise self._unavailable(doing, "the broker takes too long") from error

    def wait_for_first_attempt(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        self._wait(FIRST_ATTEMPT_S)

    def _wait(self, timeout_s: float) -> Session | None:
        with self._change:
            self._change.wait_for(lambda: self._session is not None or self._reason or self._closing, timeout_s)
            return self._session

    def _wait_for_session(self, doing: str) -> Session:
        session = self._wait(SESSION_WAIT_S)
        if session is None:
            reason = "it was closed" if self._closing else self._reason or "there is no connection yet"
            raise self._unavailable(doing, reason)
        return session

    def _unavailable(self, doing: str, reason: str) -> LogUnavailable:
        return LogUnavailable(doing, self.address, reason, "tillstream keeps trying; is RabbitMQ up?")

    def reconnect(self, reason: str) -> None:
        """End the current connection, so that a new one is made."""
        self._loop.call_soon_threadsafe(self._end_connection, reason)

    def _end_connection(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._set(self._session, "it was closed")
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(THREAD_TIMEOUT_S)

    def _end(self) -> None:
        if self._connection is not None and not self._connection.ended.done():
            self._connection.end("it was closed")
        elif self._task is not None:
            self._task.cancel()
