"""The API's description opens without the network."""

from __future__ import annotations

import re
from pathlib import Path

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline


def test_given_the_docs_page_when_opened_then_all_it_loads_is_served_here(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    client = DashboardClient(pipeline)
    page = client.request("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/")
        assert client.request(path).status_code == 200, path
    assert "/openapi.json" in client.request("/docs/start.js").text
    pipeline.close()
