"""Posts what was set aside to ingest again, as one more sender."""

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

ANSWER_LIMIT_S = 30.0
"""How long ingest may take to answer."""

_ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"
_TRY_LATER = (408, 429, 503)

Reason = dict[str, str]


class Answered(NamedTuple):
    """What ingest said: `errors` empty where all was taken."""

    errors: Sequence[Reason]
    key: str = ""
    day: str = ""
    receipts: int = 0


class Posting:
    """Knows the address of ingest at the moment of asking, what it must bring, and the formats. Safe from any thread.

    Of an ingest `elsewhere` the certificate must be right.
    """

    def __init__(
        self,
        address: Callable[[], str],
        authorization: Callable[[], Mapping[str, str]],
        formats: Formats,
        *,
        elsewhere: bool = False,
    ) -> None:
        self._address = address
        self._authorization = authorization
        self._formats = formats
        self._decoding = Lock()
        self._opener = build_opener() if elsewhere else machine_token.opener()

    @property
    def types(self) -> list[str]:
        """The media types that one may name."""
        return self._formats.media_types

    def media_type(self, source: str, named: str = "") -> str:
        """The media type that a person names (`csv`, `text/csv`), or else that of a source's format; empty: there is none."""
        wanted = named or source.partition("/")[0]
        decoder = self._formats.named(wanted) or next((each for each in self._formats if each.name == wanted), None)
        # It becomes a header, which holds neither line ends nor every letter.
        if decoder is None or not decoder.media_types or not (wanted.isascii() and wanted.isprintable()):
            return ""
        return named if "/" in named else decoder.media_types[0]

    def post(self, content: bytes, media_type: str, source: str) -> Answered:
        """What ingest says of the content. Raises `IngestUnavailable` where it takes nothing now."""
        decoder = self._formats.decoder(media_type)
        with self._decoding:
            several = decoder is not None and _holds_several(decoder, content)
        # An array is not taken as one receipt, even where it has only one.
        path = "/receipts" if several or content.lstrip(_BLANK).startswith(b"[") else "/receipt"
        replay = f"{REPLAY}/{SIMULATED}" if source.endswith(f"/{SIMULATED}") else REPLAY
        headers = {"Content-Type": media_type, "Tillstream-Source": replay, **self._authorization()}
        address = self._address()
        status, answer = self._ask(Request(f"{address}{path}", content, headers, method="POST"))
        if status == HTTPStatus.UNAUTHORIZED:
            # Nobody has looked at what was posted: the next entry would fare no better.
            raise IngestUnavailable("replay to", address, _said(answer, status), "see the setting ingest_key_file")
        if status in _TRY_LATER or status >= 500:
            raise IngestUnavailable("replay to", address, _said(answer, status), "try again in a moment")
        return _read(status, answer)

    def _ask(self, request: Request) -> tuple[int, Any]:
        try:
            with self._opener.open(request, timeout=ANSWER_LIMIT_S) as response:
                return response.status, _decoded(response.read(_ANSWER_LIMIT_BYTES))
        except HTTPError as error:
            with error:
                return error.code, _decoded(error.read(_ANSWER_LIMIT_BYTES))
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise IngestUnavailable("reach ingest at", request.full_url, reason, "see its log, try again") from error


def _holds_several(decoder: Decoder, content: bytes) -> bool:
    found = (each for each in decoder.decode(io.BytesIO(content)) if not isinstance(each, Skip))
    return len(list(islice(found, 2))) > 1


def _read(status: int, answer: Any) -> Answered:
    taken = int(answer.get("accepted", 0))
    if status != 202:
        return Answered(answer.get("errors") or [{"path": "$", "error": _said(answer, status), "hint": ""}])
    errors = [
        {**each, "path": f"$[{rejected['index']}]{each['path'][1:]}"}
        for rejected in answer.get("rejected", ())
        for each in rejected["errors"]
    ]
    return Answered(errors, answer.get("receiptKey", ""), answer.get("day", ""), taken)


def _decoded(body: bytes) -> Any:
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _said(answer: Any, status: int) -> str:
    errors = answer.get("errors")
    return str(errors[0]["error"]) if errors else f"it answered {status}"
