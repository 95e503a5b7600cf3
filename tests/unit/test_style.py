"""Style rules that a test can check: sizes, docstrings, a test module per module. Import-linter holds the layers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "tillstream"
MIRRORS = (ROOT / "tests" / "unit", ROOT / "tests" / "conformance")
"""Where a module's tests stand; a backend's are the conformance suite of its port, run on it."""

FUNCTION_LINES = 70
FILE_LINES = 400

BLACK_BOX = tuple(ROOT / "tests" / name for name in ("e2e", "browser", "torture", "support"))
"""Tests here see tillstream from outside only, and so does what they share."""
INSIDE = ("tillstream", "tests.inprocess")
"""What no test of those imports."""

MONEY = ("receipt", "metrics", "database", "engine", "queries", "verification")
"""Modules and packages where amounts pass: `float` may not be called there."""

FLOATS = {
    "metrics.delays": "the bounds of delays are seconds",
    "receipt.amounts": "only zero and infinity, where an exponent is beyond the range of decimals",
    "receipt.validation": "amounts are only compared with their limits; what is written is the till's own text",
}

WITHOUT_TESTS_OF_THEIR_OWN = {
    "__main__": "one call of cli.main.main; every test in tests/e2e runs it",
    "engine.base": "the port; tests/conformance/engine holds every backend to it",
    "database.duckdb.database": "the backend; tests/conformance/database/test_duckdb.py runs the suite of its port on it",
    "http.memory": "tests/unit/ingest/test_reservations.py follows the budget through ingest",
    "http.reader": "one half of the protocol; tests/unit/http/test_protocol.py",
    "queries.overview.answers": "types alone; tests/unit/web/api/test_figures.py reads them as JSON",
    "composition": "wiring alone; every test in tests/e2e runs it",
}


def modules() -> dict[str, Path]:
    """Every module but the empty `__init__`s, by its name without the package's own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] != "__init__":
            found[".".join(parts)] = path
    return found


MODULES = modules()
every_module = pytest.mark.parametrize("name", MODULES)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@every_module
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(tree(MODULES[name])), f"{name} has no docstring"


@every_module
def test_files_and_functions_stay_small(name: str) -> None:
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{name} has {lines} lines"
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES, f"{name}.{node.name} has {length} lines"


@every_module
def test_every_module_has_tests_beside_it(name: str) -> None:
    *folders, last = name.split(".")
    found = [mirror.joinpath(*folders, f"test_{last}.py").exists() for mirror in MIRRORS]
    if name in WITHOUT_TESTS_OF_THEIR_OWN:
        assert not any(found), f"{name} has tests: take it off the list of those without"
    else:
        assert any(found), f"tests/unit/{'/'.join([*folders, f'test_{last}.py'])} is missing"


def test_the_list_of_modules_without_tests_names_modules() -> None:
    assert WITHOUT_TESTS_OF_THEIR_OWN.keys() <= MODULES.keys()


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(MONEY) and name not in FLOATS])
def test_no_float_is_made_where_money_passes(name: str) -> None:
    for node in ast.walk(tree(MODULES[name])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "float", f"{name}:{node.lineno} makes a float"


def inside_names(source: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of a test that import something of tillstream's inside, wherever they stand, with its name."""
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in IMPORTERS:
            names = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # A program for another interpreter, or a list of modules for pytest.
            names = [found[1] for found in re.finditer(r"^\s*(?:from|import) +([\w.]+)", node.value, re.MULTILINE)]
        else:
            continue
        yield from (
            (node.lineno, name) for name in names if any(name == each or name.startswith(f"{each}.") for each in INSIDE)
        )


IMPORTERS = ("import_module", "__import__", "importorskip", "find_spec", "run_module")

BLACK_BOX_FILES = sorted(
    [path for folder in BLACK_BOX for path in folder.rglob("*.py")] + [ROOT / "tests" / "conftest.py"]
)


@pytest.mark.parametrize("path", BLACK_BOX_FILES, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_tests_from_outside_import_nothing_of_the_inside(path: Path) -> None:
    found = [f"line {line}: {name}" for line, name in inside_names(tree(path))]
    assert not found, f"{path.relative_to(ROOT)} imports the inside: {', '.join(found)}"


@pytest.mark.parametrize(
    "source",
    [
        "import tillstream",
        "from tillstream.settings import Settings",
        "from tests import inprocess",
        "def test():\n    from tests.inprocess.ingest import Ingest",
        "importlib.import_module('tillstream.cli')",
        "pytest.importorskip('tillstream')",
        "program = '''if True:\n    from tillstream import cli\n'''",
    ],
)
def test_every_way_to_import_the_inside_is_seen(source: str) -> None:
    assert list(inside_names(ast.parse(source)))
