"""Write the reference pages into a directory: `python -m tools.docs docs`."""

import sys
from pathlib import Path

from tools.docs.reference import PAGES, render

for name in PAGES:
    Path(sys.argv[1], name).write_text(render(name), encoding="utf-8")
