"""What holds for every test, and servers that tests share: started once, by the first test that asks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import services
from tests.support.rabbitmq import Node, missing

# A shell starts what it runs in the background with SIGINT ignored, and so would every process that tests start.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A RabbitMQ of this session's own, or the one that `make services` left running."""
    services.or_skip(missing())
    running = services.running_node()
    if running is not None:
        yield running
        return
    started = Node(tmp_path_factory.mktemp("rabbitmq") / "node")
    started.start()
    yield started
    started.discard()


@pytest.fixture
def vhost(node: Node) -> str:
    """A virtual host that no other test has used."""
    return node.fresh_vhost()


@pytest.fixture
def broker_url(node: Node, vhost: str) -> str:
    return node.url(vhost)


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A RabbitMQ for one test that kills it: with few streams in it, it is soon back."""
    services.or_skip(missing())
    started = Node(tmp_path / "node")
    started.start()
    yield started
    started.discard()
