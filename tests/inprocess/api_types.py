"""TypeScript declarations of the API answers that the live page reads, generated from the OpenAPI document.

`python -m tests.inprocess.api_types` writes them; with `--check` it fails where the committed file is not current.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tillstream.web.pages.live import ASSETS

ROOT = Path(__file__).parents[2]
DECLARATIONS = ASSETS / "page" / "api.d.ts"
PATHS = ("/api/v1/alerts", "/api/v1/overview")
"""The page reads no other ones."""


def generate(*arguments: str) -> int:
    """Run openapi-typescript over the document of the running code; returns its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Path(folder))
        try:
            document = DashboardClient(pipeline).json("/openapi.json")
        finally:
            pipeline.close()
        document["paths"] = {path: document["paths"][path] for path in PATHS}
        source = Path(folder) / "openapi.json"
        source.write_text(json.dumps(document), encoding="utf-8")
        program = ROOT / "node_modules" / ".bin" / "openapi-typescript"
        options = ("--output", DECLARATIONS, "--alphabetize", "--empty-objects-unknown")
        return subprocess.run([program, source, *options, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(generate(*sys.argv[1:]))
