"""The reference pages are what the declarations say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillstream.alerts.rules import RULES
from tillstream.config.settings import Settings
from tillstream.metrics.catalogue import BUILT_IN
from tillstream.reference import PAGES, alerts_page, metrics_page, settings_page, write

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_docs_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_metric_every_setting_and_every_rule_is_told() -> None:
    assert all(f"| `{rule.name}` | {rule.level} |" in alerts_page() for rule in RULES)
    assert all(f"| `{metric.name}` |" in metrics_page() for metric in BUILT_IN)
    assert all(f"| `{name}` |" in settings_page() for name in Settings.__struct_fields__)


def test_the_pages_are_written_where_told(tmp_path: Path) -> None:
    write(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(PAGES)
