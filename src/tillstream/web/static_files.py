"""Static files, each read and compressed once."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tillstream.web.live.events import accepts_gzip

STATIC = Path(__file__).parent / "static"

COMPRESSED_TYPES = ("text/", "application/javascript", "application/json", "image/svg+xml")
MIN_COMPRESSED_BYTES = 500
"""Smaller bodies fit into one packet anyway."""

LEVEL = 6


@dataclass(frozen=True, slots=True)
class File:
    """A file's content, also compressed where that helps."""

    body: bytes
    compressed: bytes | None
    media_type: str
    digest: str


class StaticFolder:
    """Serves the files that a folder has when the server starts. Every file has an ETag."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._files.get(_path(scope))
        if path is None:
            raise HTTPException(404)
        file = await run_in_threadpool(_load, path)
        await _response(file, Headers(scope=scope))(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path below the mount."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).removeprefix("/")


@cache
def _load(path: Path) -> File:
    body = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    compressible = len(body) >= MIN_COMPRESSED_BYTES and media_type.startswith(COMPRESSED_TYPES)
    compressed = gzip.compress(body, LEVEL, mtime=0) if compressible else None
    # A tag of the content, not of its time: after a restart a browser's copy is still valid.
    return File(body, compressed, media_type, hashlib.blake2b(body, digest_size=12).hexdigest())


def _response(file: File, request: Headers) -> Response:
    compressed = file.compressed if accepts_gzip(request.get("accept-encoding", "")) else None
    etag = f'"{file.digest}-gzip"' if compressed is not None else f'"{file.digest}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if compressed is not None:
        headers["Vary"] = "Accept-Encoding"
    if etag in (each.strip().removeprefix("W/") for each in request.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    if compressed is not None:
        headers["Content-Encoding"] = "gzip"
    return Response(file.body if compressed is None else compressed, 200, headers, file.media_type)
