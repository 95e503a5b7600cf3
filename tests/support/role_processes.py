"""Single roles of tillstream as processes, which tests kill and restart."""

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
    """One role. A restart keeps its port and data directory."""

    def __init__(self, role: str, data: Path, *options: object) -> None:
        port = free_port()
        self.role = role
        self.data = data
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        port_option = "--dashboard-port" if role == "engine" else "--ingest-port"
        self._arguments = (role, "--data", data, port_option, port, *options)
        self.command = Command(*self._arguments)

    def ready(self) -> httpx.Response:
        """The response to the balancer's readiness check."""
        return httpx.get(f"{self.url}/health/ready", timeout=10)

    def has_caught_up(self) -> bool:
        """Whether the engine is ready and has processed the whole log."""
        answer = self.ready()
        return answer.status_code == 200 and answer.json()["lag"] == 0

    def wait_until_live(self, timeout_s: float = 30.0) -> None:
        wait_until(lambda: httpx.get(f"{self.url}/health/live").status_code == 200, f"{self.role} is live", timeout_s)

    def kill(self) -> None:
        """Kill the process with SIGKILL. Fails if it has already ended."""
        self.command.process.send_signal(signal.SIGKILL)
        code = self.command.wait()
        assert code == -signal.SIGKILL, f"{self.role} ended before the kill:\n{self.command.output}"

    def restart(self) -> None:
        self.command.close()
        self.command = Command(*self._arguments)


@contextmanager
def running_roles(folder: Path, config: Path, *roles: str) -> Iterator[list[RoleProcess]]:
    """Run roles with separate data directories in the folder, and wait until all are live."""
    started: list[RoleProcess] = []
    try:
        started += [
            RoleProcess(role, folder / f"{role}{number}", "--config", config) for number, role in enumerate(roles, 1)
        ]
        for process in started:
            process.wait_until_live()
        yield started
    finally:
        for process in started:
            process.command.close()
