"""The settings and their defaults, as `tillstream settings` prints them."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from typing import Any

from tests.support.processes import TILLSTREAM


def default_settings() -> dict[str, Any]:
    """Every setting with its default value."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILLSTREAM_")}
    done = subprocess.run([*TILLSTREAM, "settings"], capture_output=True, text=True, check=True, env=environment)
    # An indented help text follows each setting.
    return tomllib.loads("\n".join(re.findall(r"^\w+ = .*", done.stdout, re.MULTILINE)))
