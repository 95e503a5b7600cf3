"""The reference pages show every declaration, and the copies in docs/ are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tillstream.alerts.rules import RULES
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.base import Decoder
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.ingest.openapi import RESPONSES
from tillstream.metrics.catalogue import BUILT_IN
from tools.docs import reference

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", reference.PAGES)
def test_the_page_in_docs_is_up_to_date(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == reference.render(page), "run `make docs`"


def test_every_metric_setting_and_rule_has_a_row() -> None:
    alerts, metrics, settings = (reference.render(f"{name}.md") for name in ("alerts", "metrics", "settings"))
    assert all(f"\n| `{rule.name}` | {rule.level} |" in alerts for rule in RULES)
    assert all(f"\n| `{metric.name}` |" in metrics for metric in BUILT_IN)
    assert all(f"\n| `{name}` |" in settings for name in Settings.__struct_fields__)


@pytest.mark.parametrize("decoder", list(registry.load(Settings())), ids=lambda decoder: decoder.title)
def test_every_format_has_a_section_with_types_suffixes_and_example(decoder: Decoder) -> None:
    page = reference.render("formats.md")
    assert f"\n\n## {decoder.title}\n\n" in page
    assert decoder.help in page
    assert decoder.example in page
    for name in (*decoder.media_types, *decoder.suffixes):
        assert f"application/*{name}`" in page or f"`{name}`" in page


def test_every_answer_of_ingest_has_a_row() -> None:
    page = reference.render("formats.md")
    assert all(f"\n| `{status}` |" in page for status in RESPONSES)


def test_a_new_format_appears_with_escaped_cells_and_a_link_to_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    class OldTills(EnvelopeDecoder):
        title = "Old tills (one a line)"
        media_types = ("text/x-oldtill",)
        suffixes = (".old",)
        example = "x|1"

    before = reference.render("formats.md")
    monkeypatch.setattr(registry, "BUILT_IN", (*registry.BUILT_IN, OldTills))
    page = reference.render("formats.md")
    assert page != before
    assert "\n| [Old tills (one a line)](#old-tills-one-a-line) | `text/x-oldtill` | `.old` |\n" in page
    assert "\n```text\nx|1\n```\n" in page


def test_a_bar_does_not_split_a_table_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillstream.config.settings.describe", lambda _: "either|or")
    rows = [line for line in reference.render("settings.md").splitlines() if line.startswith("| `")]
    assert len(rows) == len(Settings.__struct_fields__)
    assert all(r"| either\|or |" in row for row in rows)


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "tools.docs", tmp_path], cwd=ROOT, check=True, timeout=60)
    written = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert written == {page: reference.render(page) for page in reference.PAGES}
