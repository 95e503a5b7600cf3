"""The page's scripts pass their own tests, and what belongs to them is current: API types, lock, line length."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.inprocess import api_types
from tests.support.requirements import skip_or_fail

ROOT = Path(__file__).parents[2]
LINE_LENGTH = 120


def written_by_hand() -> list[Path]:
    files = [path for kind in ("js", "css", "d.ts") for path in (ROOT / "src").rglob(f"*.{kind}")]
    return [*files, *(ROOT / "tests" / "js").glob("*.js")]


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    skip_or_fail("" if found else "node is not installed; on Debian: apt-get install nodejs npm")
    return str(found)


def test_given_node_when_it_runs_the_tests_of_the_scripts_then_they_pass(node: str) -> None:
    tests = sorted((ROOT / "tests" / "js").glob("*.test.js"))
    assert len(tests) > 5
    ran = subprocess.run([node, "--test", *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_given_the_openapi_document_then_the_types_of_the_api_are_current(node: str) -> None:
    skip_or_fail("" if (ROOT / "node_modules").is_dir() else "its packages are not installed: make node-modules")
    assert api_types.generate("--check") == 0, "run `make types`"


def test_given_the_lock_of_npm_then_it_pins_every_package_by_its_hash_and_names_no_address() -> None:
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in text, "write it with `npm run lock`"
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert all("integrity" in package for package in packages.values())
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_given_scripts_and_styles_then_no_line_is_too_long() -> None:
    files = [path for path in written_by_hand() if path != api_types.DECLARATIONS]
    assert len(files) > 20
    for path in files:
        longest = max(path.read_text(encoding="utf-8").splitlines(), key=len)
        assert len(longest) <= LINE_LENGTH, f"{path.relative_to(ROOT)}: {longest}"
