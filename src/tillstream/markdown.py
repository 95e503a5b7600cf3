"""What the pages that are written from declarations are made of."""

from __future__ import annotations

from collections.abc import Iterable


def names(items: Iterable[str]) -> str:
    """As code, with commas between."""
    return ", ".join(f"`{item}`" for item in items)


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Bars within cells become slashes."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def anchor(title: str) -> str:
    """The address of a heading within its page."""
    return "".join(each for each in title.lower().replace(" ", "-") if each.isalnum() or each in "-_")


def code(text: str, language: str = "text") -> str:
    """A block of its own."""
    return f"\n```{language}\n{text}\n```\n"
