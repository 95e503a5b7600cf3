"""Publishing with confirms: many messages on their way at a time, but never more than a window of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from tillstream.log.rabbitmq.connection import Blocked, Channel, Connection, Lost, told
from tillstream.log.rabbitmq.messages import Message

WINDOW = 2_000
CONFIRM_S = 1.0
"""How long the broker may confirm nothing while something waits for it."""

_SLICE = 250
"""Messages after which the loop gets its turn: to send, and to hear confirms."""


class ConfirmWindow:
    """The publishing side of one connection. For one batch at a time."""

    def __init__(self, connection: Connection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._raw = channel.raw
        self._published = 0
        self._confirmed = 0
        self._early: set[int] = set()
        self._refused = ""
        self._moved = asyncio.Event()
        self._lock = asyncio.Lock()
        self._raw.add_on_return_callback(self._returned)
        self._raw.add_on_close_callback(lambda *_: self._moved.set())
        connection.raw.add_on_connection_blocked_callback(lambda *_: self._moved.set())
        connection.over.add_done_callback(lambda _: self._moved.set())

    @classmethod
    async def open(cls, connection: Connection) -> ConfirmWindow:
        """Raises `Lost`."""
        channel = await connection.channel()
        window = cls(connection, channel)
        await channel.ask(channel.raw.confirm_delivery, window._answered)
        return window

    def _answered(self, frame: Any) -> None:
        method = frame.method
        if method.NAME == "Basic.Nack":
            self._refused = "the broker could not keep it"
        if method.multiple:
            self._confirmed = max(self._confirmed, method.delivery_tag)
            self._early = {tag for tag in self._early if tag > self._confirmed}
        else:
            self._early.add(method.delivery_tag)
        while self._confirmed + 1 in self._early:
            self._early.remove(self._confirmed + 1)
            self._confirmed += 1
        self._moved.set()

    def _returned(self, _: Any, method: Any, __: Any, ___: bytes) -> None:
        self._refused = f"exchange {method.exchange} leads to no stream: {method.reply_text}"

    async def publish(self, messages: Iterable[Message]) -> None:
        """Returns once every message is confirmed. Raises `Blocked` or `Lost`; then any of them may be in or not."""
        async with self._lock:
            for count, message in enumerate(messages, 1):
                if self._published - self._confirmed >= WINDOW:
                    await self._until(self._published - WINDOW // 2)
                self.check()
                self._raw.basic_publish(
                    message.exchange, message.routing_key, message.body, message.properties, mandatory=message.mandatory
                )
                self._published += 1
                if not count % _SLICE:
                    await asyncio.sleep(0)
            await self._until(self._published)
            if self._refused:
                raise Lost(self._refused)

    async def _until(self, tag: int) -> None:
        """Wait for confirms up to this one."""
        while self._confirmed < tag:
            self.check()
            before = self._confirmed
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), CONFIRM_S)
            except TimeoutError:
                if self._confirmed == before:
                    raise Lost(f"the broker has confirmed nothing for {CONFIRM_S:g} s") from None

    def check(self) -> None:
        """Raises `Blocked` or `Lost` where nothing can be published now."""
        if self._connection.over.done():
            raise Lost(self._connection.over.result())
        if self._channel.reason is not None:
            raise Lost(told(self._channel.reason))
        if self._connection.blocked:
            raise Blocked(f"the broker takes nothing for now: {self._connection.blocked}")
