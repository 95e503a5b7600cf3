"""Roles of one tillstream that share a settings file and a broker, and nothing else: as if on machines of their own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.free_ports import free_port
from tests.support.processes import Command
from tests.support.waiting import wait_until


class RoleProcess:
    """One role with a data directory of its own, on a port that stays the same when it is started again."""

    def __init__(self, role: str, config: Path, data: Path, *options: object) -> None:
        port = free_port()
        self.role = role
        self.data = data
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        setting = "--dashboard-port" if role == "engine" else "--ingest-port"
        self._arguments = (role, "--config", config, "--data", data, setting, port, *options)
        self.command = Command(*self._arguments)

    def ready(self) -> httpx.Response:
        """What it answers to the balancer's question."""
        return httpx.get(f"{self.url}/health/ready", timeout=10)

    def wait_until_live(self) -> None:
        wait_until(lambda: httpx.get(f"{self.url}/health/live").status_code == 200, f"{self.role} serves")

    def kill(self) -> None:
        """As a machine goes down: without a word."""
        self.command.process.send_signal(signal.SIGKILL)
        self.command.wait()

    def restart(self) -> None:
        self.command.close()
        self.command = Command(*self._arguments)


@contextmanager
def running_roles(folder: Path, config: Path, *roles: str) -> Iterator[list[RoleProcess]]:
    """These roles, each with a directory below the folder, once all serve."""
    started: list[RoleProcess] = []
    try:
        started += [RoleProcess(role, config, folder / f"{role}{number}") for number, role in enumerate(roles, 1)]
        for machine in started:
            machine.wait_until_live()
        yield started
    finally:
        for machine in started:
            machine.command.close()
