"""Small JSON files that carry a version, so that an older tillstream refuses a newer file."""

from __future__ import annotations

from typing import TypeVar

import msgspec

Content = TypeVar("Content", bound=msgspec.Struct)


class Unusable(Exception):
    """A file cannot be used; carries the reason and what to try."""

    def __init__(self, because: object, hint: str) -> None:
        self.because = because
        self.hint = hint
        super().__init__(f"{because}; {hint}")


class _Versioned(msgspec.Struct):
    version: int


def decode(text: bytes, kind: type[Content], newest: int, remedy: str) -> Content:
    """Decode a file of any version up to `newest`.

    Raises `Unusable`; its hint is `remedy` if the file is damaged.
    """
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version > newest:
            because = f"its version is {version}, and this tillstream reads versions up to {newest}"
            raise Unusable(because, "install a newer tillstream")
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(error, remedy) from error
