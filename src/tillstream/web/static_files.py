"""Static files. Each file is read and compressed once, at its first request."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"

COMPRESSED_TYPES = ("text/", "application/javascript", "application/json", "image/svg+xml")
MIN_COMPRESSED_BYTES = 500
"""Smaller bodies are not compressed, because they fit into one packet."""

LEVEL = 6


class StaticFolder:
    """An ASGI application that serves the files of a folder with ETags. It lists the files once, at the start."""

    def __init__(self, folder: Path) -> None:
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._files.get(scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/"))
        if path is None:
            raise HTTPException(404)
        request = Headers(scope=scope)
        zipped = accepts_gzip(request.get("accept-encoding", ""))
        body, headers = await run_in_threadpool(_load, path, zipped=zipped)
        known = (each.strip().removeprefix("W/") for each in request.get("if-none-match", "").split(","))
        if headers["ETag"] in known:
            validators = {name: value for name, value in headers.items() if not name.startswith("Content-")}
            response = Response(status_code=304, headers=validators)
        else:
            response = Response(body, headers=headers)
        await response(scope, receive, send)


@cache
def _load(path: Path, *, zipped: bool) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a file. If `zipped` is true, long text files are compressed."""
    body = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # The tag is a hash of the content. The time of the file would change when the same version is installed again.
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    charset = "; charset=utf-8" if media_type.startswith("text/") else ""
    headers = {"Content-Type": media_type + charset, "Cache-Control": "no-cache"}
    if zipped and len(body) >= MIN_COMPRESSED_BYTES and media_type.startswith(COMPRESSED_TYPES):
        body, tag = gzip.compress(body, LEVEL, mtime=0), f"{tag}-gzip"
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return body, {**headers, "ETag": f'"{tag}"'}


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an `Accept-Encoding` header allows gzip (RFC 9110, section 12.5.3)."""
    weights = {}
    for part in accept_encoding.lower().replace(" ", "").split(","):
        coding, _, weight = part.partition(";q=")
        weights[coding] = weight or "1"
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""
