"""The wheel works in a clean environment without the source tree, and the lock files match the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import running_tillstream
from tests.support.receipts import RECEIPT_OF_2017
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
LOADED_S = 60.0
LOCKS = ("runtime.lock", "dev.lock")


@pytest.fixture(scope="module", autouse=True)
def without_python_variables() -> Iterator[None]:
    """Remove variables such as `PYTHONPATH`, which could add the source tree to the path."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PYTHON")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the installed libraries, but without the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    _pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("tillstream-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    site = next((folder / "env" / "lib").glob("python3.*")) / "site-packages"
    _pip(sys.executable, "install", "--no-deps", "--no-index", "--target", site, wheel)
    # This adds the libraries to the path, but ignores their .pth files, so it does not add the editable installation.
    (site / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder / "env"


def pins(name: str) -> set[str]:
    """The pinned versions of a lock file, as `name==version`."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", text, re.MULTILINE))


def _pip(python: str, *arguments: object) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_build_requirements_are_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in project["build-system"]["requires"]:
        assert all(requirement in pins(name) for name in LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_hashes_and_no_urls(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert all(block.count("--hash=sha256:") for block in re.split(r"\n(?=[a-z])", text.strip()))


def test_the_development_lock_has_the_versions_of_the_runtime_lock_and_more() -> None:
    runtime, development = map(pins, LOCKS)
    assert runtime < development
    assert not {pin.split("==")[0] for pin in runtime} & {"pytest", "mypy", "ruff", "playwright", "pika"}


def test_the_lock_files_satisfy_the_requirements_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime, development = (dict(pin.split("==") for pin in pins(name)) for name in LOCKS)
    extras = chain.from_iterable(project["optional-dependencies"].values())
    for wanted, locked in ((project["dependencies"], runtime), (extras, development)):
        for requirement in map(Requirement, wanted):
            assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


def test_the_wheel_has_all_data_files(environment: Path) -> None:
    (installed,) = environment.glob("lib/python3.*/site-packages/tillstream")
    source = ROOT / "src" / "tillstream"
    assert _files(installed) == _files(source)


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_up_runs_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    program = (str(environment / "bin" / "python"), "-P", "-m", "tillstream")
    with running_tillstream(tmp_path / "data", program=program, cwd=tmp_path) as serving:
        assert serving.post(RECEIPT_OF_2017).status_code == 202
        serving.wait_for_receipts(1, "2017-11-18")
        page = httpx.get(serving.dashboard)
        assert page.status_code == 200
        assets = re.findall(r'(?:href|src)="(/[^"]+)"', page.text)
        assert assets
        for asset in assets:
            assert httpx.get(f"{serving.dashboard}{asset}").status_code == 200
        for name in ("ingest", "engine"):
            assert str(environment) in serving.command.child(name).cmdline()[0]
        assert serving.stop() == 0


def test_the_demo_runs_from_the_wheel_alone_and_reports_its_progress(environment: Path, tmp_path: Path) -> None:
    program = (str(environment / "bin" / "python"), "-P", "-m", "tillstream")
    with running_tillstream(tmp_path / "data", "--demo", program=program, cwd=tmp_path) as demo:
        demo.command.wait_for_output(r"\b[1-9]0 %$", LOADED_S)
        assert httpx.get(demo.dashboard).status_code == 200
        wait_until((tmp_path / "data" / "demo.loaded").exists, "the past days are loaded", LOADED_S)
        yesterday = date.fromisoformat(str(demo.summary()["day"])) - timedelta(days=1)
        wait_until(lambda: demo.summary(yesterday.isoformat())["receipts"] != 0, "yesterday has receipts", LOADED_S)
        assert demo.stop() == 0
