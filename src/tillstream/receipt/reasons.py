"""Groups of the reasons why records are in quarantine. The quarantine counts its entries by group.

A group combines a path in the receipt with a kind of error, such as `$.lines[].quantity missing`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tillstream.receipt.model import Fault

OTHER = "(other)"
"""The path of a group whose fault has no valid path."""

# The patterns are tried in this order. The first one that occurs in the text of an error decides the kind.
_KINDS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("conflict", r"another receipt with this store"),
        ("unreadable", r"the engine cannot read"),
        ("missing", r"\bmissing\b"),
        ("no_receipt", r"there is no receipt|it is empty$"),
        ("several", r"\bgot several\b|expected an object, got an array"),
        ("out_of_range", r"expected a number between"),
        ("not_a_number", r"expected (a|an|the) ([a-z]+ )?(number|amount|integer)\b"),
        ("not_a_date", r"expected (a date|a day|YYYY)"),
        ("wrong_type", r"expected (a|an) (text|object|array)"),
        ("wrong_currency", r"expected [A-Z]{3}, got|\bcurrency\b"),
        ("control_character", r"control character|\bNUL\b"),
        ("too_deep", r"nested too deeply|\bdepth\b"),
        ("too_long", r"more than \d+|\btoo (long|large|many)\b"),
        ("wrong_charset", r"UTF-8|\bcharset\b|surrogate"),
        ("repeated", r"\btwice\b"),
        ("header", r"\b(header|columns?)\b"),
        ("forbidden", r"\bDTD\b|\bDOCTYPE\b|\bentit(y|ies)\b"),
        ("broken_off", r"broke off|broken off|\bcut off\b|unexpected end"),
        ("unparseable", r"^not\b|malformed|not well-formed|\bsyntax\b"),
        ("unexpected", r"^expected\b"),
    )
)

KINDS = (*(kind for kind, _ in _KINDS), "other")
"""All kinds of errors. The message files of the dashboard have a text for each kind, such as `reason_missing`."""

_TRUNCATION = re.compile(r"the first \d+ (of \d+ )?bytes are kept")
_INDEX = re.compile(r"\[[^\]]*\]")
_PATH = re.compile(r"[\w$.\[\]@:/#*-]{1,80}", re.ASCII)


def group(reasons: Sequence[Mapping[str, object]]) -> str:
    """Return the group of an entry, such as `$.lines[].quantity missing`.

    `reasons` are the entry's faults as dictionaries. The group consists of the path of the first fault, without
    indexes, and the kind of its error. An invalid path is replaced by `OTHER`, because a sender can put any text there.
    """
    first = reasons[0] if reasons else {}
    error, path = str(first.get("error", "")), _INDEX.sub("[]", str(first.get("path", "")))
    kind = next((kind for kind, pattern in _KINDS if pattern.search(error)), "other")
    return f"{path if _PATH.fullmatch(path) else OTHER} {kind}"


def split_group(text: str) -> tuple[str, str]:
    """Split a group into its path and kind. If the text is not a group, returns `OTHER` and the kind `other`."""
    path, _, kind = text.partition(" ")
    return (path, kind) if kind else (OTHER, "other")


def truncation(kept_bytes: int, size_bytes: int) -> Fault:
    """Return a fault which says that only the first `kept_bytes` of the received bytes are stored.

    If `size_bytes` equals `kept_bytes`, the number of received bytes is unknown, and the fault does not mention it.
    """
    total = f" of {size_bytes}" if size_bytes > kept_bytes else ""
    return Fault("$", f"the first {kept_bytes}{total} bytes are kept")


def is_truncated(reasons: Sequence[Mapping[str, object]]) -> bool:
    """Return whether a list of faults, as dictionaries, contains a `truncation`."""
    return any(_TRUNCATION.fullmatch(str(reason.get("error", ""))) for reason in reasons)
