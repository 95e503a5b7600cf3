"""Posts quarantined content to ingest again, as any sender would."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple

import msgspec

from tillstream.client.control import ControlClient, RequestFailed
from tillstream.errors import IngestUnavailable
from tillstream.formats.base import Decoder, Skip
from tillstream.formats.registry import Formats
from tillstream.receipt.model import REPLAY, SIMULATED

RESPONSE_TIMEOUT_S = 30.0

_BLANK = b"\xef\xbb\xbf \t\r\n"


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
        self._client = ControlClient(RESPONSE_TIMEOUT_S, same_machine=not remote)

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
        try:
            response = self._client.send(f"{address}{path}", content, headers)
        except RequestFailed as error:
            raise IngestUnavailable("reach ingest at", f"{address}{path}", error, "see its log, try again") from error
        answer = _decoded(response.body)
        if response.status == HTTPStatus.UNAUTHORIZED:
            # The key is wrong for all entries, so this says nothing about the content.
            reason, hint = _reason(answer, response.status), "see the setting ingest_key_file"
            raise IngestUnavailable("replay to", address, reason, hint)
        if response.retryable:
            raise IngestUnavailable("replay to", address, _reason(answer, response.status), "try again in a moment")
        return _result(response.status, answer)


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
