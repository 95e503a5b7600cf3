"""A description of the machine: processor, memory, disk, kernel and versions."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = (
    "granian",
    "duckdb",
    "msgspec",
    "pyarrow",
    "backports.zstd",
    "uvloop",
    "fastapi",
    "uvicorn",
    "sqlalchemy",
    "pika",
)
SERVICE_LIBRARIES = ("psycopg", "asyncpg")
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def describe(directory: Path) -> dict[str, str]:
    """Describe the machine and the disk of `directory`, in display order."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "disk": f"{file_system(directory)} on {directory}",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("tillstream", *LIBRARIES, *SERVICE_LIBRARIES)},
        "wrk": _first_line("wrk", "--version"),
    }


def file_system(directory: Path) -> str:
    """The type of the directory's file system, for example `ext4`."""
    mounts = psutil.disk_partitions(all=True)
    parents = [mount for mount in mounts if directory.resolve().is_relative_to(mount.mountpoint)]
    return max(parents, key=lambda mount: len(mount.mountpoint)).fstype if parents else "unknown"


def load() -> float:
    """The load average of the last minute. Before a run it should be close to 0."""
    return os.getloadavg()[0]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "missing"
    # wrk prints its version but exits with code 1.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].partition("Copyright")[0].strip()
