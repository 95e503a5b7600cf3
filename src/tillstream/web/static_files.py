"""The files of the page, compressed once and kept: what changes with every answer is compressed as it goes."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass

from dash.fingerprint import check_fingerprint
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.web.live.events import takes_gzip

FOLDERS = ("/_dash-component-suites/", "/assets/", "/docs/files/")
"""Where files stand that are the same as long as the process runs."""

KEPT_LIMIT = 256
"""Most files that are kept: the page has some thirty."""

KEPT_LIMIT_BYTES = 32 * 1024 * 1024
LEAST_BYTES = 500
"""What is smaller fits into one packet anyway."""

PACKED_TYPES = ("text/", "application/javascript", "application/json", "image/svg+xml")
FOR_EVER = "public, max-age=31536000, immutable"
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Kept:
    """A file as it is sent, gzip."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    etag: str


class Files:
    """Answers files in gzip that was made once, and all else that is large through Starlette's compression.

    A file has an ETag. One whose path names its version (as Dash writes it) may be kept for a year
    without asking. Who takes no gzip gets what the application answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._rest = GZipMiddleware(app, minimum_size=LEAST_BYTES, compresslevel=_LEVEL)
        self._kept: dict[str, Kept] = {}
        self._kept_bytes = 0
        self._making: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(FOLDERS):
            await self._rest(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not takes_gzip(headers.get("accept-encoding", "")) or "range" in headers:
            await self._app(scope, receive, send)
            return
        path, versioned = check_fingerprint(scope["path"])  # type: ignore[no-untyped-call]
        kept = self._kept.get(path) or await self._made(path, scope, receive, send)
        if kept is not None:
            await _answer(kept, versioned=versioned, known=headers.get("if-none-match", ""), send=send)

    async def _made(self, path: str, scope: Scope, receive: Receive, send: Send) -> Kept | None:
        """The file, made once however many ask at the same time; None: the application's answer went on as it was."""
        try:
            async with self._making.setdefault(path, asyncio.Lock()):
                return self._kept.get(path) or await self._make(path, scope, receive, send)
        finally:
            self._making.pop(path, None)

    async def _make(self, path: str, scope: Scope, receive: Receive, send: Send) -> Kept | None:
        asked = [(name, value) for name, value in scope["headers"] if name not in _CONDITIONS]
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app({**scope, "headers": asked}, receive, collect)
        start, *rest = messages
        body = b"".join(message.get("body", b"") for message in rest)
        head = Headers(raw=start["headers"])
        fits = len(self._kept) < KEPT_LIMIT and self._kept_bytes + len(body) <= KEPT_LIMIT_BYTES
        if start["status"] != 200 or len(body) < LEAST_BYTES or not fits or not _packs(head):
            for message in messages:
                await send(message)
            return None
        made = await asyncio.to_thread(_packed, body, head)
        self._kept[path] = made
        self._kept_bytes += len(made.body)
        return made


_CONDITIONS = (b"if-none-match", b"if-modified-since", b"accept-encoding")


def _packs(head: Headers) -> bool:
    return head.get("content-type", "").startswith(PACKED_TYPES) and "content-encoding" not in head


def _packed(body: bytes, head: Headers) -> Kept:
    # Named after its content and not after a time, so that a restart does not make a browser load it again.
    etag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}-gzip"'
    packed = gzip.compress(body, _LEVEL, mtime=0)
    headers = (
        (b"content-type", head["content-type"].encode()),
        (b"content-encoding", b"gzip"),
        (b"content-length", b"%d" % len(packed)),
    )
    return Kept(packed, headers, etag)


async def _answer(kept: Kept, *, versioned: bool, known: str, send: Send) -> None:
    cached = FOR_EVER if versioned else "no-cache"
    common = [(b"etag", kept.etag.encode()), (b"cache-control", cached.encode()), (b"vary", b"Accept-Encoding")]
    same = kept.etag in (each.strip().removeprefix("W/") for each in known.split(","))
    headers = common if same else [*common, *kept.headers]
    await send({"type": "http.response.start", "status": 304 if same else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if same else kept.body, "more_body": False})
