"""Groups of reasons: by what entries of the quarantine are counted, the place in the receipt and the kind of error."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tillstream.receipt.model import Fault

OTHER = "(other)"
"""The path, or the kind, of what fits nowhere."""

# The first that fits the text of an error is its kind.
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
"""Every kind of error; the words of the pages have each as `reason_KIND`."""

_ONLY_BEGUN = re.compile(r"the first \d+ (of \d+ )?bytes are kept")
_INDEX = re.compile(r"\[[^\]]*\]")
_PATH = re.compile(r"[\w$.\[\]@:/#*-]{1,80}", re.ASCII)


def group(reasons: Sequence[Mapping[str, object]]) -> str:
    """The group of an entry: its first reason's path without indexes and its kind of error, `$.lines[].quantity missing`.

    What a sender may write at will is in it only where it looks like a path.
    """
    first = reasons[0] if reasons else {}
    error, path = str(first.get("error", "")), _INDEX.sub("[]", str(first.get("path", "")))
    kind = next((kind for kind, pattern in _KINDS if pattern.search(error)), "other")
    return f"{path if _PATH.fullmatch(path) else OTHER} {kind}"


def parts(grouped: str) -> tuple[str, str]:
    """The path and the kind of a group; what is no group is (other)."""
    path, _, kind = grouped.partition(" ")
    return (path, kind) if kind else (OTHER, "other")


def only_begun(kept: int, size: int) -> Fault:
    """What is told of something refused of which only so many bytes are kept; `size` is that where nobody knows more."""
    of_all = f" of {size}" if size > kept else ""
    return Fault("$", f"the first {kept}{of_all} bytes are kept")


def has_only_begun(reasons: Sequence[Mapping[str, object]]) -> bool:
    """Whether one of these faults, as they were kept, is `only_begun`."""
    return any(_ONLY_BEGUN.fullmatch(str(reason.get("error", ""))) for reason in reasons)
