"""Small files of ours in JSON that name their version: an older tillstream leaves a newer one's as it is."""

from __future__ import annotations

from typing import TypeVar

import msgspec

Content = TypeVar("Content", bound=msgspec.Struct)


class Unusable(Exception):
    """Why a file cannot be used, and what to try."""

    def __init__(self, because: object, hint: str) -> None:
        self.because = because
        self.hint = hint
        super().__init__(f"{because}; {hint}")


class _Versioned(msgspec.Struct):
    version: int


def decode(text: bytes, kind: type[Content], newest: int, remedy: str) -> Content:
    """What a file of any version up to the newest holds.

    Raises `Unusable`, with the remedy where it is damaged.
    """
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version > newest:
            because = f"it is of version {version}, and this tillstream knows versions up to {newest}"
            raise Unusable(because, "install a newer tillstream")
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unusable(error, remedy) from error
