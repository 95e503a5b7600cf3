"""Where a request comes from that any web page can make a browser send."""

from __future__ import annotations

from tillstream.http.messages import Headers

_ELSEWHERE = (b"cross-site", b"same-site")


def foreign(headers: Headers) -> bool:
    """Whether a page of another address had a browser send it. Programs that are no browsers say nothing of it."""
    if headers.get(b"sec-fetch-site", b"").lower() in _ELSEWHERE:
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return False
    host = origin.partition(b"://")[2].lower()
    return not host or host != headers.get(b"host", b"").lower()
