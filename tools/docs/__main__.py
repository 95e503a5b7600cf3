"""Write the reference pages to a directory: `python -m tools.docs docs`."""

import sys
from pathlib import Path

from tools.docs.reference import PAGES, render

for page in PAGES:
    Path(sys.argv[1], page).write_text(render(page), encoding="utf-8")
