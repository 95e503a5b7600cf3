"""Posts quarantined content to ingest again, as any sender would."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, build_opener

import msgspec

from tillstream.access import machine_token
from tillstream.errors import IngestUnavailable
from tillstream.formats.base import Decoder, Skip
from tillstream.formats.registry import Formats
from tillstream.receipt.model import REPLAY, SIMULATED

RESPONSE_TIMEOUT_S = 30.0

_RESPONSE_LIMIT_BYTES = 16 * 1024 * 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"
_RETRYABLE = (408, 429, 503)


class ReplayResult(NamedTuple):
    """The response of ingest. `errors` is empty if it accepted everything."""

    errors: Sequence[Mapping[str, str]]
    key: str = ""
    day: str = ""
    receipts: int = 0


class Replayer:
    """Posts content to ingest; safe from any thread.

    Address and authorization are looked up for each request. The certificate of a `remote` ingest is verified.
    """

    def __init__(
        self,
        address: Callable[[], str],
        authorization: Callable[[], Mapping[str, str]],
        formats: Formats,
        *,
        remote: bool = False,
    ) -> None:
        self._address = address
        self._authorization = authorization
        self._formats = formats
        self._decoding = Lock()
        self._opener = build_opener() if remote else machine_token.opener()

    @property
    def media_types(self) -> list[str]:
        """The media types that content may have."""
        return self._formats.media_types

    def media_type(self, source: str, requested: str = "") -> str:
        """The media type that was requested (`csv`, `text/csv`), or else that of the source; empty if it is unknown."""
        name = requested or source.partition("/")[0]
        decoder = self._formats.named(name) or next((each for each in self._formats if each.name == name), None)
        # The name is sent in a header, which allows neither line ends nor every letter.
        if decoder is None or not decoder.media_types or not (name.isascii() and name.isprintable()):
            return ""
        return requested if "/" in requested else decoder.media_types[0]

    def post(self, content: bytes, media_type: str, source: str) -> ReplayResult:
        """Post content to ingest. Raises `IngestUnavailable` if ingest accepts nothing now."""
        decoder = self._formats.decoder(media_type)
        with self._decoding:
            several = decoder is not None and _has_several(decoder, content)
        # `/receipt` refuses an array, even one with a single receipt.
        path = "/receipts" if several or content.lstrip(_BLANK).startswith(b"[") else "/receipt"
        replay = f"{REPLAY}/{SIMULATED}" if source.endswith(f"/{SIMULATED}") else REPLAY
        headers = {"Content-Type": media_type, "Tillstream-Source": replay, **self._authorization()}
        address = self._address()
        status, response = self._send(Request(f"{address}{path}", content, headers, method="POST"))
        if status == HTTPStatus.UNAUTHORIZED:
            # The key is wrong for all entries, so this says nothing about the content.
            raise IngestUnavailable("replay to", address, _reason(response, status), "see the setting ingest_key_file")
        if status in _RETRYABLE or status >= 500:
            raise IngestUnavailable("replay to", address, _reason(response, status), "try again in a moment")
        return _result(status, response)

    def _send(self, request: Request) -> tuple[int, dict[str, Any]]:
        try:
            with self._opener.open(request, timeout=RESPONSE_TIMEOUT_S) as response:
                return response.status, _decoded(response.read(_RESPONSE_LIMIT_BYTES))
        except HTTPError as error:
            with error:
                return error.code, _decoded(error.read(_RESPONSE_LIMIT_BYTES))
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise IngestUnavailable("reach ingest at", request.full_url, reason, "see its log, try again") from error


def _has_several(decoder: Decoder, content: bytes) -> bool:
    receipts = (each for each in decoder.decode(io.BytesIO(content)) if not isinstance(each, Skip))
    return len(list(islice(receipts, 2))) > 1


def _result(status: int, response: dict[str, Any]) -> ReplayResult:
    if status != HTTPStatus.ACCEPTED:
        return ReplayResult(response.get("errors") or [{"path": "$", "error": _reason(response, status), "hint": ""}])
    errors = [
        {**error, "path": f"$[{rejected['index']}]{error['path'][1:]}"}
        for rejected in response.get("rejected", ())
        for error in rejected["errors"]
    ]
    return ReplayResult(
        errors, response.get("receiptKey", ""), response.get("day", ""), int(response.get("accepted", 0))
    )


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        response = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return response if isinstance(response, dict) else {}


def _reason(response: dict[str, Any], status: int) -> str:
    errors = response.get("errors")
    return str(errors[0]["error"]) if errors else f"it answered {status}"
