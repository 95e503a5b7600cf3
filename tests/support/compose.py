"""Read `compose.yaml` with docker-compose, and run its services as local processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from tests.support import balancer
from tests.support.free_ports import free_port
from tests.support.processes import TILLSTREAM, Command

ROOT = Path(__file__).parents[2]
DEBIAN_PYTHON = "/usr/bin/python3"
"""Debian's Python, which has a YAML package."""

_TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"

Service = dict[str, Any]


def missing_programs() -> str:
    """The missing programs and how to install them, or an empty text if nothing is missing."""
    if shutil.which("docker-compose"):
        return balancer.missing()
    return "docker-compose is missing: `make debian` installs it as root, or apt-get install docker-compose"


def compose_config(**variables: str) -> tuple[int, str, str]:
    """Run `docker-compose config`, and return its exit code, standard output and standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ", "BALANCER"))}
    # An empty file replaces a `.env` that may exist in the repository.
    with NamedTemporaryFile() as empty:
        done = subprocess.run(
            ["docker-compose", "--env-file", empty.name, "-f", str(ROOT / "compose.yaml"), "config"],
            capture_output=True, text=True, cwd=ROOT, env=environment | variables, timeout=60,
        )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def compose_services(**variables: str) -> dict[str, Service]:
    """The services with all variables resolved."""
    code, text, errors = compose_config(**variables)
    assert code == 0, errors
    done = subprocess.run([DEBIAN_PYTHON, "-c", _TO_JSON], input=text, capture_output=True, text=True, check=True)
    found: dict[str, Service] = json.loads(done.stdout)["services"]
    return found


class ComposeServices:
    """The services as local processes. `broker` is the address of RabbitMQ, as `host:port/vhost`.

    In commands, environments and settings files, container addresses are replaced by free local ports, and volumes by
    directories in `folder`.
    """

    def __init__(self, folder: Path, found: dict[str, Service], broker: str) -> None:
        self._folder = folder
        self._services = found
        self._addresses = {
            (name, port): f"127.0.0.1:{free_port()}"
            for name, port in (("ingest1", 3000), ("ingest2", 3000), ("engine", 8050), ("balancer", 3000), ("balancer", 8050))
        }  # fmt: skip
        self._broker = broker
        self._commands: list[Command] = []
        for service, described in found.items():
            for source in (volume.split(":")[0] for volume in described["volumes"]):
                if source.endswith(".toml"):
                    lines = Path(source).read_text(encoding="utf-8").splitlines()
                    self._settings(service).write_text("\n".join(self._localized(service, line) for line in lines))

    def url(self, service: str, port: int) -> str:
        return f"http://{self._addresses[service, port]}"

    def start(self, service: str) -> Command:
        """Start the command of a service."""
        program, arguments = self._command(service, self._services[service]["command"])
        command = Command(*arguments, program=program, cwd=None, **self._environment(service))
        self._commands.append(command)
        return command

    def run(self, service: str, *arguments: str, typed: str = "") -> str:
        """Run a command as `docker-compose run` does, and return its standard output."""
        done = self._run(service, arguments, typed)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_healthy(self, service: str) -> bool:
        """Run the container's health check once."""
        kind, *test = self._services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self._run(service, test).returncode == 0

    def _run(self, service: str, arguments: Sequence[str], typed: str = "") -> subprocess.CompletedProcess[str]:
        program, rest = self._command(service, arguments)
        return subprocess.run(
            [*program, *rest], input=typed, capture_output=True, text=True, env=os.environ | self._environment(service),
            timeout=60,
        )  # fmt: skip

    def _command(self, service: str, arguments: Sequence[str]) -> tuple[Sequence[str], list[str]]:
        program, *rest = (self._localized(service, argument) for argument in arguments)
        programs = {"tillstream": TILLSTREAM, "haproxy": (balancer.program(),), "python": (sys.executable,)}
        return programs.get(program, (program,)), rest

    def close(self) -> None:
        for command in reversed(self._commands):
            command.close()

    def _environment(self, service: str) -> dict[str, str]:
        environment = {
            name: self._localized(service, str(value)) for name, value in self._services[service]["environment"].items()
        }
        if service == "balancer":
            environment |= balancer.own_user()
        # Each container can use the same port, but local processes cannot.
        for setting, port in (("INGEST", 3000), ("DASHBOARD", 8050)):
            address = self._addresses.get((service, port))
            if address is not None and service != "balancer":
                environment[f"TILLSTREAM_{setting}_PORT"] = address.rpartition(":")[2]
        return environment

    def _localized(self, service: str, text: str) -> str:
        """Replace container addresses and paths by local ones."""
        text = text.replace("rabbitmq:5672/%2F", self._broker)
        for (name, port), address in self._addresses.items():
            text = re.sub(rf"\b{name}:{port}\b", address, text)
            if name == service:
                text = re.sub(rf"^:{port}$", address, text)
                text = re.sub(rf"(?<=127\.0\.0\.1[:/]){port}\b", address.rpartition(":")[2], text)
        for container_path, local_path in self._mounts(service):
            text = re.sub(rf"{re.escape(container_path)}(?![\w-])", local_path, text)
        return text

    def _mounts(self, service: str) -> list[tuple[str, str]]:
        """The mounted container paths and their local paths, the longest container path first."""
        found = []
        for volume in self._services[service]["volumes"]:
            source, container_path, _ = volume.split(":")
            if source.startswith("/"):
                found.append((container_path, str(self._settings(service) if source.endswith(".toml") else source)))
            else:
                directory = self._folder / source
                directory.mkdir(exist_ok=True)
                found.append((container_path, str(directory)))
        return sorted(found, key=lambda mount: -len(mount[0]))

    def _settings(self, service: str) -> Path:
        """The path of the settings file for this service."""
        return self._folder / f"{service}.toml"
