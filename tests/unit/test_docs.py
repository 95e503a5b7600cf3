"""Links between the docs lead somewhere, and the modules and folders that they name exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tillstream"
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"

PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("deploy", "examples", "tests/compatibility")),
)

_FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_MODULE = re.compile(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py|(?:[a-z_0-9]+/)+)`")
_DECISION_SECTIONS = ["Context", "Decision", "Consequences"]


@cache
def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = sum(each == anchor or re.fullmatch(rf"{re.escape(anchor)}-\d+", each) is not None for each in found)
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_given_a_page_then_each_of_its_links_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for link in _LINK.findall(_CODE.sub("", prose(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert ROOT in (target, *target.parents), f"{link}: leads out of the repository"
        assert not anchor or anchor in anchors(target), f"{link}: the page has no such heading"


@pytest.mark.parametrize("name", ["README.md", "docs/ARCHITECTURE.md", "docs/glossary.md"])
def test_given_a_page_about_the_code_then_the_modules_and_folders_that_it_names_exist(name: str) -> None:
    modules = [each for each in _MODULE.findall(prose(ROOT / name)) if not each.startswith(("docs/", "examples/"))]
    assert modules
    missing = [each for each in modules if not (PACKAGE / each).exists()]
    assert not missing, f"{name} names what src/tillstream does not have"


def test_given_the_folders_of_the_package_then_the_table_of_the_readme_has_each_of_them() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", prose(ROOT / "README.md"), re.MULTILINE)
    listed = {each.rstrip("/") for row in rows for each in re.findall(r"`([a-z_]+/)`", row)}
    assert listed == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def test_given_the_pages_of_docs_then_its_index_has_each_of_them() -> None:
    listed = set(_LINK.findall(prose(DOCS / "README.md")))
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= listed


def test_given_the_decisions_then_the_index_has_each_of_them_in_order() -> None:
    pages = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))
    assert _LINK.findall(prose(DECISIONS / "README.md")) == pages


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_given_a_decision_then_it_has_a_date_and_its_sections(page: Path) -> None:
    title, *sections = _HEADING.findall(prose(page))
    assert title.startswith(f"{int(page.name[:4])}. ")
    assert re.search(r"^\d{4}-\d{2}-\d{2}$", prose(page), re.MULTILINE)
    assert sections in (_DECISION_SECTIONS, [*_DECISION_SECTIONS, "Measured"])
