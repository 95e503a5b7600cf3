"""The settings and their defaults, as the verb lists them."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import Any

from tests.support.processes import TILLSTREAM


def default_settings() -> dict[str, Any]:
    """Every setting with the value that it has where nobody sets it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILLSTREAM_")}
    done = subprocess.run([*TILLSTREAM, "settings"], capture_output=True, text=True, check=True, env=environment)
    # Under each line a help text is indented.
    return tomllib.loads("\n".join(re.findall(r"^\w+ = .*", done.stdout, re.MULTILINE)))
