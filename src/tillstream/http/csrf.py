"""Detection of requests that a page of another site makes a browser send."""

from __future__ import annotations

from collections.abc import Mapping

_OWN_SITE = (b"same-origin", b"none")


def is_cross_site(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser says that another site's page sent the request; `headers` have lower-case names.

    Programs send neither `Sec-Fetch-Site` nor `Origin`, and are never refused.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site.lower() not in _OWN_SITE
    origin = headers.get(b"origin")
    if origin is None:
        return False
    host = origin.partition(b"://")[2].lower()
    return not host or host != headers.get(b"host", b"").lower()
