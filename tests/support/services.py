"""`python -m tests.support.services start | stop`: the servers that tests use, left running."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.rabbitmq import Node, missing

DIRECTORY = Path(tempfile.gettempdir()) / f"tillstream-services-{os.getuid()}"
"""Of what `make services` started: found again by later commands of the same user."""


def left_running() -> Node | None:
    """The node that `make services` started, where it runs."""
    node = Node(DIRECTORY / "rabbitmq")
    return node if node.runs() else None


def start() -> Node:
    node = left_running()
    if node is None:
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        DIRECTORY.mkdir(mode=0o700)
        node = Node(DIRECTORY / "rabbitmq")
        node.start()
    return node


def stop() -> None:
    node = left_running()
    if node is not None:
        node.discard()
    shutil.rmtree(DIRECTORY, ignore_errors=True)


def or_skip(reason: str) -> None:
    """Skip the test for this reason, if there is one; with CI=true it fails."""
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def main(verb: str) -> int:
    if verb == "stop":
        stop()
    elif reason := missing():
        print(reason, file=sys.stderr)  # noqa: T201 - a command speaks
        return 1
    else:
        print(f"RabbitMQ {start().url()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
