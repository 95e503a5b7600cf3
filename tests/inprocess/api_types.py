"""Generate TypeScript declarations of API answers from the OpenAPI document: `python -m tests.inprocess.api_types`.

With `--check` the command fails if the committed file is outdated.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tillstream.web.static_files import STATIC

ROOT = Path(__file__).parents[2]
DECLARATIONS = STATIC / "page" / "api.d.ts"
PATHS = ("/api/v1/alerts", "/api/v1/overview")
"""The API paths that the page uses."""


def generate(*arguments: str) -> int:
    """Run openapi-typescript on the OpenAPI document of the current code, and return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Path(folder))
        try:
            document = DashboardClient(pipeline).json("/openapi.json")
        finally:
            pipeline.close()
        document["paths"] = {path: document["paths"][path] for path in PATHS}
        document["components"] = {"schemas": _referenced(document["paths"], document["components"]["schemas"])}
        source = Path(folder) / "openapi.json"
        source.write_text(json.dumps(document), encoding="utf-8")
        program = ROOT / "node_modules" / ".bin" / "openapi-typescript"
        options = ("--output", DECLARATIONS, "--alphabetize", "--empty-objects-unknown")
        return subprocess.run([program, source, *options, *arguments], cwd=ROOT, check=False).returncode


def _referenced(part: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schemas that a part of the document references, directly or indirectly."""
    found: dict[str, Any] = {}
    waiting = [part]
    while waiting:
        for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(waiting.pop())):
            if name not in found:
                found[name] = schemas[name]
                waiting.append(schemas[name])
    return found


if __name__ == "__main__":
    sys.exit(generate(*sys.argv[1:]))
