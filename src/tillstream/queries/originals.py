"""What came, as people may read it: from the log, persons masked."""

from __future__ import annotations

import codecs
from collections import defaultdict
from collections.abc import Iterable

from tillstream.formats.base import Decoder
from tillstream.formats.registry import BUILT_IN
from tillstream.log.base import Log
from tillstream.queries.redaction import mask
from tillstream.receipt.model import HEAD_COLUMNS, PERSONAL, RECEIPT

_KIND, _SOURCE = HEAD_COLUMNS.index("kind"), HEAD_COLUMNS.index("source")

# The longer mark first: that of UTF-32 begins with that of UTF-16.
_CHARSETS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"{\0", "utf-16-le"),
    (b"\0{", "utf-16-be"),
)


class Originals:
    """Reads originals from the log; knows which names of each format are personal."""

    def __init__(self, log: Log, formats: Iterable[Decoder | type[Decoder]] = BUILT_IN) -> None:
        self._log = log
        self._personal: defaultdict[str, set[str]] = defaultdict(set)
        for each in formats:
            self._personal[each.name].update(each.personal)
        self._all = frozenset(PERSONAL).union(*self._personal.values())

    def text(self, place: int) -> str | None:
        """The record's original as text, persons masked; None where the log no longer has it."""
        found = self._log.fetch([place]).get(place)
        if found is None:
            return None
        head, body, came = found
        return mask(_decoded(came or body), self._names(head.decode("utf-8", "replace").split("\t")))

    def _names(self, head: list[str]) -> frozenset[str]:
        """What was refused may be of any format."""
        name = head[_SOURCE].partition("/")[0] if len(head) > _SOURCE else ""
        return self._all if head[_KIND] != RECEIPT else self._personal_of(name)

    def _personal_of(self, name: str) -> frozenset[str]:
        return frozenset(self._personal[name]) if name in self._personal else self._all


def _decoded(came: bytes) -> str:
    charset = next((charset for mark, charset in _CHARSETS if came.startswith(mark)), "utf-8")
    return came.decode(charset, "replace")
