"""Start or stop servers that run between test runs: `python -m tests.support.services start | stop`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.support.rabbitmq import Node, missing

DIRECTORY = Path(tempfile.gettempdir()) / f"tillstream-services-{os.getuid()}"
"""The directory of the servers. It is the same for all commands of a user."""


def running_node() -> Node | None:
    """The node that `make services` started, or None if it does not run."""
    node = Node(DIRECTORY / "rabbitmq")
    return node if node.runs() else None


def start() -> Node:
    node = running_node()
    if node is None:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        DIRECTORY.mkdir(mode=0o700)
        node = Node(DIRECTORY / "rabbitmq")
        node.start()
    return node


def stop() -> None:
    node = running_node()
    if node is not None:
        node.discard()
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def main(verb: str) -> int:
    if verb == "stop":
        stop()
    elif reason := missing():
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    else:
        print(f"RabbitMQ {start().url()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
