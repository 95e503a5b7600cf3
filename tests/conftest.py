"""Setup for all tests, and servers that tests share."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import services
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node, missing
from tests.support.requirements import skip_or_fail

# If pytest runs as a background job of a shell, SIGINT is ignored. The processes that tests start would inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The RabbitMQ that `make services` started, or a new one for this session."""
    skip_or_fail(missing())
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
def proxy(node: Node) -> Iterator[Proxy]:
    """A proxy before the shared RabbitMQ. It is not yet open."""
    proxy = Proxy(node.port)
    yield proxy
    proxy.close()


@pytest.fixture
def own_node(tmp_path: Path) -> Iterator[Node]:
    """A RabbitMQ for a test that kills it. It restarts quickly because it has few streams."""
    skip_or_fail(missing())
    started = Node(tmp_path / "node")
    started.start()
    yield started
    started.discard()
