"""What came, as people may read it: from the log, persons masked."""

from __future__ import annotations

from tillstream.log.base import Log
from tillstream.views.masking import mask


def original(log: Log, place: int) -> str | None:
    """The record's original as text, persons masked; None where the log no longer has it."""
    found = log.fetch([place]).get(place)
    if found is None:
        return None
    _, body, came = found
    return mask((came or body).decode("utf-8", "replace"))
