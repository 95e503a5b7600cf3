"""Jinja2 environments for HTML pages. All of them share the base page in the folder `templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

BASE = Path(__file__).parent / "templates"


def environment(*folders: Path, **values: Any) -> Environment:
    """An environment that escapes every value. `values` are known in all templates of the folders."""
    made = Environment(
        loader=FileSystemLoader([*folders, BASE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"language": "en", **values}
    return made
