"""The services of compose.yaml as local processes. A receipt passes the balancer and reaches the dashboard, and access needs a
key or the password."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support import compose
from tests.support.access import PASSWORD, bearer
from tests.support.compose import ComposeServices, Service
from tests.support.rabbitmq import Node
from tests.support.receipts import body
from tests.support.requirements import skip_or_fail
from tests.support.waiting import wait_until

DAY = "2026-11-23"
BROKER_PASSWORD = "4f1c09d2"

TILLSTREAM = ("ingest1", "ingest2", "engine")


def receipt(number: str, **changes: object) -> bytes:
    return json.dumps(body(cashReceiptID=number, **changes)).encode()


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    skip_or_fail(compose.missing_programs())
    return compose.compose_services(RABBITMQ_PASSWORD=BROKER_PASSWORD)


@pytest.fixture(scope="module")
def running(
    services: dict[str, Service], node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeServices]:
    vhost, user = node.fresh_vhost(), services["rabbitmq"]["environment"]
    node.control("add_user", user["RABBITMQ_DEFAULT_USER"], user["RABBITMQ_DEFAULT_PASS"])
    node.control("set_permissions", "-p", vhost, user["RABBITMQ_DEFAULT_USER"], ".*", ".*", ".*")
    broker = f"127.0.0.1:{node.port}/{quote(vhost, safe='')}"
    started = ComposeServices(tmp_path_factory.mktemp("composed"), services, broker)
    for service in (*TILLSTREAM, "balancer"):
        started.start(service)
    yield started
    started.close()
    node.control("delete_user", user["RABBITMQ_DEFAULT_USER"])


def test_compose_requires_a_password_for_the_broker() -> None:
    skip_or_fail(compose.missing_programs())
    code, _, output = compose.compose_config()
    assert (code, "RABBITMQ_PASSWORD" in output) == (1, True)


def test_only_the_balancer_publishes_ports_and_only_on_loopback(services: dict[str, Service]) -> None:
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published.pop("balancer") == ["127.0.0.1:3000:3000/tcp", "127.0.0.1:8050:8050/tcp"]
    assert not any(published.values())
    outside = compose.compose_services(
        RABBITMQ_PASSWORD=BROKER_PASSWORD, BALANCER_HOST="0.0.0.0", BALANCER_TLS="ssl crt x"
    )
    assert outside["balancer"]["environment"]["RECEIPTS_TLS"] == "ssl crt x"
    assert outside["balancer"]["ports"] == ["0.0.0.0:3000:3000/tcp", "0.0.0.0:8050:8050/tcp"]


def test_every_service_has_a_health_check_and_a_volume(services: dict[str, Service]) -> None:
    assert all(service["healthcheck"]["test"] for service in services.values())
    mounted = {
        name: {source for source in (volume.split(":")[0] for volume in service["volumes"]) if "/" not in source}
        for name, service in services.items()
    }
    roles = {name: {name, "access"} for name in TILLSTREAM}
    assert mounted == {"rabbitmq": {"broker"}, "balancer": set(), **roles}
    [plugins] = [volume.split(":")[0] for volume in services["rabbitmq"]["volumes"] if "plugins" in volume]
    assert Path(plugins).read_text() == "[rabbitmq_consistent_hash_exchange].\n"


def test_a_receipt_comes_through_the_balancer_to_the_dashboard(running: ComposeServices) -> None:
    key = running.run("engine", "tillstream", "keys", "add", "--store", "12").strip()
    running.run("engine", "tillstream", "password", "set", typed=f"{PASSWORD}\n")
    receipts, dashboard = running.url("balancer", 3000), running.url("balancer", 8050)

    def post(content: bytes, **headers: str) -> int:
        return httpx.post(f"{receipts}/receipt", content=content, headers=headers).status_code

    for service in (*TILLSTREAM, "balancer"):
        wait_until(partial(running.is_healthy, service), f"{service} is healthy")
    wait_until_key_is_accepted(running, key)
    assert post(receipt("1"), **bearer(key)) == 202
    assert (post(receipt("2")), post(receipt("2", storeID="13"), **bearer(key))) == (401, 403)
    wait_until(lambda: httpx.get(f"{dashboard}/api/v1/summary").status_code == 401, "the dashboard requires a login")
    with logged_in(running) as browser:
        wait_until(lambda: revenue(browser) == "5.00", "the dashboard shows the receipt")


def test_a_rejected_receipt_is_replayed_through_the_balancer(running: ComposeServices) -> None:
    key = running.run("engine", "tillstream", "keys", "add", "--all-stores", "--name", "replay").strip()
    running.run("engine", "sh", "-c", "cat > /var/lib/tillstream-access/replay.key", typed=f"{key}\n")
    wait_until_key_is_accepted(running, key)
    url = f"{running.url('balancer', 3000)}/receipt"
    assert httpx.post(url, content=receipt("3", date="x"), headers=bearer(key)).status_code == 422
    with logged_in(running) as browser:
        [entry] = wait_until(lambda: quarantined(browser), "the receipt is in quarantine")
        edited = {"content": b64encode(receipt("3")).decode()}
        answer = browser.post(f"/api/v1/quarantine/{entry}/replay", json=edited)
        assert (answer.status_code, answer.json()["became"], answer.json()["day"]) == (200, "replayed", DAY)
        assert quarantined(browser) == []
        wait_until(lambda: revenue(browser) == "10.00", "the dashboard shows the replayed receipt")


def wait_until_key_is_accepted(running: ComposeServices, key: str) -> None:
    """Wait until both ingests accept a new key."""
    for service in ("ingest1", "ingest2"):
        metrics = f"{running.url(service, 3000)}/metrics"
        # The status for a valid key without the right to read is 403.
        wait_until(lambda: httpx.get(metrics, headers=bearer(key)).status_code == 403, f"{service} accepts the key")  # noqa: B023


@contextmanager
def logged_in(running: ComposeServices) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url("balancer", 8050), timeout=30) as browser:
        assert browser.post("/login", data={"password": PASSWORD}).status_code == 303
        yield browser


def revenue(browser: httpx.Client) -> str:
    found: str = browser.get("/api/v1/summary", params={"day": DAY}).json()["revenue"]
    return found


def quarantined(browser: httpx.Client) -> list[str]:
    return [entry["id"] for entry in browser.get("/api/v1/quarantine").json()["entries"]]
