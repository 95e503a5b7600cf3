"""Small JSON files that carry a version, so that an older tillstream refuses a newer file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from tillstream.errors import OperationalError

Content = TypeVar("Content", bound=msgspec.Struct)

Refuse = Callable[[Path, object, str], OperationalError]
"""Creates the error for a file that cannot be used, from the cause and the hint."""


class _Versioned(msgspec.Struct):
    version: int


def read(file: Path, kind: type[Content], newest: int, refuse: Refuse, remedy: str) -> Content | None:
    """Read a file of any version up to `newest`; None if it does not exist.

    Raises the error that `refuse` creates; its hint is `remedy` if the file is damaged.
    """
    try:
        text = file.read_bytes()
        version = msgspec.json.decode(text, type=_Versioned).version
        if version > newest:
            because = f"its version is {version}, and this tillstream reads versions up to {newest}"
            raise refuse(file, because, "install a newer tillstream")
        return msgspec.json.decode(text, type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refuse(file, error.strerror or error, "check its permissions") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refuse(file, error, remedy) from error
