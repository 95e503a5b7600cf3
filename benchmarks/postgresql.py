"""A PostgreSQL server of our own: a new cluster with default settings and fsync on, on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import CannotRun
from tests.support.free_ports import free_port

OWNER = "postgres"
"""Who runs the server where the bench runs as root, which PostgreSQL refuses."""

DEBIAN = Path("/usr/lib/postgresql")


class Cluster:
    """Made once; started for each run and stopped after it, so that it disturbs nobody else's run."""

    def __init__(self, directory: Path) -> None:
        self._programs = _programs()
        self._home = directory / "postgresql"
        self._data = self._home / "data"
        self._home.mkdir()
        if os.geteuid() == 0:
            directory.chmod(0o755)
            shutil.chown(self._home, OWNER, OWNER)
        self._run("initdb", "--pgdata", self._data, "--username", OWNER, "--auth", "trust", "--encoding", "UTF8")
        self.port = free_port()

    @property
    def url(self) -> str:
        """Where the services connect, by the unix socket; its form is that of libpq."""
        return f"postgresql://{OWNER}@/postgres?host={self._home}&port={self.port}"

    @property
    def version(self) -> str:
        return self._run("postgres", "--version")

    @contextmanager
    def running(self) -> Iterator[None]:
        options = f"-p {self.port} -k {self._home} -c listen_addresses="
        output = self._home / "server.log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--options", options, "--log", output)
        try:
            yield
        finally:
            self._run("pg_ctl", "stop", "--wait", "--pgdata", self._data, "--mode", "fast")

    def _run(self, program: str, *arguments: object) -> str:
        command = [str(self._programs / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", OWNER, "--", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise CannotRun(f"{program} failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout.strip()


def _programs() -> Path:
    """Debian's newest server, else whatever stands on the path."""
    found = sorted(DEBIAN.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("pg_ctl")
    if not found and on_path is None:
        raise CannotRun("PostgreSQL is missing: apt-get install postgresql")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(OWNER)
        except KeyError:
            raise CannotRun(f"there is no user {OWNER} to run PostgreSQL as") from None
    return found[-1].parent if found else Path(str(on_path)).parent
