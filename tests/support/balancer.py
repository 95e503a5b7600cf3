"""Run HAProxy on loopback with the configuration in `deploy/haproxy.cfg`."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.support.free_ports import free_port
from tests.support.processes import Command, running_command
from tests.support.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIGURATION = DEPLOY / "haproxy.cfg"


def program() -> str:
    """The path of HAProxy, or an empty text if it is missing. Debian installs it in /usr/sbin, which PATH may not contain."""
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or ""


def missing() -> str:
    """The reason why HAProxy cannot run here, with a hint. The text is empty if it is installed."""
    return "" if program() else "HAProxy is missing: `make debian` installs it as root, or apt-get install haproxy"


def own_answer(status: int) -> Any:
    """The JSON that the balancer itself sends with this status."""
    found = re.search(rf"http-error status {status} .*string '([^']*)'", CONFIGURATION.read_text())
    assert found is not None
    return json.loads(found[1])


class Balancer(NamedTuple):
    """A running balancer and its addresses for receipts and for the dashboard."""

    receipts: str
    dashboard: str
    command: Command


def own_user() -> dict[str, str]:
    """Variables that make HAProxy run as the current user, because only root can change users."""
    return {"RUN_AS": pwd.getpwuid(os.getuid()).pw_name, "RUN_AS_GROUP": grp.getgrgid(os.getgid()).gr_name}


@contextmanager
def balancer(ingests: tuple[str, str], engine: str, *, tls: str = "") -> Iterator[Balancer]:
    """Run HAProxy on free ports. The addresses of the roles are `host:port`, and `tls` is the PEM file for HTTPS."""
    receipts, dashboard = (f"127.0.0.1:{free_port()}" for _ in range(2))
    secured = f"ssl crt {tls}" if tls else ""
    scheme = "https" if tls else "http"
    variables = own_user() | {
        "RECEIPTS": receipts,
        "RECEIPTS_TLS": secured,
        "DASHBOARD": dashboard,
        "DASHBOARD_TLS": secured,
        "INGEST_1": ingests[0],
        "INGEST_2": ingests[1],
        "ENGINE": engine,
    }
    with running_command("-db", "-f", CONFIGURATION, program=(program(),), cwd=None, **variables) as command:
        found = Balancer(f"{scheme}://{receipts}", f"{scheme}://{dashboard}", command)
        wait_until(lambda: _listens(found), "HAProxy listens")
        yield found


def _listens(found: Balancer) -> bool:
    if found.command.process.poll() is not None:
        raise AssertionError(f"HAProxy ended: {found.command.output}")
    # Any answer shows that HAProxy listens.
    httpx.get(found.receipts, verify=False)
    return True
