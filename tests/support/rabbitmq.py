"""Run a private RabbitMQ node from Debian's package on loopback, with its own name, ports, cookie and data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika
import psutil

from tests.support.free_ports import free_port
from tests.support.waiting import wait_until

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
START_S = 60.0
STOP_S = 20.0
VHOSTS_PER_CALL = 24
"""A call of `rabbitmqctl` takes half a second, so one call makes many virtual hosts."""

_ADD_VHOSTS = """lists:foreach(fun(Number) ->
  Name = iolist_to_binary(["{prefix}", integer_to_list(Number)]),
  rabbit_vhost:add(Name, <<"tests">>),
  rabbit_auth_backend_internal:set_permissions(<<"guest">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
end, lists:seq({first}, {last}))."""


def missing() -> str:
    """The reason why RabbitMQ cannot run here, with a hint. The text is empty if it is installed."""
    if (PROGRAMS / "rabbitmq-server").exists() and shutil.which("epmd"):
        return ""
    return "RabbitMQ is missing: `make debian` installs it as root, or apt-get install rabbitmq-server"


@contextmanager
def amqp_channel(url: str) -> Iterator[Any]:
    """A channel on a new connection."""
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        yield connection.channel()


class Node:
    """A broker with its state in a directory. Every process that can read the directory can use, kill and stop it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._state = directory / "node.json"
        self._vhosts = 0
        # Python warns if the object of a running child process is garbage-collected.
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the broker, and wait until it serves. A restart keeps the ports and the data."""
        if not self._state.exists():
            self._make()
        if psutil.pid_exists(self._read()["epmd"]):
            self._spawn_server()
            return
        epmd = subprocess.Popen(
            ["epmd", "-port", str(self._read()["epmd_port"]), "-address", "127.0.0.1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env=self._environment(),
        )  # fmt: skip
        self._children.append(epmd)
        self._write(self._read() | {"epmd": epmd.pid})
        self._spawn_server()

    def _make(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        amqp, distribution, names = (free_port() for _ in range(3))
        self._write({"amqp": amqp, "distribution": distribution, "epmd_port": names, "epmd": 0, "server": 0})
        (self.directory / "enabled_plugins").write_text("[rabbitmq_consistent_hash_exchange].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{amqp}\nlog.console = false\nlog.file.level = warning\n"
            "disk_free_limit.absolute = 1MB\n"
        )

    def _spawn_server(self) -> None:
        with (self.directory / "output").open("ab") as output:
            server = subprocess.Popen(
                [str(PROGRAMS / "rabbitmq-server")],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=self.directory, env=self._environment(),
            )  # fmt: skip
        self._children.append(server)
        self._write(self._read() | {"server": server.pid})
        wait_until(lambda: self._is_serving(server), f"RabbitMQ in {self.directory} serves", START_S)

    def _is_serving(self, server: subprocess.Popen[bytes]) -> bool:
        if server.poll() is not None:
            raise AssertionError(f"RabbitMQ ended: {(self.directory / 'output').read_text()[-2_000:]}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as probe:
            # A running broker answers an unknown protocol version with its own.
            probe.sendall(b"AMQP\x00\x00\x00\x00")
            return probe.recv(4) == b"AMQP"
        return False

    @property
    def port(self) -> int:
        return int(self._read()["amqp"])

    def url(self, vhost: str = "/", user: str = "guest", password: str = "guest", port: int = 0) -> str:
        return f"amqp://{user}:{password}@127.0.0.1:{port or self.port}/{quote(vhost, safe='')}"

    def fresh_vhost(self) -> str:
        """The name of an unused virtual host."""
        number = self._vhosts
        self._vhosts += 1
        prefix = f"t{os.getpid()}-"
        if number % VHOSTS_PER_CALL == 0:
            last = number + VHOSTS_PER_CALL - 1
            self.control("eval", _ADD_VHOSTS.format(prefix=prefix, first=number, last=last))
        return f"{prefix}{number}"

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl`, and return its output."""
        done = subprocess.run(
            [str(PROGRAMS / "rabbitmqctl"), "--quiet", "-n", self._name, *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self._environment(), timeout=START_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self) -> None:
        """Kill the broker's process without a chance to flush data or to close connections."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the broker and its name server, and keep the data."""
        self._end(signal.SIGTERM)
        self._end_process(int(self._read()["epmd"]))

    def discard(self) -> None:
        """Kill the broker and its name server."""
        self.kill()
        self._end_process(int(self._read()["epmd"]))

    def cpu_s(self) -> float:
        """The CPU time of the broker in seconds."""
        leader = psutil.Process(int(self._read()["server"]))
        return sum(sum(part.cpu_times()[:2]) for part in (leader, *leader.children(recursive=True)))

    def runs(self) -> bool:
        return self._state.exists() and psutil.pid_exists(int(self._read()["server"]))

    def _end(self, number: signal.Signals) -> None:
        """Signal the process group of the server: a shell that waits for Erlang."""
        leader = int(self._read()["server"])
        if not leader:
            # The server is not running. Process group 0 would be the group of this process.
            return
        family: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            family = [psutil.Process(leader), *psutil.Process(leader).children(recursive=True)]
        with suppress(ProcessLookupError):
            os.killpg(leader, number)
        _, alive = psutil.wait_procs(family, STOP_S)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, STOP_S)
        self._reap()
        self._write(self._read() | {"server": 0})

    def _end_process(self, pid: int) -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.kill()
            process.wait(STOP_S)
        self._reap()

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    @property
    def _name(self) -> str:
        return f"tillstream-{self.port}@localhost"

    def _environment(self) -> Mapping[str, str]:
        state = self._read()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        loopback = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"
        return inherited | {
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(state["epmd_port"]),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_DIST_PORT": str(state["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
        }

    def _read(self) -> dict[str, int]:
        state: dict[str, int] = json.loads(self._state.read_text())
        return state

    def _write(self, state: Mapping[str, int]) -> None:
        self._state.write_text(json.dumps(dict(state)))
