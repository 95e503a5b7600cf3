"""XML syntax as bytes: patterns of tags and sections, and the encodings in which these bytes can be found."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_PREFIX_LIMIT_BYTES = 64

SPACE = b" \t\r\n"
DECLARED_ENCODING = re.compile(rb"<\?xml\s[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]{0,39})[\"']")
ENCODINGS = frozenset(
    {"utf-8", "ascii", "koi8-r", "cp437", "cp850", "cp852", "cp858"}
    | {f"iso8859-{part}" for part in range(1, 17)}
    | {f"cp125{page}" for page in range(9)}
)
"""UTF-8 and the eight-bit encodings that extend ASCII. Their records can be cut without decoding them."""

# The groups are not possessive, because Python before 3.11.5 has a bug with possessive groups.
_REST = rb"([^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*)>"
TAG_REST = re.compile(_REST)
START_TAG = re.compile(rb"<([^\s<>/!?=\"'&]++)" + _REST)
END_TAG = re.compile(rb"</([^\s<>/]++)\s*+>")
NAMESPACE = re.compile(rb"\s(xmlns(?::[^\s=:]++)?)\s*+=\s*+(\"[^\"<]*+\"|'[^'<]*+')")

SECTIONS = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
"""Start and end of comments, CDATA sections and processing instructions. Tags inside them mean nothing."""

LONGEST_SECTION_START = max(map(len, SECTIONS))


class RecordTags:
    """Patterns that find the tags of the elements with a local name, whatever their prefix."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        tag = rb"(?:[^\s<>/:&]{0,%d}+:)?%b(?=[\s/>])" % (_PREFIX_LIMIT_BYTES, re.escape(name))
        self.start = re.compile(rb"<" + tag)
        # The lookahead makes the search three times as fast, because it rejects nearly all other tags.
        ahead = rb"<(?=[!?/%b]|[^\s<>/:&]{1,%d}+:)" % (re.escape(name[:1]), _PREFIX_LIMIT_BYTES)
        other = rb"!--|!\[CDATA\[|\?|!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)"
        self.inside = re.compile(ahead + rb"(?:" + other + rb"|(/?)" + tag + rb")")
        """Finds sections, declarations and these tags. Group 1 is `/` for an end tag and None for the rest."""
        self.longest = _PREFIX_LIMIT_BYTES + len(name) + LONGEST_SECTION_START


@lru_cache(maxsize=16)
def record_tags(name: bytes) -> RecordTags:
    return RecordTags(name)


def normalised_encoding(declared: str) -> str:
    """Python's name of an encoding, or the declared name if Python does not know it."""
    try:
        return codecs.lookup(declared).name
    except LookupError:
        return declared
