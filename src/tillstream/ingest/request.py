"""What HTTP hands to the application: a request, and how to answer it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from tillstream.ingest.responses import Answer
from tillstream.ingest.room import Share

Headers = dict[bytes, bytes]
"""By name in lower case; of a header that stands twice, the last."""

Reply = Callable[[Answer], None]


class Request(NamedTuple):
    """A request, whole: where its body broke off, `broken` is set and the body is what came of it."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    keeps_alive: bool = True
    broken: bool = False
    share: Share | None = None
    """What its body holds of the room; None where so small a body is not counted."""


class Application(Protocol):
    """What answers: it calls `reply` once for each request, at once or later, on the event loop."""

    def handle(self, request: Request, reply: Reply) -> None:
        """Whatever becomes of it, the request's share is given back once its body is not needed any more."""

    def turns_away(self, headers: Headers) -> Answer | None:
        """The answer to who may not send a body that is worth counting; it is asked before that comes."""
