"""`tillstream import` of a large file into a running ingest: its memory and its rate."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.baskets import Baskets
from benchmarks.contenders import ingest
from benchmarks.harness import BenchmarkError, Plan, peak_mib
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure, Result
from benchmarks.writers import NDJSON_TITLE, POSLOG_TITLE, WRITERS, Receipt
from tests.support.ingest import accepted_receipts
from tests.support.processes import TILLSTREAM
from tillstream.config.settings import Settings
from tillstream.formats import registry

TITLE = "import of a 500 MB file"
TARGET_MIB = 300.0
FILE_BYTES = 500_000_000
QUICK_FILE_BYTES = 50_000_000
SUFFIXES = {NDJSON_TITLE: ".ndjson", POSLOG_TITLE: ".xml"}
POLL_S = 0.02


def run(plan: Plan) -> Result:
    known = {decoder.title for decoder in registry.load(Settings())}
    result = Result(bench="importing", title=TITLE)
    for title, suffix in SUFFIXES.items():
        if title not in known:
            continue
        with plan.scratch() as directory, ingest(directory) as url:
            path = directory / f"large{suffix}"
            count = _write(path, title, QUICK_FILE_BYTES if plan.quick else FILE_BYTES)
            seconds, memory_mib = _import(path, url, directory)
            if accepted_receipts(url) != count:
                raise BenchmarkError(f"{title}: ingest accepted {accepted_receipts(url)} of {count} receipts")
            megabytes = path.stat().st_size / 1e6
        plan.log(f"  {title}: {megabytes:.0f} MB, {count:,} receipts in {seconds:.1f} s, {memory_mib:.0f} MiB")
        note = f"{megabytes:.0f} MB, {count:,} receipts"
        result.runs[title] = {"receipts": count, "seconds": seconds, "peak_mib": memory_mib, "megabytes": megabytes}
        result.figures += [
            Figure(f"{title}: peak memory of the import", memory_mib, "MiB", "<", TARGET_MIB, note),
            Figure(f"{title}: receipts imported", count / seconds, "/s"),
        ]
    return result


def _write(path: Path, title: str, size: int) -> int:
    """Write a file of about `size` bytes, and return its number of receipts."""
    written = count = 0

    def receipts() -> Iterator[Receipt]:
        nonlocal count
        baskets = Baskets(Tills(spread(today(), size // 1_500)))
        while written < size:
            count += 1
            yield baskets.receipt()

    with path.open("wb") as file:
        for part in WRITERS[title].parts(receipts()):
            written += file.write(part)
    return count


def _import(path: Path, url: str, directory: Path) -> tuple[float, float]:
    """Import the file. Return the seconds it takes and the kernel's peak of its resident memory in MiB."""
    command = [*TILLSTREAM, "import", path, "--to", url, "--state", directory / "state", "--quiet"]
    memory_mib = 0.0
    began = time.monotonic()
    with (directory / "import.out").open("w+") as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            memory_mib = max(memory_mib, peak_mib(process.pid))
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
        output.seek(0)
        if process.returncode:
            raise BenchmarkError(f"tillstream import: {output.read()[-500:]}")
    return seconds, memory_mib
